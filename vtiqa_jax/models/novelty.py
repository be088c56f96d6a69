"""The warning that a picture does not look like a photograph, as screenshots, plots, pages and drawings do not.

Scores of such pictures mean little. The warning goes by a direction in the space of the features that the head sees,
from photographs to pictures that are none. The threshold lies beyond all photographs that it was fitted to
(`training/novelty.py`).
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


class Novelty(nnx.Module):
    """How unlike a photograph a picture is. Always float32."""

    def __init__(self, in_features: int) -> None:
        """Makes one that finds nothing unlike a photograph.

        Args:
            in_features: of both views together.
        """
        self.mean = nnx.Param(jnp.zeros(in_features))
        """Mean features of photographs."""
        self.direction = nnx.Param(jnp.zeros(in_features))
        self.threshold = nnx.Param(jnp.float32(0))

    def __call__(self, features: Float[Array, "batch features"]) -> Float[Array, " batch"]:
        """Returns how far pictures are beyond the threshold: above 0 what does not look like a photograph."""
        along = jnp.matmul(features - self.mean[...][None], self.direction[...], precision=jax.lax.Precision.HIGHEST)
        return along - self.threshold[...]
