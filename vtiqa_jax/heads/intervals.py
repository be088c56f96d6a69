"""Fits how sure scores are, by errors on photos that had not trained the model; see `models.intervals`."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.linalg
import scipy.optimize
from jaxtyping import Float, Int

from vtiqa_jax.models.checkpoint import LabelScale
from vtiqa_jax.models.intervals import QUANTILES
from vtiqa_jax.models.params import Params

PENALTIES = (0.1, 1.0, 10.0, 1e6)
"""For each photo, on the direction's square; by the last the score alone tells how large errors are."""
FOLDS = 5
LEAST_ERROR = 1e-3
"""Of the scale: smaller errors are chance, and their logarithms would be all that counts."""
LEAST_DEVIATION = 0.05
"""Of the median: features that hardly vary have no larger weight than this."""
NEAR = 0.99
"""The share of photos that are near."""
GROWTH = 2.0
"""By which the logarithm of the error grows with each usual distance beyond."""

Vector = Float[np.ndarray, " photos"]


def _by_score(scores: Vector, scale: LabelScale) -> Float[np.ndarray, "photos 3"]:
    """The powers of scores, -1 and 1 at the ends of the scale, that `Intervals.curve` weighs."""
    place = 2 * (scores - scale.low) / (scale.high - scale.low) - 1
    return np.stack([np.ones_like(place), place, place**2], axis=1)


def _fit_sizes(
    apart: Float[np.ndarray, "photos features"], powers: Float[np.ndarray, "photos 3"], logs: Vector, penalty: float
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, " features"]]:
    """Fits logarithms of sizes by the score, and what that leaves by ridge regression on the features."""
    curve = np.linalg.lstsq(powers, logs, rcond=None)[0]
    inputs = apart.astype(np.float32)
    gram = inputs.T @ inputs
    gram[np.diag_indices_from(gram)] += penalty * len(apart)
    return curve, scipy.linalg.solve(gram, inputs.T @ (logs - powers @ curve).astype(np.float32), assume_a="pos")


@dataclasses.dataclass(frozen=True)
class Standards:
    """Features in standard deviations from their mean, both exact as float16."""

    mean: Float[np.ndarray, " features"]
    precision: Float[np.ndarray, " features"]

    @classmethod
    def measure(cls, features: Float[np.ndarray, "photos features"]) -> "Standards":
        """Measures those of photos."""
        deviations = features.std(0)
        precision = 1 / np.maximum(deviations, LEAST_DEVIATION * np.median(deviations))
        return cls(_half(features.mean(0)), _half(precision))

    def apply(self, features: Float[np.ndarray, "photos features"]) -> Float[np.ndarray, "photos features"]:
        """Returns features in these."""
        return (features - self.mean) * self.precision


def expect_sizes(
    apart: Float[np.ndarray, "photos features"],
    scores: Vector,
    errors: Vector,
    scale: LabelScale,
    folds: Int[np.ndarray, " photos"],
    sizes: Vector | None = None,
) -> tuple[Vector, float]:
    """Expects how large errors are, each by the photos of the other folds.

    Args:
        apart: features of both views, in standard deviations.
        scores: of the photos.
        errors: see `fit_intervals`.
        scale: of scores.
        folds: the number of each photo's fold.
        sizes: see `fit_intervals`.

    Returns:
        Logarithms of standard deviations, as shares of the scale; and the penalty by which they tell the errors best,
        by a normal law's likelihood.
    """
    shares, powers = errors / (scale.high - scale.low), _by_score(scores, scale)
    targets = _take_logs(shares if sizes is None else sizes)
    best, chosen, least = np.zeros(len(scores)), np.inf, np.inf
    for penalty in PENALTIES:
        expected = np.empty(len(scores))
        for fold in np.unique(folds):
            rest = folds != fold
            curve, direction = _fit_sizes(apart[rest], powers[rest], targets[rest], penalty)
            known = powers @ curve + apart @ direction
            # The mean of logarithms is not that of errors: only ratios between photos are taken from it.
            shift = 0.5 * np.log(np.square(shares[rest] / np.exp(known[rest])).mean())
            expected[~rest] = known[~rest] + shift
        loss = float((expected + 0.5 * np.square(shares / np.exp(expected))).mean())
        if loss < least:
            best, chosen, least = expected, penalty, loss
    return best, chosen


