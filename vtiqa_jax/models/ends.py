"""The ends of a scale: scores approach them smoothly and never leave it.

A head of ReLUs is a line far from what it was trained on: a picture unlike any photo may score 3 points below the worst
that people could say. Clipping would make all such pictures equal and their gradients 0.
"""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

Number = Float[Array, ""] | Float[np.ndarray, ""] | float


def soften_ends(scores: Float[Array, "*batch"], low: Number, high: Number, reach: Number) -> Float[Array, "*batch"]:
    """Bends scores so that they stay between the ends of a scale.

    Scores at least `reach` inside both ends are left as they are. x points further out, the reach is used up but for
    reach / (reach + x) of it: the slope falls from 1 and is never 0. A quotient keeps scores apart in float32 where an
    exponential, as in tanh, is 1 after a few points. Each step rounds in order, so that no two scores change theirs.

    Args:
        scores: any.
        low: the lower end.
        high: the upper end.
        reach: points inside the ends at which the bend begins, at most half the scale.
    """
    above = jnp.maximum(scores - (high - reach), 0)
    below = jnp.maximum((low + reach) - scores, 0)
    ceiling = high - reach * (reach / (reach + above))
    floor = low + reach * (reach / (reach + below))
    return jnp.maximum(jnp.minimum(scores, ceiling), floor)


class SoftEnds(nnx.Module):
    """The ends of the scale of a model's scores, and how far inside them the bend begins."""

    def __init__(self) -> None:
        self.low = nnx.Param(jnp.float32(0))
        self.high = nnx.Param(jnp.float32(1))
        self.reach = nnx.Param(jnp.float32(0.1))

    def __call__(self, scores: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Bends scores, see `soften_ends`."""
        return soften_ends(scores, self.low[...], self.high[...], self.reach[...])

    def rescale(self, slope: float, intercept: float) -> None:
        """Moves the ends, so that every bent score s becomes slope * s + intercept."""
        ends = [jnp.float32(slope) * end[...] + jnp.float32(intercept) for end in (self.low, self.high)]
        self.low[...], self.high[...] = ends if slope > 0 else ends[::-1]
        self.reach[...] = jnp.float32(abs(slope)) * self.reach[...]
