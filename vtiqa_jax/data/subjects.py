"""Photos whose subject was marked by eye: which of their cells show what the photo is about."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from vtiqa_jax.data.csv_table import read_table, refuse
from vtiqa_jax.data.names import locate_photos
from vtiqa_jax.errors import UserError

LETTERS = "ABCDEFG"
"""The columns of cells, from the left; there are as many rows."""
EVERYWHERE, NOWHERE = "all", "-"
_ROW = re.compile("".join(f"{letter}?" for letter in LETTERS))


@dataclasses.dataclass(frozen=True)
class SubjectPhotos:
    """Photos and where their subjects are."""

    paths: tuple[Path, ...]
    shows: Bool[np.ndarray, "photos places"]
    """Whether each cell of 7 x 7 shows the subject, row by row."""


def join_subjects(tables: Sequence[SubjectPhotos]) -> SubjectPhotos:
    """Joins tables."""
    return SubjectPhotos(
        tuple(path for table in tables for path in table.paths), np.concatenate([table.shows for table in tables])
    )


def _parse_subject(text: str) -> Bool[np.ndarray, " places"]:
    """Parses which cells show the subject.

    Raises:
        ValueError: the text does not say it.
    """
    if text == EVERYWHERE:
        return np.ones(len(LETTERS) ** 2, bool)
    rows = text.split("/")
    if len(rows) != len(LETTERS):
        raise ValueError(f'neither "{EVERYWHERE}" nor {len(LETTERS)} rows parted by "/"')
    for row in rows:
        if row != NOWHERE and not (row and _ROW.fullmatch(row)):
            raise ValueError(f'where the row {row!r} is neither "{NOWHERE}" nor letters of {LETTERS} in their order')
    return np.array([letter in row for row in rows for letter in LETTERS])


def read_subjects(table: Path, images: Path | None = None) -> SubjectPhotos:
    """Reads a CSV with the columns `image` and `subject`.

    A subject is "all", or what shows it in each row of 7 x 7 cells, from the top: letters A to G, from the left, or
    "-". "-/-/CDE/CDE/-/-/-" is a subject in the middle.

    Args:
        table: the CSV.
        images: the folder that photos are named relative to; the table's own when not given.

    Raises:
        UserError: a photo is missing, a column too, or a cell says no subject; with the lines. Or there is no photo.
    """
    cells = read_table(table, ("image", "subject"))
    if not cells.lines:
        raise UserError(f"{table} lists no photos")
    shows, problems = [], []
    for line, text in zip(cells.lines, cells.column("subject"), strict=True):
        try:
            shows.append(_parse_subject(text.strip()))
        except ValueError as error:
            problems.append(f"line {line}: subject is {text!r}, {error}")
    paths, missing = locate_photos(cells.column("image"), cells.lines, images or table.parent)
    problems += missing
    refuse(table, problems)
    return SubjectPhotos(paths, np.array(shows))
