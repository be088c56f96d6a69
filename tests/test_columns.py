"""One table of columns: a new one is an entry in it, and then in every output."""

import csv
import dataclasses
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest

from vtiqa_jax.commands.display import Display
from vtiqa_jax.gallery.page import GalleryHeader, open_gallery
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.params import Params
from vtiqa_jax.results import columns, score_files
from vtiqa_jax.results.columns import COLUMNS, Column, bulk_columns, score_columns
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.results.score_table import ScoreTable
from vtiqa_jax.scoring.scorer import Scorer

DOCS = Path(__file__).parents[1] / "docs"


@dataclasses.dataclass(frozen=True)
class LaterResult(ScoreResult):
    """A result with more to say."""

    grain_size: float | None = None
    reason: str | None = None
    is_sharp: bool | None = None


LATER = (
    Column("grain_size", float, "of the finest grain", decimals=3, heading="  grain_size", shown="{:8.2f}"),
    Column("reason", str, "in words"),
    Column("is_sharp", bool, "whether edges are steep"),
)
RESULTS = (
    LaterResult(Path("a.jpg"), 3.0, grain_size=1 / 3, reason='"soft", \udcff', is_sharp=False),
    LaterResult(Path("b.jpg"), None, "broken"),
)
EXPECTED = [
    {"grain_size": 0.333, "reason": '"soft", \udcff', "is_sharp": False},
    dict.fromkeys(("grain_size", "reason", "is_sharp")),
]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "COLUMNS", (*COLUMNS, *LATER))


@pytest.mark.usefixtures("later")
def test_a_new_column_is_in_every_file(tmp_path: Path, scale: LabelScale) -> None:
    def written(ending: str) -> Path:
        path = tmp_path / f"s{ending}"
        score_files.write_scores(path, ending, RESULTS, score_columns(mosaics=False), scale)
        return path

    def later_values(rows: Sequence[dict[str, object]]) -> list[dict[str, object]]:
        return [{column.name: row[column.name] for column in LATER} for row in rows]

    with written(".csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        assert later_values(list(csv.DictReader(file))) == [
            {"grain_size": "0.333", "reason": '"soft", \udcff', "is_sharp": "false"},
            {"grain_size": "", "reason": "", "is_sharp": ""},
        ]
    assert later_values([json.loads(line) for line in written(".jsonl").read_text().splitlines()]) == EXPECTED
    assert later_values(json.loads(written(".json").read_text())["scores"]) == EXPECTED
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(written(".parquet"))
    assert later_values(table.to_pylist()) == [EXPECTED[0] | {"reason": '"soft", \ufffd'}, EXPECTED[1]]
    for schema in (table.schema, columns.arrow_schema(bulk_columns())):
        kinds = [str(schema.field(column.name).type) for column in LATER]
        assert kinds == ["double", "string", "bool"]


class _Data(HTMLParser):
    """The data of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self._inside = "", False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script" and ("id", "data") in attrs

    def handle_data(self, data: str) -> None:
        self.text += data if self._inside else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = False


@pytest.mark.usefixtures("later")
def test_a_new_column_is_on_the_page_the_terminal_and_in_a_notebook(
    tmp_path: Path, config: ModelConfig, weights: Params, scale: LabelScale, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_gallery(tmp_path / "report") as gallery:
        for result in RESULTS:
            gallery.add(result, None)
        gallery.finish(GalleryHeader("", "", scale, "", ""))
    page = _Data()
    page.feed((tmp_path / "report" / "index.html").read_text())
    data = json.loads(page.text)
    assert data["columns"][-3:] == ["grain_size", "reason", "is_sharp"]
    first, second = data["photos"]
    assert (first["grain_size"], first["reason"], first["is_sharp"]) == (0.333, '"soft", \ufffd', False)
    assert not second.keys() & {"grain_size", "reason", "is_sharp"}

    display = Display(Scorer(config, weights, scale), None, silent=False)
    assert capsys.readouterr().out == f"score ({scale})  grain_size  image\n"
    assert [display.line(result) for result in RESULTS] == [
        "    3.0000    0.33  a.jpg",
        "    failed          b.jpg: broken",
    ]
    shown = ScoreTable(RESULTS, scale)._repr_html_()
    assert "<th>score</th><th>grain_size</th><th>remarks</th>" in shown
    assert "<td>3.0000</td><td>0.33</td><td></td>" in shown and "<td></td><td></td><td>broken</td>" in shown


def test_every_column_but_those_of_bulk_is_a_field_of_a_result() -> None:
    result = ScoreResult(Path("a.jpg"), 3.0)
    every = score_columns(mosaics=True, reasons=True)
    assert all(column.read or hasattr(result, column.name) for column in every)
    names = [column.name for column in COLUMNS]
    assert len(set(names)) == len(names)
    assert {"warning", "error", "score", "out_of_range"} <= {column.name for column in bulk_columns()}
    assert {column.name for column in score_columns(mosaics=True)} - {
        column.name for column in score_columns(mosaics=False)
    } == {"mean", "spread"}


@pytest.mark.parametrize(
    ("page", "expected"),
    [("scoring.md", score_columns(mosaics=True)), ("scale.md", bulk_columns())],
    ids=["score", "bulk"],
)
def test_the_documents_list_the_columns(page: str, expected: tuple[Column, ...]) -> None:
    (table,) = re.findall(r"^\| column \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", (DOCS / page).read_text(), re.MULTILINE)
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", table, re.MULTILINE)
    assert rows == [(column.name, column.type.__name__, column.text) for column in expected]
