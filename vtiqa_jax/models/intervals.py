"""Intervals: where the mean of thirty people lies, and how far single opinions are apart.

People's mean is the score plus an error. How large errors are differs by the score and by the kind of photo: there are
photos on which people and model agree less. How errors are distributed at that size was measured on photos that had not
trained the model, for either kind (split conformal prediction; Lei et al., JASA 113(523), 2018). A photo unlike all of
them has a wider interval. `heads/intervals.py` fits all of it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

QUANTILES = 39
"""Quantiles of errors, at 1/40, 2/40, ... 39/40: the ends of intervals of 50, 80, 90 and 95 % are among them."""
LOW, HIGH = 1, 37
"""The quantiles 5 and 95 %."""


class Sureness(NamedTuple):
    """What `Intervals` says of photos, on the score's scale. Thirty people rated each photo of BIQ2021."""

    low: Float[Array, " batch"]
    """Nine times in ten the mean of thirty people is between this and `high`."""
    high: Float[Array, " batch"]
    deviation: Float[Array, " batch"]
    """The standard deviation of their mean around the score, wherever the scale ends."""
    opinion_spread: Float[Array, " batch"] | None
    """The standard deviation of single opinions; None where that was never known."""


class Intervals(nnx.Module):
    """How far people's mean may be from a score. Always float32. Lengths are shares of the scale's."""

    def __init__(self, in_features: int, *, opinions: bool) -> None:
        """Makes one of intervals without width.

        Args:
            in_features: of both views together.
            opinions: whether it says how far single opinions are apart.
        """
        self.ends = nnx.Param(jnp.array([0.0, 1.0]))
        """Ends of the scale; intervals do not leave it."""
        self.mean = nnx.Param(jnp.zeros(in_features))
        """Mean features of the photos that errors were measured on."""
        self.precision = nnx.Param(jnp.ones(in_features))
        """One over the standard deviation of each feature."""
        self.direction = nnx.Param(jnp.zeros(in_features))
        """The logit of the second kind by each feature, in its standard deviations."""
        self.intercept = nnx.Param(jnp.float32(0))
        """Intercept of that logit."""
        self.curves = nnx.Param(jnp.zeros((2, 3)))
        """The logarithm of either kind's deviation by the score, which is -1 and 1 at the ends: constant, linear and
        quadratic."""
        self.far = nnx.Param(jnp.array([1.0, 0.0]))
        """A distance that is still near; and by how much that logarithm grows with each one beyond."""
        self.quantiles = nnx.Param(jnp.zeros((2, QUANTILES)))
        """Quantiles of errors of either kind, each divided by its photo's deviation."""
        self.opinions = nnx.Param(jnp.zeros(3)) if opinions else None
        """The logarithm of the spread of single opinions by the score, as `curves`."""

    def find_kind(self, features: Float[Array, "batch features"]) -> Float[Array, " batch"]:
        """Finds how much photos are of the second kind, on which people and model agree less."""
        apart = (features - self.mean[...][None]) * self.precision[...][None]
        along = jnp.matmul(apart, self.direction[...], precision=jax.lax.Precision.HIGHEST)
        return jax.nn.sigmoid(along + self.intercept[...])

    def find_distance(self, features: Float[Array, "batch features"]) -> Float[Array, " batch"]:
        """Finds how unlike the photos that errors were measured on others are; 1 is usual."""
        apart = (features - self.mean[...][None]) * self.precision[...][None]
        return jnp.sqrt(jnp.square(apart).mean(1))

    def __call__(self, scores: Float[Array, " batch"], features: Float[Array, "batch features"]) -> Sureness:
        """Says how sure scores are, by the features that they were made from."""
        first, last = self.ends[...]
        length, place = last - first, 2 * (scores - first) / (last - first) - 1

        def by_score(curve: Float[Array, "3"]) -> Float[Array, " batch"]:
            return curve[0] + place * (curve[1] + place * curve[2])

        second = self.find_kind(features)

        def by_kind(first_kind: Array, second_kind: Array) -> Float[Array, " batch"]:
            return first_kind + second * (second_kind - first_kind)

        near, growth = self.far[...]
        beyond = jnp.maximum(self.find_distance(features) - near, 0)
        variance = by_kind(*(jnp.exp(2 * by_score(curve)) for curve in self.curves[...]))
        deviation = length * jnp.sqrt(variance) * jnp.exp(growth * beyond)
        bounds = [scores + deviation * by_kind(*self.quantiles[...][:, number]) for number in (LOW, HIGH)]
        # The scale of a model whose scores are worse the higher they are runs from its higher end.
        ends = [jnp.clip(bound, jnp.minimum(first, last), jnp.maximum(first, last)) for bound in bounds]
        spread = None if self.opinions is None else jnp.abs(length) * jnp.exp(by_score(self.opinions[...]))
        return Sureness(jnp.minimum(*ends), jnp.maximum(*ends), jnp.abs(deviation), spread)

    def rescale(self, slope: float, intercept: float) -> None:
        """Moves the scale, so that every score s becomes slope * s + intercept."""
        self.ends[...] = jnp.float32(slope) * self.ends[...] + jnp.float32(intercept)
