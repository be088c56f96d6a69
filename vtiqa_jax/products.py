"""Where the time goes: the dense layers' products in bfloat16, and attention."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def _product(x: Array, kernel: Array) -> Array:
    return jax.lax.dot(x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16), preferred_element_type=jnp.float32)


@jax.custom_vjp
def _bfloat16_matmul(x: Array, kernel: Array) -> Array:
    return _product(x, kernel)


def _bfloat16_matmul_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    x, kernel = x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16)
    return _product(x, kernel), (x, kernel)


def _bfloat16_matmul_backward(residuals: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    return _product(gradient, kernel.T), _product(x.T, gradient)


# JAX's own derivative would multiply the float32 gradient with bfloat16 operands, which no unit does at full speed.
_bfloat16_matmul.defvjp(_bfloat16_matmul_forward, _bfloat16_matmul_backward)


def bfloat16_dot_general(x: Array, kernel: Array, dimension_numbers: Any, **_: Any) -> Array:
    """`jax.lax.dot_general` as `nnx.Linear` calls it ([..., in] times [in, out]): bfloat16 products, float32 sums."""
    assert dimension_numbers == (((x.ndim - 1,), (0,)), ((), ()))
    return _bfloat16_matmul(x.reshape(-1, x.shape[-1]), kernel).reshape(*x.shape[:-1], kernel.shape[-1])


def attention(
    query: Float[Array, "batch tokens heads size"],
    key: Float[Array, "batch tokens heads size"],
    value: Float[Array, "batch tokens heads size"],
) -> Float[Array, "batch tokens heads size"]:
    """softmax(query key^T / sqrt(size)) value for each head, float32; products in the arguments' type."""
    # Two lines below differ from the textbook for XLA's CPU backend, which otherwise fuses the softmax into the
    # products around it and computes it again for each of their rows (2 x slower): the barrier, and dividing by
    # the sum after the second product, on [.., tokens, size] instead of [.., tokens, tokens].
    q, k, v = jax.lax.optimization_barrier(tuple(each.transpose(0, 2, 1, 3) for each in (query, key, value)))
    logits = jnp.einsum("bhqd,bhkd->bhqk", q, k, preferred_element_type=jnp.float32) * query.shape[-1] ** -0.5
    shifted = logits - jax.lax.stop_gradient(logits.max(-1, keepdims=True))
    weights = jax.lax.optimization_barrier(jnp.exp(shifted))
    summed = jnp.einsum("bhqk,bhkd->bhqd", weights.astype(v.dtype), v, preferred_element_type=jnp.float32)
    return (summed / weights.sum(-1, keepdims=True)).transpose(0, 2, 1, 3)
