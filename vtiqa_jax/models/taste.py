"""One person's taste: a linear function of the features that the head sees, added to the score.

It acts before the soft ends, so that scores keep to their scale. `tuning/` fits it to a person's marks.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


class Taste(nnx.Module):
    """What a person likes more, or less, than people on average. Always float32."""

    def __init__(self, in_features: int) -> None:
        """Makes one that leaves scores as they are.

        Args:
            in_features: of both views together.
        """
        self.slope = nnx.Param(jnp.float32(1))
        """Slope of the score; the less, the more the taste tells photos apart: scores differ as much as before."""
        self.intercept = nnx.Param(jnp.float32(0))
        self.direction = nnx.Param(jnp.zeros(in_features))

    def __call__(
        self, scores: Float[Array, " batch"], features: Float[Array, "batch features"]
    ) -> Float[Array, " batch"]:
        """Returns scores as the person would give them, by the features that they were made from."""
        along = jnp.matmul(features, self.direction[...], precision=jax.lax.Precision.HIGHEST)
        return self.slope[...] * scores + (along + self.intercept[...])

    def rescale(self, slope: float, intercept: float) -> None:
        """Makes up for a head whose every score s became slope * s + intercept: so does every score of this."""
        factor = jnp.float32(slope)
        self.intercept[...] = factor * self.intercept[...] + jnp.float32(intercept) * (1 - self.slope[...])
        self.direction[...] = factor * self.direction[...]
