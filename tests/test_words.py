"""What is said of a photo at 100 %: in words, in the order of photos, and by `vtiqa compare`."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtiqa_jax.commands.compare import say_detailed
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.results.columns import COLUMNS
from vtiqa_jax.results.rank import rank_photo
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.results.score_table import ScoreTable
from vtiqa_jax.results.words import LONGEST, SMALLEST_SCALE, say_detail, say_holds, say_scale


def judged(holds: float | None, width: int = 6000, height: int = 4000, detail: float | None = 3.21) -> ScoreResult:
    return ScoreResult(Path("a.jpg"), 3.0, detail=detail, holds=holds, width=width, height=height)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (judged(45.0), "holds up to 45 %, about 4.9 of 24 megapixels"),
        (judged(45.0, 600, 400), "holds up to 45 %"),
        (judged(45.0, 4000, 6000), "holds up to 45 %, about 4.9 of 24 megapixels"),
        (judged(80.0), "holds up to 80 %, about 15 of 24 megapixels"),
        (judged(50.0, 1000, 1000), "holds up to 50 %, about 0.25 of 1 megapixels"),
        (judged(99.8), "holds up to 99 %, about 24 of 24 megapixels"),
        (judged(100.0), "holds at 100 %"),
        (judged(130.0), "holds at 100 %"),
        (judged(SMALLEST_SCALE), "holds up to 12 %, about 0.38 of 24 megapixels"),
        (judged(SMALLEST_SCALE - 0.1), "holds at less than 12.5 %"),
        (judged(None, detail=None), ""),
        (dataclasses.replace(judged(45.0), width=None, height=None), "holds up to 45 %"),
    ],
)
def test_a_scale_in_words(result: ScoreResult, words: str) -> None:
    assert say_holds(result) == words
    assert say_detail(result) == (f"detail 3.21, {words}" if words else "")


def test_the_detail_of_a_large_photo_is_compared() -> None:
    large = dataclasses.replace(judged(45.0), detail_percentile=38.4)
    compared = "detail 3.21, more detail than 38 % of cameras' photos, holds up to 45 %, about 4.9 of 24 megapixels"
    assert say_detail(large) == compared


@given(st.floats(0, 300), st.integers(32, 30_000), st.integers(32, 30_000))
def test_no_scale_breaks_a_column_of_words(holds: float, width: int, height: int) -> None:
    (column,) = (column for column in COLUMNS if column.name == "holds")
    result = judged(holds, width, height)
    assert len(say_scale(result)) <= LONGEST
    assert len(column.show(result)) == len(column.show(judged(None))) == len(column.show(judged(45.0)))


def test_a_notebook_has_the_words() -> None:
    shown = ScoreTable((judged(45.0), judged(None, detail=None)), LabelScale("test", 1.0, 5.0))._repr_html_()
    assert "<th>detail</th><th>holds up to</th>" in shown
    assert "<td>3.2100</td><td>45 %, about 4.9 of 24 megapixels</td>" in shown


NUMBERS = st.floats(1, 5)


@given(NUMBERS, NUMBERS, st.floats(0.01, 1))
def test_what_is_better_in_either_ranks_higher(score: float, detail: float, more: float) -> None:
    assert rank_photo(score + more, detail) > rank_photo(score, detail) < rank_photo(score, detail + more)
    assert rank_photo(score + more, None) > rank_photo(score, None) == score
    low, high = sorted((score, detail))
    assert low <= rank_photo(score, detail) <= high, "on the same scale"


def test_of_photos_that_look_alike_detail_decides_and_of_others_the_score() -> None:
    assert rank_photo(3.5, 2.0) < rank_photo(3.5, 3.0)
    assert rank_photo(3.5, 2.0) > rank_photo(3.0, 4.0), "half a point as a whole is worth two at 100 %"


def test_a_result_knows_its_rank() -> None:
    assert judged(45.0, detail=2.0).rank == rank_photo(3.0, 2.0)
    assert judged(None, detail=None).rank == 3.0
    assert ScoreResult("a.jpg", None, "broken").rank is None


def pair(a: tuple[float, float | None], b: tuple[float, float | None], higher: bool = True) -> list[str]:
    named = [ScoreResult(name, score, detail=detail) for name, (score, detail) in zip("xy", (a, b), strict=True)]
    return say_detailed(*named, LabelScale("test", 1.0, 5.0, higher))


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ((4.0, 2.0), (3.0, 2.5), "y has more detail at 100 %, by 0.50; x is better with score and detail together."),
        ((4.0, 3.0), (3.0, 2.5), "x has more detail at 100 %, by 0.50; x is better with the score, too."),
        ((4.0, 3.0), (3.0, 3.01), "At 100 % they are alike; x is better with score and detail together."),
        (
            (3.0, 2.5),
            (2.95, 3.0),
            "y has more detail at 100 %, by 0.50; with score and detail together they are as good as",
        ),
    ],
)
def test_which_of_two_is_better_in_what(a: tuple[float, float], b: tuple[float, float], said: str) -> None:
    (line,) = pair(a, b)
    assert line.startswith(said)
    swapped = {"x": "y", "y": "x"}
    assert pair(b, a)[0] == " ".join(swapped.get(word, word) for word in line.split()), "whichever is named first"
    opposite = pair((6 - a[0], 6 - a[1]), (6 - b[0], 6 - b[1]), higher=False)
    assert opposite == [line], "where low numbers are good"


def test_nothing_is_said_of_detail_that_is_not_there() -> None:
    assert pair((4.0, None), (3.0, 2.5)) == pair((4.0, 2.5), (3.0, None)) == pair((4.0, None), (3.0, None)) == []
