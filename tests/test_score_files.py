"""Scores as files, and the journal from which an interrupted run goes on."""

import csv
import importlib.util
import json
import os
from pathlib import Path

import pytest

from vtiqa_jax.errors import UserError
from vtiqa_jax.evaluation import score_files
from vtiqa_jax.evaluation.journal import journal_path, open_journal
from vtiqa_jax.evaluation.results import ScoreResult
from vtiqa_jax.models.checkpoint import LabelScale

NAMES = score_files.columns(True)
HARD = ['a,"b".jpg', "new\nline.jpg", "carriage\rreturn\r\n.jpg", "ünï.jpg", os.fsdecode(b"\xff\xfe.jpg"), "# c.jpg"]
"""Names that break careless files."""


def result(name: str | Path, score: float | None = 3.25) -> ScoreResult:
    if score is None:
        return ScoreResult(Path(name), None, 'broken, "badly"\n')
    return ScoreResult(Path(name), score, None, 12.5, "above", 3.2, 0.0625, (3.1, 3.3))


# ---- formats ----


def test_every_format_holds_the_same(tmp_path: Path, scale: LabelScale) -> None:
    pyarrow_parquet = pytest.importorskip("pyarrow.parquet")
    results = [*map(result, HARD), result("bad.jpg", None)]
    rows = [score_files.to_row(found, NAMES) for found in results]
    for ending in score_files.WRITERS:
        path = tmp_path / f"s{ending}"
        path.write_text("older")
        score_files.write_scores(path, score_files.check_writable(path), rows, NAMES, scale)
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        header, *lines = csv.reader(file)
    assert header == list(NAMES)
    assert [score_files.from_cells(cells, NAMES) for cells in lines] == rows
    assert lines[0][1:] == ["3.250000", "12.5", "above", "3.200000", "0.062500", "", ""]
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
        (tmp_path / "s.xlsx", r"files that end in \.csv, \.jsonl, \.json, \.parquet"),
        (tmp_path / "d.csv", "Is a directory"),
        (tmp_path / "none" / "s.csv", "No such file"),
        (tmp_path / "file" / "s.csv", "Not a directory"),
    ):
        with pytest.raises(UserError, match=said):
            score_files.check_writable(path)
    assert score_files.check_writable(tmp_path / "s.txt", ".csv") == ".csv"
    assert score_files.check_writable(tmp_path / "S.CSV") == ".csv"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'needs the extra "parquet": pip install "vtiqa-jax\[parquet\]"'):
        score_files.check_writable(tmp_path / "s.parquet")


# ---- the journal ----

SETTINGS = {"model": "a", "spread": None}


class Killed(Exception):
    """Stands for the end of a process: nothing is tidied up after it but what the operating system tidies."""


def interrupted(output: Path, results: list[ScoreResult], settings: dict[str, object] = SETTINGS) -> bytes:
    """The journal of a run that ended early."""
    with pytest.raises(Killed), open_journal(output, settings, NAMES) as journal:
        for found in results:
            assert journal.known(found.image) is None
            journal.add(found)
        raise Killed
    return journal_path(output).read_bytes()


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in HARD:
        (folder / name).write_text(name.encode(errors="replace").decode())
    return [folder / name for name in HARD]


def test_a_journal_cut_off_anywhere_gives_whole_rows_alone(tmp_path: Path, photos: list[Path]) -> None:
    output, results = tmp_path / "s.csv", [result(photo, 1 + index / 8) for index, photo in enumerate(photos)]
    whole = interrupted(output, results)
    start, seen = whole.index(b"\n") + 1, set()
    for length in range(start, len(whole) + 1):
        journal_path(output).write_bytes(whole[:length])
        with pytest.raises(Killed), open_journal(output, SETTINGS, NAMES) as journal:
            found = [journal.known(photo) for photo in photos]
            raise Killed
        count = sum(one is not None for one in found)
        assert found == [ScoreResult(**{**vars(one), "draws": ()}) for one in results[:count]] + [None] * (6 - count)
        seen.add(count)
        # What is left is whole again, and rows are appended to it.
        with pytest.raises(Killed), open_journal(output, SETTINGS, NAMES) as journal:
            for photo, one in zip(photos, results, strict=True):
                journal.known(photo)
                journal.add(one)
            assert journal.count == 6
            raise Killed
        assert journal_path(output).read_bytes() == whole
    assert seen == set(range(7))


def test_changed_photos_and_failures_are_scored_again(tmp_path: Path, photos: list[Path]) -> None:
    output = tmp_path / "s.csv"
    interrupted(output, [*map(result, photos[:3]), result(photos[3], None), result(tmp_path / "gone.jpg", None)])
    before = photos[1].stat()
    photos[1].write_bytes(photos[1].read_bytes()[::-1])  # the same size, and the same time of modification:
    os.utime(photos[1], ns=(before.st_atime_ns, before.st_mtime_ns))
    with open_journal(output, SETTINGS, NAMES) as journal:
        found = [journal.known(photo) for photo in [*photos, tmp_path / "gone.jpg"]]
        assert [one is not None for one in found] == [True, False, True, False, False, False, False]
    assert not journal_path(output).exists()  # the block ended well
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def test_a_journal_of_other_settings_or_of_somebody_else_stays(tmp_path: Path, photos: list[Path]) -> None:
    output = tmp_path / "s.csv"
    content = interrupted(output, [result(photos[0])])
    with (
        pytest.raises(UserError, match=r"s\.csv\.part is of an interrupted run with other settings \(model\)"),
        open_journal(output, SETTINGS | {"model": "b"}, NAMES),
    ):
        pass
    assert journal_path(output).read_bytes() == content
    for foreign in (b"", b"image,score\nmine.jpg,3\n", b"# my notes\n", b"{}\n", b"\xff\xd8\xff\xe0"):
        journal_path(output).write_bytes(foreign)
        with pytest.raises(UserError, match="in the way"), open_journal(output, SETTINGS, NAMES):
            pass
        assert journal_path(output).read_bytes() == foreign


def test_two_runs_do_not_write_one_output(tmp_path: Path, photos: list[Path]) -> None:
    output = tmp_path / "s.csv"
    with open_journal(output, SETTINGS, NAMES) as journal:
        journal.add(result(photos[0]))
        with pytest.raises(UserError, match=r"another run is writing .*s\.csv"), open_journal(output, SETTINGS, NAMES):
            pass
        assert journal_path(output).read_text().count("\n") == 3
