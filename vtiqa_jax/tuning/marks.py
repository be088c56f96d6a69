"""A person's marks on photos: stars, keep and reject, or which of two is better; read from CSVs."""

import dataclasses
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from vtiqa_jax.data.csv_table import CsvTable, read_table, refuse
from vtiqa_jax.data.names import find_photos
from vtiqa_jax.errors import UserError

Kind = Literal["stars", "mark"]
MARKS = {"keep": 1.0, "reject": 0.0}
MAX_STARS = 5
PAIR = ("better", "worse")


@dataclasses.dataclass(frozen=True)
class Marks:
    """A person's opinions of photos."""

    ratings: Mapping[Kind, Mapping[Path, float]]
    """Ratings of photos by kind: the higher the better."""
    pairs: tuple[tuple[Path, Path], ...] = ()
    """The better photo, and the worse one."""

    @property
    def photos(self) -> tuple[Path, ...]:
        """All photos, each once, in their order."""
        rated = itertools.chain(*self.ratings.values())
        return tuple(dict.fromkeys(itertools.chain(rated, *self.pairs)))

    @property
    def count(self) -> int:
        """The number of opinions."""
        return sum(map(len, self.ratings.values())) + len(self.pairs)

    def draw(self, most: int, rng: np.random.Generator) -> "Marks":
        """Returns so many of the opinions, drawn at random; all of them where they are no more."""
        chosen = set(rng.permutation(self.count)[:most].tolist())
        numbers = itertools.count()
        ratings: dict[Kind, dict[Path, float]] = {
            kind: {photo: value for photo, value in rated.items() if next(numbers) in chosen}
            for kind, rated in self.ratings.items()
        }
        return Marks(ratings, tuple(pair for pair in self.pairs if next(numbers) in chosen))

    def only(self, photos: Iterable[Path]) -> "Marks":
        """Returns the opinions of some photos."""
        kept = set(photos)
        ratings: dict[Kind, dict[Path, float]] = {
            kind: {photo: value for photo, value in rated.items() if photo in kept}
            for kind, rated in self.ratings.items()
        }
        return Marks(ratings, tuple(pair for pair in self.pairs if kept.issuperset(pair)))


def join_marks(parts: Sequence[Marks]) -> Marks:
    """Joins opinions of one person; what comes later is what the person thinks now."""
    ratings: dict[Kind, dict[Path, float]] = {"stars": {}, "mark": {}}
    for kind, rated in itertools.chain.from_iterable(part.ratings.items() for part in parts):
        ratings[kind] |= rated
    return Marks(ratings, tuple(itertools.chain.from_iterable(part.pairs for part in parts)))


def read_marks(table: Path, images: Path | None = None) -> Marks:
    """Reads a CSV with the columns `image` and `stars` or `mark`, as the page of photos makes it, or `better` and
    `worse`. Cells without an opinion, and other columns, are passed over.

    Args:
        table: the CSV.
        images: the folder that photos are named relative to. When not given, they are looked for from here, and then
            from the table's own folder.

    Raises:
        UserError: a column is missing, a cell has no such opinion, or a photo has two; with the lines.
    """
    found = read_table(table, ())
    columns = {title.casefold() for title in found.header}
    folders = [Path(), table.parent] if images is None else [images]
    if columns.issuperset(PAIR):
        return _read_pairs(found, folders)
    kinds: list[Kind] = [kind for kind in ("stars", "mark") if kind in columns]
    if "image" not in columns or not kinds:
        present = ", ".join(found.header)[:200] or "nothing"
        raise UserError(f"{table} needs the columns image and stars or mark, or better and worse (found: {present})")
    photos, problems = _find_photos(found, "image", folders)
    ratings: dict[Kind, dict[Path, float]] = {}
    for kind in kinds:
        values, wrong = _read_stars(found) if kind == "stars" else _read_keep_or_reject(found)
        ratings[kind], contradictions = _by_photo(photos, values, found.lines)
        problems += wrong + contradictions
    refuse(table, problems)
    return Marks(ratings)


def _find_photos(found: CsvTable, column: str, folders: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Returns the photo of each row, in the first folder that has it, and what is wrong with those cells."""
    cells = found.column(column)
    # Its exact name in the second folder counts before a similar one in the first.
    exact = ((cell, folder / cell.strip()) for folder in reversed(folders) for cell in cells)
    photos = {cell: path for cell, path in exact if os.path.exists(path)}
    unclear: dict[str, str] = {}
    for folder in folders:
        matches, problems = find_photos([cell for cell in cells if cell not in photos], folder)
        photos |= {cell: folder / file for cell, file in matches.items()}
        unclear |= problems
    return (
        # Two spellings of one path are one; links stay what they are.
        [Path(os.path.abspath(photos.get(cell, folders[0] / cell.strip()))) for cell in cells],
        [f"line {line}: {unclear[cell]}" for line, cell in zip(found.lines, cells, strict=True) if cell in unclear],
    )


def _read_stars(found: CsvTable) -> tuple[list[float | None], list[str]]:
    cells = found.column("stars")
    numbers, _ = found.numbers("stars")
    values, problems = [], []
    for line, cell, number in zip(found.lines, cells, numbers, strict=True):
        is_right = bool(1 <= number <= MAX_STARS)  # NaN is not
        values.append(number if is_right else None)
        if cell.strip() and not is_right:
            problems.append(f"line {line}: stars are {cell!r}, not 1 to {MAX_STARS}")
    return values, problems


def _read_keep_or_reject(found: CsvTable) -> tuple[list[float | None], list[str]]:
    values, problems = [], []
    for line, cell in zip(found.lines, found.column("mark"), strict=True):
        word = cell.strip().casefold()
        values.append(MARKS.get(word))
        if word and word not in MARKS:
            problems.append(f"line {line}: mark is {cell!r}, not {' or '.join(MARKS)}")
    return values, problems


def _by_photo(
    photos: Sequence[Path], values: Sequence[float | None], lines: Sequence[int]
) -> tuple[dict[Path, float], list[str]]:
    """Returns the opinion of each photo that has one, and which photos have two that differ."""
    rated: dict[Path, tuple[float, int]] = {}
    problems = []
    for photo, value, line in zip(photos, values, lines, strict=True):
        if value is None:
            continue
        before, first = rated.setdefault(photo, (value, line))
        if before != value:
            problems.append(f"line {line}: {photo.name} is marked otherwise in line {first}; keep one of them")
    return {photo: value for photo, (value, _) in rated.items()}, problems


def _read_pairs(found: CsvTable, folders: Sequence[Path]) -> Marks:
    (better, wrong), (worse, also_wrong) = (_find_photos(found, side, folders) for side in PAIR)
    pairs = list(zip(better, worse, strict=True))
    cells = zip(*(found.column(side) for side in PAIR), strict=True)
    problems = [*wrong, *also_wrong]
    problems += [
        f"line {line}: {'a photo is not named' if not all(map(str.strip, names)) else 'a photo is better than itself'}"
        for line, pair, names in zip(found.lines, pairs, cells, strict=True)
        if pair[0] == pair[1] or not all(map(str.strip, names))
    ]
    refuse(found.path, problems)
    return Marks({}, tuple(pairs))
