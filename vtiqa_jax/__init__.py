"""No-reference image quality in JAX: VT-IQA (Li et al., IEEE TCSVT 2022), trained, converted and scored.

import vtiqa_jax

model = vtiqa_jax.load()                      # the packaged model; or load("checkpoints/koniq")
model.score(["a.jpg", array_uint8_hwc])       # float32 [n], on model.scale
"""

from pathlib import Path

from vtiqa_jax import models
from vtiqa_jax.config import LabelScale, ModelConfig
from vtiqa_jax.errors import UserError
from vtiqa_jax.images import ImageError
from vtiqa_jax.model import ComputeDtype
from vtiqa_jax.scoring import Scored, Scorer

__all__ = ["ImageError", "LabelScale", "ModelConfig", "Scored", "Scorer", "UserError", "load"]


def load(path: str | Path = "default", *, compute_dtype: ComputeDtype = "float32") -> Scorer:
    """A model ready to score: a checkpoint's folder, a packed file, or "default" for the one in the package.

    `compute_dtype` "bfloat16" is faster where the hardware multiplies it, and less exact. Errors: UserError when
    `path` is no checkpoint or a backbone without a head.
    """
    loaded = models.load(path)
    if loaded.scale is None:
        raise UserError(f"{path} is a backbone without a head; train one with: train.py manifest ... --init {path}")
    return Scorer(loaded.config, loaded.params, loaded.scale, compute_dtype=compute_dtype)
