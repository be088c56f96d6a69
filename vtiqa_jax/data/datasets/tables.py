"""The tables of the releases: CSV, Excel and MATLAB files to rows of named values."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vtiqa_jax.data.csv_table import parse_number, read_table
from vtiqa_jax.errors import UserError


def _columns(path: Path, header: Sequence[Any], expected: tuple[str, ...]) -> None:
    for column in expected:
        if column not in header:
            raise UserError(f"{path} has no column `{column}` (found: {', '.join(map(str, header))[:200]})")


def read_csv(path: Path, expected: tuple[str, ...]) -> list[dict[str, str]]:
    """Returns the expected columns of a CSV with a header, row by row.

    Args:
        path: the CSV.
        expected: columns that it has.

    Raises:
        UserError: it cannot be read, lacks an expected column, or a row has more or fewer cells than the header.
    """
    table = read_table(path, expected)
    columns = [table.column(name) for name in expected]
    return [dict(zip(expected, cells, strict=True)) for cells in zip(*columns, strict=True)]


def read_words(path: Path, count: int) -> list[list[str]]:
    """Reads the words of each line of a text without a header, parted by blanks; empty lines are passed over.

    Args:
        path: the text.
        count: words that each line has.

    Raises:
        UserError: it cannot be read, or a line has more or fewer.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    rows = [line.split() for line in lines]
    for number, row in enumerate(rows, start=1):
        if row and len(row) != count:
            raise UserError(f"{path}: line {number}: {len(row)} words, where each line has {count}")
    return [row for row in rows if row]


def read_excel(path: Path, sheet: str | None, expected: tuple[str, ...]) -> list[dict[str, Any]]:
    """Returns all rows of a sheet below the line that holds the expected columns.

    Args:
        path: the table, .xlsx or .xls.
        sheet: the sheet's name; None for the first.
        expected: columns that it has; rows without a value in the first of them are passed over.

    Raises:
        UserError: it cannot be read, or the sheet or an expected column is missing.
    """
    try:
        import python_calamine
    except ImportError as error:
        raise UserError(
            f'{path} is an Excel file, which needs the extra "data": pip install "vtiqa-jax[data]"'
        ) from error
    try:
        book = python_calamine.CalamineWorkbook.from_path(path)
    except (OSError, python_calamine.CalamineError) as error:
        raise UserError(f"{path} cannot be read as an Excel file: {error}") from error
    if sheet is not None and sheet not in book.sheet_names:
        raise UserError(f"{path} has no sheet `{sheet}` (found: {', '.join(book.sheet_names)})")
    lines = book.get_sheet_by_name(sheet or book.sheet_names[0]).to_python()
    # Some tables have a title above their header.
    top = next((index for index, line in enumerate(lines) if set(expected) <= set(line)), None)
    if top is None:
        _columns(path, lines[0] if lines else [], expected)
        raise UserError(f"{path} has no line with the columns {', '.join(expected)}")
    header = [str(cell) for cell in lines[top]]
    rows = [dict(zip(header, line, strict=False)) for line in lines[top + 1 :]]
    return [row for row in rows if row[expected[0]] not in ("", None)]


def read_mat(path: Path, key: str) -> np.ndarray:
    """Returns the array `key` of a MATLAB file, flat; cells of strings become strings.

    Raises:
        UserError: it cannot be read, or has no such array.
    """
    import scipy.io

    try:
        content = scipy.io.loadmat(path, squeeze_me=True)
    except NotImplementedError as error:
        raise UserError(f"{path} is not the released file but a copy saved by MATLAB 7.3 or newer") from error
    except (OSError, ValueError, scipy.io.matlab.MatReadError) as error:
        raise UserError(f"{path} cannot be read as a MATLAB file: {error}") from error
    if key not in content:
        raise UserError(f"{path} has no `{key}` (found: {', '.join(k for k in content if not k.startswith('__'))})")
    return np.atleast_1d(content[key])


def number(path: Path, name: str, value: Any) -> float:
    """Returns a cell as a number.

    Args:
        path: the table, for messages.
        name: the photo, for messages.
        value: the cell.

    Raises:
        UserError: it is no number.
    """
    try:
        return parse_number(str(value).strip())
    except ValueError as error:
        raise UserError(f"{path}: the score of {name} is {str(value)!r}, {error}") from error
