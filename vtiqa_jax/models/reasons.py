"""Why a photo is bad: ten faults, each with a strength and a probability.

Faults of sharpness, noise and coding are seen at the photo's own pixels alone, as `detail` is; those of light and
colour in the global view, and in how often each brightness occurs there. Fault by fault the head finds a strength: 1 is
slight, 2 plain and 3 severe, as the faults were planted that it learnt from. How probable it is that a judge calls
it plain follows from the strength by a curve that was fitted to photos judged by eye (docs/reasons.md).
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, UInt8

from vtiqa_jax.models.faults import FALSE_ALARMS, FAULTS, NATIVE_FAULTS, SCREEN_FAULTS

LEVELS = (1.0, 2.0, 3.0)
"""Strengths of a slight, a plain and a severe fault."""
STEEPNESS = 3.0
"""Of the logit by which a planted fault is at least slight, plain or severe, for each step of its strength."""

HIDDEN = 128
QUERIES = 8
"""By which places are weighed: the sharpest, the noisiest and so on."""
BRIGHTNESSES = (4, 8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 208, 224, 240, 248, 252)
"""Grey levels up to which pixels are counted."""
FULL = 254
"""Grey level from which a channel is clipped."""
RANGES = ((0, 64), (64, 192), (192, 256))
"""Of brightness, over which colours are averaged: a cast tints all of them, and a sunset not."""
TONES = len(BRIGHTNESSES) + 5 + 3 * len(RANGES) + 5


def measure_tones(images: UInt8[Array, "batch size size 3"]) -> Float[Array, "batch tones"]:
    """Measures how bright and how coloured the pixels of global views are; no number is far from 0 to 1."""
    values = images.astype(jnp.float32)
    luma = values @ jnp.array([0.299, 0.587, 0.114])
    below = jnp.stack([(luma < level).mean((1, 2)) for level in BRIGHTNESSES], axis=1)
    full = (values >= FULL).astype(jnp.float32)
    clipped = jnp.concatenate(
        [full.mean((1, 2)), full.max(-1).mean((1, 2))[:, None], full.min(-1).mean((1, 2))[:, None]], axis=1
    )
    colours = (values - luma[..., None]) / 64
    tints = [clipped, below]
    for low, high in RANGES:
        inside = ((luma >= low) & (luma < high)).astype(jnp.float32)[..., None]
        share = inside.mean((1, 2))
        red_and_blue = (colours[..., ::2] * inside).mean((1, 2)) / (share + 0.02)
        tints += [red_and_blue, jnp.sqrt(share)]
    mean = luma.mean((1, 2), keepdims=True)
    deviation = jnp.sqrt(((luma - mean) ** 2).mean((1, 2)))
    chroma = jnp.abs(colours).mean((1, 2))
    tints += [mean[:, :, 0] / 128 - 1, deviation[:, None] / 64, chroma]
    return jnp.concatenate(tints, axis=1)


class ReasonsHead(nnx.Module):
    """What both kinds of views show to the strength of each fault. Always float32."""

    def __init__(
        self,
        native_features: int,
        scales: int,
        screen_features: int,
        *,
        hidden: int = HIDDEN,
        queries: int = QUERIES,
        rngs: nnx.Rngs,
    ) -> None:
        """Draws the parameters.

        Args:
            native_features: of a place.
            scales: at which native views are made.
            screen_features: of the global view.
            hidden: units of each layer.
            queries: number of queries.
            rngs: the stream `params` draws them.
        """

        def linear(inputs: int, outputs: int) -> nnx.Linear:
            unit_gain = nnx.initializers.lecun_normal()
            return nnx.Linear(inputs, outputs, kernel_init=unit_gain, precision="highest", rngs=rngs)

        self.place = linear(native_features, hidden)
        self.queries = linear(hidden, queries)
        self.native = linear(scales * (queries * hidden + 1), hidden)
        self.native_faults = linear(hidden, len(NATIVE_FAULTS))
        self.screen = linear(screen_features + TONES, hidden)
        self.screen_faults = linear(hidden, len(SCREEN_FAULTS))
        plain = (LEVELS[0] + LEVELS[1]) / 2
        self.curve = nnx.Param(jnp.tile(STEEPNESS * jnp.array([1.0, -plain]), (len(FAULTS), 1)))
        """Of each fault slope and intercept of the logit of its probability by its strength."""
        self.thresholds = nnx.Param(jnp.full((len(FALSE_ALARMS), len(FAULTS)), 1.5))
        """Strengths from which a fault is named, for each of `FALSE_ALARMS`."""

    def see_places(
        self, tokens: Float[Array, "*batch places features"], structure: Float[Array, "*batch places"]
    ) -> Float[Array, "*batch summary"]:
        """Sums up a view: by each query a weighted mean over places, and whether there is a view at all."""
        hidden = jax.nn.gelu(self.place(tokens), approximate=False)
        exists = (structure > 0)[..., None]
        weights = jax.nn.softmax(self.queries(hidden), axis=-2, where=exists)
        weights = jnp.where(exists, weights, 0)
        means = jnp.einsum("...pq,...ph->...qh", weights, hidden, precision=jax.lax.Precision.HIGHEST)
        seen = exists.any(-2).astype(jnp.float32)
        return jnp.concatenate([means.reshape(*means.shape[:-2], -1) * seen, seen], axis=-1)

    def see_native(self, summaries: Float[Array, "*batch scales summary"]) -> Float[Array, "*batch native_faults"]:
        """Finds the strengths of what shows at a photo's own pixels, from the summary of each scale."""
        flat = summaries.reshape(*summaries.shape[:-2], -1)
        return self.native_faults(jax.nn.gelu(self.native(flat), approximate=False))

    def see_screen(
        self, features: Float[Array, "*batch features"], tones: Float[Array, "*batch tones"]
    ) -> Float[Array, "*batch screen_faults"]:
        """Finds the strengths of what shows on a screen."""
        hidden = jax.nn.gelu(self.screen(jnp.concatenate([features, tones], axis=-1)), approximate=False)
        return self.screen_faults(hidden)

    def __call__(
        self,
        summaries: Float[Array, "batch scales summary"],
        features: Float[Array, "batch features"],
        tones: Float[Array, "batch tones"],
    ) -> tuple[Float[Array, "batch faults"], Float[Array, "batch faults"]]:
        """Finds the faults of photos.

        Args:
            summaries: of `see_places`, for each scale.
            features: of the global view.
            tones: of `measure_tones`.

        Returns:
            Their strengths, and the probability that a judge calls them plain, in the order of `FAULTS`.
        """
        strengths = jnp.concatenate([self.see_native(summaries), self.see_screen(features, tones)], axis=1)
        slope, intercept = self.curve[...].T
        return strengths, jax.nn.sigmoid(slope[None] * strengths + intercept[None])
