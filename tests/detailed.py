"""A small model with detail, drawn at random, and photos that it has something to say of."""

import numpy as np

from vtiqa_jax.models.config import LabelScale, ModelConfig, tiny_config
from vtiqa_jax.models.params import Params, init_params
from vtiqa_jax.photos.resize import Rgb

CONFIG: ModelConfig = tiny_config(native_factors=(1, 2, 4, 8), native_blocks=(1,))
"""Views of 28 px, places of 4 px."""
SCALE = LabelScale("test", 1.0, 5.0)


def draw_weights(config: ModelConfig = CONFIG) -> Params:
    """Large ones, so that places differ; detail lies on the scale."""
    weights = {
        name: np.asarray(array) * np.float32(3 if name.endswith("kernel") else 1)
        for name, array in init_params(config, seed=0).items()
    }
    return weights | {"detail.curve": np.array([1, 5, 1, -0.2], np.float32)}


def noisy(height: int, width: int, flat_from: int | None = None) -> Rgb:
    """A photo of noise; from a column on it is grey, and has no structure."""
    pixels = np.random.default_rng(height + width).integers(0, 256, (height, width, 3), np.uint8)
    pixels[:, flat_from or width :] = 128
    return pixels
