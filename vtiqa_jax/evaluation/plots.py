"""Pictures of a run, as PNG files."""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vtiqa_jax import atomic
from vtiqa_jax.evaluation.metrics import METRICS, Figures, logged_metrics
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.photos.own import DRAWN


@contextlib.contextmanager
def literal_text() -> Iterator[None]:
    """Shows names in figures as they are: dollar signs make no formula, and lacking letters no warning."""
    with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        yield


@literal_text()
def scatter(
    path: Path,
    scores: Float[np.ndarray, " n"],
    mos: Float[np.ndarray, " n"],
    figures: Figures,
    scale: LabelScale,
) -> None:
    """Draws predicted scores over mean opinion scores, with regression line and line of equality."""
    figure = Figure(figsize=(5.5, 5.5))
    axes = figure.add_axes((0.13, 0.1, 0.84, 0.84))
    axes.scatter(mos, scores, s=14, alpha=0.6, linewidths=0, label=f"{len(mos)} photos")
    ends = np.array([np.min(mos), np.max(mos)])
    if np.ptp(mos) > 0:
        slope, intercept = np.polyfit(mos, scores, 1)
        axes.plot(ends, slope * ends + intercept, color="C1", label=f"regression: {slope:.2f} x MOS + {intercept:.2f}")
    axes.plot(ends, ends, color="0.6", linestyle="--", linewidth=1, label="score = MOS")
    axes.set(xlabel="mean opinion score", ylabel=f"score ({scale.dataset} scale)")
    shown = [metric for metric in METRICS.values() if metric.logged or metric.in_mos]
    values = ((metric, getattr(figures, metric.name)) for metric in shown)
    told = [f"{metric.name.upper()} {value:.3{metric.form[-1]}}" for metric, value in values if not np.isnan(value)]
    axes.set_title("   ".join(told), fontsize=11)
    axes.legend(frameon=False, fontsize=9)
    _save(figure, path)


@literal_text()
def training_curve(path: Path, epochs_log: Sequence[dict[str, Any]], selection_part: str) -> None:
    """Draws the training loss of each epoch, and PLCC and SRCC on the photos that select the best, if any."""
    figure = Figure(figsize=(7, 4))
    axes = figure.add_axes((0.1, 0.12, 0.8, 0.8))
    epochs = [entry["epoch"] for entry in epochs_log]
    axes.plot(epochs, [entry["loss"] for entry in epochs_log], color="C0", marker=".", label="training loss")
    axes.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    lines = list(axes.lines)
    names = [metric.name for metric in logged_metrics()]
    if any(entry[name] is not None for entry in epochs_log for name in names):
        right = axes.twinx()
        lowest = 0.0
        for number, name in enumerate(names, start=1):
            values = np.array([np.nan if entry[name] is None else entry[name] for entry in epochs_log])
            label = f"{name.upper()}, {selection_part} photos"
            lines += right.plot(epochs, values, color=f"C{number}", marker=".", label=label)
            lowest = min(lowest, *np.nan_to_num(values))
        right.set(ylabel="correlation", ylim=(1.05 * lowest, 1.03))
    axes.legend(handles=lines, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=9)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with atomic.atomic_replace(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png", metadata=DRAWN)
