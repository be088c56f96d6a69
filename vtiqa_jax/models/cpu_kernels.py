"""Attention, dense products, GELU and LayerNorm for XLA's CPU backend, with their derivatives written out.

Nothing but `implementation="cpu"` of `vtiqa.py` uses them. Each stands beside its textbook version in
tests/test_cpu_kernels.py, values and gradients. docs/performance.md has what each of them earns. They have no
forward-mode derivative: `load_model` and every other device take the textbook versions.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Shaped

Heads = Shaped[Array, "batch heads tokens size"]
Pairs = Shaped[Array, "batch heads tokens tokens"]
Sums = Float[Array, "batch heads tokens 1"]
Residuals = tuple[Heads, Heads, Heads, Pairs, Sums, Heads]

_einsum = functools.partial(jnp.einsum, preferred_element_type=jnp.float32)


# ---- attention ----


def attention(
    qkv: Float[Array, "batch tokens 3 heads size"], compute_dtype: str
) -> Float[Array, "batch tokens heads size"]:
    """Computes softmax(q k^T / sqrt(size)) v of each head; products in `compute_dtype`, sums in float32."""
    return _attention(qkv, compute_dtype)


def cls_attention(qkv: Float[Array, "batch tokens 3 heads size"]) -> Float[Array, "batch heads size"]:
    """Returns the first token's row of `attention`, in float32: so few products are no work."""
    q, k, v = qkv[:, :1, 0], qkv[:, :, 1], qkv[:, :, 2]
    logits = (q * k).sum(-1, keepdims=True) * np.float32(q.shape[-1] ** -0.5)
    return (jax.nn.softmax(logits, axis=1) * v).sum(1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _attention(qkv: Array, compute_dtype: str) -> Array:
    return _attention_forward(qkv, compute_dtype)[0]


# Where this differs from the textbook:
# - Barriers keep three casts and transpositions in one pass, and the softmax out of the products around it; XLA would
#   compute it again for each of their rows.
# - The division by the sum comes after the second product: it touches [.., tokens, size], not [.., tokens, tokens].
# - The derivative keeps the weights in the compute dtype. JAX's own keeps them and the logits in float32, and
#   multiplies in float32.


def _attention_forward(
    qkv: Float[Array, "batch tokens 3 heads size"], compute_dtype: str
) -> tuple[Float[Array, "batch tokens heads size"], Residuals]:
    scale = np.array([qkv.shape[-1] ** -0.5, 1, 1], np.float32).reshape(1, 1, 3, 1, 1)
    q, k, v = jax.lax.optimization_barrier((qkv * scale).transpose(2, 0, 3, 1, 4).astype(compute_dtype))
    logits = _einsum("bhqd,bhkd->bhqk", q, k)
    weights = jax.lax.optimization_barrier(jnp.exp(logits - logits.max(-1, keepdims=True)))
    sums = weights.sum(-1, keepdims=True)
    weights = weights.astype(compute_dtype)
    out = _einsum("bhqk,bhkd->bhqd", weights, v) / sums
    return out.transpose(0, 2, 1, 3), (q, k, v, weights, sums, out)


def _attention_backward(
    compute_dtype: str, residuals: Residuals, grad: Float[Array, "batch tokens heads size"]
) -> tuple[Float[Array, "batch tokens 3 heads size"]]:
    q, k, v, weights, sums, out = residuals
    grad_out = grad.transpose(0, 2, 1, 3) / sums
    rounded = jax.lax.optimization_barrier(grad_out.astype(compute_dtype))
    grad_weights = _einsum("bhqd,bhkd->bhqk", rounded, v) - (grad_out * out).sum(-1, keepdims=True)
    grad_logits = jax.lax.optimization_barrier((weights.astype(jnp.float32) * grad_weights).astype(compute_dtype))
    parts = (
        _einsum("bhqk,bhkd->bhqd", grad_logits, k) * np.float32(q.shape[-1] ** -0.5),
        _einsum("bhqk,bhqd->bhkd", grad_logits, q),
        _einsum("bhqk,bhqd->bhkd", weights, rounded),
    )
    # Without the barrier the products are computed within the copy, row by row.
    return (jnp.stack([part.transpose(0, 2, 1, 3) for part in jax.lax.optimization_barrier(parts)], axis=2),)


_attention.defvjp(_attention_forward, _attention_backward)


# ---- dense products ----


def _dot(x: Array, kernel: Array) -> Array:
    return jax.lax.dot(x, kernel, preferred_element_type=jnp.float32)


def _transpose(x: Shaped[Array, "*rows columns"]) -> Shaped[Array, "columns all_rows"]:
    """Transposes all rows together.

    In bfloat16 this is hidden from XLA, which would put it into the product that follows; that takes twice as long as a
    copy and a product.
    """
    rows, columns = x.shape[-2:]
    if x.dtype == jnp.float32 or (x.ndim == 2 and rows % 2):
        return x.reshape(-1, columns).T
    if x.ndim == 2:
        x = x.reshape(2, rows // 2, columns)
    return jnp.moveaxis(x, -1, 0).reshape(columns, -1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def matmul(
    x: Float[Array, "*rows inputs"], kernel: Float[Array, "inputs outputs"], compute_dtype: str
) -> Float[Array, "*rows outputs"]:
    """Returns the product, float32, of both operands rounded to `compute_dtype`; gradients likewise."""
    return _matmul_forward(x, kernel, compute_dtype)[0]


def _matmul_forward(x: Array, kernel: Array, compute_dtype: str) -> tuple[Array, tuple[Array, Array]]:
    rounded, matrix = x.astype(compute_dtype), kernel.astype(compute_dtype)
    return _dot(rounded.reshape(-1, x.shape[-1]), matrix).reshape(*x.shape[:-1], -1), (rounded, matrix)


def _matmul_backward(compute_dtype: str, residuals: tuple[Array, Array], grad: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    rows = grad.reshape(-1, grad.shape[-1]).astype(compute_dtype)
    return _dot(rows, _transpose(kernel)).reshape(x.shape), _dot(_transpose(x), rows)


# JAX's own derivative multiplies the float32 gradient with bfloat16 operands, which no unit does at full speed, and
# transposes the gradient instead of x, for which XLA's CPU backend adds up the residual stream's gradient anew in each
# block.
matmul.defvjp(_matmul_forward, _matmul_backward)


@functools.cache  # one function object for each dtype: modules that hold it are equal
def dot_general(compute_dtype: str) -> Callable[..., Array]:
    """Returns a `dot_general` for `nnx.Linear` that multiplies in `compute_dtype` and returns float32."""

    def product(x: Array, kernel: Array, dimension_numbers: Any, **_: Any) -> Array:
        return matmul(x, kernel, compute_dtype)

    return product


# ---- GELU ----


@jax.checkpoint  # its derivative keeps nothing but x: a twelfth of a training step's memory
def gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns the exact GELU by erf. JAX's own uses erfc, which takes half as long again."""
    return 0.5 * x * (1 + jax.lax.erf(x * np.float32(0.5**0.5)))


# ---- LayerNorm ----

Rows = Float[Array, "*rows features"]
Features = Float[Array, " features"]
Statistic = Float[Array, "*rows 1"]


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def layer_norm(x: Rows, scale: Features, bias: Features, epsilon: float) -> Rows:
    """Normalises each row to mean 0 and variance 1, times `scale`, plus `bias`."""
    return _layer_norm_forward(x, scale, bias, epsilon)[0]


def _layer_norm_forward(
    x: Rows, scale: Features, bias: Features, epsilon: float
) -> tuple[Rows, tuple[Rows, Features, Statistic, Statistic]]:
    mean = x.mean(-1, keepdims=True)
    centred = x - mean
    inverse = jax.lax.rsqrt((centred * centred).mean(-1, keepdims=True) + np.float32(epsilon))
    out = centred * inverse * jnp.broadcast_to(scale, x.shape) + jnp.broadcast_to(bias, x.shape)
    return out, (x, scale, mean, inverse)


def _layer_norm_backward(
    epsilon: float, residuals: tuple[Rows, Features, Statistic, Statistic], grad: Rows
) -> tuple[Rows, Features, Features]:
    x, scale, mean, inverse = residuals
    normalized, scaled = (x - mean) * inverse, grad * jnp.broadcast_to(scale, x.shape)
    along = (scaled * normalized).mean(-1, keepdims=True)
    grad_x = inverse * (scaled - scaled.mean(-1, keepdims=True) - along * normalized)
    rows = tuple(range(x.ndim - 1))
    return grad_x, (grad * normalized).sum(rows), grad.sum(rows)


# JAX's own derivative has many more terms, and XLA's CPU backend computes them twice.
layer_norm.defvjp(_layer_norm_forward, _layer_norm_backward)


class LayerNorm(nnx.LayerNorm):
    """`nnx.LayerNorm` by `layer_norm`."""

    def __call__(self, x: Rows, *, mask: Array | None = None) -> Rows:
        """Normalises each row of `x`."""
        assert self.scale is not None and self.bias is not None and mask is None
        return layer_norm(x, self.scale[...], self.bias[...], self.epsilon)
