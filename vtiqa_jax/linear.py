"""Dense layers, with the derivative of their product written out."""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from vtiqa_jax.parameter import parameter

ComputeDtype = Literal["float32", "bfloat16"]
"""What is multiplied; sums are float32."""


def _product(x: Array, kernel: Array) -> Array:
    return jax.lax.dot(x, kernel, preferred_element_type=jnp.float32)


def _transposed(x: Float[Array, "*rows columns"]) -> Float[Array, "columns products"]:
    """The transpose of `x` as a matrix of all its rows."""
    columns = x.shape[-1]

    def plain(x: Array) -> Array:
        return x.reshape(-1, columns).T

    # XLA's CPU backend puts a plain transpose into the product that follows, which then takes twice as long in bfloat16
    # as a copy and a product; through this one it does not see.
    def copied(x: Array) -> Array:
        return x.reshape(len(x), -1, columns).transpose(2, 0, 1).reshape(columns, -1)

    if x.dtype == jnp.float32:
        return plain(x)
    return jax.lax.platform_dependent(x, cpu=copied, default=plain)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def matmul(
    x: Float[Array, "*rows inputs"], kernel: Float[Array | np.ndarray, "inputs outputs"], compute_dtype: ComputeDtype
) -> Float[Array, "*rows outputs"]:
    """The product, float32, of both rounded to `compute_dtype`; so are its gradients. The number of inputs is even."""
    return _forward(x, kernel, compute_dtype)[0]


def _forward(x: Array, kernel: Array | np.ndarray, compute_dtype: ComputeDtype) -> tuple[Array, tuple[Array, Array]]:
    low, matrix = x.astype(compute_dtype), jnp.asarray(kernel, compute_dtype)
    return _product(low.reshape(-1, x.shape[-1]), matrix).reshape(*x.shape[:-1], -1), (low, matrix)


def _backward(compute_dtype: ComputeDtype, residuals: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    rows = gradient.reshape(-1, gradient.shape[-1]).astype(compute_dtype)
    halves = kernel.reshape(2, -1, kernel.shape[1])
    return _product(rows, _transposed(halves)).reshape(x.shape), _product(_transposed(x), rows)


# JAX's own derivative multiplies the float32 gradient with bfloat16 operands, which no unit does at full speed, and
# transposes the gradient instead of x, for which XLA's CPU backend adds up the residual stream's gradient anew in each
# block.
matmul.defvjp(_forward, _backward)


class Linear(nnx.Module):
    """The layer, its parameters under Flax's names."""

    def __init__(self, inputs: int, outputs: int, compute_dtype: ComputeDtype = "float32") -> None:
        self.kernel = parameter(inputs, outputs)
        self.bias = parameter(outputs)
        self.compute_dtype: ComputeDtype = compute_dtype

    def __call__(self, x: Float[Array, "*rows inputs"], chosen: slice = slice(None)) -> Float[Array, "*rows outputs"]:
        """x times the kernel, plus the bias; of the `chosen` outputs."""
        found: Array = matmul(x, self.kernel[:, chosen], self.compute_dtype)
        return found + jnp.broadcast_to(self.bias[chosen], found.shape)
