"""Detail: whether a photo is sharp, clean and real at its own pixels, at 100 %.

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

CAUSES = ("blur", "noise", "artefacts")
"""Too few pixels, focus or motion; a sensor's noise; compression, sharpening and smearing."""
SOFTNESS = len(CAUSES)
"""What the head tells beside the causes: the blur alone. The cause "blur" is what blur adds to the sum, and blur also
takes noise away; where a photo stops to hold, only how far its light is spread counts."""
CAUSE_WEIGHTS = (1.0, 2.5, 1.0)
"""Weights of the causes in their sum. Real noise also hides that a photo is soft: counted once, every other photo would
beat the mean of many of the same scene (docs/detail.md)."""
NOISE = CAUSES.index("noise")
COARSE_NOISE = 0.4
"""Share of the noise that is read at the second scale. An enlargement makes grains coarser: at 1:1 alone there would be
less noise in the copy of a noisy photo, and so more detail than in the photo (docs/experiments.md)."""
HARM_WEIGHTS = (1.5, 1.0)
"""Weights of noise and artefacts, each the mean over the scales, in what keeps a photo from holding."""
SUBJECT_WEIGHT = 4.0
"""Weight of how much a place shows the photo's subject, see `SubjectHead`, where it is told by how much that is softer
than the rest. Noise and compression are the same all over a photo, and the more places tell of them, the better."""
SEEN_BEST, SEEN_WIDTH = 1.2, 1.2
"""Octaves that a photo has lost at the scale at which it is told best how soft its places are, and how far around."""
LEAST_WEIGHT = 1e-6
"""Weight of a scale that is far from the best, so that a photo far from it at all scales is told, too."""
HIDDEN = 192
NO_STRUCTURE = 0.4
"""Grey levels, see `Places.structure`: a place with less says nothing. Fog, sky and a studio's background have less."""
OCTAVES_THAT_HOLD = 0.7
"""A photo holds where it has lost no more: what a camera's photo loses that is in focus (docs/detail.md)."""
ERROR, ERROR_GROWTH, EXACT_TO = 0.15, 0.5, 1.0
"""Error of the octaves found at a scale, and its growth where more than `EXACT_TO` are lost: those with which `holds`
follows enlargements best (docs/experiments.md)."""
SOFT_WIDTH = 0.15
"""Octaves over which a scale begins to count beside larger ones: as these say that the photo is soft there."""
MOST_GROWTH = 9.0


def add_causes(octaves: Float[Array, "*batch readings"]) -> Float[Array, "*batch"]:
    """Adds up what is lost by several causes: what one of them leaves, the next harms as much as it harms all of it."""
    return octaves[..., : len(CAUSES)] @ jnp.array(CAUSE_WEIGHTS)


def summarize(
    octaves: Float[Array, "*batch places readings"],
    logits: Float[Array, "*batch places readings"],
    structure: Float[Array, "*batch places"],
) -> Float[Array, "*batch readings"]:
    """Sums up what is said of places.

    Args:
        octaves: lost at each place, see `DetailHead`.
        logits: how much each place counts.
        structure: of each place, see `photos.native.Places`; 0 where there is no place.

    Returns:
        The octaves lost by all places together; NaN where none has structure.
    """
    counts = (structure > NO_STRUCTURE)[..., None]
    weights = jax.nn.softmax(logits, axis=-2, where=counts)
    mean = jnp.sum(jnp.where(counts, weights * octaves, 0), axis=-2)
    return jnp.where(counts.any(-2), mean, jnp.nan)


def find_softer_subject(
    softness: Float[Array, "*batch places"],
    subject: Float[Array, "*batch places"],
    structure: Float[Array, "*batch places"],
) -> Float[Array, "*batch"]:
    """Finds by how many octaves a photo's subject is softer than all of the photo.

    Tokens tell how blurred a photo is, and hardly how blurred each place of it is: attention tells each of all others.
    By how much the subject is softer than the rest, the places' own pixels tell.

    Args:
        softness: octaves lost at each place, of `PixelHead`.
        subject: how much each place shows the subject, of `SubjectHead`.
        structure: see `summarize`.

    Returns:
        NaN where no place has structure.
    """
    own, shown = softness[..., None], SUBJECT_WEIGHT * subject[..., None]
    return (summarize(own, shown, structure) - summarize(own, jnp.zeros_like(shown), structure))[..., 0]


