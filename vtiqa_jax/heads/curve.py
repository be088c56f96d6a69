"""From octaves lost to the score's scale: what people say of photos that have lost as much."""

import numpy as np
import scipy.optimize
import scipy.special
from jaxtyping import Float, Float32

from vtiqa_jax.models.checkpoint import LabelScale


def fit_curve(
    octaves: Float[np.ndarray, " photos"], opinions: Float[np.ndarray, " photos"], scale: LabelScale
) -> Float32[np.ndarray, "4"]:
    """Fits the median opinion of photos by the octaves that they have lost at their own pixels.

    The median: photos are also bad for reasons that have nothing to do with detail.

    Args:
        octaves: of photos seen at 100 % by those who judged them; NaN where nothing is known.
        opinions: mean ones, on `scale`.
        scale: whose ends the curve approaches.

    Returns:
        `DetailHead.curve`: the worst and the best score, and intercept and slope of the logit between them.
    """
    ends = (scale.low, scale.high) if scale.higher_is_better else (scale.high, scale.low)
    known = ~np.isnan(octaves)
    shares = (opinions[known] - ends[0]) / (ends[1] - ends[0])

    def distance(line: Float[np.ndarray, "2"]) -> float:
        return float(np.abs(shares - scipy.special.expit(line[0] + line[1] * octaves[known])).mean())

    found = scipy.optimize.minimize(distance, np.array([1.0, -1.0]), method="Nelder-Mead")
    return np.array([*ends, *found.x], np.float32)
