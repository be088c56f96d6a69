"""What a layer says of its parameters."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array


def parameter(*shape: int) -> nnx.Param[Array]:
    """A float32 parameter of which the shape alone is known.

    A module is the structure of a model and nothing more: `params.merge` makes a copy that holds values, of a
    checkpoint or of `params.drawn`. Modules that draw their own take half a second to trace for their shapes.
    """
    return nnx.Param(jax.ShapeDtypeStruct(shape, jnp.float32))  # type: ignore[return-value]
