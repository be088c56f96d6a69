"""Fits how sure scores are, by errors on photos that had not trained the model; see `models.intervals`."""

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.special
from jaxtyping import Bool, Float

from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.models.intervals import QUANTILES
from vtiqa_jax.models.params import Params

PENALTY = 0.1
"""On the square of the direction that tells kinds, for each photo; features are in standard deviations."""
LEAST_DEVIATION = 0.05
"""Least deviation, as a share of the median: features that hardly vary have no larger weight than this."""
LEAST_SIZE = 1e-4
"""Least size of an error, as a share of the scale."""
ROUNDNESS = 0.01
"""Penalty on all of a curve but its constant."""
NEAR = 0.99
"""The share of photos that are near."""
GROWTH = 6.0
"""Growth of the logarithm of errors with each usual distance beyond; no opinion was ever measured there."""
NO_KIND = -20.0
"""A logit; all photos are of the first kind."""

Vector = Float[np.ndarray, " photos"]
Features = Float[np.ndarray, "photos features"]


def _half(numbers: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Rounds to float16, in float32: a quantized file keeps it as it is."""
    return np.asarray(numbers).astype(np.float16).astype(np.float32)


def fit_kinds(features: Features, unsure: Bool[np.ndarray, " photos"] | None = None) -> Params:
    """Fits what tells photos on which people and model agree less from the others; no opinion is needed.

    Args:
        features: of both views.
        unsure: which photos are of that kind, of a source that is known for it, say. None: there are no two kinds.

    Returns:
        The part of the parameters of `Intervals` that reads features.
    """
    mean, deviations = _half(features.mean(0)), features.std(0)
    precision = _half(1 / np.maximum(deviations, LEAST_DEVIATION * np.median(deviations)))
    apart = ((features - mean) * precision).astype(np.float32)
    direction, intercept = np.zeros(features.shape[1]), NO_KIND
    if unsure is not None:
        gram = apart.T @ apart
        gram[np.diag_indices_from(gram)] += PENALTY * len(apart)
        target = (unsure - unsure.mean()).astype(np.float32)
        direction = scipy.linalg.solve(gram, apart.T @ target, assume_a="pos")
        along = apart @ direction

        def loss(line: Float[np.ndarray, "2"]) -> float:
            logits = line[0] + line[1] * along
            return float((np.logaddexp(0, logits) - unsure * logits).mean())

        intercept, slope = scipy.optimize.minimize(loss, np.array([0.0, 1.0]), method="Nelder-Mead").x
        direction = slope * direction
    distances = np.sqrt(np.square(apart).mean(1))
    return {
        "intervals.mean": mean,
        "intervals.precision": precision,
        "intervals.direction": _half(direction),
        "intervals.intercept": _half(np.array(intercept)),
        "intervals.far": _half(np.array([np.quantile(distances, NEAR), GROWTH])),
    }


def _weigh_kinds(kinds: Params, features: Features) -> Float[np.ndarray, "photos 2"]:
    """Returns how much each photo is of either kind, as `Intervals` does."""
    apart = (features - kinds["intervals.mean"]) * kinds["intervals.precision"]
    second = scipy.special.expit(apart @ kinds["intervals.direction"] + kinds["intervals.intercept"])
    return np.stack([1 - second, second], axis=1)


def _by_score(scores: Vector, scale: LabelScale) -> Float[np.ndarray, "photos 3"]:
    """Returns the powers of scores, -1 and 1 at the ends of the scale, that `Intervals.curves` weigh."""
    place = 2 * (scores - scale.low) / (scale.high - scale.low) - 1
    return np.stack([np.ones_like(place), place, place**2], axis=1)


def fit_errors(kinds: Params, features: Features, scores: Vector, errors: Vector, scale: LabelScale) -> Params:
    """Fits how large errors are, by the score and the photo's kind, and how they are distributed at that size.

    Args:
        kinds: of `fit_kinds`.
        features: of both views of photos that had not trained the model.
        scores: of the same photos.
        errors: people's mean less the score.
        scale: of both.

    Returns:
        All parameters of `Intervals` but opinions.
    """
    shares, powers, weights = errors / (scale.high - scale.low), _by_score(scores, scale), _weigh_kinds(kinds, features)
    sizes = np.maximum(np.abs(shares), LEAST_SIZE)

    def expect(curves: Float[np.ndarray, "6"]) -> Vector:
        variances = np.exp(2 * np.clip(powers @ curves.reshape(2, 3).T, -12, 3))
        return 0.5 * np.log((weights * variances).sum(1))

    def loss(curves: Float[np.ndarray, "6"]) -> float:
        logs = expect(curves)
        bent = np.square(curves.reshape(2, 3)[:, 1:]).sum()
        return float((logs + sizes * np.exp(-logs)).mean() + ROUNDNESS * bent)  # Laplace's: outliers do not rule it

    start = np.array([np.log(sizes.mean()), 0, 0] * 2)
    curves = scipy.optimize.minimize(loss, start, method="Powell", options={"maxiter": 20000}).x
    known = weights.sum(0) > 1
    for _ in range(20):  # the errors of either kind, divided by what is expected, have the standard deviation 1
        squares = np.square(shares / np.exp(expect(curves)))
        for kind in np.flatnonzero(known):
            curves[3 * kind] += 0.5 * np.log(np.average(squares, weights=weights[:, kind]))
    standard, levels = shares / np.exp(expect(curves)), np.arange(1, QUANTILES + 1) / (QUANTILES + 1)
    tables = [
        weighted_quantiles(standard, weights[:, kind] if known[kind] else weights[:, 0], levels) for kind in (0, 1)
    ]
    return kinds | {
        "intervals.ends": np.array([scale.low, scale.high], np.float32),
        "intervals.curves": _half(curves.reshape(2, 3) if known[1] else np.tile(curves[:3], (2, 1))),
        "intervals.quantiles": _half(np.stack(tables)),
    }


def weighted_quantiles(errors: Vector, weights: Vector, levels: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Returns quantiles for one more error, as split conformal prediction does: it may be beyond all that are known.

    With equal weights the k-th smallest of n errors is the quantile k / (n + 1).
    """
    order = np.argsort(errors)
    below = np.cumsum(weights[order]) / (weights.sum() + np.square(weights).sum() / weights.sum())
    return np.interp(levels, below, errors[order])


def fit_opinions(opinions: Vector, spreads: Vector, scale: LabelScale) -> Params:
    """Fits how far single opinions are apart by the score.

    Args:
        opinions: people's mean of each photo.
        spreads: the standard deviation of single opinions. They may be of two people each: squares count, whose mean is
            right.
        scale: of both.
    """
    powers, squares = _by_score(opinions, scale), np.square(spreads / (scale.high - scale.low))

    def loss(curve: Float[np.ndarray, "3"]) -> float:
        logs = np.clip(2 * powers @ curve, -50, 50)
        return float((logs + squares * np.exp(-logs)).mean())

    start = np.array([0.5 * np.log(max(squares.mean(), LEAST_SIZE**2)), 0, 0])
    return {"intervals.opinions": _half(scipy.optimize.minimize(loss, start, method="Powell").x)}
