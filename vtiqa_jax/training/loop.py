"""The training loop: what the trainer, benchmarks and experiments run an epoch by."""

from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Array

from vtiqa_jax import sharding
from vtiqa_jax.data import loader
from vtiqa_jax.data.batches import BatchPlan, Rows
from vtiqa_jax.data.loader import Store
from vtiqa_jax.models.params import Params
from vtiqa_jax.training.recipe import Recipe, ScheduleState
from vtiqa_jax.training.step import Logged, TrainState, TrainStep

AfterStep = Callable[[TrainState, Logged, Rows], None]
"""Function that is called after a step has begun; it gets the state, what the step logs, and the rows of the batch."""


def train_epoch(
    step: TrainStep,
    state: TrainState,
    frozen: Params,
    key: Array,
    store: Store,
    plan: BatchPlan,
    recipe: Recipe,
    schedule: ScheduleState,
    *,
    begin: int = 0,
    after_step: AfterStep = lambda state, logged, rows: None,
) -> TrainState:
    """Takes the steps of one epoch.

    Args:
        step: of `make_train_step`.
        state: of `init_state`, or of the epoch before; it is used up.
        frozen: the other parameters.
        key: of `make_key`.
        store: the photos, or their features.
        plan: the batches.
        recipe: whose learning rates are taken.
        schedule: the epoch's.
        begin: steps that were taken before; they are left out.
        after_step: may raise to stop.

    Returns:
        The state after the last step.
    """
    batches, first = plan.epoch(schedule.epoch)[begin:], schedule.epoch * plan.steps + begin
    loaded = loader.load_batches(store, plan.columns, batches, sharding.round_up(plan.size, store.mesh))
    logged_before: Logged = {}
    for number, (rows, batch) in enumerate(zip(batches, loaded, strict=True), first):
        lr = np.float32(recipe.learning_rate(schedule, number, plan.steps))
        state, logged = step(state, frozen, key, lr, batch)
        jax.block_until_ready(logged_before)  # more batches than these would fill the device's memory
        logged_before = logged
        after_step(state, logged, rows)
    return state
