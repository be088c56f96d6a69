"""Scores as files: CSV, JSON Lines, JSON and Parquet, told apart by the file's ending. Whole or not at all."""

import csv
import dataclasses
import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from vtiqa_jax import atomic
from vtiqa_jax.distribution import DISTRIBUTION
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.results.columns import Column, Value, arrow_schema, replace_undecodable
from vtiqa_jax.results.results import ScoreResult

Row = dict[str, Value]
"""A photo's values by column."""


def _write_csv(path: Path, rows: Sequence[Row], columns: Sequence[Column], scale: LabelScale) -> None:
    # Bytes of a file's name that are no UTF-8 are written as they are.
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow([column.name for column in columns])
        writer.writerows([column.cell(row[column.name]) for column in columns] for row in rows)


def _write_json_lines(path: Path, rows: Sequence[Row], columns: Sequence[Column], scale: LabelScale) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def _write_json(path: Path, rows: Sequence[Row], columns: Sequence[Column], scale: LabelScale) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump({"scale": dataclasses.asdict(scale), "scores": list(rows)}, file, indent=1)


def _write_parquet(path: Path, rows: Sequence[Row], columns: Sequence[Column], scale: LabelScale) -> None:
    import pyarrow
    import pyarrow.parquet

    schema = arrow_schema(columns, metadata={"scale": json.dumps(dataclasses.asdict(scale))})
    shown = [
        {name: replace_undecodable(value) if isinstance(value, str) else value for name, value in row.items()}
        for row in rows
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(shown, schema), path)


Writer = Callable[[Path, Sequence[Row], Sequence[Column], LabelScale], None]
WRITERS: dict[str, Writer] = {
    ".csv": _write_csv,
    ".jsonl": _write_json_lines,
    ".json": _write_json,
    ".parquet": _write_parquet,
}
"""Writers by the file's ending."""


def check_writable(path: Path, photos: Sequence[Path] = ()) -> str:
    """Checks, before hours of scoring, that scores can be written to a file.

    Args:
        path: the file, a device or a pipe; "-" is standard output.
        photos: what is scored, none of which may be that file.

    Returns:
        The ending that says what it is written as; devices and pipes without one get CSV.

    Raises:
        UserError: they cannot.
    """
    try:
        ending = path.suffix.lower()
        if ending not in WRITERS and atomic.is_stream(path):
            ending = ".csv"
    except OSError as error:
        raise _cannot_be_written(path, error) from error
    if ending not in WRITERS:
        raise UserError(f"{path}: the name of a file of scores must end in one of {', '.join(WRITERS)}")
    if ending == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise UserError(f'{path}: Parquet needs the extra "parquet": pip install "{DISTRIBUTION}[parquet]"')
    try:
        atomic.check_output(path)
    except OSError as error:
        raise _cannot_be_written(path, error) from error
    if path.is_file() and any(photo.exists() and path.samefile(photo) for photo in photos):
        raise UserError(f"{path} is one of the photos; write the scores to another file")
    return ending


def _cannot_be_written(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be written: {error.strerror or error}")


def write_scores(
    path: Path, ending: str, results: Sequence[ScoreResult], columns: Sequence[Column], scale: LabelScale
) -> None:
    """Writes results to a file, complete or not at all; or to a device, a pipe or standard output.

    Args:
        path: the file, see `check_writable`; an older one is replaced.
        ending: the format, see `check_writable`.
        results: one for each photo.
        columns: what is written of each.
        scale: what the scores mean; kept by JSON and Parquet.

    Raises:
        UserError: the file cannot be written.
        BrokenPipeError: nobody reads on.
    """
    rows = [{column.name: column.value(result) for column in columns} for result in results]
    try:
        with atomic.atomic_replace(path) as temporary:
            WRITERS[ending](temporary, rows, columns, scale)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _cannot_be_written(path, error) from error
