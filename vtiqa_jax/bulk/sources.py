"""Sources of photos: folders, lists, WebDataset tars and Parquet files, on disks and in buckets."""

import codecs
import functools
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

import pyarrow as pa
from pyarrow import fs, parquet
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.photos import files, formats, own

TARS = (".tar", ".tar.gz", ".tgz")
PARQUET = ".parquet"
PACKED = (*TARS, PARQUET)
LIST = ".txt"
KEY_COLUMNS = ("uid", "id", "key", "__key__", "url")
"""Columns of a Parquet file that usually tell its photos apart, the surest first."""
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("name", pa.binary()),
        ("key", pa.string()),
        ("data", pa.large_binary()),
        ("error", pa.string()),
    ]
)
"""A photo before it is decoded."""
BLOCK_ROWS, BLOCK_BYTES = 64, 32 << 20
"""Most rows and bytes of a part of a tar or Parquet file."""


class Photo(NamedTuple):
    """A row of SCHEMA."""

    path: str
    """Unique, and UTF-8."""
    name: bytes
    """As the system or the archive has it: what is read, and what its ending says."""
    key: str | None = None
    """Key that results are joined by."""
    data: bytes | None = None
    """None for a file of its own, which is read where it is decoded."""
    error: str | None = None


def normalize_uri(name: str) -> str:
    """Returns the name of a place on every machine and in later runs: an absolute path, or a bucket's address."""
    scheme, mark, rest = name.partition("://")
    if mark and scheme != "file":
        return name.rstrip("/")
    return os.path.abspath(os.fsdecode(unquote_to_bytes(os.fsencode(rest))) if mark else name)


def as_text(name: str) -> str:
    """Returns a file's name in UTF-8: of other bytes an address, file://, that `normalize_uri` reads back."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return ("" if "://" in name else "file://") + quote(os.fsencode(name), safe="/:#")
    return name


@functools.cache
def _bucket(address: str) -> fs.FileSystem:
    return fs.FileSystem.from_uri(address)[0]


def filesystem_from_uri(name: str) -> tuple[fs.FileSystem, str]:
    """Returns the file system that a normalized name is on, and its path there.

    Raises:
        OSError: there is no such bucket, or it cannot be reached.
        pyarrow.ArrowInvalid: a scheme that pyarrow does not know.
    """
    scheme, mark, key = name.partition("://")
    if not mark:
        return fs.LocalFileSystem(), name
    return _bucket(f"{scheme}://{key.partition('/')[0]}"), key


def open_filesystem(name: str) -> tuple[fs.FileSystem, str]:
    """Calls `filesystem_from_uri` for a name that a person gave.

    Raises:
        UserError: it cannot be reached; with the reason.
    """
    try:
        return filesystem_from_uri(name)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{name} cannot be reached: {str(error).splitlines()[0]}") from error


def _is_known(name: str) -> bool:
    """Tells whether a file that is given is a picture, whether or not it can be read here, a tar or a Parquet file."""
    return formats.suffix(name) in formats.PICTURES or name.lower().endswith(PACKED)


def _in_bucket(system: fs.FileSystem, folder: str, left_out: files.LeftOut) -> list[str]:
    """Returns the photos, tars and Parquet files in a bucket's folder and below it, sorted."""
    selector = fs.FileSelector(folder, recursive=True)
    paths = sorted(info.path for info in system.get_file_info(selector) if info.type == fs.FileType.File)
    begun = f"{own.PROGRESS}/{own.BEGUN}"
    results = [path.removesuffix(begun) for path in paths if path.endswith(begun)]
    own_results = tuple(f"{result}{end}" for result in results for end in ("/", f"{own.PROGRESS}/"))
    endings = files.judge_endings()
    chosen: list[str] = []
    for path in paths:
        below = path[len(folder) :].lstrip("/")
        reason = files.OWN if path.startswith(own_results) else files.judge_path(below, endings, PACKED)
        if reason is None:
            chosen.append(path)
        else:
            left_out.add(reason, path)
    return chosen


def find(source: str, left_out: files.LeftOut | None = None) -> list[str]:
    """Lists the files that a source names: photos, tars and Parquet files, by their normalized names.

    Args:
        source: a folder, which is searched at any depth; a glob, whose * does not match a slash; a text file (.txt)
            of paths, one a line, relative to the current folder; or a single photo, tar or Parquet file.
        left_out: is told what is left out of folders and globs, if given.

    Raises:
        UserError: there is nothing, or it cannot be read.
    """
    name = normalize_uri(source)
    left_out = files.LeftOut() if left_out is None else left_out
    try:
        paths = _find_in_bucket(name, left_out) if "://" in name else _find_here(name, left_out)
    except OSError as error:
        raise UserError(f"{source} cannot be read: {str(error).splitlines()[0]}") from error
    if not paths:
        raise UserError(f"no photos, tars or Parquet files in {source}")
    return list(dict.fromkeys(paths))  # a path that a list has twice is one photo


