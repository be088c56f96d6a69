"""Finds what tells photographs from pictures that are none, for a model whose features are known; see `models.novelty`.

No opinion is needed, and minutes: a logistic regression on the features that the head sees.
"""

import dataclasses
import itertools
from collections.abc import Iterable

import jax
import numpy as np
import scipy.optimize
from jaxtyping import Float, UInt8
from scipy.special import expit

from vtiqa_jax import sharding
from vtiqa_jax.data.distortions import DISTORTIONS
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.params import Params
from vtiqa_jax.padding import stack_padded
from vtiqa_jax.photos.resize import Rgb, make_thumbnail, prepare
from vtiqa_jax.scoring.steps import CPU_BATCH, make_feature_step

PENALTY = 1e-3
"""On the direction's square, beside the mean loss of both kinds."""
MARGIN = 0.3
"""Distance of the threshold beyond the last photograph, on the way to the median of pictures that are none."""
WORST = 0.5
"""Level of distortion up to which a photograph has to be known as one."""


def vary(photo: Rgb, rng: np.random.Generator) -> UInt8[np.ndarray, "rows columns 3"]:
    """Returns a part of a photo, of another shape; of three one is smaller, too, and every second distorted.

    Photographs of a data set may all be squares of one size, and pictures that are none are not: the shape would tell.
    """
    height, width, _ = photo.shape
    shape, part = np.exp(rng.uniform(-0.9, 0.9)), rng.uniform(0.6, 1)
    rows, columns = int(height * part * min(1, shape)), int(width * part * min(1, 1 / shape))
    top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    cut = np.ascontiguousarray(photo[top : top + rows, left : left + columns])
    if rng.random() < 1 / 3:
        cut = make_thumbnail(cut, int(rng.integers(160, 400)))
    if rng.random() < 1 / 2:
        cut = DISTORTIONS[str(rng.choice(list(DISTORTIONS)))](cut, float(rng.uniform(0, WORST)), rng)
    return cut


def read_features(model: Checkpoint, photos: Iterable[Rgb]) -> Float[np.ndarray, "photos both"]:
    """Computes the features of photos of any size: of the global view and of the mosaic, side by side.

    Args:
        model: a VT-IQA.
        photos: pixels; read one batch at a time.
    """
    config, (device, *_) = model.config, jax.local_devices()
    encode = make_feature_step(config, "float32", sharding.data_mesh([device]))
    params = jax.device_put(model.params, device)
    features = [np.empty((0, 2 * config.feature_dim), np.float32)]
    waiting = iter(photos)
    while batch := list(itertools.islice(waiting, CPU_BATCH)):
        prepared = [prepare(photo, config.screen_side, config.eval_cuts) for photo in batch]
        seen = encode(params, *stack_padded(prepared, CPU_BATCH))["features"]
        features.append(np.asarray(seen)[: len(batch)])
    return np.concatenate(features)


def fit_novelty(photographs: Float[np.ndarray, "photos both"], others: Float[np.ndarray, "others both"]) -> Params:
    """Fits the parameters of `Novelty`: 0 is the threshold, 1 the median of the pictures that are no photographs.

    The logistic regression counts both kinds alike, however many there are. The threshold is beyond all photographs, by
    a margin. All numbers are exact as float16, as a quantized file keeps them.

    Args:
        photographs: features; none of them will be found to be something else.
        others: features of screenshots, plots, pages and drawings.

    Raises:
        ValueError: the features do not tell the two apart.
    """
    mean = photographs.mean(0).astype(np.float16).astype(np.float32)
    centred = np.concatenate([photographs, others]) - mean
    centred /= (size := np.sqrt(np.square(centred[: len(photographs)]).mean()))
    counts = np.array([len(photographs), len(others)])
    sign, weight = np.repeat(np.array([[-1, 1], 0.5 / counts], np.float32), counts, axis=1)

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        direction, intercept = point[:-1].astype(np.float32), np.float32(point[-1])
        logits = sign * (centred @ direction + intercept)
        slopes = -weight * sign * expit(-logits)
        total = weight @ np.logaddexp(0, -logits) + PENALTY / 2 * direction @ direction
        return float(total), np.append(slopes @ centred + PENALTY * direction, slopes.sum()).astype(np.float64)

    features = scipy.optimize.minimize(loss, np.zeros(centred.shape[1] + 1), jac=True, method="L-BFGS-B").x[:-1]
    direction = features.astype(np.float32) / size

    def ends(direction: Float[np.ndarray, " both"]) -> tuple[float, float]:
        last, median = ((photographs - mean) @ direction).max(), np.median((others - mean) @ direction)
        return float(last), float(median)

    last, median = ends(direction)
    if not last < median:
        raise ValueError("the features do not tell photographs from the other pictures")
    direction = (direction / ((1 - MARGIN) * (median - last))).astype(np.float16).astype(np.float32)
    last, median = ends(direction)
    threshold = np.float32(np.float16(last + MARGIN * (median - last)))
    return {"novelty.mean": mean, "novelty.direction": direction, "novelty.threshold": threshold}


def with_novelty(model: Checkpoint, fitted: Params) -> Checkpoint:
    """Returns the same VT-IQA with parameters of `Novelty`, see `fit_novelty`, in the place of those it may have."""
    return dataclasses.replace(model, config=model.config.replace(novelty=True), params=model.params | fitted)
