"""Pictures of a run, as PNG files."""

from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float

from vtiqa_jax.config import LabelScale
from vtiqa_jax.metrics import Correlations

# Draws to files without a display. Chosen before pyplot is imported.
matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator


def scatter(
    path: Path,
    scores: Float[np.ndarray, " n"],
    mos: Float[np.ndarray, " n"],
    figures: Correlations,
    scale: LabelScale,
) -> None:
    """Predicted scores over mean opinion scores, with their regression line and the line of equality."""
    figure, axes = plt.subplots(figsize=(5.5, 5.5), layout="constrained")
    axes.scatter(mos, scores, s=14, alpha=0.6, linewidths=0, label=f"{len(mos)} photos")
    ends = np.array([np.min(mos), np.max(mos)])
    if np.ptp(mos) > 0:
        slope, intercept = np.polyfit(mos, scores, 1)
        axes.plot(ends, slope * ends + intercept, color="C1", label=f"regression: {slope:.2f} x MOS + {intercept:.2f}")
    axes.plot(ends, ends, color="0.6", linestyle="--", linewidth=1, label="score = MOS")
    axes.set(xlabel="mean opinion score", ylabel=f"score ({scale.dataset})")
    axes.set_title(f"PLCC {figures.plcc:.3f}   SRCC {figures.srcc:.3f}   RMSE {figures.rmse:.3g}", fontsize=11)
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def curve(path: Path, losses: list[float], steps_per_epoch: int, val_srcc: list[float]) -> None:
    """The training loss of each step and its mean of each epoch; beside it the SRCC on the validation photos."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    steps = (np.arange(len(losses)) + 0.5) / steps_per_epoch
    axes.plot(steps, losses, color="C0", alpha=0.3, linewidth=1, label="loss, each step")
    means = np.array(losses).reshape(-1, steps_per_epoch).mean(1)
    ends = np.arange(len(means)) + 1
    axes.plot(ends - 0.5, means, color="C0", marker="o", label="loss, mean of the epoch")
    axes.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if val_srcc:
        right = axes.twinx()
        right.plot(ends, val_srcc, color="C1", marker="s", label="SRCC, validation photos")
        right.set(ylabel="SRCC", ylim=(min(0.0, *np.nan_to_num(val_srcc)), 1))
        right.legend(frameon=False, loc="lower right")
    axes.legend(frameon=False, loc="upper right")
    figure.savefig(path, dpi=120)
    plt.close(figure)
