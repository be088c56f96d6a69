"""CSV files as people's programs write them: read rightly, or refused with the line."""

import codecs
import csv
import io
from pathlib import Path

import numpy as np
import pytest

from vtiqa_jax.data.csv_table import LARGEST, parse_number, read_table
from vtiqa_jax.errors import UserError

MEANT = [3.75, -0.5, 1e-3]
PLAIN = "image,mos\na.jpg,3.75\nb.jpg,-.5\nc.jpg,1e-3\n"


def scores(path: Path) -> list[float]:
    table = read_table(path, ("image", "mos"))
    assert [cell.strip() for cell in table.column("image")] == ["a.jpg", "b.jpg", "c.jpg"]
    values, problems = table.numbers("mos")
    assert not problems
    return values


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(PLAIN.encode(), id="plain"),
        pytest.param(codecs.BOM_UTF8 + PLAIN.encode(), id="mark"),
        pytest.param(PLAIN.encode("utf-16"), id="utf-16"),
        pytest.param(codecs.BOM_UTF16_BE + PLAIN.replace(",", "\t").encode("utf-16-be"), id="excel-unicode-text"),
        pytest.param(PLAIN.replace("\n", "\r\n").encode(), id="windows"),
        pytest.param(PLAIN.replace("\n", "\r").encode(), id="old-mac"),
        pytest.param(PLAIN.replace(",", "\t").encode(), id="tabs"),
        pytest.param(PLAIN.replace(",", ";").encode(), id="semicolons"),
        pytest.param(b"image;mos\r\na.jpg;3,75\r\nb.jpg;-0,5\r\nc.jpg;0,001\r\n", id="excel-in-europe"),
        pytest.param(b"image\tmos\r\na.jpg\t3,75\r\nb.jpg\t-0,5\r\nc.jpg\t0,001\r\n", id="excel-text-in-europe"),
        pytest.param(b"sep=;\r\n" + PLAIN.replace(",", ";").encode(), id="told-to-excel"),
        pytest.param(b"sep=|\n" + PLAIN.replace(",", "|").encode(), id="rare-and-told-to-excel"),
        pytest.param(PLAIN.encode() + b"\n\n   \n,\n", id="blank-lines-at-the-end"),
        pytest.param(b"\n" + PLAIN.replace("\nb", "\n\nb").encode(), id="blank-lines-elsewhere"),
        pytest.param(PLAIN.replace("\n", ",,\n").encode(), id="empty-columns"),
        pytest.param(PLAIN.replace("\na", ",,\na").encode(), id="a-longer-header"),
        pytest.param(PLAIN.rstrip().encode(), id="no-last-line-end"),
        pytest.param(PLAIN.replace(",", " , ").encode(), id="spaces"),
        pytest.param(PLAIN.replace("image,mos", "Image,MOS").encode(), id="capitals"),
        pytest.param(
            b'note,mos,image,Mos\n"x, y",3.75,a.jpg,1\n,-.5,b.jpg,2\n"two\nlines",1e-3,c.jpg,3\n', id="others"
        ),
    ],
)
def test_what_is_certain_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.csv").write_bytes(content)
    assert scores(tmp_path / "s.csv") == MEANT


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"image,mos\na.jpg,3,75\nb.jpg,4,25\n", "line 2: 3 cells, where the header has 2; line 3: 3 cells.*decimal"),
        (b"image,mos,std\na.jpg,3,75,0,5\n", "line 2: 5 cells, where the header has 3"),
        (b"image,mos\na.jpg,3\nb.jpg,4,see notes\n", "line 3: 3 cells"),
        (b"image,mos\na.jpg\nb.jpg,4\n", "line 2: 1 cell, where the header has 2"),
        (b"image,mos\na.jpg,3\nimage,mos\nb.jpg,4\n", "line 3: the header again"),
        (b"image,mos,mos\na.jpg,3,4\n", "2 columns `mos`; rename"),
        (b"image,MOS,Mos\na.jpg,3,4\n", "2 columns `mos`"),
        (b"", "no column `image` .found: nothing"),
        (b"\n\n", "no column `image` .found: nothing"),
        (b"bild;note\na.jpg;3\n", "no column `image` .found: bild, note"),
        (b'"bi\nld",note\na.jpg,3\n', "no column `image` .found: bi.nld, note"),
        (b"x" * 300_000, "line 1: a quotation mark opens a cell that is not closed"),
        (b'image,mos\n"a.jpg,3\nb.jpg,4\n', "line 2: a quotation mark opens a cell that is not closed"),
        (b'image,mos\n"a.jpg,3\n' + 20000 * b"b.jpg,4\n", "line 2: a quotation mark opens a cell that is not closed"),
        (b'image,mos\n"a.jpg"x,3\n', "line 2: .* expected after"),
        (b"image,mos\na.jpg,3\nb.j\0pg,4\n", "line 3: a NUL character"),
        ("image,mos\na.jpg,3\n".encode("utf-16-le"), "line 1: a NUL character.*save it as .CSV UTF-8"),
        ("image,mos\na.jpg,3\r\ncafé.jpg,3\n".encode("latin-1"), "line 3: not UTF-8; save it as .CSV UTF-8"),
        (codecs.BOM_UTF16_LE + b"image", "not UTF-16; save it as"),
        ("image,mos\n".encode("utf-32"), "a NUL character"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused_with_its_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "s.csv").write_bytes(content)
    with pytest.raises(UserError, match=said) as raised:
        read_table(tmp_path / "s.csv", ("image", "mos"))
    assert str(raised.value).startswith(str(tmp_path / "s.csv")) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ('"3,75"', "'3,75', not a number; write it with a decimal point"),
        ('"1,234.5"', "'1,234.5', not a number; write it with a decimal point and without separators of thousands"),
        ("75%", "'75%', not a number; write it without the percent sign"),
        ("1e39", "'1e39', beyond 1e.15, which float32 cannot compute with"),
        ("-1e16", "beyond"),
        ("nan", "'nan', not a number"),
        ("-inf", "'-inf', not a number"),
        ("1_000", "'1_000', not a number"),
        ("0x10", "not a number"),
        ("3 75", "not a number"),
        ("\u0663", "not a number"),
        (".", "not a number"),
        ("", "mos is '', not a number"),
    ],
)
def test_a_cell_that_is_no_number_is_named_with_its_line(tmp_path: Path, cell: str, said: str) -> None:
    (tmp_path / "s.csv").write_text(f'image,mos\n"two\nlines",1\n\nb.jpg,{cell}\n', encoding="utf-8")
    values, (problem,) = read_table(tmp_path / "s.csv", ("image", "mos")).numbers("mos")
    assert problem.startswith("line 5: mos is ")
    assert said.replace("e.15", "e+15") in problem
    assert values[0] == 1 and np.isnan(values[1])


