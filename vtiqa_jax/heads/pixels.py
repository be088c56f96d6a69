"""Fitting what a place's own pixels tell: how soft it is, from versions of photos whose losses are known."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, UInt8

from vtiqa_jax.heads.ladder_batches import FitOptions
from vtiqa_jax.heads.ladder_fit import fit_ladders, sample_places
from vtiqa_jax.heads.places import Places
from vtiqa_jax.heads.standardization import Standardization, by_name
from vtiqa_jax.models.detail import SOFTNESS
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.pixels import HIDDEN, PixelHead


class _Pupil(nnx.Module):
    """The head while it learns: it tells all causes, too, so that grain is not taken for sharpness."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        self.pixels = PixelHead(rngs=rngs)
        self.causes = nnx.Linear(HIDDEN, SOFTNESS, precision="highest", rngs=rngs)
        self.weight = nnx.Linear(HIDDEN, SOFTNESS + 1, precision="highest", rngs=rngs)

    def judge(self, seen: Array) -> tuple[Array, Array]:
        hidden = self.pixels.digest(seen)
        return jnp.concatenate([self.causes(hidden), self.pixels.fc3(hidden)], axis=-1), self.weight(hidden)


def _turn(
    squares: UInt8[Array, "*batch patch patch 3"], rng: np.random.Generator
) -> UInt8[Array, "*batch patch patch 3"]:
    """Turns and mirrors places, all alike: which way is up says nothing of how sharp a photo is."""
    for axis in (-3, -2):
        squares = jnp.flip(squares, axis) if rng.random() < 0.5 else squares
    return squares.swapaxes(-3, -2) if rng.random() < 0.5 else squares


def fit_pixels(places: Places, factors: tuple[int, ...], options: FitOptions = FitOptions()) -> Params:
    """Fits the head.

    Args:
        places: of versions of many photos, some of them blurred in part.
        factors: `ModelConfig.native_factors`.
        options: how.

    Returns:
        Its parameters, by the names of a VT-IQA.
    """
    pupil = _Pupil(rngs=nnx.Rngs(options.seed))
    shown = jnp.asarray(sample_places(places.squares, options.seed))
    standardize = Standardization.of(np.asarray(pupil.pixels.see(shown)))

    def judge(pupil: _Pupil, squares: Array) -> tuple[Array, Array]:
        return pupil.judge(standardize(pupil.pixels.see(squares)))

    options = dataclasses.replace(options, epochs=options.pixel_epochs, places=options.pixel_places)
    learnt = by_name(fit_ladders(pupil, judge, places, places.squares, factors, options, _turn), "subject.")
    kept = {name: array for name, array in learnt.items() if name.startswith("subject.pixels.")}
    return standardize.fold_into(kept, "subject.pixels.fc1")
