"""The metrics of the field, on plain arrays, in one table: by it files, tables, logs and pictures show them."""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats
from jaxtyping import Float

from vtiqa_jax.errors import UserError

Scores = Float[np.ndarray, " n"]
Figures = SimpleNamespace
"""The value of each of `METRICS` by its name, and `n`, the number of photos."""


def _pearson(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    x, y = x - x.mean(axis, keepdims=True), y - y.mean(axis, keepdims=True)
    with np.errstate(invalid="ignore"):  # a resample may be constant
        return (x * y).sum(axis) / np.sqrt((x**2).sum(axis) * (y**2).sum(axis))


def _spearman(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    return _pearson(scipy.stats.rankdata(x, axis=axis), scipy.stats.rankdata(y, axis=axis), axis)


def _statistic(test: Any) -> Callable[[Scores, Scores], float]:
    """Returns what one of SciPy's tests of correlation says."""
    return lambda scores, mos: test(scores, mos).statistic


@dataclasses.dataclass(frozen=True)
class Metric:
    """A figure of how well scores agree with mean opinion scores (MOS)."""

    name: str
    """Name in files; tables have it in capitals."""
    compute: Callable[[Scores, Scores], float]
    """`(scores, mos) -> value`, of at least two photos. A correlation is asked where both sides differ only."""
    in_mos: bool = False
    """Whether it is in units of the MOS, so that it means nothing on another scale; a correlation otherwise."""
    form: str = ">9.4f"
    """Format of its values in tables."""
    resampled: Callable[..., np.ndarray] | None = None
    """`(scores, mos, axis) -> values` of many resamples, for bootstrap intervals; None for no interval."""
    logged: bool = False
    """Whether a training logs it after each epoch."""

    def show(self, value: float | None) -> str:
        """Returns a cell of a table; None has no value."""
        return f"{'-':{self._alignment}}" if value is None else f"{value:{self.form}}"

    def show_name(self) -> str:
        """Returns the head of a column of such cells."""
        return f"{self.name.upper():{self._alignment}}"

    @property
    def _alignment(self) -> str:
        return self.form.partition(".")[0]


METRICS = {
    metric.name: metric
    for metric in (
        # On raw scores without a logistic fit, as the release computes it.
        Metric("plcc", _statistic(scipy.stats.pearsonr), resampled=_pearson, logged=True),
        Metric("srcc", _statistic(scipy.stats.spearmanr), resampled=_spearman, logged=True),
        Metric("krcc", _statistic(scipy.stats.kendalltau)),  # tau-b
        Metric("rmse", lambda x, y: np.sqrt(np.mean((x - y) ** 2)), in_mos=True, form=">10.4g"),
    )
}
"""Metrics by name, in the order of tables. A new one is added here and nowhere else."""
FITTED = ("plcc", "rmse")
"""Metrics that are also computed after the logistic fit."""
FLAT = 1e-3
"""A range of fitted scores, as a share of that of the MOS, by which no photo differs from another. SciPy stops where
the sum of squares changes by 1.5e-8 of itself: it may end as far as the root of that, 1e-4, beside a level line."""


def logged_metrics() -> list[Metric]:
    """Returns those that a training logs after each epoch."""
    return [metric for metric in METRICS.values() if metric.logged]


def logged_names(selected_by: str) -> list[str]:
    """Returns the names of those, and of the metric that selects the best epoch."""
    return list(dict.fromkeys([*(metric.name for metric in logged_metrics()), selected_by]))


def correlations(scores: Scores, mos: Scores) -> Figures:
    """Computes all metrics. A correlation is NaN where either side is constant.

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
    differ = np.ptp(scores) > 0 and np.ptp(mos) > 0
    values = {
        name: float(metric.compute(scores, mos)) if metric.in_mos or differ else np.nan
        for name, metric in METRICS.items()
    }
    return Figures(**values, n=len(scores))


def correlations_if_any(scores: Scores, mos: Scores) -> Figures:
    """Returns the same; NaN for all of them where there are fewer than two photos or scores that are not finite."""
    if len(scores) < 2 or not np.isfinite(scores).all():
        return Figures(**dict.fromkeys(METRICS, np.nan), n=len(scores))
    return correlations(scores, mos)


def on_other_scale(figures: Figures) -> Figures:
    """Returns the figures of scores on another scale than the MOS: what is in units of the MOS is NaN."""
    return Figures(**vars(figures) | {name: np.nan for name, metric in METRICS.items() if metric.in_mos})


def within_groups(scores: Scores, mos: Scores, groups: list[str]) -> dict[str, Figures]:
    """Returns the metrics within each group of photos, for groups in which the MOS differ.

    A data set whose parts differ in mean MOS shows high totals to whoever recognises the part.
    """
    labels = np.asarray(groups)
    members = {name: labels == name for name in sorted(set(groups))}
    return {name: correlations(scores[rows], mos[rows]) for name, rows in members.items() if np.ptp(mos[rows]) > 0}


def fit_logistic(scores: Scores, mos: Scores) -> Scores:
    """Maps scores to the MOS by the monotonic 4-parameter logistic that the field fits before PLCC and RMSE.

    (a - b) / (1 + exp(-(s - c) / |d|)) + b, of VQEG's final report on FR-TV phase II, 2003. NaN when no fit is
    found, or one that says the same of all photos.
    """
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
    mapped = curve(scores, *fitted)
    return mapped if np.ptp(mapped) > FLAT * np.ptp(mos) else np.full_like(scores, np.nan)


def bootstrap_ci(
    scores: Scores, mos: Scores, scenes: Sequence[str] = (), *, resamples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Returns 95 % bootstrap intervals (percentile) of the metrics that have some.

    Args:
        scores: of the photos.
        mos: their mean opinion scores.
        scenes: what each photo shows. Whole scenes are resampled then: of 25 pictures in 120 distorted versions each
            there are 25 independent ones, not 3,000.
        resamples: how many.
        seed: draws them.

    Returns:
        The ends of each interval; NaN for fewer than 3 photos or scenes, and where all scores or all MOS are equal.
    """
    statistics = {name: metric.resampled for name, metric in METRICS.items() if metric.resampled}
    units = len(set(scenes)) if scenes else len(scores)
    if units < 3 or np.ptp(scores) == 0 or np.ptp(mos) == 0:
        return dict.fromkeys(statistics, (np.nan, np.nan))
    intervals = {}
    pair = (np.asarray(scores, np.float64), np.asarray(mos, np.float64))
    for name, statistic in statistics.items():
        if scenes:
            resampled = _resample_scenes(*pair, scenes, statistic, resamples, seed)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)  # of SciPy's own interval
                resampled = scipy.stats.bootstrap(
                    pair, statistic, paired=True, n_resamples=resamples, batch=50, method="percentile", rng=seed
                ).bootstrap_distribution
        low, high = np.nanpercentile(resampled, [2.5, 97.5])
        intervals[name] = (float(low), float(high))
    return intervals


def _resample_scenes(
    scores: Scores, mos: Scores, scenes: Sequence[str], statistic: Callable[..., np.ndarray], resamples: int, seed: int
) -> Float[np.ndarray, " resamples"]:
    """Computes a metric of as many scenes as there are, drawn with repetition, again and again."""
    rng, (names, scene) = np.random.default_rng(seed), np.unique(scenes, return_inverse=True)
    members = np.split(np.argsort(scene, kind="stable"), np.cumsum(np.bincount(scene))[:-1])
    values = []
    for _ in range(resamples):
        rows = np.concatenate([members[one] for one in rng.integers(len(names), size=len(names))])
        values.append(statistic(scores[None, rows], mos[None, rows]))
    return np.concatenate(values)


def compare(scores: Scores, mos: Scores, scenes: Sequence[str] = ()) -> dict[str, int | float | None]:
    """Computes all figures of scores beside MOS, as JSON.

    Args:
        scores: on any scale, higher ones better.
        mos: likewise.
        scenes: see `bootstrap_ci`.

    Returns:
        `photos`; each metric; `plcc_low`, `plcc_high` and so on, the 95 % intervals of those that have some; and the
        same of `plcc_logistic`, after the fit of `fit_logistic`, which is not drawn anew for its interval, and
        `rmse_logistic`. None for what does not exist.

    Raises:
        UserError: there are fewer than two photos.
    """
    if len(scores) < 2:
        raise UserError(f"a correlation needs at least 2 photos, not {len(scores)}")
    raw, bounds = correlations(scores, mos), bootstrap_ci(scores, mos, scenes)
    fitted = fit_logistic(scores, mos)
    after = correlations_if_any(fitted, mos)
    has_fit = bool(np.isfinite(fitted).all())
    bounds["plcc_logistic"] = bootstrap_ci(fitted, mos, scenes)["plcc"] if has_fit else (np.nan, np.nan)
    values = {name: getattr(raw, name) for name in METRICS}
    values |= {f"{name}_logistic": getattr(after, name) for name in FITTED}
    for name, (low, high) in bounds.items():
        values |= {f"{name}_low": low, f"{name}_high": high}
    return {"photos": raw.n} | {name: float(value) if np.isfinite(value) else None for name, value in values.items()}
