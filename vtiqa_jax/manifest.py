"""A person's own data: a CSV that names photos and their scores."""

import csv
import dataclasses
import os
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from vtiqa_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Photos with their mean opinion scores, in the order of the file."""

    names: tuple[str, ...]
    mos: Float[np.ndarray, " n"]
    images: Path
    """The folder the names are relative to."""
    groups: tuple[str, ...] = ()
    """The part of the data set that each photo belongs to, for reports; empty when not asked for."""
    scenes: tuple[str, ...] = ()
    """What each photo shows: photos of one scene stay together when the photos are divided; empty when unknown."""

    @property
    def paths(self) -> list[Path]:
        """Where the photos are."""
        return [self.images / name for name in self.names]

    def only(self, rows: Int[np.ndarray, " m"]) -> "Manifest":
        """These rows of it."""

        def of(column: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(column[row] for row in rows) if column else ()

        return Manifest(of(self.names), self.mos[rows], self.images, of(self.groups), of(self.scenes))


def read(scores: Path, images: Path, group_column: str | None = None, scene_column: str | None = None) -> Manifest:
    """Reads a CSV with a header that has at least the columns `image` and `mos`.

    Errors: UserError for a missing file, folder, column or photo, a score that is no finite number, a photo listed
    twice, or fewer than two rows; with the line, all problems of one kind in one message.
    """
    if not images.is_dir():
        raise UserError(f"{images} is not a folder; --images names the one that holds the photos")
    try:
        with scores.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = columns
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{scores} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    found = ", ".join(columns) or "nothing"
    for column in ("image", "mos", *filter(None, (group_column, scene_column))):
        if column not in columns:
            raise UserError(f"{scores} has no column `{column}`; its header must name it (found: {found})")
    if len(rows) < 2:
        raise UserError(f"{scores} lists {len(rows)} photos; at least 2 are needed")
    problems, seen, values = [], set(), []
    for line, row in enumerate(rows, start=2):
        name, value = (row["image"] or "").strip(), (row["mos"] or "").strip()
        try:
            values.append(float(value))
            if not np.isfinite(values[-1]):
                raise ValueError
        except ValueError:
            problems.append(f"line {line}: mos is {value!r}, not a number")
        place = os.path.normpath(name)  # `a.jpg` and `./a.jpg` are one photo
        if not name or place in seen:
            problems.append(f"line {line}: {'image listed twice: ' + name if name else 'no image named'}")
        elif not (images / name).is_file():
            problems.append(f"line {line}: {images / name} does not exist")
        seen.add(place)
        for column in filter(None, (group_column, scene_column)):
            if not (row[column] or "").strip():
                problems.append(f"line {line}: no {column}")
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise UserError(f"{scores}: {'; '.join(problems[:5])}{more}")
    groups, scenes = (
        tuple(row[column].strip() for row in rows) if column else () for column in (group_column, scene_column)
    )
    return Manifest(tuple(row["image"].strip() for row in rows), np.array(values, np.float32), images, groups, scenes)
