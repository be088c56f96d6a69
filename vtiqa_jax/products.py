"""The dense layers' products, and the GELU between them."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def _product(x: Array, kernel: Array) -> Array:
    return jax.lax.dot(x, kernel, preferred_element_type=jnp.float32)


def _transposed(x: Float[Array, "rows inner columns"]) -> Float[Array, "columns rows*inner"]:
    """The transpose of `x` as a matrix of all its rows."""
    columns = x.shape[-1]

    def plain(x: Array) -> Array:
        return x.reshape(-1, columns).T

    # XLA's CPU backend puts a plain transpose into the product that follows, which then takes twice as long in bfloat16
    # as a copy and a product; through this one it does not see.
    def copied(x: Array) -> Array:
        return x.transpose(2, 0, 1).reshape(columns, -1)

    if x.dtype == jnp.float32:
        return plain(x)
    return jax.lax.platform_dependent(x, cpu=copied, default=plain)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _matmul(x: Array, kernel: Array, compute_dtype: str) -> Array:
    return _matmul_forward(x, kernel, compute_dtype)[0]


def _matmul_forward(x: Array, kernel: Array, compute_dtype: str) -> tuple[Array, tuple[Array, Array]]:
    x, kernel = x.astype(compute_dtype), kernel.astype(compute_dtype)
    return _product(x.reshape(-1, x.shape[-1]), kernel).reshape(*x.shape[:-1], -1), (x, kernel)


def _matmul_backward(compute_dtype: str, residuals: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    rows = gradient.reshape(-1, gradient.shape[-1]).astype(compute_dtype)
    halves = kernel.reshape(2, -1, kernel.shape[1])
    return _product(rows, _transposed(halves)).reshape(x.shape), _product(_transposed(x), rows)


# JAX's own derivative multiplies the float32 gradient with bfloat16 operands, which no unit does at full speed, and
# transposes the gradient instead of x, for which XLA's CPU backend adds up the residual stream's gradient anew in each
# block.
_matmul.defvjp(_matmul_forward, _matmul_backward)


@functools.cache
def dot_general(compute_dtype: str) -> Callable[..., Array]:
    """`jax.lax.dot_general` as `nnx.Linear` calls it, [batch, tokens, inputs] times [inputs, outputs]: float32, both
    rounded to `compute_dtype` first; its gradients are computed in the same way."""

    def dot(x: Array, kernel: Array, dimension_numbers: Any, **_: Any) -> Array:
        assert dimension_numbers == (((2,), (0,)), ((), ())) and len(kernel) % 2 == 0
        return _matmul(x, kernel, compute_dtype)

    return dot


def gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The exact GELU, as torch computes it; the tanh approximation, JAX's default, breaks parity.

    JAX's own exact one uses erfc, which takes three times as long on a CPU.
    """
    return 0.5 * x * (1 + jax.lax.erf(x * np.float32(0.5**0.5)))
