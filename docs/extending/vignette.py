"""A distortion: a lens darkens the corners."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from vtiqa_jax.data.distortions import DISTORTIONS, Distortion, Photo
from vtiqa_jax.training.finetune import FinetuneRecipe


def vignette(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """Darkens the corners to a half at level 0, to a twentieth at level 1."""
    height, width, _ = photo.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = (0.5 * 0.1**level) ** ((x**2 + y**2) / 2)
    return np.round(photo * light[:, :, None]).astype(np.uint8)


@dataclasses.dataclass(frozen=True)
class VignetteRecipe(FinetuneRecipe):
    """Fine-tuning whose distortion ladders also show dark corners."""

    distortions: ClassVar[Mapping[str, Distortion]] = {**DISTORTIONS, "vignette": vignette}
