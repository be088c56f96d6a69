"""One run from its first epoch to its last, whatever comes between: killed anywhere, it ends with the same bits."""

import dataclasses
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import Float
from tqdm import tqdm

from vtiqa_jax import atomic, devices, metrics
from vtiqa_jax.errors import Terminated, UserError
from vtiqa_jax.journal import HEADER, History, Journal, line
from vtiqa_jax.recipe import Course, Recipe
from vtiqa_jax.states import States
from vtiqa_jax.training import Measured, Training

Judge = Callable[[], Float[np.ndarray, " n"] | None]
"""Scores of the choosing photos by the model as it stands; None without such photos."""


@contextmanager
def _termination() -> Iterator[Callable[[int], bool]]:
    """Whether the run is to stop after a step. SIGTERM says so, to all processes after the same step."""
    told: list[int] = []
    if jax.process_count() > 1:
        yield multihost_utils.reached_preemption_sync_point
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    try:
        yield lambda _: bool(told)
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclasses.dataclass
class Position:
    """Where a run stands, as JSON: the course, batches done of its present epoch and their losses, the history."""

    course: Course
    done: int = 0
    losses: list[float] = dataclasses.field(default_factory=list)
    history: History = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    @staticmethod
    def from_json(told: dict[str, Any]) -> "Position":
        """The inverse of `dataclasses.asdict`."""
        return Position(**{**told, "course": Course(**told["course"])})


def differing(one: dict[str, Any], other: dict[str, Any]) -> str:
    """The settings in which two runs differ, for people."""
    return ", ".join(sorted(key for key in one.keys() | other if one.get(key) != other.get(key))) + " differ"


def refuse_other(states: States, identity: dict[str, Any]) -> tuple[int, dict[str, Any], list[str]] | None:
    """The newest state, see `States.newest`. Errors: UserError when it is of a run with other settings."""
    found = states.newest()
    if found is not None and found[0] >= 0 and found[1]["identity"] != identity:
        raise UserError(
            f"{states.folder} holds a run with other settings ({differing(identity, found[1]['identity'])}); name"
            " another --workdir, or give that run's command to go on with it"
        )
    return found


def resume(training: Training, states: States, identity: dict[str, Any], first: Course) -> Position:
    """Brings the run to its newest whole state, or to its beginning, and says so.

    Errors: UserError when the state is of a run with other settings.
    """
    found = refuse_other(states, identity)
    # Where machines do not share the folder they would go on from different steps.
    step = devices.agreed(-1 if found is None else found[0])
    if found is not None and devices.first_process():
        for wrong in found[2]:
            print(wrong)
    if step >= 0 and (found is None or found[0] != step):
        raise UserError("the processes see different states of the run; --workdir must be on a file system all share")
    # Damaged ones would count among the newest and push whole ones out.
    states.forget_after(step)
    if found is None or step < 0:
        if found is not None and devices.first_process():
            print("no whole state of the run is left: starting anew")
        return Position(first)
    told = found[1]
    training.put(states.load(step, training.arrays()))
    position = Position.from_json(told["position"])
    if devices.first_process():
        course = position.course
        print(f"going on after step {step}, {'trained to the end' if course.done else f'in epoch {course.epoch + 1}'}")
    return position


def _checked(
    training: Training, course: Course, index: int, measured: Measured, names: tuple[str, ...], states: States
) -> float:
    """The loss of batch `index`. Errors: UserError when it, or its gradient, is not finite."""
    loss, norm = float(measured.loss), float(measured.gradient_norm)
    if math.isfinite(loss) and math.isfinite(norm):
        return loss
    batch = [names[row] for row in training.order(course.epoch)[index]]
    listed = states.folder.parent / "failed-batch.txt"
    if devices.first_process():
        atomic.write_text(listed, "".join(f"{name}\n" for name in batch))
    states.finish()
    found = states.newest()
    good = "no state was saved before"
    if found is not None and found[0] >= 0:
        good = f"the last good state, of step {found[0]}, is in {states.folder}"
    what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient's norm is {norm}"
    step = course.epoch * training.steps_per_epoch + index
    raise UserError(
        f"{what} in step {step} (epoch {course.epoch + 1}, batch {index + 1}) on {', '.join(batch[:4])}"
        f"{', ... (all: ' + str(listed) + ')' if len(batch) > 4 else ''}; {good}; look at these photos and their"
        " scores, or lower the learning rates of --recipe"
    )


