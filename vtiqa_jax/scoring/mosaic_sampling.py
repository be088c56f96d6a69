"""Scores over sampled mosaics, drawn as training draws them: how much of a score is chance."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Float, Int, UInt8

from vtiqa_jax.errors import UserError
from vtiqa_jax.models import views
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.vtiqa import VTIQA

Offsets = Int[np.ndarray, "samples mosaics grid"]


@dataclasses.dataclass(frozen=True)
class MosaicSampling:
    """Mosaics to score a photo by, beside its score."""

    count: int
    """At least 2."""
    seed: int = 0
    """Seed of the offsets. All photos get the same ones, so that their scores can be compared sample by sample."""

    def __post_init__(self) -> None:
        if self.count < 2 or self.seed < 0:
            raise UserError(f"sampling needs at least 2 mosaics and a seed from 0 on, not {self.count} and {self.seed}")

    def offsets(self, config: ModelConfig) -> tuple[Offsets, Offsets]:
        """Draws row and column offsets, pixels: uniform over a cell, as in `FinetuneRecipe.augment`.

        Each sample has as many mosaics as a score averages (`config.eval_mosaics`).

        Raises:
            UserError: the model selects its patches itself.
        """
        if config.kind != "vtiqa":
            raise UserError("the paper's model selects its patches itself: there are no mosaics to sample")
        places = config.local_resize // config.mosaic_grid - config.mosaic_patch + 1
        shape = (self.count, config.eval_mosaics, config.mosaic_grid)
        rng = np.random.default_rng(self.seed)
        rows, cols = (rng.integers(0, places, shape, np.int32) for _ in range(2))
        return rows, cols


def score_samples(
    model: VTIQA,
    global_features: Float[Array, "batch features"],
    local_images: UInt8[Array, "batch large large 3"],
    rows: Int[Array, "samples mosaics grid"],
    cols: Int[Array, "samples mosaics grid"],
) -> Float[Array, "batch samples"]:
    """Scores stored photos by each sample of mosaics.

    The samples follow one another, so that memory does not grow with their number.

    Args:
        model: the model.
        global_features: of the photos' global view.
        local_images: the photos at `config.local_resize`, uint8 RGB.
        rows: see `MosaicSampling.offsets`.
        cols: see `MosaicSampling.offsets`.
    """

    def score(offsets: tuple[Array, Array]) -> Float[Array, " batch"]:
        mosaics = [
            model.backbone(views.normalize(views.mosaic(local_images, row, col, model.config.mosaic_patch)))
            for row, col in zip(*offsets, strict=True)
        ]
        return model.score_features(global_features, jnp.stack(mosaics).mean(0))

    return jax.lax.map(score, (rows, cols)).T


def probability_above(differences: Float[np.ndarray, " samples"]) -> float:
    """Returns the probability that with one more mosaic, drawn like these, a photo scores above another one.

    Args:
        differences: the photo's scores less those of the other one, by the same mosaics.

    Returns:
        0 to 1: Student's prediction for one more normal value. It becomes more exact with more samples, but no nearer
        to 0 or 1. 0.5 where all differences are 0.
    """
    count, mean, deviation = len(differences), float(differences.mean()), float(differences.std(ddof=1))
    if deviation == 0:
        return 0.5 + 0.5 * float(np.sign(mean))
    return float(scipy.special.stdtr(count - 1, mean / (deviation * np.sqrt(1 + 1 / count))))
