"""The tables of traps and of real series, from made-up scores."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest
import real_series
import traps

HEADER = ("image", "detail", "holds", "score", "rank", "warning", "out_of_range", "reasons")


def write(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.mark.parametrize("level", ["slight {}", "{}", "severe {}", "far {}"])
@pytest.mark.parametrize(("fault", "words"), traps.FAULTS.items())
def test_a_reason_of_any_strength_is_one_fault(fault: str, words: str, level: str) -> None:
    assert traps.named(level.format(words)) == {fault}


def test_what_is_open_counts_neither_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = write(
        tmp_path / "index.csv",
        [
            ("file", "kind", "faults", "wrong"),
            ("fog.jpg", "fog", "", "low_contrast;defocus"),
            ("bar.jpg", "phone", "luminance_noise;motion", ""),
        ],
    )
    reasons = "haze or low contrast; slight colour cast", "severe luminance noise; too dark"
    scores = write(
        tmp_path / "scores.csv",
        [HEADER, ("in/fog.jpg", 3, 30, 3, 3, "", "", reasons[0]), ("in/bar.jpg", "", "", 2, 2, "dark", "", reasons[1])],
    )
    traps.main(traps.Arguments(index, scores))
    said = capsys.readouterr().out
    assert "| fog | 1 | 3.00 [3.00] | 30 [30] | 3.00 [3.00] | 0 |" in said
    assert "| phone | 1 | none | none | 2.00 [2.00] | 1 |" in said
    assert "1 of 1: fog.jpg 30" in said
    assert "| luminance_noise | 1 of 1 | 0 of 0 | 1 of 1 |" in said
    assert "| motion | 0 of 1 | 0 of 0 | 0 of 0 |" in said
    assert "| low_contrast | 0 of 0 | 1 of 1 | 0 of 1 |" in said
    assert "| too_dark | 0 of 0 | 0 of 0 | 0 of 0 |" in said  # open
    assert said.endswith("a wrong reason at 1 of 2 photos\n  fog.jpg: low_contrast\n")


def test_a_misspelt_fault_is_told(tmp_path: Path) -> None:
    index = write(tmp_path / "index.csv", [("file", "kind", "faults", "wrong"), ("a.jpg", "fog", "", "haze")])
    scores = write(tmp_path / "scores.csv", [HEADER[:-1], ("a.jpg", 3, 30, 3, 3, "", "")])
    with pytest.raises(SystemExit, match="names haze; faults are defocus, motion"):
        traps.main(traps.Arguments(index, scores))


def test_steps_follow_the_value_within_a_series(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = write(
        tmp_path / "index.csv",
        [
            ("series", "file", "kind", "value"),
            *(("a", "a800.jpg", "iso", 800), ("a", "a100.jpg", "iso", 100), ("a", "a1600.jpg", "iso", 1600)),
            *(("b", "b0.jpg", "iso", 0), ("b", "b1.jpg", "iso", 1), ("c", "c.jpg", "focus", "")),
        ],
    )
    numbers = {"a100.jpg": (4, 1), "a800.jpg": (3, 2), "a1600.jpg": (2, 3), "b0.jpg": (1, 1), "b1.jpg": ("", 1)}
    rows = [(tmp_path / file, detail, "", score, score, "", "", "") for file, (detail, score) in numbers.items()]
    scores = write(tmp_path / "scores.csv", [HEADER, *rows])
    real_series.main(real_series.Arguments(index, scores))
    assert capsys.readouterr().out.splitlines()[2:] == ["| iso | 2 | 3 | 1.00 | 0.00 | 0.00 |"]
