"""What a person sees of a run, refreshed after each epoch: a line, metrics.jsonl, TensorBoard, curves and a scatter.

All of it is made from the run's history, which is part of its saved state: a run that goes on repeats nothing and
leaves nothing out.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from tensorboardX import SummaryWriter

from vtiqa_jax import atomic, metrics, plots
from vtiqa_jax.config import LabelScale

History = list[dict[str, Any]]
"""One entry for each epoch: epoch (from 1), loss, plcc, srcc (None without photos to choose on), lr, event,
photos_per_second, seconds. Only the last two differ between runs of the same settings."""

HEADER = f"{'epoch':>6}{'loss':>9}{'PLCC':>9}{'SRCC':>9}{'lr':>10}{'photos/s':>10}{'left':>9}"


def clock(seconds: float) -> str:
    """Hours and minutes, or minutes and seconds when below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d}" if minutes >= 60 else f"{minutes} min {rest:02d}"


def line(entry: dict[str, Any], seconds_left: float | None) -> str:
    """One epoch as a line under `HEADER`."""

    def figure(name: str) -> str:
        value = entry[name]
        return "-" if value is None else f"{value:.4f}"

    left = "-" if seconds_left is None else clock(seconds_left)
    columns = f"{entry['epoch']:>6}{entry['loss']:>9.4f}{figure('plcc'):>9}{figure('srcc'):>9}{entry['lr']:>10.2e}"
    return f"{columns}{entry['photos_per_second']:>10.1f}{left:>9}  {entry['event']}".rstrip()


class Journal:
    """The files of one run in its folder; `chosen_on` says which photos the figures are of."""

    def __init__(self, workdir: Path, scale: LabelScale, chosen_on: str, history: History) -> None:
        self._workdir, self._scale, self._chosen_on = workdir, scale, chosen_on
        # Written anew by a run that goes on: what a killed one had not yet flushed is in its history.
        atomic.remove(workdir / "tensorboard")
        self._events = SummaryWriter(str(workdir / "tensorboard"))
        for entry in history:
            self._add(entry)
        if history:
            self._refresh(history)

    def _add(self, entry: dict[str, Any]) -> None:
        for name in ("loss", "plcc", "srcc", "lr", "photos_per_second"):
            if entry[name] is not None:
                self._events.add_scalar(name, entry[name], entry["epoch"])

    def _refresh(self, history: History) -> None:
        atomic.write_text(self._workdir / "metrics.jsonl", "".join(json.dumps(entry) + "\n" for entry in history))
        plots.curve(self._workdir / "curve.png", history, self._chosen_on)

    def write(self, history: History, scores: Float[np.ndarray, " n"] | None, mos: Float[np.ndarray, " n"]) -> None:
        """Refreshes everything; `scores` are the choosing photos' by the best model, when that is the last epoch's, and
        `mos` theirs."""
        self._refresh(history)
        self._add(history[-1])
        self._events.flush()
        if scores is not None and np.isfinite(scores).all():
            figures = metrics.correlations(scores, mos)
            plots.scatter(self._workdir / f"scatter-{self._chosen_on}.png", scores, mos, figures, self._scale)

    def close(self) -> None:
        """Ends the TensorBoard file."""
        self._events.close()
