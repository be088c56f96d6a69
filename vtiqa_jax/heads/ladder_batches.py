"""Batches of whole ladders, drawn from the places of versions of photos."""

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from vtiqa_jax.errors import UserError
from vtiqa_jax.heads.places import Places
from vtiqa_jax.models.detail import CAUSES

BLUR, NOISE, ARTEFACTS = range(len(CAUSES))
NOISE_TIMES = 4
"""Number of times that a clean photo's ladder of noise is shown while another is shown once: it is the hardest to tell
from texture."""
ARTEFACT_TIMES = 3
"""The same of ladders of artefacts: of the other causes there are more."""


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """How the head is fitted."""

    epochs: int = 16
    ladders: int = 8
    """Ladders of a batch."""
    places: int = 20
    """Places of each view, drawn anew for each batch: the others say the same, and cost time."""
    pixel_epochs: int = 8
    """Epochs of what reads pixels."""
    pixel_places: int = 8
    """Its places: pixels take more time than tokens."""
    learning_rate: float = 2e-3
    weight_decay: float = 5e-2
    seed: int = 0

    def __post_init__(self) -> None:
        counts = self.epochs, self.ladders, self.places, self.pixel_epochs, self.pixel_places
        if min(counts) < 1 or self.seed < 0:
            raise UserError("epochs, ladders and places must be at least 1, and the seed at least 0")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LadderBatch:
    """Whole ladders, filled up to one length by their first version."""

    seen: Shaped[Array, "ladders versions scales places *features"]
    """What the head sees of each place: its tokens, or its pixels."""
    structure: Float[Array, "ladders versions scales places"]
    cause: Int[Array, "ladders versions"]
    octaves: Float[Array, "ladders versions"]
    beneath: Float[Array, "ladders versions places"]
    factor: Float[Array, "ladders versions"]
    is_sharp: Bool[Array, " ladders"]
    is_there: Bool[Array, "ladders versions"]


def repeat_ladders(places: Places) -> Int[np.ndarray, " shown"]:
    """Returns the numbers of the ladders that an epoch shows: those of more than one version, some more often."""
    # Of clean photos only: a camera's photo has noise of its own, beside which a little more is nothing.
    starts, lengths = places.spans
    is_clean = (places.cause[starts] == NOISE) & places.is_sharp[starts]
    times = np.select([is_clean, places.cause[starts] == ARTEFACTS], [NOISE_TIMES, ARTEFACT_TIMES], 1) * (lengths > 1)
    return np.repeat(np.arange(len(starts)), times)


def draw_batches(
    places: Places,
    seen: Shaped[np.ndarray, "versions scales places *features"],
    ladders: Int[np.ndarray, " shown"],
    options: FitOptions,
    rng: np.random.Generator,
) -> Iterator[LadderBatch]:
    """Yields ladders as far as they fill batches.

    Args:
        places: of versions of many photos.
        seen: what the head sees of them.
        ladders: of `repeat_ladders`.
        options: how many make a batch.
        rng: draws their order, and which places are seen.
    """
    starts, lengths = places.spans
    most = lengths.max()
    size, order = min(options.ladders, len(ladders)), rng.permutation(ladders)
    for at in range(0, len(order) - size + 1, size):
        chosen = order[at : at + size]
        is_there = np.arange(most) < lengths[chosen, None]
        rows = starts[chosen, None] + np.where(is_there, np.arange(most), 0)
        drawn = rng.permutation(seen.shape[2])[: options.places]
        tokens, structure = (array[rows[..., None], :, drawn] for array in (seen, places.structure))
        shown = tokens.swapaxes(2, 3), structure.swapaxes(2, 3)
        beneath = places.beneath[rows[..., None], drawn]
        found = *shown, places.cause[rows], places.octaves[rows], beneath, places.factor[rows]
        yield LadderBatch(*map(jnp.asarray, (*found, places.is_sharp[starts[chosen]], is_there)))
