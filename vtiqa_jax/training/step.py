"""One training step, compiled: the state that it changes, and what it logs."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Int

from vtiqa_jax import sharding
from vtiqa_jax.data.loader import Batch
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.params import Params
from vtiqa_jax.training.recipe import Recipe, ScheduleState


class TrainState(NamedTuple):
    """Everything on the devices that a run resumes from. Parameters are those that the recipe trains at some time."""

    params: Params
    opt_state: optax.OptState
    ema_params: Params
    """Exponential moving average of `params`; empty when the recipe has none."""
    best_params: Params
    """Those of the best epoch so far."""
    step: Int[Array, ""]

    @property
    def eval_params(self) -> Params:
        """What is evaluated and kept: the average where there is one."""
        return self.ema_params or self.params

    def after_epoch(self, schedule: ScheduleState) -> "TrainState":
        """Returns the state that the next epoch begins with: the best weights are kept, or gone back to."""
        best = jax.tree.map(jnp.copy, self.eval_params) if schedule.improved else self.best_params
        params = jax.tree.map(jnp.copy, best) if schedule.restore_best else self.params
        return self._replace(params=params, best_params=best)


Logged = dict[str, Array]
"""Scalars of a step by name: `loss`, what the recipe's loss logs, `grad_norm`."""
TrainStep = Callable[[TrainState, Params, Array, np.float32, Batch], tuple[TrainState, Logged]]
"""`(state, frozen, key, lr, batch) -> (state, logged)`; the state that is given is used up."""


def init_state(recipe: Recipe, config: ModelConfig, params: Params, mesh: Mesh) -> tuple[TrainState, Params]:
    """Returns the state before the first step, and the frozen parameters; both replicated over the mesh."""
    trainable = {k: v for k, v in params.items() if recipe.is_trainable(k, config, head_only=False)}
    frozen = {k: v for k, v in params.items() if k not in trainable}
    opt_state = recipe.optimizer(config).init(trainable)
    state = TrainState(trainable, opt_state, trainable if recipe.ema else {}, trainable, jnp.int32(0))
    return sharding.replicate(state, mesh), sharding.replicate(frozen, mesh)


def make_key(seed: int, mesh: Mesh) -> Array:
    """Returns the key that every step folds its number into, replicated over the mesh."""
    return jax.random.wrap_key_data(sharding.replicate(jax.random.key_data(jax.random.key(seed)), mesh))


def _loss(recipe: Recipe, outputs: Any, batch: Batch) -> tuple[Array, Logged]:
    """Returns the recipe's loss. Raises: UserError, it reads a column that the batch does not have."""
    try:
        return recipe.loss(outputs, batch)
    except KeyError as error:
        column = error.args[0]
        if column in batch:
            raise
        raise UserError(
            f"the loss reads the column {column!r}, which the photos do not have; name it with --target-columns"
            f" {column}"
        ) from error


@functools.cache
def make_train_step(recipe: Recipe, config: ModelConfig, mesh: Mesh, head_only: bool = False) -> TrainStep:
    """Returns the jitted step of a recipe.

    What does not learn is a constant of the loss, so that its backward pass is never built. `nnx.jit` is not used: its
    Python overhead is 20 ms a step at this number of parameters.
    """
    optimizer, learner = recipe.optimizer(config), recipe.learner(config, mesh)

    @functools.partial(jax.jit, donate_argnums=0)
    def train_step(state: TrainState, frozen: Params, key: Array, lr: Array, batch: Batch) -> tuple[TrainState, Logged]:
        view_key, dropout_key = jax.random.split(jax.random.fold_in(key, state.step))
        seen = learner.see(view_key, batch)
        trainable = {k: v for k, v in state.params.items() if recipe.is_trainable(k, config, head_only=head_only)}
        fixed = frozen | {k: v for k, v in state.params.items() if k not in trainable}

        def loss_fn(trainable: Params) -> tuple[Array, Logged]:
            outputs = learner.merge(fixed | trainable)(*seen, rngs=nnx.Rngs(dropout=dropout_key))
            return _loss(recipe, outputs, batch)

        (loss, logged), grads = jax.value_and_grad(loss_fn, has_aux=True)(trainable)
        updates, opt_state = optimizer.update(grads, state.opt_state, trainable)
        params = state.params | jax.tree.map(lambda param, update: param - lr * update, trainable, updates)
        # Young averages forget faster, or the first weights would stay in them.
        count = state.step.astype(jnp.float32)
        decay = jnp.minimum(jnp.float32(recipe.ema), (1 + count) / (10 + count))
        averaged = {name: params[name] for name in state.ema_params}
        ema_params = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.ema_params, averaged)
        logged = {"loss": loss, **logged, "grad_norm": optax.tree.norm(grads)}
        return TrainState(params, opt_state, ema_params, state.best_params, state.step + 1), logged

    return train_step
