"""Scores as files: every format holds the same."""

import csv
import importlib.util
import json
import os
from pathlib import Path

import pytest

from vtiqa_jax.errors import UserError
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.results import score_files
from vtiqa_jax.results.columns import score_columns
from vtiqa_jax.results.reasons import Fault
from vtiqa_jax.results.results import ScoreResult

COLUMNS = score_columns(mosaics=True)
HARD = ['a,"b".jpg', "new\nline.jpg", "carriage\rreturn\r\n.jpg", "ünï.jpg", os.fsdecode(b"\xff\xfe.jpg"), "# c.jpg"]
"""Names that break careless files."""


def result(name: str | Path, score: float | None = 3.25) -> ScoreResult:
    if score is None:
        return ScoreResult(Path(name), None, 'broken, "badly"\n')
    return ScoreResult(
        Path(name), score, None, 12.5, "above", 3.2, 0.0625, (3.1, 3.3), 2.75, 45.0,
        (Fault("motion", 2.0, 0.5, is_named=True),), 6000, 4000, low=3.0, high=3.5, opinion_spread=0.75,
        detail_percentile=12.25, stack=7, stack_kind="burst", best=False,
    )  # fmt: skip


# ---- formats ----


def test_every_format_holds_the_same(tmp_path: Path, scale: LabelScale) -> None:
    pyarrow_parquet = pytest.importorskip("pyarrow.parquet")
    results = [*map(result, HARD), result("bad.jpg", None)]
    rows = [{column.name: column.value(found) for column in COLUMNS} for found in results]
    assert rows[0] == {
        "image": HARD[0], "score": 3.25, "low": 3.0, "high": 3.5, "opinion_spread": 0.75, "percentile": 12.5,
        "out_of_range": "above", "detail": 2.75, "detail_percentile": 12.2,
        "holds": 45.0, "rank": 3.2, "stack": 7, "stack_kind": "burst",
        "best": False, "mean": 3.2, "spread": 0.0625,
        "reasons": "motion blur", "error": None, "warning": None, "width": 6000, "height": 4000,
    }  # fmt: skip
    for ending in score_files.WRITERS:
        path = tmp_path / f"s{ending}"
        path.write_text("older")
        score_files.write_scores(path, score_files.check_writable(path), results, COLUMNS, scale)
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        header, *lines = csv.reader(file)
    assert header == [column.name for column in COLUMNS]
    numbers = {column.name: column.type for column in COLUMNS if column.type in (float, int)} | {"best": json.loads}
    for cells, row in zip(lines, rows, strict=True):
        pairs = zip(header, cells, strict=True)
        assert {name: numbers.get(name, str)(cell) if cell else None for name, cell in pairs} == row
    assert lines[0][1:] == [
        "3.250000", "3.000000", "3.500000", "0.750000", "12.5", "above", "2.750000", "12.2", "45.0", "3.200000", "7",
        "burst", "false", "3.200000", "0.062500", "motion blur", "", "", "6000", "4000",
    ]  # fmt: skip
    assert [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()] == rows
    told = json.loads((tmp_path / "s.json").read_text())
    assert told == {"scale": vars(scale), "scores": rows}
    table = pyarrow_parquet.read_table(tmp_path / "s.parquet")
    shown = [row | {"image": str(row["image"]).encode(errors="replace").decode()} for row in rows]
    shown[4]["image"] = "\ufffd\ufffd.jpg"
    assert table.to_pylist() == shown
    assert json.loads(table.schema.metadata[b"scale"])["dataset"] == "test"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.csv", "s.json", "s.jsonl", "s.parquet"]


def test_what_cannot_be_written_is_told_before_scoring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "d.csv").mkdir()
    for path, said in (
        (tmp_path / "s.xlsx", r"must end in one of \.csv, \.jsonl, \.json, \.parquet"),
        (tmp_path / "d.csv", "Is a directory"),
        (tmp_path / "none" / "s.csv", "No such file"),
        (tmp_path / "file" / "s.csv", "Not a directory"),
    ):
        with pytest.raises(UserError, match=said):
            score_files.check_writable(path)
    assert score_files.check_writable(tmp_path / "S.CSV") == ".csv"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'needs the extra "parquet": pip install "vtiqa-jax\[parquet\]"'):
        score_files.check_writable(tmp_path / "s.parquet")
