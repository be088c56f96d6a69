"""Thresholds and probabilities of faults: from which strength a fault is named, and how probably a judge sees it."""

import numpy as np
import scipy.optimize
from jaxtyping import Bool, Float, Float32

from vtiqa_jax.models.faults import FALSE_ALARMS
from vtiqa_jax.models.reasons import LEVELS
from vtiqa_jax.models.reasons import STEEPNESS as PRIOR_SLOPE

LEAST_NAMED = LEVELS[0] / 2
"""Strength below which nothing is named, however rare that is among good photos: half way to a slight fault."""
PRIOR = 5.0
"""Photos judged by eye that the curve before them counts as."""


def fit_thresholds(good: Float[np.ndarray, "photos faults"]) -> Float32[np.ndarray, "rates faults"]:
    """Finds from which strengths faults are named, so that in a share of good photos any fault is.

    Every fault has the same share of false alarms.

    Args:
        good: strengths in photos that people like.

    Returns:
        A row for each of `FALSE_ALARMS`.
    """
    ordered = np.sort(good, axis=0)

    def thresholds(share: float) -> Float[np.ndarray, " faults"]:
        places = (1 - share) * (len(ordered) - 1)
        low = int(places)
        high = min(low + 1, len(ordered) - 1)
        return np.maximum(ordered[low] + (places - low) * (ordered[high] - ordered[low]), LEAST_NAMED)

    rows = []
    for rate in FALSE_ALARMS:
        low, high = 0.0, rate  # of one fault alone: all together are between the largest and the sum
        for _ in range(40):
            share = (low + high) / 2
            if (good > thresholds(share)).any(1).mean() > rate:
                high = share
            else:
                low = share
        rows.append(thresholds(low))
    return np.array(rows, np.float32)


def raise_thresholds(
    thresholds: Float32[np.ndarray, "rates faults"], wrong: Float[np.ndarray, "photos faults"]
) -> Float32[np.ndarray, "rates faults"]:
    """Raises thresholds until they name nothing wrongly in photos of another kind, too, but in a share of them.

    These may be few: those photos are left out in which the most would be named wrongly, as many as the rate allows.

    Args:
        thresholds: of `fit_thresholds`.
        wrong: strengths that would be named wrongly; far below all others where naming is right.

    Returns:
        A row for each of `FALSE_ALARMS`.
    """
    rows = []
    for rate, row in zip(FALSE_ALARMS, thresholds, strict=True):
        order = np.argsort((wrong - row).max(1))
        kept = order[: len(order) - int(rate * len(order))]
        rows.append(np.maximum(row, wrong[kept].max(0)))
    return np.array(rows, np.float32)


def fit_probabilities(
    strengths: Float[np.ndarray, "photos faults"],
    named: Bool[np.ndarray, "photos faults"],
    weights: Float[np.ndarray, " photos"],
) -> Float32[np.ndarray, "faults 2"]:
    """Fits how probable it is that a judge calls a fault plain, by its strength.

    Few photos have a rare fault: the curve is drawn towards the one of planted faults.

    Args:
        strengths: of photos judged by eye.
        named: which faults are plain to the eye there.
        weights: how many photos each of them stands for.

    Returns:
        Slope and intercept of each fault's logit.
    """
    before = np.array([PRIOR_SLOPE, -PRIOR_SLOPE * (LEVELS[0] + LEVELS[1]) / 2])
    curves = []
    for found, seen in zip(strengths.T, named.T, strict=True):
        sign = np.where(seen, 1, -1)

        def loss(point: Float[np.ndarray, "2"], found: np.ndarray = found, sign: np.ndarray = sign) -> float:
            slope, intercept = np.exp(point[0]), point[1]
            losses = weights * np.logaddexp(0, -sign * (slope * found + intercept))
            return float(
                losses.sum() + PRIOR * ((point[0] - np.log(before[0])) ** 2 + 0.05 * (intercept - before[1]) ** 2)
            )

        power, intercept = scipy.optimize.minimize(loss, [np.log(before[0]), before[1]], method="Nelder-Mead").x
        curves.append((np.exp(power), intercept))
    return np.array(curves, np.float32)
