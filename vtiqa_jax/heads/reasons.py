"""Fitting the head that names faults, from versions whose faults are known."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Float32, Int

from vtiqa_jax.heads.averaging import average_heads
from vtiqa_jax.heads.seen import Seen
from vtiqa_jax.heads.standardization import Standardization, by_name
from vtiqa_jax.models.faults import FAULTS
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.reasons import HIDDEN, LEVELS, QUERIES, STEEPNESS, ReasonsHead

EPOCHS, BATCH = 40, 64
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 3e-2
DROPOUT = 0.3
"""Share of the hidden units that are dropped."""
PLACES = 28
"""Places of each view, drawn anew for each batch."""
SCALES_DROPPED = 0.15
"""Share of the views that are left out: small photos lack them, and maps show one alone."""
PRESENT_WEIGHT = 3.0
"""Weight of faults that are there: most are not."""
RELATED_WEIGHT = 0.2
"""Weight of the absence of a fault where a fault of a like kind is: an enlarged photo is soft, a noisy one speckled."""
RELATED = (("defocus", "motion"), ("defocus", "enlarged"), ("motion", "enlarged"), ("luminance_noise", "chroma_noise"))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Batch:
    """Some rows of what was seen, on the device."""

    tokens: Float[Array, "versions scales places features"]
    structure: Float[Array, "versions scales places"]
    inputs: Float[Array, "versions inputs"]
    """Inputs of the screen's branch: features and tones."""
    strengths: Float[Array, "versions faults"]


def _related() -> Float32[np.ndarray, "faults faults"]:
    matrix = np.zeros((len(FAULTS), len(FAULTS)), np.float32)
    for pair in RELATED:
        first, second = map(FAULTS.index, pair)
        matrix[first, second] = matrix[second, first] = 1
    return matrix


def weigh_errors(strengths: Float[Array, "batch faults"]) -> Float[Array, "batch faults"]:
    """Returns how much an error counts: more where the fault is, less where a like one is."""
    is_there = strengths > 0
    has_related = (is_there.astype(jnp.float32) @ _related()) > 0
    return jnp.where(is_there, PRESENT_WEIGHT, jnp.where(has_related, RELATED_WEIGHT, 1.0))


def ordinal_loss(found: Float[Array, "batch faults"], strengths: Float[Array, "batch faults"]) -> Float[Array, ""]:
    """Returns the mean loss of being at least slight, plain and severe; a strength that is NaN counts for nothing."""
    is_known = ~jnp.isnan(strengths)
    strengths = jnp.where(is_known, strengths, 0)
    cuts = jnp.array(LEVELS) - 0.5
    logits = STEEPNESS * (found[..., None] - cuts)
    losses = optax.losses.sigmoid_binary_cross_entropy(logits, (strengths[..., None] > cuts).astype(jnp.float32))
    weights = weigh_errors(strengths) * is_known
    return (losses.mean(-1) * weights).sum() / weights.sum()


def _loss(head: ReasonsHead, batch: _Batch, key: Array) -> Float[Array, ""]:
    keys = jax.random.split(key, 3)
    summaries = head.see_places(batch.tokens, batch.structure)
    kept = jax.random.bernoulli(keys[0], 1 - SCALES_DROPPED, summaries.shape[:2])
    kept = kept | (kept.sum(1) == 0)[:, None]
    flat = (summaries * kept[..., None]).reshape(len(summaries), -1)

    def hide(hidden: Array, key: Array) -> Array:
        return hidden * jax.random.bernoulli(key, 1 - DROPOUT, hidden.shape) / (1 - DROPOUT)

    native = head.native_faults(hide(jax.nn.gelu(head.native(flat), approximate=False), keys[1]))
    screen = head.screen_faults(hide(jax.nn.gelu(head.screen(batch.inputs), approximate=False), keys[2]))
    return ordinal_loss(jnp.concatenate([native, screen], axis=1), batch.strengths)


def fit_reasons(seen: Seen, rows: Sequence[Int[np.ndarray, " _"]], seed: int = 0) -> Params:
    """Fits heads that learn apart, each with its share of the hidden units, and averages what they find.

    Args:
        seen: versions of many photos.
        rows: of the versions that each of them learns from, some several times.
        seed: of their first parameters and of all draws.

    Returns:
        The parameters, by the names of a VT-IQA; curve and thresholds are as they were drawn.
    """
    width, queries = HIDDEN // len(rows), QUERIES // len(rows)
    members = [_fit_member(seen, own, (width, queries), len(rows) * seed + number) for number, own in enumerate(rows)]
    averaged = average_heads(members, scales=seen.tokens.shape[1])
    return {f"reasons.{name}": array for name, array in averaged.items()}


def _fit_member(
    seen: Seen, rows: Int[np.ndarray, " rows"], size_of_head: tuple[int, int], seed: int
) -> dict[str, Float32[np.ndarray, "..."]]:
    """Fits a head of so many hidden units and queries."""
    rng = np.random.default_rng(seed)
    width, queries = size_of_head
    _, scales, places, features = seen.tokens.shape
    rngs = nnx.Rngs(seed)
    head = ReasonsHead(features, scales, seen.screen.shape[1], hidden=width, queries=queries, rngs=rngs)
    graphdef, params = nnx.split(head, nnx.Param)
    size = min(BATCH, len(rows))
    steps = EPOCHS * (len(rows) // size)
    optimizer = optax.adamw(
        optax.warmup_cosine_decay_schedule(0, LEARNING_RATE, steps // 20, steps),
        weight_decay=WEIGHT_DECAY,
        mask=lambda tree: jax.tree.map(lambda leaf: leaf.ndim == 2 and leaf.shape[0] >= width, tree),
    )
    state = optimizer.init(params)
    sample = seen.tokens[rng.choice(rows, min(len(rows), 1000), replace=False), 0]
    of_places = Standardization.of(sample.reshape(-1, features).astype(np.float32))
    inputs = np.concatenate([seen.screen, seen.tones], axis=1)
    of_screen = Standardization.of(inputs[rows])

    @jax.jit
    def step(params: Any, state: optax.OptState, batch: _Batch, key: Array) -> tuple[Any, optax.OptState]:
        def loss(params: Any) -> Float[Array, ""]:
            tokens, inputs = of_places(batch.tokens.astype(jnp.float32)), of_screen(batch.inputs)
            scaled = dataclasses.replace(batch, tokens=tokens, inputs=inputs)
            return _loss(nnx.merge(graphdef, params), scaled, key)

        gradient = jax.grad(loss)(params)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(EPOCHS):
        order = rng.permutation(rows)
        for at in range(0, len(order) - size + 1, size):
            some, drawn = np.sort(order[at : at + size]), np.sort(rng.permutation(places)[:PLACES])
            tokens, structure = (array[some][:, :, drawn] for array in (seen.tokens, seen.structure))
            batch = _Batch(*map(jnp.asarray, (tokens, structure, inputs[some], seen.strengths[some])))
            params, state = step(params, state, batch, jax.random.key(int(rng.integers(1 << 32))))
    return of_screen.fold_into(of_places.fold_into(by_name(params), "place"), "screen")
