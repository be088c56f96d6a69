"""Going on with a run that was stopped."""

from typing import Any

import jax

from vtiqa_jax import sharding
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.compute_dtype import ComputeDtype, resolve_dtype
from vtiqa_jax.training.logger import say
from vtiqa_jax.training.recipe import Recipe
from vtiqa_jax.training.run_checkpointer import RunCheckpointer, SavedState
from vtiqa_jax.training.run_state import RunState, begun_as, diff_settings
from vtiqa_jax.training.step import TrainState


def find_saved_state(states: RunCheckpointer, identity: dict[str, Any]) -> SavedState | None:
    """Returns the newest whole state in the folder of a run.

    Raises:
        UserError: it is of a run with other settings.
    """
    saved = states.latest_valid()
    if saved is not None and saved.step >= 0:
        identity = begun_as(identity, saved.metadata["identity"])
    if saved is not None and saved.step >= 0 and saved.metadata["identity"] != identity:
        different = diff_settings(identity, saved.metadata["identity"])
        raise UserError(
            f"{states.folder} holds another run, which differs in {different}; name another --workdir, or give that"
            " run's command to continue it"
        )
    return saved


def begun_dtype(recipe: Recipe, saved: SavedState | None) -> ComputeDtype:
    """Returns the type that a run goes on with or, at its beginning, the fastest one here where that is left open."""
    if saved is not None and saved.step >= 0:
        return saved.metadata["identity"]["recipe.compute_dtype"]
    dtype = resolve_dtype(recipe.compute_dtype, jax.default_backend())
    return "bfloat16" if sharding.broadcast_from_main(int(dtype == "bfloat16")) else "float32"


def resume(
    states: RunCheckpointer, saved: SavedState | None, state: TrainState, run: RunState
) -> tuple[TrainState, RunState]:
    """Returns the saved state; what is given when there is none.

    Raises:
        UserError: the processes see different states.
    """
    # Where machines do not share the folder they would resume from different steps.
    step = sharding.broadcast_from_main(-1 if saved is None else saved.step)
    if step >= 0 and (saved is None or saved.step != step):
        raise UserError("the processes see different states of the run; --workdir must be on a file system all share")
    for problem in saved.problems if saved else ():
        say(problem)
    # Damaged ones would count among the newest and push whole ones out.
    states.delete_after(step)
    if saved is None or step < 0:
        if saved is not None:
            say("no whole state of the run is left: starting anew")
        return state, run
    run = RunState.from_json(saved.metadata["run"])
    where = "trained to the end" if run.schedule.done else f"in epoch {run.schedule.epoch + 1}"
    say(f"going on after step {step}, {where}")
    return states.restore(step, state), run
