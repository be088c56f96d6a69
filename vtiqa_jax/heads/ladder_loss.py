"""How wrong a head of detail is on ladders: versions of photos of which is known how much each has lost."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from vtiqa_jax.heads.ladder_batches import BLUR, NOISE, LadderBatch
from vtiqa_jax.models.detail import NO_STRUCTURE, SOFTNESS, add_causes, find_holding_scale, summarize

MOST_OCTAVES = 3.3
"""More cannot be told apart."""
SCALE_WEIGHTS = (1.0, 0.6, 0.4, 0.3)
"""Weights of the errors at each scale: the photo's own pixels count most."""
HUBER_DELTA = 0.5
OTHER_WEIGHT = 0.3
"""Weight of the errors of causes that a ladder does not show."""
ORDER_WEIGHT = 1.0
"""Weight of versions that do not lose more than better ones of their ladder."""
TEXTURE_WEIGHT = 4.0
"""Weight of the softness of noisy versions: noise must not read as texture, which blur takes away."""
PLACE_WEIGHT = 3.0
"""Weight of single places of photos that are blurred in part: the backbone's attention tells each place of all others,
and a head that never saw such photos takes every place for sharp as soon as some are."""
PLACE_SCALES = 2
"""Scales at which single places count: farther off, a square has both parts in it."""
HOLDING_WEIGHT = 1.0
"""Weight of enlarged photos that hold at another share of their size than the enlargement says."""
LEAST_STEP = 0.3
"""Octaves by which they should, at most: a weak step may cost less than it should."""
START = -0.3, 2.5
"""Octaves that a ladder's best version may have lost, whatever the head says of it."""
BELOW_ZERO = -0.2
"""Octaves: a photo that is sharp to the pixel cannot be much sharper."""


def expected_octaves(
    start: Float[Array, "ladders readings"],
    cause: Int[Array, "ladders versions"],
    octaves: Float[Array, "ladders versions"],
    beneath: Float[Array, "ladders versions"],
    factor: Float[Array, "ladders versions"],
    shrunk: Float[Array, " scales"],
) -> Float[Array, "ladders versions scales readings"]:
    """Returns what versions have lost by each cause at each scale.

    What spreads a pixel's light adds up in squares: of two blurs, and of a blur and a photo's own softness. Enlarging
    a photo spreads it further, and shrinking shrinks all of it.

    Args:
        start: what the best version of each ladder has lost.
        cause: of a ladder's steps.
        octaves: what each step costs.
        beneath: octaves that each version was blurred by beneath the cause.
        factor: how often each version was enlarged.
        shrunk: how often they are shrunk to be seen.
    """
    is_blur = _is_blur(jnp.arange(SOFTNESS + 1))
    is_own = _is_own(cause)
    added = is_own * (4**octaves - 1)[:, :, None] + is_blur * (4**beneath - 1)[:, :, None]
    enlarged = jnp.where(is_blur, factor[:, :, None] ** 2, 1)
    spread = enlarged * (4 ** start[:, None] + added)
    seen = jnp.maximum(spread - 1, 0)[:, :, None] / shrunk[:, None] ** 2
    return jnp.minimum(jnp.log2(1 + seen) / 2, MOST_OCTAVES)


def _is_blur(reading: Int[Array, "*shape"]) -> Bool[Array, "*shape"]:
    """Tells which of the head's readings are of blur: as a cause, and alone."""
    return (reading == BLUR) | (reading == SOFTNESS)


def _is_own(cause: Int[Array, "ladders versions"]) -> Bool[Array, "ladders versions readings"]:
    """Tells which readings the ladders of causes change."""
    readings, cause = jnp.arange(SOFTNESS + 1), cause[:, :, None]
    return (readings == cause) | ((cause == BLUR) & _is_blur(readings))


def _mean_error(error: Float[Array, "*shape"], counts: Bool[Array, "*shape"]) -> Float[Array, ""]:
    """Returns the mean loss of the errors that count; 0 where none does."""
    losses = optax.losses.huber_loss(jnp.where(counts, error, 0), delta=HUBER_DELTA)
    return losses.sum() / jnp.maximum(counts.sum(), 1)


def misheld(
    lost: Float[Array, "ladders versions scales readings"],
    factor: Float[Array, "ladders versions"],
    factors: Sequence[int],
) -> Float[Array, ""]:
    """Returns how wrong it is where enlarged photos hold: at as much less of their size as they were enlarged.

    Args:
        lost: octaves, of each ladder's best version first; NaN where nothing is known.
        factor: how often each version was enlarged.
        factors: by which photos are shrunk to be seen.
    """
    known = ~jnp.isnan(lost[:, :, :1, :1])
    seen = jnp.where(known, lost, 0).reshape(-1, *lost.shape[2:])
    holds = jnp.log2(find_holding_scale(seen, factors)).reshape(factor.shape)
    error = holds - holds[:, :1] + jnp.log2(factor)
    counts = (factor > 1) & (known & known[:, :1])[:, :, 0, 0]
    return _mean_error(error, counts)


