"""The figures of merit of the field, on plain arrays."""

import dataclasses
from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float

Scores = Float[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True)
class Correlations:
    """How well scores agree with mean opinion scores (MOS).

    `plcc` is Pearson's, on raw scores without a logistic fit, as the release computes it; `srcc` Spearman's, `krcc`
    Kendall's (tau-b); `rmse` is in units of the MOS. A correlation is NaN where either side is constant.
    """

    plcc: float
    srcc: float
    krcc: float
    rmse: float
    n: int


def correlations(scores: Scores, mos: Scores) -> Correlations:
    """Errors: ValueError for fewer than two photos or for values that are not finite."""
    scores, mos = np.asarray(scores, np.float64), np.asarray(mos, np.float64)
    if len(scores) < 2 or scores.shape != mos.shape:
        raise ValueError(
            f"correlations need two equally long lists of at least 2 values, not {len(scores)}, {len(mos)}"
        )
    if not (np.isfinite(scores).all() and np.isfinite(mos).all()):
        raise ValueError("correlations of values that are not finite")
    rmse = float(np.sqrt(np.mean((scores - mos) ** 2)))
    if np.ptp(scores) == 0 or np.ptp(mos) == 0:
        return Correlations(np.nan, np.nan, np.nan, rmse, len(scores))
    tests: list[Any] = [scipy.stats.pearsonr, scipy.stats.spearmanr, scipy.stats.kendalltau]
    plcc, srcc, krcc = (float(test(scores, mos).statistic) for test in tests)
    return Correlations(plcc, srcc, krcc, rmse, len(scores))


def within_groups(scores: Scores, mos: Scores, groups: list[str]) -> dict[str, Correlations]:
    """The figures within each group of photos, for groups in which the MOS differ.

    A data set whose parts differ in mean MOS shows high totals to whoever recognises the part.
    """
    labels = np.asarray(groups)
    chosen = {name: labels == name for name in sorted(set(groups))}
    return {name: correlations(scores[rows], mos[rows]) for name, rows in chosen.items() if np.ptp(mos[rows]) > 0}