def _find_here(name: str, left_out: files.LeftOut) -> list[str]:
    if os.path.isdir(name):
        return files.find([name], left_out, containers=PACKED)
    if os.path.exists(name):
        return _read_list(Path(name).read_bytes()) if name.lower().endswith(LIST) else [_require_known(name)]
    if _has_wildcards(name):
        return files.find_matching(name, left_out, containers=PACKED)
    raise UserError(f"{name}: there is no such file, folder or glob")


def _find_in_bucket(name: str, left_out: files.LeftOut) -> list[str]:
    system, key = open_filesystem(name)
    scheme = name[: len(name) - len(key)]
    kind = system.get_file_info(key).type
    if kind == fs.FileType.Directory:
        return [scheme + path for path in _in_bucket(system, key, left_out)]
    if kind == fs.FileType.File:
        return _read_list(read_file(name)) if name.lower().endswith(LIST) else [_require_known(name)]
    if _has_wildcards(key):
        folder = key[: min(key.find(mark) for mark in "*?[" if mark in key)].rpartition("/")[0]
        paths = _in_bucket(system, folder, left_out)
        return [scheme + path for path in paths if PurePosixPath(f"/{path}").match(f"/{key}")]
    raise UserError(f"{name}: there is no such file, folder or glob")


def _has_wildcards(path: str) -> bool:
    return any(mark in path for mark in "*?[")


def _require_known(name: str) -> str:
    if not _is_known(name):
        raise UserError(f"{name} is not a photo, tar or Parquet file; the name of a list of paths must end in {LIST}")
    return name


def _read_list(data: bytes) -> list[str]:
    """Reads the paths of a list: lines, or `find -print0`'s names between NUL bytes. Names may be no UTF-8."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # of Windows PowerShell's >
        text = data.decode("utf-16", "replace")
    else:
        text = os.fsdecode(data.removeprefix(codecs.BOM_UTF8))
    lines = text.split("\0") if "\0" in text else (line.strip() for line in text.split("\n"))
    return [normalize_uri(line) for line in lines if line]


def _open(name: str, *, seekable: bool = False) -> Any:
    """Opens a file for reading; pyarrow's own local files have names in UTF-8 only."""
    if "://" not in name:
        return Path(name).open("rb")
    system, key = filesystem_from_uri(name)
    return system.open_input_file(key) if seekable else system.open_input_stream(key, compression=None)


def check_parquet(name: str, keyed_by: str | None) -> None:
    """Checks that a Parquet file has photos, and keys, where they are looked for.

    Raises:
        UserError: it has not; with what to do.
    """
    try:
        with _open(name, seekable=True) as file:
            schema = parquet.read_schema(file)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{name} cannot be read as Parquet: {str(error).splitlines()[0]}") from error
    if not _has_photos(schema):
        raise UserError(f"{name}: no column `image` of bytes, or of structs with a field `bytes`")
    if keyed_by is not None and key_column(schema, keyed_by) is None:
        usable = ", ".join(field.name for field in schema if _is_key(field.type)) or "none"
        raise UserError(f"{name}: --key {keyed_by} is not a column of text or whole numbers; choose from: {usable}")


def _is_key(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)


def key_column(schema: pa.Schema, keyed_by: str | None) -> str | None:
    """Returns the column of a Parquet file that tells its photos apart.

    Args:
        schema: the file's.
        keyed_by: its name, or None for the first of KEY_COLUMNS that is there.

    Returns:
        The name; None where there is no such column of text or whole numbers.
    """
    names = KEY_COLUMNS if keyed_by is None else (keyed_by,)
    return next((name for name in names if name in schema.names and _is_key(schema.field(name).type)), None)


def sample_key(member: str) -> str:
    """Returns the key that WebDataset gives to a member of a tar: its name up to the first dot, with its folder."""
    folder, slash, name = member.rpartition("/")
    return f"{folder}{slash}{name.partition('.')[0] or name}"


