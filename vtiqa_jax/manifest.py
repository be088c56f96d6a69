"""A person's own data: a CSV that names photos and their scores, and how it is divided."""

import csv
import dataclasses
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
    """The part of the data set that each photo belongs to; empty when not asked for."""

    @property
    def paths(self) -> list[Path]:
        """Where the photos are."""
        return [self.images / name for name in self.names]


def read(scores: Path, images: Path, group_column: str | None = None) -> Manifest:
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
    for column in ("image", "mos", *([group_column] if group_column else [])):
        if column not in columns:
            raise UserError(f"{scores} has no column `{column}`; its header must name it (found: {', '.join(columns)})")
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
        if not name or name in seen:
            problems.append(f"line {line}: {'image listed twice: ' + name if name else 'no image named'}")
        elif not (images / name).is_file():
            problems.append(f"line {line}: {images / name} does not exist")
        seen.add(name)
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise UserError(f"{scores}: {'; '.join(problems[:5])}{more}")
    groups = tuple(row[group_column] or "" for row in rows) if group_column else ()
    return Manifest(tuple(row["image"].strip() for row in rows), np.array(values, np.float32), images, groups)


@dataclasses.dataclass(frozen=True)
class Division:
    """Which rows train, which choose (validation) and which are read once at the end (test)."""

    train: Int[np.ndarray, " train"]
    val: Int[np.ndarray, " val"]
    test: Int[np.ndarray, " test"]


def divide(count: int, test_fraction: float, val_fraction: float, *, in_order: bool, seed: int) -> Division:
    """Divides `count` rows: the last `test_fraction` of them to test and, of those left, the last `val_fraction` to
    validate; in the file's order, or shuffled first by `seed`. Errors: UserError when no row is left to train."""
    for name, fraction in (("--test-fraction", test_fraction), ("--val-fraction", val_fraction)):
        if not 0 <= fraction < 1:
            raise UserError(f"{name} must be at least 0 and below 1, not {fraction:g}")
    order = np.arange(count) if in_order else np.random.default_rng(seed).permutation(count)
    learning = count - round(count * test_fraction)
    training = learning - round(learning * val_fraction)
    for part, rows in (("train on", training), ("validate on", learning - training), ("test on", count - learning)):
        if rows == 1 or (rows == 0 and part == "train on"):
            raise UserError(
                f"of {count} photos {rows} would be left to {part}, and a correlation needs 2;"
                " change --test-fraction and --val-fraction (0 is allowed)"
            )
    return Division(np.sort(order[:training]), np.sort(order[training:learning]), np.sort(order[learning:]))
