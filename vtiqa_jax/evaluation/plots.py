"""Pictures of a run, as PNG files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vtiqa_jax import atomic
from vtiqa_jax.evaluation.metrics import Correlations
from vtiqa_jax.models.checkpoint import LabelScale
from vtiqa_jax.photos.own import DRAWN


def scatter(
    path: Path,
    scores: Float[np.ndarray, " n"],
    mos: Float[np.ndarray, " n"],
    metrics: Correlations,
    scale: LabelScale,
) -> None:
    """Predicted scores over mean opinion scores, with their regression line and the line of equality."""
    figure = Figure(figsize=(5.5, 5.5))
    axes = figure.add_axes((0.13, 0.1, 0.84, 0.84))
    axes.scatter(mos, scores, s=14, alpha=0.6, linewidths=0, label=f"{len(mos)} photos")
    ends = np.array([np.min(mos), np.max(mos)])
    if np.ptp(mos) > 0:
        slope, intercept = np.polyfit(mos, scores, 1)
        axes.plot(ends, slope * ends + intercept, color="C1", label=f"regression: {slope:.2f} x MOS + {intercept:.2f}")
    axes.plot(ends, ends, color="0.6", linestyle="--", linewidth=1, label="score = MOS")
    axes.set(xlabel="mean opinion score", ylabel=f"score ({scale.dataset} scale)")
    rmse = "" if np.isnan(metrics.rmse) else f"   RMSE {metrics.rmse:.3g}"
    axes.set_title(f"PLCC {metrics.plcc:.3f}   SRCC {metrics.srcc:.3f}{rmse}", fontsize=11)
    axes.legend(frameon=False, fontsize=9)
    _save(figure, path)


def training_curve(path: Path, epochs_log: Sequence[dict[str, Any]], selection_part: str) -> None:
    """The training loss of each epoch, and PLCC and SRCC on the photos that select the best epoch, if there are any."""
    figure = Figure(figsize=(7, 4))
    axes = figure.add_axes((0.1, 0.12, 0.8, 0.8))
    epochs = [entry["epoch"] for entry in epochs_log]
    axes.plot(epochs, [entry["loss"] for entry in epochs_log], color="C0", marker=".", label="training loss")
    axes.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    lines = list(axes.lines)
    if any(entry["srcc"] is not None for entry in epochs_log):
        right = axes.twinx()
        lowest = 0.0
        for color, name in (("C1", "srcc"), ("C2", "plcc")):
            values = np.array([np.nan if entry[name] is None else entry[name] for entry in epochs_log])
            label = f"{name.upper()}, {selection_part} photos"
            lines += right.plot(epochs, values, color=color, marker=".", label=label)
            lowest = min(lowest, *np.nan_to_num(values))
        right.set(ylabel="correlation", ylim=(1.05 * lowest, 1.03))
    axes.legend(handles=lines, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=9)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with atomic.atomic_replace(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png", metadata=DRAWN)
