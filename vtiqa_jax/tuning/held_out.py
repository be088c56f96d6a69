"""The test whether a taste is better than the score alone, on marks that were held out, and beyond chance.

The marks are cut into parts, and each part is predicted by a fit to the others. Shots of one scene are never on both
sides. Then all is done again with what the score leaves unexplained under random signs, as if there were no taste.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from vtiqa_jax.tuning.opinions import Opinions
from vtiqa_jax.tuning.ridge import fit_ridge, fit_score

PARTS = 10
MIN_SCENES = 5
"""Least number of scenes: of fewer nothing can be held out."""
SHUFFLES = 999
LEVEL = 0.002
"""Share of the shuffles that may gain as much as the marks themselves. How it was chosen: docs/tune.md."""
TIE = 1e-9
"""Difference of gains that counts as none: the same signs everywhere are among the shuffles of few scenes."""
DRAWS = 500
"""Number of draws of scenes, for the interval."""
INSIDE = 0.9
"""Share of these draws between the interval's ends."""


Comparisons = Float[np.ndarray, "opinions opinions"]
"""1 where two ratings are in the right order, -1 in the wrong one, 0 where nothing is to be told; a pair's stands on
the diagonal. What stands below it would say the same again, and is 0."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a taste does on held-out marks."""

    before: float
    """Share of comparisons in which the score alone agrees with the person; a half is chance."""
    after: float
    """The same with the taste."""
    low: float
    """Nine times in ten the difference of both is between this and `high`."""
    high: float
    chance: float
    """Share of shuffles that gain as much."""

    @property
    def is_better(self) -> bool:
        """Whether the taste is to be taken."""
        return self.after > self.before and self.chance <= LEVEL


def hold_out(
    opinions: Opinions,
    kernel: Float[np.ndarray, "opinions opinions"],
    scores: Float[np.ndarray, " photos"],
    scenes: Int[np.ndarray, " photos"],
    rng: np.random.Generator,
) -> Verdict:
    """Measures a taste on held-out marks.

    Args:
        opinions: of photos of at least `MIN_SCENES` scenes.
        kernel: products of their features.
        scores: of all photos, more is better.
        scenes: of each photo, from 0.
        rng: draws parts, signs and scenes.
    """
    columns = opinions.columns(scores)
    explained = columns @ fit_score(columns, opinions.targets[:, None])
    left = opinions.targets[:, None] - explained
    # One sign for a scene: its shots are liked alike for reasons that tell nothing of other photos. Of a pair, that of
    # the better photo; with a sign for each pair, 1.5 % of tastes did harm (docs/tune.md).
    signs = rng.choice([-1.0, 1.0], (scenes.max() + 1, SHUFFLES))[scenes[opinions.first]]
    targets = np.concatenate([opinions.targets[:, None], explained + signs * left], axis=1)
    alone, tuned = np.zeros_like(targets), np.zeros_like(targets)
    for held, others in cut_into_parts(opinions, scenes, rng):
        alone[held] = columns[held] @ fit_score(columns[others], targets[others])
        tuned[held] = alone[held]
        if len(others) > columns.shape[1]:
            fitted = fit_ridge(kernel[np.ix_(others, others)], columns[others], targets[others])
            tuned[held] = fitted.predict(kernel[np.ix_(held, others)], columns[held])
    gains = np.square(targets - alone).sum(0) - np.square(targets - tuned).sum(0)
    gains /= np.square(targets - alone).sum(0)
    chance = float((1 + np.count_nonzero(gains[1:] > gains[0] - TIE)) / (1 + SHUFFLES))
    return Verdict(*_agree(opinions, opinions.apply(scores), tuned[:, 0], scenes, rng), chance)


def cut_into_parts(
    opinions: Opinions, scenes: Int[np.ndarray, " photos"], rng: np.random.Generator
) -> list[tuple[Int[np.ndarray, " held"], Int[np.ndarray, " others"]]]:
    """Cuts opinions into parts: each with all others that share no scene with it."""
    part = rng.permutation(np.arange(scenes.max() + 1) % PARTS)[scenes]
    first, second = scenes[opinions.first], np.where(opinions.is_pair, scenes[opinions.second], -1)
    cut = []
    for number in range(PARTS):
        held = part[opinions.first] == number
        seen = np.concatenate([first[held], second[held]])
        others = ~np.isin(first, seen) & (~np.isin(second, seen) | (second < 0))
        cut.append((np.flatnonzero(held), np.flatnonzero(others)))
    return cut


def _compare(opinions: Opinions, predicted: Float[np.ndarray, " opinions"]) -> Comparisons:
    """Compares what was predicted with what was said."""
    order = np.triu(np.sign(opinions.targets[:, None] - opinions.targets))
    order[(opinions.kinds[:, None] != opinions.kinds) | opinions.is_pair] = 0
    predicted_order = np.sign(predicted[:, None] - predicted)
    np.fill_diagonal(order, opinions.is_pair)
    np.fill_diagonal(predicted_order, np.sign(predicted))
    return order * predicted_order


def _agree(
    opinions: Opinions,
    alone: Float[np.ndarray, " opinions"],
    tuned: Float[np.ndarray, " opinions"],
    scenes: Int[np.ndarray, " photos"],
    rng: np.random.Generator,
) -> tuple[float, float, float, float]:
    """Returns both agreements, and the ends of the interval of their difference."""
    before = _compare(opinions, alone)
    gained = _compare(opinions, tuned) - before
    counted = np.abs(_compare(opinions, np.arange(len(opinions)) + 1.0))
    scene, count = scenes[opinions.first], scenes.max() + 1
    drawn = rng.multinomial(count, np.full(count, 1 / count), DRAWS)[:, scene].astype(float)

    def total(matrix: Comparisons, weights: Float[np.ndarray, "draws opinions"]) -> Float[np.ndarray, " draws"]:
        """Adds up comparisons of two ratings, each as often as both were drawn, and pairs."""
        pairs = np.diag(matrix)
        return (weights @ (matrix - np.diag(pairs)) * weights).sum(1) + weights @ pairs

    once = np.ones((1, len(opinions)))
    agreement, gain = (float(total(matrix, once)[0] / counted.sum() / 2) for matrix in (before, gained))
    drawn_gains = total(gained, drawn) / np.maximum(total(counted, drawn), 1) / 2
    low, high = np.quantile(drawn_gains, [(1 - INSIDE) / 2, (1 + INSIDE) / 2])
    return 0.5 + agreement, 0.5 + agreement + gain, float(low), float(high)
