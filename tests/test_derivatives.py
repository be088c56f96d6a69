"""The derivatives written out by hand against those that JAX finds of the textbook's formulas."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vtiqa_jax.attention import attention
from vtiqa_jax.layer_norm import EPSILON, normalise
from vtiqa_jax.linear import matmul

TOLERANCE = 1e-5
"""Of the greatest entry."""

Function = Callable[..., jax.Array]
Treatment = Callable[[jax.Array], jax.Array]


def through(x: jax.Array) -> jax.Array:
    return x


@pytest.fixture(autouse=True)
def broadcasting() -> Iterator[None]:
    """The textbook's formulas broadcast."""
    with jax.numpy_rank_promotion("allow"):
        yield


def layer_norm(mean: Treatment = through, variance: Treatment = through) -> Function:
    def function(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
        centred = x - mean(x.mean(-1, keepdims=True))
        return centred / jnp.sqrt(variance((centred**2).mean(-1, keepdims=True)) + np.float32(EPSILON)) * scale + bias

    return function


def softmax_attention(greatest: Treatment = jax.lax.stop_gradient, total: Treatment = through) -> Function:
    def function(qkv: jax.Array) -> jax.Array:
        q, k, v = (qkv[:, :, which] for which in range(3))
        logits = jnp.einsum("bqhd,bkhd->bhqk", q, k) / np.float32(np.sqrt(qkv.shape[-1]))
        weights = jnp.exp(logits - greatest(logits.max(-1, keepdims=True)))
        return jnp.einsum("bhqk,bkhd->bqhd", weights / total(weights.sum(-1, keepdims=True)), v)

    return function


def dense(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return x @ kernel


def ours(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return matmul(x, kernel, "float32")


def gradients(function: Function, arguments: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    value, pull = jax.vjp(function, *arguments)
    return pull(jax.random.normal(jax.random.key(9), value.shape))


def furthest(function: Function, right: Function, arguments: tuple[jax.Array, ...]) -> float:
    """The greatest difference of any gradient, as a part of its greatest entry."""
    pairs = zip(gradients(function, arguments), gradients(right, arguments), strict=True)
    return max(float(jnp.abs(one - other).max() / jnp.abs(other).max()) for one, other in pairs)


def drawn(*shapes: tuple[int, ...]) -> tuple[jax.Array, ...]:
    return tuple(jax.random.normal(jax.random.key(seed), shape) * 2 + 1 for seed, shape in enumerate(shapes))


ROWS, TOKENS = drawn((2, 7, 32), (32,), (32,)), drawn((2, 7, 3, 2, 8))


@pytest.mark.parametrize(
    ("function", "right", "arguments"),
    [
        (normalise, layer_norm(), ROWS),
        (lambda qkv: attention(qkv, "float32"), softmax_attention(), TOKENS),
        (ours, dense, drawn((2, 7, 32), (32, 12))),
    ],
)
def test_they_are_the_textbooks(function: Function, right: Function, arguments: tuple[jax.Array, ...]) -> None:
    assert furthest(function, right, arguments) < TOLERANCE


@pytest.mark.parametrize(
    ("wrong", "right", "arguments"),
    [
        (layer_norm(mean=jax.lax.stop_gradient), layer_norm(), ROWS),
        (layer_norm(variance=jax.lax.stop_gradient), layer_norm(), ROWS),
        (softmax_attention(total=jax.lax.stop_gradient), softmax_attention(), TOKENS),
    ],
)
def test_a_term_left_out_is_seen(wrong: Function, right: Function, arguments: tuple[jax.Array, ...]) -> None:
    assert furthest(wrong, right, arguments) > 100 * TOLERANCE
