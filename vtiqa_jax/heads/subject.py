"""Fitting what finds a photo's subject: a line through what the global view's tokens say of each place."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.special
from jaxtyping import Bool, Float, Float32
from tqdm import tqdm

from vtiqa_jax.data.subjects import LETTERS, SubjectPhotos
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.heads.ladder_batches import FitOptions
from vtiqa_jax.heads.pixels import fit_pixels
from vtiqa_jax.heads.places import Places, make_reader
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.params import Params, backbone_params
from vtiqa_jax.padding import stack_padded
from vtiqa_jax.photos import decode

PENALTY = 100.0
"""On half the sum of the squared weights of standardised features, beside the sum of all photos' cross-entropies."""
LEAST_DEVIATION = 0.05
"""Added to each feature's standard deviation: one that hardly varies is not blown up."""
BATCH = 4
"""Photos computed together: more of them leave a CPU's caches."""


def fit_subject(
    tokens: Float[np.ndarray, "photos places features"], shows: Bool[np.ndarray, "photos places"]
) -> Params:
    """Fits the head: the softmax over a photo's places should be spread evenly over those that show the subject.

    Args:
        tokens: of the places of global views.
        shows: whether each of them shows the subject.

    Returns:
        The parameters of its line, by the names of a VT-IQA.
    """
    deviation = tokens.std((0, 1), dtype=np.float64) + LEAST_DEVIATION
    # What all places of a photo have in common moves no softmax.
    standardised = (tokens - tokens.mean(1, keepdims=True)) / deviation
    wanted = shows / shows.sum(1, keepdims=True)

    def loss(weights: Float[np.ndarray, " features"]) -> tuple[float, Float[np.ndarray, " features"]]:
        logs = scipy.special.log_softmax(standardised @ weights, axis=1)
        gradient = np.einsum("pc,pcf->f", np.exp(logs) - wanted, standardised) + PENALTY * weights
        return float(-(wanted * logs).sum() + PENALTY / 2 * weights @ weights), gradient

    found = scipy.optimize.minimize(loss, np.zeros(len(deviation)), method="L-BFGS-B", jac=True).x
    return {"subject.linear.kernel": (found / deviation)[:, None].astype(np.float32)}


def with_subject(model: Checkpoint, fitted: Params) -> Checkpoint:
    """Returns the model with a head that finds the subject, in the place of one it may have."""
    return dataclasses.replace(model, config=model.config.replace(subject=True), params=model.params | fitted)


def read_wholes(
    model: Checkpoint, subjects: SubjectPhotos
) -> tuple[Float32[np.ndarray, "read places features"], Bool[np.ndarray, "read places"], list[str]]:
    """Reads the places of photos' global views.

    Args:
        model: with native blocks.
        subjects: the photos.

    Returns:
        The tokens and labels of those that can be read, and a line for each that cannot.

    Raises:
        UserError: no photo can be read.
    """
    config = model.config
    read, whole = make_reader(config), dataclasses.replace(config.preparation, cuts=config.view_cuts[:1], native=None)
    backbone = {name: jnp.asarray(array) for name, array in backbone_params(model.params).items()}
    views, rows, left_out = [], [], []
    for row, path in enumerate(tqdm(subjects.paths, "photos with a subject", unit="photo", disable=None)):
        try:
            views += whole.make(decode.read(path).pixels)
            rows.append(row)
        except ImageError as error:
            left_out.append(f"{path}: {error}")
    if not views:
        raise UserError(f"no photo of --subjects can be read; the first: {left_out[0]}")
    tokens = []
    for start in range(0, len(views), BATCH):
        part = views[start : start + BATCH]
        (images,) = stack_padded([(view,) for view in part], BATCH)
        tokens.append(np.asarray(read(backbone, images))[: len(part)])
    return np.concatenate(tokens), subjects.shows[rows], left_out


def build_subject(
    model: Checkpoint, subjects: SubjectPhotos, places: Places, options: FitOptions
) -> tuple[Checkpoint, list[str]]:
    """Makes the head.

    Args:
        model: with native views.
        subjects: photos whose subject was marked.
        places: of versions of many photos, some of them blurred in part.
        options: how what reads pixels is fitted.

    Returns:
        The model with the head, and a line for each photo that was left out.

    Raises:
        UserError: no photo can be read.
    """
    tokens, shows, left_out = read_wholes(model, subjects)
    pixels = fit_pixels(places, model.config.native_factors, options)
    return with_subject(model, fit_subject(tokens, shows) | pixels), left_out


def check_cells(model: Checkpoint) -> None:
    """Checks that photos are marked in as many cells as a model has.

    Raises:
        UserError: they are not.
    """
    if (grid := model.config.mosaic_grid) != len(LETTERS):
        side = len(LETTERS)
        raise UserError(f"--subjects marks {side} x {side} cells, and the model sees {grid} x {grid}")
