"""The metrics of the field, on plain arrays: PLCC, SRCC, KRCC, RMSE."""

import dataclasses
import warnings
from typing import Any

import numpy as np
import scipy.optimize
import scipy.special
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
    """Computes all of them.

    Raises:
        ValueError: there are fewer than two photos, or values that are not finite.
    """
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


def correlations_if_any(scores: Scores, mos: Scores) -> Correlations:
    """The same; NaN for all of them where there are fewer than two photos or scores that are not finite."""
    if len(scores) < 2 or not np.isfinite(scores).all():
        return Correlations(np.nan, np.nan, np.nan, np.nan, len(scores))
    return correlations(scores, mos)


def within_groups(scores: Scores, mos: Scores, groups: list[str]) -> dict[str, Correlations]:
    """The metrics within each group of photos, for groups in which the MOS differ.

    A data set whose parts differ in mean MOS shows high totals to whoever recognises the part.
    """
    labels = np.asarray(groups)
    members = {name: labels == name for name in sorted(set(groups))}
    return {name: correlations(scores[rows], mos[rows]) for name, rows in members.items() if np.ptp(mos[rows]) > 0}


def fit_logistic(scores: Scores, mos: Scores) -> Scores:
    """The scores mapped to the MOS by the monotonic 4-parameter logistic that the field fits before PLCC and RMSE
    (VQEG, final report on FR-TV phase II, 2003): (a - b) / (1 + exp(-(s - c) / |d|)) + b. NaN when no fit is found."""
    scores, mos = np.asarray(scores, np.float64), np.asarray(mos, np.float64)

    def curve(x: np.ndarray, a: float, b: float, c: float, d: float) -> np.ndarray:
        return (a - b) * scipy.special.expit((x - c) / abs(d)) + b

    first = (mos.max(), mos.min(), scores.mean(), scores.std() / 2 or 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", scipy.optimize.OptimizeWarning)  # of the covariance, which nobody asks for
        try:
            fitted = scipy.optimize.curve_fit(curve, scores, mos, first, maxfev=20000)[0]
        except (RuntimeError, TypeError, ValueError):  # no convergence, or fewer photos than parameters
            return np.full_like(scores, np.nan)
    return curve(scores, *fitted)


def _pearson(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    x, y = x - x.mean(axis, keepdims=True), y - y.mean(axis, keepdims=True)
    with np.errstate(invalid="ignore"):  # a resample may be constant
        return (x * y).sum(axis) / np.sqrt((x**2).sum(axis) * (y**2).sum(axis))


def _spearman(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    return _pearson(scipy.stats.rankdata(x, axis=axis), scipy.stats.rankdata(y, axis=axis), axis)


def bootstrap_ci(
    scores: Scores, mos: Scores, *, resamples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals (percentile, photos resampled) of `plcc` and `srcc`; NaN for fewer than 3 photos,
    and where all scores or all MOS are equal."""
    if len(scores) < 3 or np.ptp(scores) == 0 or np.ptp(mos) == 0:
        return {"plcc": (np.nan, np.nan), "srcc": (np.nan, np.nan)}
    intervals = {}
    pair = (np.asarray(scores, np.float64), np.asarray(mos, np.float64))
    for name, statistic in (("plcc", _pearson), ("srcc", _spearman)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)  # of SciPy's own interval
            resampled = scipy.stats.bootstrap(
                pair, statistic, paired=True, n_resamples=resamples, batch=50, method="percentile", rng=seed
            ).bootstrap_distribution
        low, high = np.nanpercentile(resampled, [2.5, 97.5])
        intervals[name] = (float(low), float(high))
    return intervals
