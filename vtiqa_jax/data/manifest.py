"""Photos and their scores: what every data set becomes, and a person's own CSV."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from vtiqa_jax import atomic, sharding
from vtiqa_jax.data.csv_table import SHOWN, one_line, read_table, refuse
from vtiqa_jax.data.names import find_photos
from vtiqa_jax.errors import UserError
from vtiqa_jax.photos.stamps import file_stamp

MISSING_LIST = "missing-photos.txt"
"""The file that names the photos of a CSV which are not there, one a line."""


@runtime_checkable
class ImageSource(Protocol):
    """Where the photos of a manifest come from."""

    def read(self, name: str) -> bytes:
        """Returns the bytes of a photo's file.

        Raises:
            OSError: they cannot be read.
        """
        ...

    def version(self, name: str) -> str:
        """Returns a text that changes when the photo changes, and is the same for a copy that keeps its time."""
        ...

    def stamp(self, name: str) -> str:
        """Returns a text that changes whenever the photo was written to or replaced."""
        ...


@dataclasses.dataclass(frozen=True)
class ImageFolder:
    """Photos as files, by name relative to a folder."""

    folder: Path

    def path(self, name: str) -> Path:
        """Returns the photo's file."""
        return self.folder / name

    def read(self, name: str) -> bytes:
        """See `ImageSource`."""
        return self.path(name).read_bytes()

    def version(self, name: str) -> str:
        """Returns size and time of change, see `ImageSource`."""
        status = self.path(name).stat()
        return f"{status.st_size} {status.st_mtime_ns}"

    def stamp(self, name: str) -> str:
        """See `ImageSource` and `file_stamp`."""
        return file_stamp(self.path(name))

    def __str__(self) -> str:
        return str(self.folder.resolve())


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Photos with their mean opinion scores (MOS)."""

    names: tuple[str, ...]
    mos: Float[np.ndarray, " n"]
    images: ImageSource
    groups: tuple[str, ...] = ()
    """The part of the data set that each photo belongs to, for reports; empty when not asked for."""
    scenes: tuple[str, ...] = ()
    """Scene of each photo. Photos of one scene stay in one part of a split; empty when unknown."""
    targets: Mapping[str, Float[np.ndarray, " n"]] = dataclasses.field(default_factory=dict)
    """Further numbers of each photo, by column, that a loss may use: the spread of its opinions, say."""

    def select(self, rows: Int[np.ndarray, " m"]) -> "Manifest":
        """Returns the manifest of these rows."""

        def take(column: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(column[row] for row in rows) if column else ()

        targets = {name: values[rows] for name, values in self.targets.items()}
        return Manifest(take(self.names), self.mos[rows], self.images, take(self.groups), take(self.scenes), targets)

    def extend(self, names: Sequence[str], images: ImageSource) -> "Manifest":
        """Returns the manifest with photos behind it that nobody scored: MOS and targets are 0.

        Args:
            names: of the further photos.
            images: where all photos come from, these and those.
        """

        def longer(column: tuple[str, ...]) -> tuple[str, ...]:
            return (*column, *[""] * len(names)) if column else ()

        def padded(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
            return np.concatenate([values, np.zeros(len(names), np.float32)])

        targets = {name: padded(values) for name, values in self.targets.items()}
        everything = (*self.names, *names)
        return Manifest(everything, padded(self.mos), images, longer(self.groups), longer(self.scenes), targets)


def read_csv(
    scores: Path,
    images: Path,
    group_column: str | None = None,
    scene_column: str | None = None,
    target_columns: Sequence[str] = (),
    *,
    partial: bool = False,
    out: Path | None = None,
) -> Manifest:
    """Reads a CSV with a header that has at least the columns `image` and `mos`.

    Photos are named relative to the folder, by an absolute path or, where that is unambiguous, as `data/names.py` says.

    Args:
        scores: the CSV.
        images: the folder that photos are named relative to.
        group_column: a column of names, see `Manifest.groups`.
        scene_column: a column of names, see `Manifest.scenes`.
        target_columns: columns of numbers, see `Manifest.targets`.
        partial: leaves out photos that are not there, and says how many.
        out: the folder in which all missing photos are listed.

    Returns:
        The photos in the CSV's order, named as on disk.

    Raises:
        UserError: a file, folder, column or photo is missing, a score is no finite number, a photo is listed twice, or
            there are fewer than two rows. All problems of one kind are in one message, with their lines.
    """
    if not images.is_dir():
        raise UserError(f"{images} is not a folder; --images names the one that holds the photos")
    texts = [column for column in (group_column, scene_column) if column]
    table = read_table(scores, ("image", "mos", *target_columns, *texts))
    if len(table.rows) < 2:
        count = len(table.rows)
        raise UserError(f"{scores} lists {count} photo{'s' * (count != 1)}; at least 2 are needed")
    values: dict[str, list[float]] = {}
    problems: list[str] = []
    for column in ("mos", *target_columns):
        values[column], wrong = table.numbers(column)
        problems += wrong
    listed = table.column("image")
    matches, unclear = find_photos(listed, images)
    seen: set[str] = set()
    for line, name in zip(table.lines, listed, strict=True):
        if not name.strip():
            problems.append(f"line {line}: no image named")
        elif name in unclear:
            problems.append(f"line {line}: {unclear[name]}")
        elif (path := os.path.abspath(images / matches.get(name, name.strip()))) in seen:
            problems.append(f"line {line}: image listed twice: {name.strip()}")
        else:
            seen.add(path)
    for column in texts:
        cells = zip(table.lines, table.column(column), strict=True)
        problems += [f"line {line}: no {column}" for line, cell in cells if not cell.strip()]
    refuse(scores, sorted(problems, key=lambda problem: int(problem.removeprefix("line ").partition(":")[0])))

    missing = [(line, name) for line, name in zip(table.lines, listed, strict=True) if name not in matches]
    _tell_missing(scores, images, missing, len(listed), partial=partial, out=out)

    def column_of(column: str | None) -> tuple[str, ...]:
        return tuple(cell.strip() for cell in table.column(column)) if column else ()

    arrays = {column: np.array(array, np.float32) for column, array in values.items()}
    names = tuple(matches.get(name, name) for name in listed)
    photos = Manifest(
        names, arrays.pop("mos"), ImageFolder(images), column_of(group_column), column_of(scene_column), arrays
    )
    return photos.select(np.array([row for row, name in enumerate(listed) if name in matches], np.int64))


def _tell_missing(
    scores: Path, images: Path, missing: Sequence[tuple[int, str]], count: int, *, partial: bool, out: Path | None
) -> None:
    """Says which of `count` photos, given with their lines, do not exist, and refuses unless they may be left out."""
    if not missing:
        return
    shown = [f"line {line}: {images / name.strip()}" for line, name in missing[:SHOWN]]
    if len(missing) > SHOWN:
        listed = f", all in {out / MISSING_LIST}" if out else ""
        shown.append(f"and {len(missing) - SHOWN} more{listed}")
    if len(missing) > SHOWN and out and sharding.is_main_process():
        atomic.make_folder(out)
        atomic.write_text(out / MISSING_LIST, "".join(f"{name.strip()}\n" for _, name in missing))
    told = one_line(f"{scores}: {len(missing)} of {count} photos do not exist: {'; '.join(shown)}")
    if count - len(missing) < 2:
        raise UserError(f"{told}; is {images} the folder of the photos?")
    if not partial:
        raise UserError(f"{told}; correct their names, or leave them out with --partial")
    if sharding.is_main_process():
        print(f"{told}; they are left out")
