"""Recording beside the steps of an epoch: a progress bar, the sums of their metrics, logs, saved states."""

import math
import time
from collections.abc import Callable

import jax
from tqdm import tqdm

from vtiqa_jax import atomic, sharding
from vtiqa_jax.data.batches import Rows
from vtiqa_jax.errors import UserError
from vtiqa_jax.training.data import TrainingData
from vtiqa_jax.training.logger import MetricLogger
from vtiqa_jax.training.options import MachineOptions
from vtiqa_jax.training.recipe import Recipe
from vtiqa_jax.training.run_checkpointer import RunCheckpointer
from vtiqa_jax.training.run_state import RunState
from vtiqa_jax.training.signals import stopped_after
from vtiqa_jax.training.step import Logged, TrainState


class EpochRecorder:
    """What is done beside the steps of an epoch: they are told, added to the state of the run, logged and saved."""

    photos_per_second: float
    """The speed of the epoch, when it has ended."""
    seconds_per_step: float | None
    """The time of a step, without the first, which may wait for compilation; None if there was no other."""

    def __init__(
        self,
        run: RunState,
        data: TrainingData,
        recipe: Recipe,
        machine: MachineOptions,
        logger: MetricLogger,
        states: RunCheckpointer,
        should_stop: Callable[[int], bool],
        save_state: Callable[[TrainState, int], None],
    ) -> None:
        """Begins an epoch, or goes on with it.

        Args:
            run: the state of the run, to which is added.
            data: of the run.
            recipe: whose learning rates are logged.
            machine: says after how many steps to log and to save.
            logger: logs steps within the epoch.
            states: tells of the last good state when a step comes to grief.
            should_stop: see `stop_on_sigterm`.
            save_state: of the arrays, after a step.
        """
        self._run, self._data, self._recipe, self._machine = run, data, recipe, machine
        self._logger, self._states, self._should_stop, self._save_state = logger, states, should_stop, save_state
        self._pending: list[tuple[Logged, Rows]] = []
        self._photos, self._steps = 0, 0
        self._began = self._first_ended = time.perf_counter()
        self._bar = tqdm(
            desc=f"epoch {run.schedule.epoch + 1}", total=data.plan.steps, initial=run.batches_done, unit="step",
            leave=False, disable=None if sharding.is_main_process() else True,
        )  # fmt: skip

    def __enter__(self) -> "EpochRecorder":
        return self

    def __exit__(self, *_: object) -> None:
        """Takes the progress bar away."""
        now = time.perf_counter()
        self.photos_per_second = self._photos / (now - self._began)
        self.seconds_per_step = (now - self._first_ended) / (self._steps - 1) if self._steps > 1 else None
        self._bar.close()

    @property
    def _step(self) -> int:
        """Steps that are recorded, counted from the start of the run."""
        return self._run.schedule.epoch * self._data.plan.steps + self._run.batches_done

    def after_step(self, state: TrainState, logged: Logged, rows: Rows) -> None:
        """Records the step before, so that reading it never holds the device up; saves, and stops, when it is time.

        Raises:
            UserError: see `flush`.
            Terminated: the run is to stop, and the state is saved.
        """
        self.flush()
        self._pending.append((logged, rows))
        step = self._step + 1
        if self._run.batches_done + 1 == self._data.plan.steps:
            return  # the end of an epoch is saved when it is evaluated
        stop = self._should_stop(step)
        if stop or step % self._machine.save_every == 0:
            self.flush()
            self._save_state(state, step)
        if stop:
            raise stopped_after(step)

    def flush(self) -> None:
        """Waits for the latest step and records it.

        Raises:
            UserError: its loss or gradient is not finite; names its photos and the last good state.
        """
        while self._pending:
            logged, rows = self._pending.pop()
            values = {name: float(value) for name, value in jax.device_get(logged).items()}
            self._require_finite(values, rows)
            self._run.add(values)
            self._photos += len(rows)
            self._steps += 1
            if self._steps == 1:
                self._first_ended = time.perf_counter()
            self._bar.update()
            self._bar.set_postfix(loss=f"{values['loss']:.3f}")
            if self._step % self._machine.log_every == 0 and self._run.batches_done < self._data.plan.steps:
                lr = self._recipe.learning_rate(self._run.schedule, self._step - 1, self._data.plan.steps)
                entry = {"step": self._step, "epoch": self._run.schedule.epoch + 1, **values, "lr": lr}
                self._run.history.append(entry)
                self._logger.log_step(entry)

    def _require_finite(self, values: dict[str, float], rows: Rows) -> None:
        if all(math.isfinite(values[name]) for name in ("loss", "grad_norm")):
            return
        names = [self._data.photos.names[row] for row in rows]
        folder = self._states.folder
        file = folder.parent / "failed-batch.txt"
        if sharding.is_main_process():
            atomic.write_text(file, "".join(f"{name}\n" for name in names))
        saved = self._states.latest_valid()
        good = "no state was saved before"
        if saved is not None and saved.step >= 0:
            good = f"the last good state, of step {saved.step}, is in {folder}"
        bad = "the loss is {loss}" if not math.isfinite(values["loss"]) else "the gradient's norm is {grad_norm}"
        raise UserError(
            f"{bad.format(**values)} in epoch {self._run.schedule.epoch + 1}, batch {self._run.batches_done + 1}, on"
            f" {', '.join(names[:4])}{f', ... (all: {file})' if len(names) > 4 else ''}; {good}; look at these photos"
            " and their scores, or lower the learning rates of --recipe"
        )
