"""From scores to stars."""

import numpy as np
import pytest

from vtiqa_jax.xmp.ratings import stars_by_fifths, stars_on_scale


@pytest.mark.parametrize(
    ("score", "stars"),
    [(1.0, 1), (1.49, 1), (1.5, 2), (2.5, 3), (3.49, 3), (3.5, 4), (4.5, 5), (5.0, 5), (-7.0, 1), (9.0, 5)],
)
def test_a_score_of_1_to_5_is_rounded(score: float, stars: int) -> None:
    assert stars_on_scale(score, 1.0, 5.0, higher_is_better=True) == stars
    assert stars_on_scale(25 * (score - 1), 0.0, 100.0, higher_is_better=True) == stars


def test_where_lower_is_better_the_lowest_score_has_most_stars() -> None:
    assert [stars_on_scale(score, 0.0, 100.0, higher_is_better=False) for score in (0.0, 40.0, 85.0, 100.0)] == [
        5,
        3,
        2,
        1,
    ]


@pytest.mark.parametrize("count", [5, 10, 25, 1000])
def test_each_fifth_has_its_stars(count: int) -> None:
    ranks = np.random.default_rng(0).permutation(count) / 7
    stars = np.array(stars_by_fifths(ranks.tolist(), higher_is_better=True))
    assert np.bincount(stars)[1:].tolist() == [count // 5] * 5
    assert np.all(np.diff(stars[np.argsort(ranks)]) >= 0)
    assert stars_by_fifths((-ranks).tolist(), higher_is_better=False) == stars.tolist()


def test_equal_photos_have_equal_stars_and_few_are_in_the_middle() -> None:
    assert stars_by_fifths([2.0] * 7, higher_is_better=True) == [3] * 7
    assert stars_by_fifths([1.0, 3.0], higher_is_better=True) == [2, 4]
    assert stars_by_fifths([1.0, 1.0, 1.0, 9.0], higher_is_better=True) == [2, 2, 2, 5]
    assert stars_by_fifths([], higher_is_better=True) == []