def fit_intervals(
    features: Float[np.ndarray, "photos features"],
    scores: Vector,
    errors: Vector,
    scale: LabelScale,
    *,
    sizes: Vector | None = None,
    folds: Int[np.ndarray, " photos"] | None = None,
) -> Params:
    """Fits the parameters of `Intervals` but for opinions. All are exact as float16, as a quantized file keeps them.

    Args:
        features: of both views.
        scores: of the same photos.
        errors: people's mean less the score, of photos that had not trained what scored them.
        scale: of scores.
        sizes: how large errors are expected to be, as shares of the scale, where something knows that better than the
            errors themselves.
        folds: photos of one number are measured together by what was fitted to the others; drawn when not given.

    Raises:
        ValueError: all errors are 0.
    """
    if not np.any(errors):
        raise ValueError("errors that are all 0 have no size")
    if folds is None:
        folds = np.random.default_rng(0).permutation(len(scores)) % FOLDS
    shares, powers = errors / (scale.high - scale.low), _by_score(scores, scale)
    standards = Standards.measure(features)
    apart = standards.apply(features)
    expected, penalty = expect_sizes(apart, scores, errors, scale, folds, sizes)
    standard = shares / np.exp(expected)
    curve, direction = _fit_sizes(apart, powers, _take_logs(shares if sizes is None else sizes), penalty)
    known = powers @ curve + apart @ _half(direction)
    curve[0] += 0.5 * np.log(np.square(shares / np.exp(known)).mean())
    distances = np.sqrt(np.square(apart).mean(1))
    levels = np.arange(1, QUANTILES + 1) / (QUANTILES + 1)
    return {
        "intervals.ends": np.array([scale.low, scale.high], np.float32),
        "intervals.mean": standards.mean,
        "intervals.precision": standards.precision,
        "intervals.direction": _half(direction),
        "intervals.curve": _half(curve),
        "intervals.far": _half(np.array([np.quantile(distances, NEAR), GROWTH])),
        "intervals.quantiles": _half(conformal_quantiles(standard / np.sqrt(np.square(standard).mean()), levels)),
    }


def _take_logs(sizes: Vector) -> Vector:
    return np.log(np.maximum(np.abs(sizes), LEAST_ERROR))


def conformal_quantiles(errors: Vector, levels: Sequence[float] | Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Returns quantiles such that one more error is below (or, of levels below a half, above) with that probability.

    Split conformal prediction: of n errors the k-th smallest has k of n + 1 chances to be above one more.
    """
    ordered, places = np.sort(errors), np.asarray(levels) * (len(errors) + 1)
    outward = np.where(np.asarray(levels) < 0.5, np.floor(places + 1e-9), np.ceil(places - 1e-9)).astype(int)
    return ordered[np.clip(outward, 1, len(errors)) - 1]


def fit_opinions(opinions: Vector, spreads: Vector, scale: LabelScale) -> Params:
    """Fits how far single opinions are apart by the score.

    Args:
        opinions: people's mean of each photo.
        spreads: the standard deviation of single opinions; of few people, too: squares count, whose mean is right.
        scale: of both.
    """
    powers, squares = _by_score(opinions, scale), np.square(spreads / (scale.high - scale.low))

    def loss(curve: Float[np.ndarray, "3"]) -> float:
        logs = np.clip(2 * powers @ curve, -50, 50)
        return float((logs + squares * np.exp(-logs)).mean())

    start = np.array([0.5 * np.log(max(squares.mean(), LEAST_ERROR**2)), 0, 0])
    return {"intervals.opinions": _half(scipy.optimize.minimize(loss, start, method="Nelder-Mead").x)}


def _half(numbers: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Rounds to float16, in float32."""
    return numbers.astype(np.float16).astype(np.float32)
