"""Where photos lie: folders, lists, WebDataset tars and Parquet files, on disks and in buckets."""

import functools
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
from pyarrow import fs, parquet
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.photos import formats

TARS = (".tar", ".tar.gz", ".tgz")
PARQUET = ".parquet"
LIST = ".txt"
KEY_COLUMNS = ("uid", "id", "key", "__key__", "url")
"""Columns of a Parquet file that usually tell its photos apart, the surest first."""
SCHEMA = pa.schema([("path", pa.string()), ("key", pa.string()), ("data", pa.large_binary()), ("error", pa.string())])
"""A photo before it is decoded. `data` is null for a file of its own, which is read where it is decoded."""
BLOCK_ROWS, BLOCK_BYTES = 64, 32 << 20
"""What a part of a tar or Parquet file holds at most."""

Photo = tuple[str, str | None, bytes | None, str | None]
"""A row of SCHEMA."""


def resolve(name: str) -> str:
    """The name that every machine and every later run knows a place by: an absolute path, or a bucket's address."""
    scheme, mark, rest = name.partition("://")
    if mark and scheme != "file":
        return name.rstrip("/")
    return os.path.abspath(rest if mark else name)


@functools.cache
def _bucket(address: str) -> fs.FileSystem:
    return fs.FileSystem.from_uri(address)[0]


def locate(name: str) -> tuple[fs.FileSystem, str]:
    """The file system that a resolved name is on, and its path there.

    Raises:
        OSError: there is no such bucket, or it cannot be reached.
        pyarrow.ArrowInvalid: a scheme that pyarrow does not know.
    """
    scheme, mark, key = name.partition("://")
    if not mark:
        return fs.LocalFileSystem(), name
    return _bucket(f"{scheme}://{key.partition('/')[0]}"), key


def reach(name: str) -> tuple[fs.FileSystem, str]:
    """`locate` for a name that a person gave.

    Raises:
        UserError: it cannot be reached; with the reason.
    """
    try:
        return locate(name)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{name} cannot be reached: {str(error).splitlines()[0]}") from error


def _is_known(path: str) -> bool:
    lower = path.lower()
    return PurePosixPath(lower).suffix in formats.SUFFIXES or lower.endswith((*TARS, PARQUET))


def _listed(name: str, system: fs.FileSystem, folder: str) -> list[str]:
    """The known files in a folder and below it, sorted, by the names that `name` begins."""
    selector = fs.FileSelector(folder, recursive=True)
    found = sorted(info.path for info in system.get_file_info(selector) if info.type == fs.FileType.File)
    prefix = name[: len(name) - len(folder)]  # the scheme
    return [prefix + path for path in found if _is_known(path)]