class DetailHead(nnx.Module):
    """Patch tokens of native views to octaves lost, cause by cause. Always float32.

    The causes are told apart because grains of noise look like texture: a head that says one number takes a photo with
    real noise for sharper than the mean of many, and the mean for blurred.
    """

    def __init__(self, in_features: int, *, rngs: nnx.Rngs) -> None:
        """Draws the parameters.

        Args:
            in_features: of a place.
            rngs: the stream `params` draws them.
        """
        unit_gain = nnx.initializers.lecun_normal()
        self.fc1 = nnx.Linear(in_features, HIDDEN, kernel_init=unit_gain, precision="highest", rngs=rngs)
        self.octaves = nnx.Linear(HIDDEN, SOFTNESS + 1, kernel_init=unit_gain, precision="highest", rngs=rngs)
        self.weight = nnx.Linear(HIDDEN, SOFTNESS + 1, kernel_init=unit_gain, precision="highest", rngs=rngs)
        self.curve = nnx.Param(jnp.array([0.0, 1.0, 1.0, -1.0]))
        """The worst and the best score, and by which line octaves become a logit between them; see `on_scale`."""

    def __call__(
        self, tokens: Float[Array, "*batch places features"]
    ) -> tuple[Float[Array, "*batch places readings"], Float[Array, "*batch places readings"]]:
        """Returns the octaves lost at each place by each cause, and how much the place counts for it, as a logit; after
        the causes the same of softness."""
        hidden = jax.nn.gelu(self.fc1(tokens), approximate=False)
        return self.octaves(hidden), self.weight(hidden)

    def on_scale(self, octaves: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Returns octaves lost as a number on the score's scale: the less is lost, the better."""
        worst, best, intercept, slope = self.curve[...]
        return worst + (best - worst) * jax.nn.sigmoid(intercept + slope * octaves)


def combine_scales(octaves: Float[Array, "batch scales"], factors: Sequence[int]) -> Float[Array, " batch"]:
    """Combines the blur that is seen at each scale into the octaves that are lost by it at the first.

    What spreads a pixel's light is smaller at a smaller scale, and adds up with the pixel in squares: each scale tells
    what is lost at the first. The head is most exact where little is lost, and where more than nothing is. So a smaller
    scale counts when the larger ones say that the photo is still soft there.

    Args:
        octaves: lost at each scale; NaN where a photo is too small for it.
        factors: by which the photo was shrunk, rising, the first of them 1.

    Returns:
        NaN where nothing is known.
    """
    first = octaves[:, 0]
    total = _precision(first)
    mean = first
    for number, factor in enumerate(factors[1:], start=1):
        here = jnp.maximum(jnp.where(jnp.isnan(octaves[:, number]), 0, octaves[:, number]), 0)
        spread = 1 + factor**2 * (4**here - 1)
        is_soft = jax.nn.sigmoid((mean - np.log2(factor)) / SOFT_WIDTH)
        growth = jnp.minimum(factor**2 * 4**here / spread, MOST_GROWTH)  # of an error at this scale
        weight = jnp.where(jnp.isnan(octaves[:, number]), 0, is_soft * _precision(here) / growth**2)
        mean = (total * mean + weight * jnp.log2(spread) / 2) / (total + weight)
        total = total + weight
    return mean


def _precision(octaves: Float[Array, " batch"]) -> Float[Array, " batch"]:
    """Returns how much a scale's octaves tell: the inverse of their variance."""
    return 1 / (ERROR**2 + (ERROR_GROWTH * jnp.maximum(0, octaves - EXACT_TO)) ** 2)


def see_subject(
    octaves: Float[Array, "batch scales readings"], softer: Float[Array, "batch scales"], factors: Sequence[int]
) -> Float[Array, " batch"]:
    """Finds by how much the subject is softer where that is seen best: at the scale that leaves it a little soft.

    What is sharp to the pixel, or blurred beyond telling, all looks alike. An enlarged photo is so seen at the scale
    that shows what its original shows.

    Args:
        octaves: lost at each scale, see `DetailHead`.
        softer: of `find_softer_subject`, at each scale; NaN where a photo is too small for it.
        factors: see `combine_scales`.

    Returns:
        NaN where nothing is known.
    """
    blur, scales = combine_scales(octaves[..., SOFTNESS], factors), np.log2(factors).astype(np.float32)
    off = (blur[:, None] - scales[None] - SEEN_BEST) / SEEN_WIDTH
    weights = jnp.where(jnp.isnan(softer), 0, jnp.exp(-0.5 * off**2) + LEAST_WEIGHT)
    return jnp.where(weights > 0, weights * softer, 0).sum(1) / weights.sum(1)


def sum_losses(
    octaves: Float[Array, "batch scales readings"], softer: Float[Array, " batch"] | None = None
) -> Float[Array, " batch"]:
    """Sums up what photos have lost at their own pixels by all causes.

    Args:
        octaves: lost at each scale, see `DetailHead`.
        softer: of `see_subject`; without it all of a photo counts.

    Returns:
        Octaves; NaN where nothing is known.
    """
    fine = octaves[:, 0, NOISE]
    coarse = octaves[:, :2, NOISE][:, -1]
    coarse = jnp.where(jnp.isnan(coarse), fine, coarse)  # a photo may be too small for a second scale
    lost = add_causes(octaves[:, 0].at[:, NOISE].set(fine + COARSE_NOISE * (coarse - fine)))
    return lost if softer is None else lost + softer


def find_holding_scale(
    octaves: Float[Array, "batch scales readings"],
    factors: Sequence[int],
    softer: Float[Array, " batch"] | None = None,
) -> Float[Array, " batch"]:
    """Finds the largest scale at which photos hold: 0.5 says that a photo does at half its width and height.

    Enlarging a photo moves its noise and its artefacts from one scale to the next: their mean over all scales stays,
    and the photo holds at so much less of its size as it was enlarged. Nothing makes up for blur: cleaner than clean is
    not sharper.

    Args:
        octaves: lost at each scale, see `DetailHead`; NaN where a photo is too small for it.
        factors: see `combine_scales`.
        softer: see `sum_losses`.

    Returns:
        More than 1 for a photo that would hold if it were enlarged. NaN where nothing is known.
    """
    harm = jnp.nanmean(jnp.maximum(octaves[..., 1:SOFTNESS], 0), axis=1) @ jnp.array(HARM_WEIGHTS)
    blur = combine_scales(octaves[..., SOFTNESS], factors)
    if softer is not None:
        blur += softer
    return 2.0 ** (OCTAVES_THAT_HOLD - blur - harm)
