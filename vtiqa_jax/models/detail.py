"""What a photo shows at its own pixels: is it sharp, clean and real at 100 %?

The head sees patch tokens of native views alone (`photos.native`), at several scales. Of each place it says how much of
the resolution is lost there, in octaves: a photo enlarged twice from one that was sharp to the pixel has lost one, and
noise, blur or compression count as the enlargement that harms as much. Seen at half its size a photo has lost an octave
less; so the same head, asked at each scale, says where a photo stops to hold.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

HIDDEN = 64
NO_STRUCTURE = 0.4
"""Grey levels, see `Places.structure`: a place with less says nothing. Fog, sky and a studio's background have less."""
OCTAVES_THAT_HOLD = 0.5
"""A photo holds where it has lost no more: what a camera's photo loses that is in focus (docs/detail.md)."""


class DetailHead(nnx.Module):
    """Patch tokens of native views to octaves lost, place by place. Always float32."""

    def __init__(self, in_features: int, *, rngs: nnx.Rngs) -> None:
        """Draws the parameters.

        Args:
            in_features: of a place.
            rngs: the stream `params` draws them.
        """
        unit_gain = nnx.initializers.lecun_normal()
        self.fc1 = nnx.Linear(in_features, HIDDEN, kernel_init=unit_gain, precision="highest", rngs=rngs)
        self.octaves = nnx.Linear(HIDDEN, 1, kernel_init=unit_gain, precision="highest", rngs=rngs)
        self.weight = nnx.Linear(HIDDEN, 1, kernel_init=unit_gain, precision="highest", rngs=rngs)
        self.curve = nnx.Param(jnp.array([0.0, 1.0, 1.0, -1.0]))
        """The worst and the best score, and by which line octaves become a logit between them; see `on_scale`."""

    def places(
        self, tokens: Float[Array, "*batch places features"]
    ) -> tuple[Float[Array, "*batch places"], Float[Array, "*batch places"]]:
        """Returns the octaves lost at each place, and how much it counts, as a logit."""
        hidden = jax.nn.gelu(self.fc1(tokens), approximate=False)
        return self.octaves(hidden)[..., 0], self.weight(hidden)[..., 0]

    def __call__(
        self, tokens: Float[Array, "*batch places features"], structure: Float[Array, "*batch places"]
    ) -> Float[Array, "*batch"]:
        """Octaves lost in views.

        Args:
            tokens: of each place of a view.
            structure: of each place, see `photos.native.Places`; 0 where there is no place.

        Returns:
            NaN for a view without structure.
        """
        octaves, logits = self.places(tokens)
        counts = structure > NO_STRUCTURE
        weights = jax.nn.softmax(logits, axis=-1, where=counts)
        mean = jnp.sum(jnp.where(counts, weights * octaves, 0), axis=-1)
        return jnp.where(counts.any(-1), mean, jnp.nan)

    def on_scale(self, octaves: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Returns octaves lost as a number on the score's scale: the less is lost, the better."""
        worst, best, intercept, slope = self.curve[...]
        return worst + (best - worst) * jax.nn.sigmoid(intercept + slope * octaves)


def find_holding_scale(octaves: Float[Array, "batch scales"], factors: Sequence[int]) -> Float[Array, " batch"]:
    """Finds the largest scale at which photos hold: 0.5 says that a photo does at half its width and height.

    Between the scales that were seen, octaves are interpolated; beyond them a scale of half the size has lost one less.

    Args:
        octaves: lost at each scale; NaN where a photo is too small for it.
        factors: by which the photo was shrunk, rising, the first of them 1.

    Returns:
        More than 1 for a photo that would hold if it were enlarged. NaN where nothing is known.
    """
    shrunk = np.log2(factors)
    known = [octaves[:, 0]]
    for number, step in enumerate(np.diff(shrunk), start=1):
        here = octaves[:, number]
        known.append(jnp.where(jnp.isnan(here), known[-1] - step, here))
    beyond = [one - OCTAVES_THAT_HOLD for one in known]
    found = shrunk[-1] + beyond[-1]
    for number in range(len(factors) - 2, -1, -1):
        fall = jnp.maximum(beyond[number] - beyond[number + 1], 1e-6)
        between = shrunk[number] + (shrunk[number + 1] - shrunk[number]) * beyond[number] / fall
        found = jnp.where(beyond[number + 1] <= 0, between, found)
    return 2.0 ** -jnp.where(beyond[0] <= 0, beyond[0], found)
