"""Fitting a head to ladders: versions of photos of which is known how much each has lost."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Shaped

from vtiqa_jax.heads.ladder_batches import FitOptions, LadderBatch, draw_batches, repeat_ladders
from vtiqa_jax.heads.ladder_loss import ladder_loss
from vtiqa_jax.heads.places import Places

SAMPLE = 4096
"""Places by which inputs are standardized."""
MOST_GRADIENT = 2.0
"""Norm of the gradient at most: of pixels single batches have a much larger one."""

Judge = Callable[[Any, Array], tuple[Array, Array]]
"""`(head, seen) -> octaves, logits` of each place, by each reading."""


def fit_ladders(
    head: nnx.Module,
    judge: Judge,
    places: Places,
    seen: Shaped[np.ndarray, "versions scales places *features"],
    factors: tuple[int, ...],
    options: FitOptions,
    turn: Callable[[Array, np.random.Generator], Array] = lambda seen, _: seen,
) -> Any:
    """Fits a head to ladders.

    Args:
        head: as it is drawn.
        judge: what it says.
        places: of versions of many photos.
        seen: what it sees of them.
        factors: `ModelConfig.native_factors`.
        options: how.
        turn: changes what is seen of a batch, so that it still says the same.

    Returns:
        The state of its parameters.
    """
    rng = np.random.default_rng(options.seed)
    graphdef, params = nnx.split(head, nnx.Param)
    ladders = repeat_ladders(places)
    steps = options.epochs * max(1, len(ladders) // options.ladders)
    adamw = optax.adamw(
        optax.cosine_decay_schedule(options.learning_rate, steps),
        weight_decay=options.weight_decay,
        mask=lambda tree: jax.tree.map(lambda leaf: leaf.ndim == 2, tree),
    )
    optimizer = optax.chain(optax.clip_by_global_norm(MOST_GRADIENT), adamw)
    state = optimizer.init(params)

    def loss(params: Any, batch: LadderBatch) -> Float[Array, ""]:
        return ladder_loss(*judge(nnx.merge(graphdef, params), batch.seen), batch, factors)

    @jax.jit
    def step(params: Any, state: optax.OptState, batch: LadderBatch) -> tuple[Any, optax.OptState]:
        updates, state = optimizer.update(jax.grad(loss)(params, batch), state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(options.epochs):
        for batch in draw_batches(places, seen, ladders, options, rng):
            params, state = step(params, state, dataclasses.replace(batch, seen=turn(batch.seen, rng)))
    return params


def sample_places(
    seen: Shaped[np.ndarray, "versions scales places *features"], seed: int
) -> Shaped[np.ndarray, "drawn ..."]:
    """Draws places at 1:1, by which inputs are standardized."""
    rng = np.random.default_rng((seed, 1))
    versions, places = (rng.integers(0, seen.shape[axis], SAMPLE) for axis in (0, 2))
    return seen[versions, 0, places]
