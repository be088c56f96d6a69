"""CSV files as people's programs write them: read where their meaning is certain, refused with the line otherwise."""

import codecs
import csv
import dataclasses
import io
import re
from collections.abc import Sequence
from pathlib import Path

from vtiqa_jax.errors import UserError

LARGEST = 1e15
"""Numbers beyond are slips of the pen: float32 overflows at 3e38, the sum of their squares well before."""
SHOWN = 5
"""Problems that a message names."""
DELIMITERS = ",;\t"
LONGEST_HEADER = 100_000
"""Characters; the module csv refuses cells that are longer."""
_DECLARATION = re.compile(r'"?sep=(.)"?')
"""A first line, by which Excel is told what parts the cells."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class CsvTable:
    """The rows of a CSV with a header; blank ones are left out."""

    path: Path
    header: tuple[str, ...]
    lines: tuple[int, ...]
    """The line of the file that each row begins in, from 1."""
    rows: tuple[tuple[str, ...], ...]
    """As many cells as the header has, as they stand in the file."""
    delimiter: str

    def column(self, name: str) -> tuple[str, ...]:
        """Returns the cells of a column, found by its name or, where that is unambiguous, but for upper and lower case.

        Raises:
            UserError: there is no such column, or more than one.
        """
        exact = [place for place, title in enumerate(self.header) if title == name]
        places = exact or [place for place, title in enumerate(self.header) if title.casefold() == name.casefold()]
        if not places:
            present = one_line(", ".join(self.header))[:200] or "nothing"
            raise UserError(f"{self.path} has no column `{name}` (found: {present}); its header must name it")
        if len(places) > 1:
            raise UserError(f"{self.path} has {len(places)} columns `{name}`; rename all but the right one")
        return tuple(row[places[0]] for row in self.rows)

    def numbers(self, name: str) -> tuple[list[float], list[str]]:
        """Returns a column's numbers, NaN where there is none, and what is wrong with those cells, each with its line.

        Where semicolons or tabs part the cells, as in Excel's files in much of Europe, a comma may be the decimal sign.
        """
        cells = [cell.strip() for cell in self.column(name)]
        has_point, values, problems = any("." in cell for cell in cells), [], []
        for line, cell in zip(self.lines, cells, strict=True):
            try:
                with_comma = self.delimiter != "," and not has_point and cell.count(",") == 1
                values.append(parse_number(cell.replace(",", ".") if with_comma else cell))
            except ValueError as error:
                values.append(float("nan"))
                problems.append(f"line {line}: {name} is {cell!r}, {error}")
        return values, problems


def parse_number(text: str) -> float:
    """Returns a plain decimal number that can be computed with in float32.

    Raises:
        ValueError: it is none; says what to do.
    """
    if _NUMBER.fullmatch(text):
        if abs(value := float(text)) <= LARGEST:
            return value
        raise ValueError(f"beyond {LARGEST:g}, which float32 cannot compute with")
    if re.fullmatch(r"[+-]?[\d.]*,[\d.,]*", text):
        raise ValueError("not a number; write it with a decimal point and without separators of thousands")
    if text.endswith("%"):
        raise ValueError("not a number; write it without the percent sign")
    raise ValueError("not a number")


def one_line(text: str) -> str:
    """Returns a message about cells, which may hold line ends, on one line."""
    return text.replace("\r", "\\r").replace("\n", "\\n")


def refuse(path: Path, problems: Sequence[str], advice: str = "") -> None:
    """Raises a `UserError` with the first problems of a file, if there are any, and with what to do."""
    if problems:
        more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise UserError(one_line(f"{path}: {'; '.join([*problems[:SHOWN], *more, *filter(None, [advice])])}"))


def read_table(path: Path, columns: Sequence[str]) -> CsvTable:
    """Reads a CSV in UTF-8 or, with its mark, in UTF-16; with commas, semicolons or tabs between the cells.

    Args:
        path: the CSV.
        columns: what its header must name; tells which character parts the cells.

    Raises:
        UserError: it cannot be read, its header lacks a column, or rows contradict the header; with the lines.
    """
    text = _read_text(path)
    head = re.split(r"[\r\n]", text[:LONGEST_HEADER].lstrip("\r\n"), maxsplit=1)[0]
    declared = _DECLARATION.fullmatch(head)
    delimiter = declared[1] if declared else _find_delimiter(head, columns)
    # Strict: a quotation mark that is not closed would swallow all further rows.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: tuple[str, ...] = ()
    lines: list[int] = []
    rows: list[tuple[str, ...]] = []
    problems: list[str] = []
    before = 0
    try:
        for cells in reader:
            line, before = before + 1, reader.line_num
            filled = len(cells)
            while filled and not cells[filled - 1].strip():
                filled -= 1
            if not filled:  # spreadsheets leave such rows, and empty columns
                continue
            if declared:
                declared = None
                continue
            if not header:
                header = tuple(cell.strip() for cell in cells[:filled])
                continue
            if tuple(cell.strip() for cell in cells[:filled]) == header:
                problems.append(f"line {line}: the header again")
            elif filled > len(header) or len(cells) < len(header):
                count = max(filled, len(cells))
                problems.append(f"line {line}: {count} cell{'s' * (count != 1)}, where the header has {len(header)}")
            lines.append(line)
            rows.append(tuple(cells[: len(header)]))
    except csv.Error as error:
        reason = str(error)
        if "unexpected end" in reason or "field limit" in reason:
            reason = "a quotation mark opens a cell that is not closed, or a cell is endless"
        raise UserError(f"{path}: line {before + 1}: {reason}") from error
    for column in columns:
        CsvTable(path, header, (), (), delimiter).column(column)
    refuse(path, problems, "write numbers with a decimal point, and put texts that contain a comma in quotation marks")
    return CsvTable(path, header, tuple(lines), tuple(rows), delimiter)


def _find_delimiter(head: str, columns: Sequence[str]) -> str:
    """Finds the character that parts a header into the most wanted columns, else into the most; or the comma."""
    wanted = {column.casefold() for column in columns}

    def count_titles(delimiter: str) -> tuple[int, int]:
        titles = [cell.strip().casefold() for cell in next(csv.reader([head], delimiter=delimiter), [])]
        return len(wanted.intersection(titles)), len(titles)

    return max(DELIMITERS, key=count_titles)


def _read_text(path: Path) -> str:
    """Returns the text of a file. Errors: UserError when it cannot be read, or is of another encoding."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    advice = 'save it as "CSV UTF-8"'
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = len(re.findall(rb"\r\n|\r|\n", content[: error.start])) + 1
        where = "" if wide else f"line {line}: "
        raise UserError(f"{path}: {where}not {'UTF-16' if wide else 'UTF-8'}; {advice}") from error
    if "\0" in text:
        line = len(re.findall(r"\r\n|\r|\n", text[: text.index("\0")])) + 1
        raise UserError(f"{path}: line {line}: a NUL character, as in a file that is not a CSV; {advice}")
    return text