def find(source: str) -> list[str]:
    """The files that a source names: photos, tars and Parquet files, by their resolved names.

    Args:
        source: a folder, which is searched at any depth; a glob, whose * does not match a slash; a text file (.txt)
            of paths, one a line, relative to the current folder; or a single photo, tar or Parquet file.

    Raises:
        UserError: there is nothing, or it cannot be read.
    """
    name = resolve(source)
    system, key = reach(name)
    try:
        kind = system.get_file_info(key).type
        if kind == fs.FileType.Directory:
            files = _listed(name, system, key)
        elif kind == fs.FileType.File and name.lower().endswith(LIST):
            with system.open_input_stream(key) as stream:
                lines = stream.read().decode("utf-8-sig").splitlines()
            files = [resolve(line.strip()) for line in lines if line.strip()]
        elif kind == fs.FileType.File:
            if not _is_known(name):
                raise UserError(f"{source} is no photo, tar or Parquet file; a list of paths ends in {LIST}")
            files = [name]
        elif any(mark in key for mark in "*?["):
            folder = key[: min(key.find(mark) for mark in "*?[" if mark in key)].rpartition("/")[0] or "/"
            whole = name[: len(name) - len(key)] + folder
            prefix = len(name) - len(key)
            files = [
                file for file in _listed(whole, system, folder) if PurePosixPath(f"/{file[prefix:]}").match(f"/{key}")
            ]
        else:
            raise UserError(f"{source}: there is no such file, folder or glob")
    except UnicodeDecodeError as error:
        raise UserError(f"{source} is not a list of paths in UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise UserError(f"{source} cannot be read: {str(error).splitlines()[0]}") from error
    if not files:
        raise UserError(f"no photos, tars or Parquet files in {source}")
    return list(dict.fromkeys(files))  # a path that a list has twice is one photo


def check_parquet(name: str, keyed_by: str | None) -> None:
    """Checks that a Parquet file has photos, and keys, where they are looked for.

    Raises:
        UserError: it has not; with what to do.
    """
    try:
        system, key = locate(name)
        with system.open_input_file(key) as file:
            schema = parquet.read_schema(file)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{name} cannot be read as Parquet: {str(error).splitlines()[0]}") from error
    if _bytes_of(schema) is None:
        raise UserError(f"{name}: no column `image` of bytes, or of structs with a field `bytes`")
    if keyed_by is not None and key_column(schema, keyed_by) is None:
        usable = ", ".join(field.name for field in schema if _is_key(field.type)) or "none"
        raise UserError(f"{name}: --key {keyed_by} is no column of text or whole numbers; there are: {usable}")


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


def _bytes_of(schema: pa.Schema) -> str | None:
    """The column that has a photo's bytes, dotted, in Hugging Face's layout or a plain one."""
    kind = schema.field("image").type if "image" in schema.names else pa.null()
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "image"
    return "image.bytes" if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 else None


def _in_tar(name: str) -> Iterator[Photo]:
    system, key = locate(name)
    names: dict[str, int] = {}
    with (
        system.open_input_stream(key, compression=None) as stream,
        tarfile.open(fileobj=stream, mode="r|*") as archive,
    ):
        for member in archive:
            if member.isfile() and PurePosixPath(member.name.lower()).suffix in formats.SUFFIXES:
                file = archive.extractfile(member)
                assert file is not None
                names[member.name] = count = names.get(member.name, 0) + 1
                path = f"{name}/{member.name}" + (f"#{count}" if count > 1 else "")
                yield path, sample_key(member.name), file.read(), None


def _in_parquet(name: str, keyed_by: str | None) -> Iterator[Photo]:
    system, key = locate(name)
    with system.open_input_file(key) as source, parquet.ParquetFile(source) as file:
        column = _bytes_of(file.schema_arrow)
        if column is None:
            raise OSError("no column `image` of bytes, or of structs with a field `bytes`")
        keys = key_column(file.schema_arrow, keyed_by)
        if keyed_by is not None and keys is None:
            raise OSError(f"no column `{keyed_by}` of text or whole numbers")
        row = 0
        for batch in file.iter_batches(BLOCK_ROWS, columns=[column, *([keys] if keys else [])]):
            values = batch.column("image")
            if column != "image":
                values = values.flatten()[values.type.get_field_index("bytes")]
            called = batch.column(keys).to_pylist() if keys else range(row, row + len(values))
            for value, name_of_row in zip(values, called, strict=True):
                data = value.as_py()
                error = "the row has no bytes" if data is None else None
                yield f"{name}#{row}", None if name_of_row is None else str(name_of_row), data, error
                row += 1


def _photos(name: str, keyed_by: str | None) -> Iterator[Photo]:
    """The photos of one file; for a tar or Parquet file that breaks off, a last row of its own with the reason."""
    lower = name.lower()
    if not lower.endswith((*TARS, PARQUET)):
        yield name, None, None, None
        return
    try:
        yield from _in_tar(name) if lower.endswith(TARS) else _in_parquet(name, keyed_by)
    except (OSError, EOFError, tarfile.TarError, pa.ArrowException) as error:
        yield name, None, None, f"the file breaks off: {(str(error).splitlines() or [type(error).__name__])[0]}"


def read_blocks(files: list[str], keyed_by: str | None = None) -> Iterator[pa.Table]:
    """Yields the photos of some files, a block of bounded size after the other; see `key_column` for `keyed_by`."""
    rows: list[Photo] = []
    size = 0
    for photo in (photo for name in files for photo in _photos(name, keyed_by)):
        rows.append(photo)
        size += len(photo[2] or b"")
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
        """Unknown before tars are opened."""
        return None

    def get_read_tasks(self, parallelism: int, *arguments: object, **named: object) -> list[Any]:
        """Tasks for Ray: a tar or Parquet file each, and groups of photos."""
        packed = [name for name in self._files if name.lower().endswith((*TARS, PARQUET))]
        known = set(packed)
        single = [name for name in self._files if name not in known]
        size = self._files_per_task
        groups = [[name] for name in packed] + [single[at : at + size] for at in range(0, len(single), size)]
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [
            ReadTask(functools.partial(read_blocks, group, self._keyed_by), unknown, schema=SCHEMA) for group in groups
        ]


def read_file(name: str) -> bytes:
    """The bytes of a photo's own file.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        if "://" not in name:
            return Path(name).read_bytes()
        system, key = locate(name)
        with system.open_input_stream(key, compression=None) as stream:
            return stream.read()
    except OSError as error:
        raise ImageError(error.strerror or str(error).splitlines()[0]) from error
