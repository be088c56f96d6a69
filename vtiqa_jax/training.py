"""The training step and the arrays it changes, for any recipe, data parallel under `jax.jit`.

`nnx.jit` is not used: its Python overhead is 20 ms a step at this number of parameters. What a stage does not train is
a constant of its loss, so that the backward pass through it is never built.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from vtiqa_jax import devices, feed, views
from vtiqa_jax import params as parameters
from vtiqa_jax.config import ModelConfig
from vtiqa_jax.errors import UserError
from vtiqa_jax.model import VTIQA
from vtiqa_jax.recipe import Course, Recipe


class State(NamedTuple):
    """All that a step changes. Parameters are those that the recipe trains at some time, by path."""

    params: parameters.Params
    opt_state: optax.OptState
    average: parameters.Params
    """Exponential moving average of `params`; empty when the recipe has none."""


class Measured(NamedTuple):
    """What a step tells, still on the device."""

    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]


Step = Callable[..., tuple[State, Measured]]


@functools.cache
def make_step(config: ModelConfig, recipe: Recipe, head_only: bool) -> Step:
    """The jitted step `(state, frozen, key, step, lr, batch) -> (state, measured)` of one stage of the recipe."""
    transform = recipe.transform(config)
    graphdef, _ = parameters.abstract(config, recipe.compute_dtype, recipe.drop_path)

    @jax.jit(donate_argnums=0)
    def step(
        state: State, frozen: parameters.Params, key: Array, step: Array, lr: Array, batch: feed.Batch
    ) -> tuple[State, Measured]:
        view_key, model_key = jax.random.split(jax.random.fold_in(key, step))
        both = recipe.augment(view_key, batch.global_versions, batch.local_versions, config)
        learning = {k: v for k, v in state.params.items() if recipe.trains(config, k, head_only=head_only)}
        still = frozen | {k: v for k, v in state.params.items() if k not in learning}

        def loss_of(learning: parameters.Params) -> Array:
            model: VTIQA = parameters.merge(graphdef, still | learning)  # type: ignore[assignment]
            scores = model(*map(views.normalise, both), rngs=nnx.Rngs(dropout=model_key))
            return recipe.loss(scores, batch.labels, batch.present)

        loss, gradients = jax.value_and_grad(loss_of)(learning)
        updates, opt_state = transform.update(gradients, state.opt_state, learning)
        moved = jax.tree.map(lambda param, update: param - lr * update, learning, updates)
        params, average = state.params | moved, state.average
        if recipe.ema:
            # Young averages forget faster, or the first weights would stay in them.
            count = step.astype(jnp.float32)
            keep = jnp.minimum(jnp.float32(recipe.ema), (1 + count) / (10 + count))
            average = jax.tree.map(lambda old, new: keep * old + (1 - keep) * new, average, params)
        return State(params, opt_state, average), Measured(loss, optax.tree.norm(gradients))

    return step


def rescale(params: parameters.Params, mean: float, std: float) -> parameters.Params:
    """The model whose scores are `std` times these plus `mean`: training works on standardised labels, a checkpoint
    holds a model on the label scale itself."""
    kernel, bias = np.asarray(params["head.fc3.kernel"]), np.asarray(params["head.fc3.bias"])
    changed = {"head.fc3.kernel": kernel * np.float32(std), "head.fc3.bias": bias * np.float32(std) + np.float32(mean)}
    return {path: np.asarray(array) for path, array in (params | changed).items()}


class Training:
    """A model being trained and what it is trained on. `epoch()` trains, `params()` gives the model."""

    def __init__(
        self,
        config: ModelConfig,
        recipe: Recipe,
        start: parameters.Params,
        source: feed.Source,
        mos: Float[np.ndarray, " n"],
        rows: Int[np.ndarray, " rows"],
    ) -> None:
        """`start` are all parameters of the model, `rows` the photos of `source` to train on, over its mesh.

        Errors: UserError when all labels are equal or the recipe does not fit the model.
        """
        self._mean, self._std = recipe.labels(mos[rows])
        if np.ptp(mos[rows]) == 0:
            raise UserError(f"all {len(rows)} training photos have the same score, {mos[rows[0]]:g}: nothing to learn")
        self._config, self._recipe, self._source, self._rows = config, recipe, source, rows
        self._labels = ((mos - self._mean) / self._std).astype(np.float32)
        self._mesh = source.mesh
        self._size = devices.round_up(min(recipe.batch_size, len(rows)), self._mesh)
        self.steps_per_epoch = len(self.order(0))
        chosen = {path: array for path, array in start.items() if recipe.trains(config, path, head_only=False)}
        self._frozen = devices.replicated({k: v for k, v in start.items() if k not in chosen}, self._mesh)
        state = State(chosen, recipe.transform(config).init(chosen), chosen if recipe.ema else {})
        self._state = devices.replicated(state, self._mesh)
        self._best = devices.replicated(chosen, self._mesh)
        self._key = devices.replicated(jax.random.key_data(jax.random.key(recipe.seed)), self._mesh)

    def order(self, epoch: int) -> list[Int[np.ndarray, " _"]]:
        """The rows of each batch of an epoch."""
        return feed.order(self._rows, self._recipe.batch_size, self._recipe.seed, epoch)

    def epoch(self, course: Course, begin: int = 0) -> Iterator[Measured]:
        """Trains an epoch from its batch number `begin`, yielding while the device may still be computing."""
        take = make_step(self._config, self._recipe, course.head_only)
        chosen = self.order(course.epoch)[begin:]
        key = jax.random.wrap_key_data(self._key)
        first = course.epoch * self.steps_per_epoch + begin
        fed = feed.batches(self._source, self._labels, chosen, self._size)
        for step, batch in enumerate(fed, start=first):
            lr = np.float32(self._recipe.lr(course, step, self.steps_per_epoch))
            self._state, measured = take(self._state, self._frozen, key, np.int32(step), lr, batch)
            yield measured

    def keep_best(self) -> None:
        """Remembers the model as it stands as the best."""
        self._best = jax.tree.map(jnp.copy, self._current())

    def return_to_best(self) -> None:
        """Trains on from the best model."""
        self._state = self._state._replace(params=jax.tree.map(jnp.copy, self._best))

    def _current(self) -> parameters.Params:
        return self._state.average if self._recipe.ema else self._state.params

    def params(self, *, best: bool = False) -> parameters.Params:
        """The model as it stands, or the best, on the label scale, on the host."""
        trained = self._best if best else self._current()
        return rescale(jax.device_get(self._frozen | trained), self._mean, self._std)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything that a run resumes from, by name, on the host; the frozen parameters are the run's start."""
        leaves = jax.device_get(jax.tree.leaves((self._state, self._best)))
        return {f"{index:05d}": np.asarray(leaf) for index, leaf in enumerate(leaves)}

    def put(self, arrays: dict[str, Any]) -> None:
        """The inverse of `arrays`."""
        structure = jax.tree.structure((self._state, self._best))
        leaves = [arrays[name] for name in sorted(arrays)]
        self._state, self._best = devices.replicated(jax.tree.unflatten(structure, leaves), self._mesh)