def _has_photos(schema: pa.Schema) -> bool:
    """Tells whether a column has photos, in Hugging Face's layout or a plain one."""
    kind = schema.field("image").type if "image" in schema.names else pa.null()
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _in_tar(name: str) -> Iterator[Photo]:
    names: dict[str, int] = {}
    # Pictures that cannot be read here, too: a row with the reason is all that can be said of a tar's members.
    endings = dict.fromkeys(formats.PICTURES)
    with _open(name) as stream, tarfile.open(fileobj=stream, mode="r|*") as archive:
        for member in archive:
            if member.isfile() and files.judge_path(member.name, endings) is None:
                file = archive.extractfile(member)
                assert file is not None
                names[member.name] = count = names.get(member.name, 0) + 1
                path = as_text(f"{name}/{member.name}") + (f"#{count}" if count > 1 else "")
                yield Photo(path, os.fsencode(member.name), as_text(sample_key(member.name)), file.read())


def _in_parquet(name: str, keyed_by: str | None) -> Iterator[Photo]:
    with _open(name, seekable=True) as source, parquet.ParquetFile(source) as file:
        if not _has_photos(file.schema_arrow):
            raise OSError("no column `image` of bytes, or of structs with a field `bytes`")
        keys = key_column(file.schema_arrow, keyed_by)
        if keyed_by is not None and keys is None:
            raise OSError(f"no column `{keyed_by}` of text or whole numbers")
        row = 0
        for batch in file.iter_batches(BLOCK_ROWS, columns=["image", *([keys] if keys else [])]):
            images = batch.column("image")
            called = batch.column(keys).to_pylist() if keys else range(row, row + len(images))
            for value, key in zip(images, called, strict=True):
                image = value.as_py()
                fields = image if isinstance(image, dict) else {"bytes": image}
                data, path = fields["bytes"], fields.get("path")
                inner = path if isinstance(path, str) else ""
                error = "the row has no bytes" if data is None else None
                yield Photo(as_text(f"{name}#{row}"), inner.encode(), None if key is None else str(key), data, error)
                row += 1


def _photos(name: str, keyed_by: str | None) -> Iterator[Photo]:
    """Yields the photos of one file; for a tar or Parquet file that breaks off, a last row with the reason."""
    lower = name.lower()
    if not lower.endswith(PACKED):
        yield Photo(as_text(name), os.fsencode(name))
        return
    try:
        yield from _in_tar(name) if lower.endswith(TARS) else _in_parquet(name, keyed_by)
    except (OSError, EOFError, tarfile.TarError, pa.ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        yield Photo(as_text(name), b"", error=f"the file breaks off: {reason}")


def read_blocks(files: list[str], keyed_by: str | None = None) -> Iterator[pa.Table]:
    """Yields the photos of some files, a block of bounded size after the other; see `key_column` for `keyed_by`."""
    rows: list[Photo] = []
    size = 0
    for photo in (photo for name in files for photo in _photos(name, keyed_by)):
        rows.append(photo)
        size += len(photo.data or b"")
        if size >= BLOCK_BYTES or (len(rows) >= BLOCK_ROWS and size):
            yield _table(rows)
            rows, size = [], 0
    if rows:
        yield _table(rows)


def _table(rows: list[Photo]) -> pa.Table:
    return pa.table([list(column) for column in zip(*rows, strict=True)], schema=SCHEMA)


class PhotoSource(Datasource):
    """The files of `find` as rows of SCHEMA. Rows have their id, `path`, before anything costly is read.

    Ray Data leaves out what an earlier run has done after this operator and no other; its own readers have either no
    id that is unique (Parquet, tars) or the file's bytes already.
    """

    def __init__(self, files: list[str], keyed_by: str | None, files_per_task: int) -> None:
        super().__init__()
        self._files, self._keyed_by, self._files_per_task = files, keyed_by, files_per_task

    def estimate_inmemory_data_size(self) -> int | None:
        """Returns None: the size is unknown before tars are opened."""
        return None

    def get_read_tasks(self, parallelism: int, *arguments: object, **named: object) -> list[Any]:
        """Tasks for Ray: a tar or Parquet file each, and groups of photos."""
        packed = [name for name in self._files if name.lower().endswith(PACKED)]
        known = set(packed)
        single = [name for name in self._files if name not in known]
        size = self._files_per_task
        groups = [[name] for name in packed] + [single[at : at + size] for at in range(0, len(single), size)]
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [
            ReadTask(functools.partial(read_blocks, group, self._keyed_by), unknown, schema=SCHEMA) for group in groups
        ]


def read_file(name: str) -> bytes:
    """Returns the bytes of a photo's own file.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        with _open(name) as file:
            return file.read()
    except OSError as error:
        raise ImageError(error.strerror or str(error).splitlines()[0]) from error
