"""Where the time goes: the dense layers' products in bfloat16, and attention."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
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
    qkv: Float[Array, "batch tokens 3 heads size"], compute_dtype: DTypeLike
) -> Float[Array, "batch tokens heads size"]:
    """softmax(q k^T / sqrt(size)) v for each head, float32, the two products in `compute_dtype`."""
    # Three things differ from the textbook for XLA's CPU backend (docs/performance.md). The first barrier makes one
    # pass of three casts and three transpositions. The second keeps the softmax out of the products around it, for
    # each of whose rows it would be computed again. Dividing by the sum after the second product touches
    # [.., tokens, size] instead of [.., tokens, tokens].
    q, k, v = jax.lax.optimization_barrier(qkv.transpose(2, 0, 3, 1, 4).astype(compute_dtype))
    logits = jnp.einsum("bhqd,bhkd->bhqk", q, k, preferred_element_type=jnp.float32) * qkv.shape[-1] ** -0.5
    shifted = logits - jax.lax.stop_gradient(logits.max(-1, keepdims=True))
    weights = jax.lax.optimization_barrier(jnp.exp(shifted))
    summed = jnp.einsum("bhqk,bhkd->bhqd", weights.astype(v.dtype), v, preferred_element_type=jnp.float32)
    return (summed / weights.sum(-1, keepdims=True)).transpose(0, 2, 1, 3)
