"""Photos and their scores: what every data set becomes, and a person's own CSV."""

import csv
import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from vtiqa_jax.errors import UserError

RESERVED = {"labels", "mask", "chains", "levels", "features", "global_images", "local_images"}
"""Names in a batch that no column of a CSV may take."""


@runtime_checkable
class ImageSource(Protocol):
    """Where the photos of a manifest come from."""

    def read(self, name: str) -> bytes:
        """The bytes of a photo's file.

        Raises:
            OSError: they cannot be read.
        """
        ...

    def version(self, name: str) -> str:
        """A text that changes when the photo changes."""
        ...


@dataclasses.dataclass(frozen=True)
class ImageFolder:
    """Photos as files, by name relative to a folder."""

    folder: Path

    def path(self, name: str) -> Path:
        """The photo's file."""
        return self.folder / name

    def read(self, name: str) -> bytes:
        """See `ImageSource`."""
        return self.path(name).read_bytes()

    def version(self, name: str) -> str:
        """Size and time of change, see `ImageSource`."""
        status = self.path(name).stat()
        return f"{status.st_size} {status.st_mtime_ns}"

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
    """What each photo shows. Photos of one scene stay in one part of a split; empty when unknown."""
    targets: Mapping[str, Float[np.ndarray, " n"]] = dataclasses.field(default_factory=dict)
    """Further numbers of each photo, by column, that a loss may use: the spread of its opinions, say."""

    def select(self, rows: Int[np.ndarray, " m"]) -> "Manifest":
        """The manifest of these rows."""

        def take(column: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(column[row] for row in rows) if column else ()

        targets = {name: values[rows] for name, values in self.targets.items()}
        return Manifest(take(self.names), self.mos[rows], self.images, take(self.groups), take(self.scenes), targets)


def _read_rows(scores: Path, columns: Sequence[str]) -> list[dict[str, str | None]]:
    """The rows of a CSV that has at least these columns."""
    try:
        with scores.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = header
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{scores} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    for column in columns:
        if column not in header:
            present = ", ".join(header) or "nothing"
            raise UserError(f"{scores} has no column `{column}`; its header must name it (found: {present})")
    if len(rows) < 2:
        raise UserError(f"{scores} lists {len(rows)} photos; at least 2 are needed")
    return rows


def read_csv(
    scores: Path,
    images: Path,
    group_column: str | None = None,
    scene_column: str | None = None,
    target_columns: Sequence[str] = (),
) -> Manifest:
    """Reads a CSV with a header that has at least the columns `image` and `mos`.

    Args:
        scores: the CSV.
        images: the folder that photos are named relative to.
        group_column: a column of names, see `Manifest.groups`.
        scene_column: a column of names, see `Manifest.scenes`.
        target_columns: columns of numbers, see `Manifest.targets`.

    Raises:
        UserError: a file, folder, column or photo is missing, a score is no finite number, a photo is listed twice, or
            there are fewer than two rows. All problems of one kind are in one message, with their lines.
    """
    if not images.is_dir():
        raise UserError(f"{images} is not a folder; --images names the one that holds the photos")
    if taken := sorted(RESERVED & set(target_columns)):
        raise UserError(f"a target column cannot be called {taken[0]}: batches have one of that name; rename it")
    texts = [column for column in (group_column, scene_column) if column]
    numbers = ("mos", *target_columns)
    rows = _read_rows(scores, ("image", *numbers, *texts))
    problems: list[str] = []
    seen: set[str] = set()
    values: dict[str, list[float]] = {column: [] for column in numbers}
    for line, row in enumerate(rows, start=2):
        for column in numbers:
            text = (row[column] or "").strip()
            try:
                values[column].append(float(text))
                if not np.isfinite(values[column][-1]):
                    raise ValueError
            except ValueError:
                problems.append(f"line {line}: {column} is {text!r}, not a number")
        name = (row["image"] or "").strip()
        normalized = os.path.normpath(name)  # `a.jpg` and `./a.jpg` are one photo
        if not name or normalized in seen:
            problems.append(f"line {line}: {'image listed twice: ' + name if name else 'no image named'}")
        elif not (images / name).is_file():
            problems.append(f"line {line}: {images / name} does not exist")
        seen.add(normalized)
        problems += [f"line {line}: no {column}" for column in texts if not (row[column] or "").strip()]
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise UserError(f"{scores}: {'; '.join(problems[:5])}{more}")

    def column_of(column: str | None) -> tuple[str, ...]:
        return tuple((row[column] or "").strip() for row in rows) if column else ()

    arrays = {column: np.array(array, np.float32) for column, array in values.items()}
    return Manifest(
        column_of("image"), arrays.pop("mos"), ImageFolder(images), column_of(group_column), column_of(scene_column),
        arrays,
    )  # fmt: skip
