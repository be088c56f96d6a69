"""Intervals of a model's scores, fitted to photos with opinions that it was never trained on."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from vtiqa_jax.data import images
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.heads.intervals import fit_errors, fit_kinds, fit_opinions
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models.adapt import without_intervals
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.models.ends import soften_ends
from vtiqa_jax.training.novelty import read_features

SPREAD = "std"
"""The column of standard deviations of single opinions."""
LEAST = 100
"""Photos: of fewer the interval of nine in ten would rest on a handful."""


def score_features(model: Checkpoint, features: Float[np.ndarray, "photos both"]) -> Float[np.ndarray, " photos"]:
    """Scores photos by their features, see `training.novelty.read_features`."""
    params = {name: jnp.asarray(array) for name, array in model.params.items()}
    scores = jax.jit(lambda seen: parameters.merge_head(model.config, params)(seen))(features)
    if model.config.soft_ends:
        scores = soften_ends(scores, *(params[f"ends.{name}"] for name in ("low", "high", "reach")))
    return np.asarray(scores, np.float64)


def check_held_out(photos: Manifest, scale: LabelScale) -> None:
    """Checks that intervals can be fitted to the opinions of photos.

    Args:
        photos: see `with_intervals`.
        scale: of the model.

    Raises:
        UserError: they are too few, or numbers are beyond the scale.
    """
    if len(photos.names) < LEAST:
        raise UserError(f"intervals need at least {LEAST} held-out photos with opinions, not {len(photos.names)}")
    if photos.mos.min() < scale.low or photos.mos.max() > scale.high:
        found = f"{photos.mos.min():g} to {photos.mos.max():g}"
        raise UserError(f"the held-out photos have {found}, beyond the model's {scale}")
    spreads = photos.targets.get(SPREAD)
    if spreads is not None and (spreads.min() < 0 or not spreads.any()):
        raise UserError(f"{SPREAD}, the standard deviation of opinions, must not be below 0, nor always 0")


def with_intervals(model: Checkpoint, photos: Manifest) -> Checkpoint:
    """Returns the same VT-IQA with intervals that hold for photos like these, in the place of those it may have.

    Args:
        model: with a label scale.
        photos: with opinions on that scale, none of which trained the model; and spreads of opinions among their
            targets, where these are known.

    Raises:
        UserError: they are too few, one cannot be read, or numbers are beyond the scale.
    """
    scale = model.scale
    assert scale is not None
    check_held_out(photos, scale)
    bare = without_intervals(model)
    try:
        names = tqdm(photos.names, "held-out photos", unit="photo", disable=None)
        features = read_features(bare, (images.decode(photos.images.read(name), name) for name in names))
    except ImageError as error:
        raise UserError(f"a held-out photo cannot be read: {error}") from error
    scores = score_features(bare, features)
    fitted = fit_errors(fit_kinds(features), features, scores, photos.mos - scores, scale)
    spreads = photos.targets.get(SPREAD)
    if spreads is not None:
        fitted |= fit_opinions(photos.mos, spreads, scale)
    config = bare.config.replace(intervals=True, opinions=spreads is not None)
    return dataclasses.replace(bare, config=config, params=bare.params | fitted)
