"""The logs of a run: metrics.jsonl, TensorBoard, a curve and a scatter plot, refreshed as it goes.

All of it is made from the run's history, which is part of its saved state: a run that is resumed repeats nothing and
leaves nothing out.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from vtiqa_jax import atomic, sharding
from vtiqa_jax.evaluation import metrics, plots
from vtiqa_jax.models.config import LabelScale

History = list[dict[str, Any]]
"""Entries with `step` and `epoch` (from 1). Within an epoch: `loss`, what the recipe's loss logs, and `lr`. After each
epoch also `plcc`, `srcc` and what else of `METRICS` is logged (None without photos to select on), `note`,
`photos_per_second` and `seconds`. Only the last two differ between runs of the same settings."""


def say(text: str) -> None:
    """Prints in one process of a run."""
    if sharding.is_main_process():
        print(text, flush=True)


def format_duration(seconds: float) -> str:
    """Says hours and minutes, minutes and seconds when below an hour, or seconds when below a minute."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    return f"{minutes // 60} h {minutes % 60:02d}" if minutes >= 60 else f"{minutes} min {rest:02d}"


def estimate_left(epochs_left: int | None, epochs: History, first: float | None) -> float | None:
    """Estimates the seconds of the epochs to come: they take as long as those before, except the first one.

    The first one waits for compilation.

    Args:
        epochs_left: how many are to come; None when that is not known.
        epochs: those before.
        first: seconds that the first one would have taken without compilation; None when that is not known.
    """
    if epochs_left is None:
        return None
    if len(epochs) > 1:
        return epochs_left * (epochs[-1]["seconds"] - epochs[0]["seconds"]) / (len(epochs) - 1)
    return None if first is None else epochs_left * first


def format_header() -> str:
    """Returns the line above those of `format_epoch`."""
    names = "".join(metric.show_name() for metric in metrics.logged_metrics())
    return f"{'epoch':>6}{'loss':>9}{names}{'lr':>10}{'photos/s':>10}{'left':>11}"


def format_epoch(entry: dict[str, Any], seconds_left: float | None) -> str:
    """Returns one epoch as a line under `format_header`."""
    left = "-" if seconds_left is None else format_duration(seconds_left)
    values = "".join(metric.show(entry[metric.name]) for metric in metrics.logged_metrics())
    columns = f"{entry['epoch']:>6}{entry['loss']:>9.4f}{values}{entry['lr']:>10.2e}"
    return f"{columns}{entry['photos_per_second']:>10.1f}{left:>11}  {entry['note']}".rstrip()


def epochs_of(history: History) -> History:
    """Returns the entries of whole epochs."""
    return [entry for entry in history if "note" in entry]


class MetricLogger:
    """The log files of one run in its folder. Of several processes the main one writes them."""

    def __init__(
        self, workdir: Path, scale: LabelScale, selection_part: str, history: History, plots: bool = True
    ) -> None:
        """Opens the files.

        Args:
            workdir: the run's folder.
            scale: what scores mean.
            selection_part: whose correlations are logged: validation or test.
            history: of the run so far.
            plots: whether the curve, the scatter plot and TensorBoard's events are made, besides metrics.jsonl.
        """
        self._events = None  # without plots, or in another process than the main one
        self._workdir, self._scale, self._selection_part = workdir, scale, selection_part
        self._enabled = sharding.is_main_process()
        if not self._enabled:
            return
        if plots:
            from tensorboardX import SummaryWriter  # imports torch where that is installed, which takes seconds

            # Written anew by a run that is resumed: what a killed one had not yet flushed is in its history.
            for events in (workdir / "tensorboard").glob("*"):  # the folder may be a link
                atomic.remove(events)
            self._events = SummaryWriter(str(workdir / "tensorboard"))
        self._add(*history)
        if history:
            self._refresh(history)

    def __enter__(self) -> "MetricLogger":
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the TensorBoard file, however the run ends."""
        if self._events is not None:
            self._events.close()

    def _add(self, *entries: dict[str, Any]) -> None:
        if self._events is None:
            return
        for entry in entries:
            kind = "epoch" if "note" in entry else "train"
            for name, value in entry.items():
                if isinstance(value, float) and name != "seconds":
                    self._events.add_scalar(f"{kind}/{name}", value, entry["step"])
        self._events.flush()

    def _refresh(self, history: History) -> None:
        atomic.write_text(self._workdir / "metrics.jsonl", "".join(json.dumps(entry) + "\n" for entry in history))
        if self._events is not None and (epochs := epochs_of(history)):
            plots.training_curve(self._workdir / "curve.png", epochs, self._selection_part)

    def log_step(self, entry: dict[str, Any]) -> None:
        """Logs an entry within an epoch: appended to metrics.jsonl, and to TensorBoard."""
        if not self._enabled:
            return
        with (self._workdir / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        self._add(entry)

    def log_epoch(
        self, history: History, scores: Float[np.ndarray, " n"], mos: Float[np.ndarray, " n"], *, best: bool
    ) -> None:
        """Refreshes everything after an epoch.

        Args:
            history: its last entry is the epoch's.
            scores: of the selection photos.
            mos: theirs.
            best: whether the epoch is the best so far, whose scores are drawn.
        """
        if not self._enabled:
            return
        self._refresh(history)
        self._add(history[-1])
        if self._events is not None and best and len(scores) and np.isfinite(scores).all():
            found = metrics.correlations(scores, mos)
            plots.scatter(self._workdir / f"scatter-{self._selection_part}.png", scores, mos, found, self._scale)
