"""The order of the distorted versions of a photo, as a term of a loss; see `data/distorted.py`."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vtiqa_jax.data.distorted import LEVELS


def order_loss(
    outputs: Float[Array, " batch"], chains: Float[Array, " batch"], places: Float[Array, " batch"], margin: float
) -> Float[Array, ""]:
    """Hinge loss over the pairs of neighbouring levels of a chain: the score has to fall by `margin` times the step.

    A step that hardly anybody sees, as from the untouched photo to the lowest level, so costs little.

    Args:
        outputs: standardised scores, higher ones better.
        chains: the chain that each photo belongs to; -1 for none.
        places: its place there: 0 for untouched, 1, 2, ... for the levels of `data/distorted.py`.
        margin: for a step from level 0 to 1, in standard deviations of the training scores.
    """
    one, other = (slice(None), None), (None, slice(None))
    pairs = (chains[one] == chains[other]) & (chains[one] >= 0) & (places[one] + 1 == places[other])
    steps = jnp.diff(jnp.array((0, *LEVELS), jnp.float32))[places.astype(jnp.int32)]
    missing = jax.nn.relu(margin * steps[one] - (outputs[one] - outputs[other]))
    return jnp.where(pairs, missing, 0).sum() / jnp.maximum(pairs.sum(dtype=jnp.float32), 1)
