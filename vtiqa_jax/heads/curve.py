"""The curve from octaves lost to the score's scale: people's opinion of photos that have lost as much."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.special
from jaxtyping import Array, Float, Float32
from tqdm import tqdm

from vtiqa_jax.data import images
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.errors import ImageError
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.models.detail import sum_losses
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.vit import select_implementation
from vtiqa_jax.models.vtiqa import VTIQA
from vtiqa_jax.padding import stack_padded

MOST_PHOTOS = 2000
"""Photos that are measured: a curve of two numbers is not better for more of them."""
BATCH = 4
"""Photos computed together: more of them leave a CPU's caches."""


def measure_octaves(model: Checkpoint, photos: Manifest) -> Float[np.ndarray, " photos"]:
    """Measures the octaves that photos have lost at their own pixels.

    Args:
        model: with a detail head.
        photos: of many, MOST_PHOTOS are drawn.

    Returns:
        NaN for photos that were not drawn, that cannot be read, and that show no structure.
    """
    whole = model.config.preparation
    plan = dataclasses.replace(whole, cuts=whole.cuts[:1])
    graphdef, _ = parameters.abstract_model(model.config, "float32", select_implementation(jax.devices()[0], "float32"))
    params = {name: jnp.asarray(array) for name, array in model.params.items()}

    @jax.jit
    def find(params: Params, global_view: Array, images: Array, structure: Array) -> Array:
        vtiqa = parameters.merge_params(graphdef, params)
        assert isinstance(vtiqa, VTIQA)
        subject = vtiqa.find_subject(global_view) if vtiqa.subject else None
        readings = vtiqa.read_native(images, structure, subject)
        return sum_losses(readings.octaves, readings.softer)

    octaves = np.full(len(photos.names), np.nan)
    drawn = np.sort(np.random.default_rng(0).permutation(len(octaves))[:MOST_PHOTOS])
    for start in tqdm(range(0, len(drawn), BATCH), "scored photos", disable=None):
        rows, made = [], []
        for row in drawn[start : start + BATCH]:
            try:
                pixels = images.decode(photos.images.read(photos.names[row]), photos.names[row])
            except ImageError:
                continue
            rows.append(row)
            made.append(plan.make(pixels))
        if rows:
            octaves[rows] = np.asarray(find(params, *stack_padded(made, BATCH)))[: len(rows)]
    return octaves


def fit_curve(
    octaves: Float[np.ndarray, " photos"], opinions: Float[np.ndarray, " photos"], scale: LabelScale
) -> Float32[np.ndarray, "4"]:
    """Fits the median opinion of photos by the octaves that they have lost at their own pixels.

    The median: photos are also bad for reasons that have nothing to do with detail.

    Args:
        octaves: of photos seen at 100 % by those who judged them; NaN where nothing is known.
        opinions: mean ones, on `scale`.
        scale: whose ends the curve approaches.

    Returns:
        `DetailHead.curve`: the worst and the best score, and intercept and slope of the logit between them.
    """
    ends = (scale.low, scale.high) if scale.higher_is_better else (scale.high, scale.low)
    known = ~np.isnan(octaves)
    shares = (opinions[known] - ends[0]) / (ends[1] - ends[0])

    def distance(line: Float[np.ndarray, "2"]) -> float:
        return float(np.abs(shares - scipy.special.expit(line[0] - np.exp(line[1]) * octaves[known])).mean())

    # The slope is a negative power of e: whatever the photos, losing more is never better.
    intercept, power = scipy.optimize.minimize(distance, np.array([1.0, 0.0]), method="Nelder-Mead").x
    return np.array([*ends, intercept, -np.exp(power)], np.float32)
