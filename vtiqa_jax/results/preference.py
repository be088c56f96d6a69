"""The probability that people prefer one photo to another."""

import math

import scipy.special

from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.results.results import ScoreResult


def probability_preferred(a: ScoreResult, b: ScoreResult, scale: LabelScale) -> float:
    """Says how probable it is that the mean opinion of thirty people is better of photo `a` than of photo `b`.

    The errors of both scores count as independent and normal, see `models.intervals`. Those of two shots of one scene
    are alike, so that the truth is further from a half there.

    Args:
        a: with a score and its deviation.
        b: like `a`.
        scale: of the scores.
    """
    assert a.score is not None and b.score is not None and a.deviation is not None and b.deviation is not None
    ahead = (a.score - b.score) if scale.higher_is_better else (b.score - a.score)
    deviation = math.hypot(a.deviation, b.deviation)
    return float(scipy.special.ndtr(ahead / deviation)) if deviation else 0.5 + 0.5 * ((ahead > 0) - (ahead < 0))