def test_a_file_with_both_decimal_signs_is_in_doubt(tmp_path: Path) -> None:
    """1.234 may be a thousand there."""
    (tmp_path / "s.csv").write_text("image;mos\na.jpg;3,75\nb.jpg;1.234\n")
    _, (problem,) = read_table(tmp_path / "s.csv", ("image", "mos")).numbers("mos")
    assert problem.startswith("line 2: mos is '3,75', not a number")


def test_numbers_survive_being_written_down(rng: np.random.Generator) -> None:
    for value in [*rng.standard_normal(200), *(10 ** rng.uniform(-300, 15, 200)), 0.0, LARGEST, -LARGEST]:
        for text in (repr(float(value)), f"{value:+.17e}", f"{value:.17E}"):
            assert parse_number(text) == float(text)
    assert np.isfinite(np.float32(LARGEST) ** 2 * np.float32(1e6)), "a million squares can be added up"


def lines_before(text: str, cell: str) -> int:
    """Line ends before a cell: \\r\\n, \\r and \\n are one each."""
    head = text[: text.index(cell.replace('"', '""'))]
    return head.replace("\r\n", "\n").replace("\r", "\n").count("\n")


def test_any_table_that_a_program_writes_comes_back(tmp_path: Path, rng: np.random.Generator) -> None:
    letters = list('ab ,;\t"\n\r é\u0301')
    for delimiter in (",", ";", "\t"):
        rows = [["x" + "".join(rng.choice(letters, 6)) + "x", f"{row}"] for row in range(40)]
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=delimiter).writerows([["image", "mos"], *rows])
        (tmp_path / "s.csv").write_text(text.getvalue(), encoding="utf-8", newline="")
        table = read_table(tmp_path / "s.csv", ("image", "mos"))
        assert [list(row) for row in table.rows] == rows
        before = [lines_before(text.getvalue(), cells[0]) for cells in rows]
        assert list(table.lines) == [lines + 1 for lines in before]
