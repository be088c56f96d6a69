"""A ranking loss over the levels of distortion ladders; see `data/distorted.py`."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vtiqa_jax.data.distorted import LEVELS


def ranking_loss(
    outputs: Float[Array, " batch"], ladders: Float[Array, " batch"], level_index: Float[Array, " batch"], margin: float
) -> Float[Array, ""]:
    """Returns a hinge loss over neighbouring levels: the score has to fall by `margin` times the step.

    The margin is proportional to the level difference, so barely visible steps cost little.

    Args:
        outputs: standardised scores, higher ones better.
        ladders: the ladder that each photo belongs to; -1 for none.
        level_index: its level there: 0 for pristine, 1, 2, ... for the levels of `data/distorted.py`.
        margin: for a step from level 0 to 1, in standard deviations of the training scores.
    """
    one, other = (slice(None), None), (None, slice(None))
    pairs = (ladders[one] == ladders[other]) & (ladders[one] >= 0) & (level_index[one] + 1 == level_index[other])
    steps = jnp.diff(jnp.array((0, *LEVELS), jnp.float32))[level_index.astype(jnp.int32)]
    missing = jax.nn.relu(margin * steps[one] - (outputs[one] - outputs[other]))
    return jnp.where(pairs, missing, 0).sum() / jnp.maximum(pairs.sum(dtype=jnp.float32), 1)
