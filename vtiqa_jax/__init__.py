"""No-reference image quality in JAX: VT-IQA (Li et al., IEEE TCSVT 2022), trained, converted and scored.

import vtiqa_jax

scorer = vtiqa_jax.load()                     # the packaged model; or load("checkpoints/koniq")
scorer.score("a.jpg")                         # float32 [1], on scorer.scale
scorer.score(["a.jpg", array_uint8_hwc])      # float32 [2]
scorer.table(["a.jpg", "b.jpg"])              # the same to look at in a notebook, with thumbnails
scorer.embed(["a.jpg", "b.jpg"])              # float32 [2, 2304]: what the head sees, for heads of your own
model = vtiqa_jax.load_model()                # the same as a Flax module: to call, to differentiate, to train
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtiqa_jax.errors import ImageError, UserError

if TYPE_CHECKING:
    from vtiqa_jax.models.compute_dtype import ComputeDtype
    from vtiqa_jax.models.config import LabelScale, ModelConfig
    from vtiqa_jax.models.params import Model
    from vtiqa_jax.models.vit import Implementation
    from vtiqa_jax.models.vtiqa import VTIQA
    from vtiqa_jax.results.reasons import Fault
    from vtiqa_jax.results.results import ScoreResult
    from vtiqa_jax.results.score_table import ScoreTable
    from vtiqa_jax.scoring.mosaic_sampling import MosaicSampling
    from vtiqa_jax.scoring.scorer import Scorer

__all__ = [
    "VTIQA",
    "Fault",
    "ImageError",
    "LabelScale",
    "ModelConfig",
    "MosaicSampling",
    "ScoreResult",
    "ScoreTable",
    "Scorer",
    "UserError",
    "load",
    "load_model",
]

_HOMES = {
    "VTIQA": "models.vtiqa",
    "Fault": "results.reasons",
    "LabelScale": "models.config",
    "ModelConfig": "models.config",
    "ScoreResult": "results.results",
    "ScoreTable": "results.score_table",
    "Scorer": "scoring.scorer",
    "MosaicSampling": "scoring.mosaic_sampling",
}
"""Imported when they are asked for: what does not compute, as a process that decodes photos, starts without JAX."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"vtiqa_jax.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Lists what is public, also before it is imported."""
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])


def load(
    path: str | Path = "default", *, compute_dtype: "ComputeDtype" = "float32", false_alarms: float = 0.02
) -> "Scorer":
    """Loads a model that scores photos.

    Args:
        path: a checkpoint's folder, a quantized file (.npz), or "default" for the model in the package.
        compute_dtype: "bfloat16" is faster where the hardware multiplies it, and less exact.
        false_alarms: share of good photos of which any reason is named, 0.005 to 0.1.

    Raises:
        UserError: `path` is no checkpoint, or a backbone without a head; or the rate of false alarms is not known.
    """
    from vtiqa_jax.scoring.scorer import Scorer

    return Scorer.load(path, compute_dtype=compute_dtype, false_alarms=false_alarms)


def load_model(
    path: str | Path = "default", *, compute_dtype: "ComputeDtype" = "float32", implementation: "Implementation" = "xla"
) -> "Model":
    """Loads a model as a Flax module, an `nnx.Module` of real parameters.

    Args:
        path: as of `load`; a backbone will do.
        compute_dtype: what the transformer multiplies in.
        implementation: see `vtiqa_jax.models.vit`; "cpu" and "cudnn" are faster on their devices and have no
            forward-mode derivative.

    Returns:
        `VTIQA`, whose call takes normalised views and whose `score` takes stored photos; `OriginalVTIQA` for the
        paper's model, `VisionTransformer` for a backbone.

    Raises:
        UserError: `path` is no checkpoint.
    """
    from vtiqa_jax.models import catalog

    return catalog.load(path).model(compute_dtype, implementation)