def misplaced(
    blur: Float[Array, "ladders versions scales places"],
    beneath: Float[Array, "ladders versions places"],
    counts: Bool[Array, "ladders versions scales places"],
    is_sharp: Bool[Array, " ladders"],
    shrunk: Float[Array, " scales"],
) -> Float[Array, ""]:
    """Returns how wrong single places are where photos are blurred in part.

    Args:
        blur: octaves lost at each place, of each ladder's best version first.
        beneath: octaves that each place was blurred by; NaN where that is not known.
        counts: places with structure.
        is_sharp: ladders whose best version has lost nothing.
        shrunk: how often photos are shrunk to be seen.
    """
    # As of whole photos: what a place had lost before is not known.
    start = jnp.where(is_sharp[:, None], 0.0, jnp.clip(jax.lax.stop_gradient(blur[:, 0, 0]), *START))
    spread = 4 ** start[:, None] + 4**beneath - 1
    expected = jnp.log2(1 + jnp.maximum(spread - 1, 0)[:, :, None] / shrunk[:, None] ** 2) / 2
    known = counts & ~jnp.isnan(expected) & ~_is_even(beneath).all(1)[:, None, None, None]
    return _mean_error(blur - expected, known)


def _is_even(beneath: Float[Array, "ladders versions places"]) -> Bool[Array, "ladders versions"]:
    """Returns which versions are blurred alike in all places."""
    return (beneath == beneath[:, :, :1]).all(-1)


def ladder_loss(
    octaves: Float[Array, "ladders versions scales places readings"],
    logits: Float[Array, "ladders versions scales places readings"],
    batch: LadderBatch,
    whole_factors: tuple[int, ...],
) -> Float[Array, ""]:
    """Returns how wrong a head is on whole ladders.

    Args:
        octaves: that each place has lost, as the head says.
        logits: how much each place counts.
        batch: the ladders.
        whole_factors: by which photos are shrunk to be seen.
    """
    factors = jnp.asarray(whole_factors, jnp.float32)
    lost = summarize(octaves, logits, batch.structure)  # [ladders, versions, scales, readings]
    is_even = _is_even(batch.beneath)
    known = ~jnp.isnan(lost) & (batch.is_there & is_even)[:, :, None, None]
    lost = jnp.where(known, lost, 0)
    # What a camera's photo itself has lost is not known: what the head says of it counts, and trains nothing.
    found = jnp.clip(jax.lax.stop_gradient(lost[:, 0, 0]), *START)
    is_sharp = batch.is_sharp[:, None, None, None]
    beneath = jnp.where(is_even, batch.beneath[:, :, 0], 0)
    expected = expected_octaves(
        jnp.where(batch.is_sharp[:, None], 0.0, found), batch.cause, batch.octaves, beneath, batch.factor, factors
    )
    readings, is_noisy = jnp.arange(SOFTNESS + 1), (batch.cause == NOISE)[:, :, None, None]
    is_told = _is_own(batch.cause)[:, :, None] | (is_noisy & _is_blur(readings))
    is_told |= (batch.factor > 1)[:, :, None, None]  # an enlarged photo is soft, and no noisier than it was
    weights = known * jnp.array(SCALE_WEIGHTS[: len(factors)])[:, None] * jnp.where(is_told, 1, OTHER_WEIGHT)
    weights = weights * jnp.where(is_noisy & (readings == SOFTNESS), TEXTURE_WEIGHT, 1)
    first = jnp.zeros(expected.shape, bool).at[:, 0, 0].set(True)
    weights = jnp.where(first & ~is_sharp, 0, weights)
    # Blur hides noise, and compression hides both: by how much is not known, but nothing grows.
    is_exact = is_told | is_sharp
    error = jnp.where(is_exact, lost - expected, jax.nn.relu(lost - expected))
    count = jnp.maximum(weights.sum(), 1e-6)  # of photos of nothing but sky nothing is known
    error = (weights * optax.losses.huber_loss(error, delta=HUBER_DELTA)).sum() / count
    total, wanted = add_causes(lost)[:, :, 0], add_causes(expected)[:, :, 0]
    both = known[:, 1:, 0, 0] & known[:, :-1, 0, 0]
    least = jnp.minimum(0.7 * jnp.diff(wanted, axis=1), LEAST_STEP)
    missing = jnp.where(both, jax.nn.relu(least - jnp.diff(total, axis=1)), 0).sum() / jnp.maximum(both.sum(), 1)
    too_sharp = (weights * jax.nn.relu(BELOW_ZERO - lost) ** 2).sum() / count
    blur = octaves[:, :, :PLACE_SCALES, :, SOFTNESS]
    counts = (batch.structure[:, :, :PLACE_SCALES] > NO_STRUCTURE) & batch.is_there[:, :, None, None]
    placing = misplaced(blur, batch.beneath, counts, batch.is_sharp, factors[:PLACE_SCALES])
    holding = misheld(jnp.where(known, lost, jnp.nan), batch.factor, whole_factors)
    return error + ORDER_WEIGHT * missing + PLACE_WEIGHT * placing + HOLDING_WEIGHT * holding + 0.1 * too_sharp