def _figure(figures: metrics.Correlations | None, name: str) -> float | None:
    """JSON has no NaN: a correlation that does not exist is None."""
    value = math.nan if figures is None else getattr(figures, name)
    return value if math.isfinite(value) else None


def fit(
    training: Training,
    recipe: Recipe,
    judge: Judge,
    mos: Float[np.ndarray, " n"],
    names: tuple[str, ...],
    states: States,
    identity: dict[str, Any],
    journal: Callable[[History], Journal],
    on_best: Callable[[], None],
    save_every: int,
) -> History:
    """Trains to the end of the recipe's course; afterwards `training` holds the best model.

    `mos` are of the photos that `judge` scores, `names` of all photos. `on_best` is called after each epoch that is
    the best so far. Errors: UserError; Terminated after a SIGTERM.
    """
    position = resume(training, states, identity, recipe.first())
    started = time.perf_counter() - position.seconds
    talks, count = devices.first_process(), training.steps_per_epoch
    notes = journal(position.history) if talks else None
    if talks and not position.course.done:
        print(HEADER)

    def read(measured: Measured) -> None:
        position.losses.append(_checked(training, position.course, position.done, measured, names, states))
        position.done += 1

    def save(step: int) -> None:
        position.seconds = time.perf_counter() - started
        states.save(step, training.arrays(), {"identity": identity, "position": dataclasses.asdict(position)})

    def leave(step: int) -> None:
        raise Terminated(f"stopped after step {step} and saved; the same command goes on from there")

    with _termination() as terminated, states:
        while not position.course.done:
            course, begun, begin = position.course, time.perf_counter(), position.done
            first = course.epoch * count
            steps = tqdm(
                training.epoch(course, begin), f"epoch {course.epoch + 1}", count, initial=begin,
                unit="step", leave=False, disable=None if talks else True,
            )  # fmt: skip
            pending: Measured | None = None

            for taken, measured in enumerate(steps, start=begin + 1):
                if pending is not None:  # the loss of the step before: reading it never holds the device up
                    read(pending)
                    steps.set_postfix(loss=f"{position.losses[-1]:.3f}")
                pending = measured
                stop = taken < count and terminated(first + taken)
                if stop or (taken < count and (first + taken) % save_every == 0):
                    read(pending)
                    pending = None
                    save(first + taken)
                if stop:
                    leave(first + taken)
            if pending is not None:
                read(pending)
            speed = sum(map(len, training.order(course.epoch)[begin:])) / (time.perf_counter() - begun)

            # ---- the end of an epoch: judge, decide, remember ----
            scores = judge()
            figures = None if scores is None or not np.isfinite(scores).all() else metrics.correlations(scores, mos)
            chosen_by = math.nan if figures is None else getattr(figures, recipe.chooses_by)
            following = recipe.advance(course, None if scores is None else chosen_by)
            if following.improved:
                training.keep_best()
            if following.reload:
                training.return_to_best()
            entry = {
                "epoch": course.epoch + 1,
                "loss": float(np.mean(position.losses)),
                "plcc": _figure(figures, "plcc"),
                "srcc": _figure(figures, "srcc"),
                "lr": recipe.lr(course, first + count - 1, count),
                "event": following.event,
                "photos_per_second": speed,
                "seconds": time.perf_counter() - started,
            }
            position = Position(following, history=[*position.history, entry])
            states.finish()  # Orbax confuses two savings at the same time
            if following.improved:
                on_best()
            save(first + count)
            if notes is not None:
                notes.write(position.history, scores if following.improved else None, mos)
                left = recipe.epochs_left(following)
                tqdm.write(line(entry, None if left is None else left * entry["seconds"] / entry["epoch"]))
            if not following.done and terminated(first + count):
                leave(first + count)
    if notes is not None:
        notes.close()
    return position.history
