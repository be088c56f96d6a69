"""Fitting what the spectrum of a place says: how soft the place is, by its own pixels."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Float32

from vtiqa_jax.heads.detail import HUBER_DELTA, PLACE_SCALES
from vtiqa_jax.heads.places import Places
from vtiqa_jax.heads.standardization import Standardization, by_name
from vtiqa_jax.models.detail import NO_STRUCTURE
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.spectrum import SpectrumHead

EPOCHS, BATCH = 12, 512
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 5e-2


def collect_blur(
    places: Places, factors: tuple[int, ...]
) -> tuple[Float32[np.ndarray, "rows numbers"], Float32[np.ndarray, " rows"]]:
    """Collects the places of photos that are blurred in part, with the octaves that each was blurred by.

    What a photo had lost before counts as nothing: the head is asked for differences within a photo alone.

    Args:
        places: of versions of many photos.
        factors: by which they were shrunk to be seen.

    Returns:
        The spectrum of each place, and its octaves.
    """
    starts, lengths = places.spans
    is_even = (places.beneath == places.beneath[:, :1]).all(1)  # NaN is unlike itself
    partly = np.repeat(np.logical_or.reduceat(~is_even, starts), lengths)
    blur = places.beneath + places.octaves[:, None]
    spectra, octaves = [], []
    for number, factor in enumerate(factors[:PLACE_SCALES]):
        counts = partly[:, None] & ~np.isnan(blur) & (places.structure[:, number] > NO_STRUCTURE)
        spectra.append(places.spectrum[:, number][counts].astype(np.float32))
        octaves.append(np.log2(1 + (4 ** blur[counts] - 1) / factor**2) / 2)
    return np.concatenate(spectra), np.concatenate(octaves).astype(np.float32)


def fit_spectrum(places: Places, factors: tuple[int, ...], seed: int = 0) -> Params:
    """Fits the head.

    Args:
        places: of versions of many photos, some of them blurred in part.
        factors: `ModelConfig.native_factors`.
        seed: of its first parameters and of all draws.

    Returns:
        Its parameters, by the names of a VT-IQA; as they were drawn if no photo is blurred in part.
    """
    spectra, octaves = collect_blur(places, factors)
    rng = np.random.default_rng(seed)
    head = SpectrumHead(places.spectrum.shape[-1], rngs=nnx.Rngs(seed))
    graphdef, params = nnx.split(head, nnx.Param)
    if not len(spectra):
        return by_name(params, "subject.spectrum.")
    size = min(BATCH, len(spectra))
    standardize = Standardization.of(spectra)
    steps = EPOCHS * (len(spectra) // size)
    optimizer = optax.adamw(optax.cosine_decay_schedule(LEARNING_RATE, steps), weight_decay=WEIGHT_DECAY)
    state = optimizer.init(params)

    def loss(params: Any, spectra: Float[Array, "batch numbers"], octaves: Float[Array, " batch"]) -> Array:
        found = nnx.merge(graphdef, params)(standardize(spectra))
        return optax.losses.huber_loss(found, octaves, delta=HUBER_DELTA).mean()

    @jax.jit
    def step(params: Any, state: optax.OptState, spectra: Array, octaves: Array) -> tuple[Any, optax.OptState]:
        updates, state = optimizer.update(jax.grad(loss)(params, spectra, octaves), state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(EPOCHS):
        order = rng.permutation(len(spectra))
        for at in range(0, len(order) - size + 1, size):
            rows = order[at : at + size]
            params, state = step(params, state, jnp.asarray(spectra[rows]), jnp.asarray(octaves[rows]))
    return standardize.fold_into(by_name(params, "subject.spectrum."), "subject.spectrum.fc1")
