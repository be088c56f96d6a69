"""Scores as files: CSV, JSON Lines, JSON and Parquet, told apart by the file's ending. Whole or not at all."""

import csv
import dataclasses
import importlib.util
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vtiqa_jax import atomic
from vtiqa_jax.errors import UserError
from vtiqa_jax.evaluation.results import ScoreResult
from vtiqa_jax.models.checkpoint import LabelScale

DIGITS = {"score": 6, "percentile": 1, "mean": 6, "spread": 6}
"""Columns of numbers, and their digits after the point."""
Row = dict[str, str | float | None]
"""A photo's values by column."""


def columns(spread: bool) -> tuple[str, ...]:
    """The columns of a file, with those of a spread or without."""
    numbers = ("score", "percentile", "outside", *(("mean", "spread") if spread else ()))
    return ("image", *numbers, "error", "warning")


def to_row(result: ScoreResult, names: Sequence[str]) -> Row:
    """The values of the named columns."""
    row: Row = {"image": str(result.image)}
    for name in names[1:]:
        value = getattr(result, name)
        row[name] = round(value, DIGITS[name]) if name in DIGITS and value is not None else value
    return row


def from_row(row: Row) -> ScoreResult:
    """The inverse of `to_row`, but for the rounding; the photo is a path again."""
    values: dict[str, Any] = {name: value for name, value in row.items() if name != "image"}
    return ScoreResult(Path(str(row["image"])), **values)


def to_cells(row: Row) -> list[str]:
    """A row as text for CSV; what there is not is empty."""
    return [
        "" if value is None else f"{value:.{DIGITS[name]}f}" if name in DIGITS else str(value)
        for name, value in row.items()
    ]


def from_cells(cells: Sequence[str], names: Sequence[str]) -> Row:
    """The inverse of `to_cells`.

    Raises:
        ValueError: they are no such row.
    """
    pairs = zip(names, cells, strict=True)
    return {name: None if not cell else float(cell) if name in DIGITS else cell for name, cell in pairs}


def _write_csv(path: Path, rows: Sequence[Row], names: Sequence[str], scale: LabelScale) -> None:
    # Bytes of a file's name that are no UTF-8 are written as they are.
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(map(to_cells, rows))


def _write_json_lines(path: Path, rows: Sequence[Row], names: Sequence[str], scale: LabelScale) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def _write_json(path: Path, rows: Sequence[Row], names: Sequence[str], scale: LabelScale) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump({"scale": dataclasses.asdict(scale), "scores": list(rows)}, file, indent=1)


def _write_parquet(path: Path, rows: Sequence[Row], names: Sequence[str], scale: LabelScale) -> None:
    import pyarrow
    import pyarrow.parquet

    types = {name: pyarrow.float64() if name in DIGITS else pyarrow.string() for name in names}
    schema = pyarrow.schema(types.items(), metadata={"scale": json.dumps(dataclasses.asdict(scale))})
    # Parquet's strings are UTF-8: other bytes of a file's name become U+FFFD.
    shown = [row | {"image": os.fsencode(str(row["image"])).decode(errors="replace")} for row in rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(shown, schema), path)


Writer = Callable[[Path, Sequence[Row], Sequence[str], LabelScale], None]
WRITERS: dict[str, Writer] = {
    ".csv": _write_csv,
    ".jsonl": _write_json_lines,
    ".json": _write_json,
    ".parquet": _write_parquet,
}
"""By the file's ending."""


def check_writable(path: Path, ending: str | None = None) -> str:
    """Checks, before hours of scoring, that scores can be written to a file.

    Args:
        path: the file, a device or a pipe; "-" is standard output.
        ending: what it is to be written as; its own ending when not given. Devices and pipes without one get CSV.

    Returns:
        The ending.

    Raises:
        UserError: they cannot.
    """
    try:
        ending = ending or path.suffix.lower()
        if ending not in WRITERS and atomic.is_stream(path):
            ending = ".csv"
    except OSError as error:
        raise _cannot_be_written(path, error) from error
    if ending not in WRITERS:
        raise UserError(f"{path}: scores are written to files that end in {', '.join(WRITERS)}")
    if ending == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise UserError(f'{path}: Parquet needs the extra "parquet": pip install "vtiqa-jax[parquet]"')
    try:
        atomic.check_output(path)
    except OSError as error:
        raise _cannot_be_written(path, error) from error
    return ending


def _cannot_be_written(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be written: {error.strerror or error}")


def write_scores(path: Path, ending: str, rows: Sequence[Row], names: Sequence[str], scale: LabelScale) -> None:
    """Writes the rows to a file, complete or not at all; or to a device, a pipe or standard output.

    Args:
        path: the file, see `check_writable`; an older one is replaced.
        ending: the format, see `check_writable`.
        rows: one for each photo.
        names: the columns.
        scale: what the scores mean; kept by JSON and Parquet.

    Raises:
        UserError: the file cannot be written.
        BrokenPipeError: nobody reads on.
    """
    try:
        with atomic.atomic_replace(path) as temporary:
            WRITERS[ending](temporary, rows, names, scale)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _cannot_be_written(path, error) from error
