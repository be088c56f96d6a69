"""Attention of a few hundred tokens, with its derivative written out."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

Heads = Shaped[Array, "batch heads tokens size"]
Pairs = Shaped[Array, "batch heads tokens tokens"]
Sums = Float[Array, "batch heads tokens 1"]
Residuals = tuple[Heads, Heads, Heads, Pairs, Sums, Heads]

_product = functools.partial(jnp.einsum, preferred_element_type=jnp.float32)


def attention(
    qkv: Float[Array, "batch tokens 3 heads size"], compute_dtype: str
) -> Float[Array, "batch tokens heads size"]:
    """softmax(q k^T / sqrt(size)) v for each head, float32; products in `compute_dtype`, summed in float32."""
    return _attention(qkv, compute_dtype)


def one_query(
    q: Float[Array, "batch 1 heads size"], kv: Float[Array, "batch tokens 2 heads size"]
) -> Float[Array, "batch heads size"]:
    """softmax(q k^T / sqrt(size)) v of one token for each head, in float32: so few products are no work."""
    logits = (q * kv[:, :, 0]).sum(-1, keepdims=True) * np.float32(q.shape[-1] ** -0.5)
    return (jax.nn.softmax(logits, axis=1) * kv[:, :, 1]).sum(1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _attention(qkv: Array, compute_dtype: str) -> Array:
    return _forward(qkv, compute_dtype)[0]


# What differs from the textbook is for XLA's CPU backend (docs/performance.md). Barriers make one pass of three casts
# and three transpositions, and keep the softmax out of the products around it, for each of whose rows it would be
# computed again. Dividing by the sum after the second product touches [.., tokens, size], not [.., tokens, tokens].
# The derivative keeps the weights in the compute type; JAX's own keeps them and the logits in float32, and multiplies
# in float32.


def _forward(
    qkv: Float[Array, "batch tokens 3 heads size"], compute_dtype: str
) -> tuple[Float[Array, "batch tokens heads size"], Residuals]:
    scale = np.array([qkv.shape[-1] ** -0.5, 1, 1], np.float32).reshape(1, 1, 3, 1, 1)
    q, k, v = jax.lax.optimization_barrier((qkv * scale).transpose(2, 0, 3, 1, 4).astype(compute_dtype))
    logits = _product("bhqd,bhkd->bhqk", q, k)
    weights = jax.lax.optimization_barrier(jnp.exp(logits - logits.max(-1, keepdims=True)))
    sums = weights.sum(-1, keepdims=True)
    weights = weights.astype(compute_dtype)
    found = _product("bhqk,bhkd->bhqd", weights, v) / sums
    return found.transpose(0, 2, 1, 3), (q, k, v, weights, sums, found)


def _backward(
    compute_dtype: str, residuals: Residuals, gradient: Float[Array, "batch tokens heads size"]
) -> tuple[Float[Array, "batch tokens 3 heads size"]]:
    q, k, v, weights, sums, found = residuals
    pulled = gradient.transpose(0, 2, 1, 3) / sums
    rounded = jax.lax.optimization_barrier(pulled.astype(compute_dtype))
    of_weights = _product("bhqd,bhkd->bhqk", rounded, v) - (pulled * found).sum(-1, keepdims=True)
    of_logits = jax.lax.optimization_barrier((weights.astype(jnp.float32) * of_weights).astype(compute_dtype))
    parts = (
        _product("bhqk,bhkd->bhqd", of_logits, k) * np.float32(q.shape[-1] ** -0.5),
        _product("bhqk,bhqd->bhkd", of_logits, q),
        _product("bhqk,bhqd->bhkd", weights, rounded),
    )
    # Without the barrier the products are computed within the copy, row by row.
    return (jnp.stack([part.transpose(0, 2, 1, 3) for part in jax.lax.optimization_barrier(parts)], axis=2),)


_attention.defvjp(_forward, _backward)
