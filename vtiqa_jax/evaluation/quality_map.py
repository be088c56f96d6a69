"""Where a photo is bad: its score with the local view cut from one region alone, region by region."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import cv2
import jax
import numpy as np
from jaxtyping import Array, Float

from vtiqa_jax import atomic
from vtiqa_jax.data.images import ImagePair, Rgb
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models import views
from vtiqa_jax.models.checkpoint import LabelScale
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.vtiqa import VTIQA, ComputeDtype, ModelConfig, select_implementation

TILES = 5
"""Regions along a side."""
CELLS = 48
"""Cells along a side of a map."""
LEAST_RANGE = 0.15
"""Of the label scale that the colours span at least: what differs less is no difference to be shown."""


@dataclasses.dataclass(frozen=True)
class QualityMap:
    """How good each place of a photo is, on the model's label scale."""

    tile_scores: Float[np.ndarray, "tiles tiles"]
    """Of the photo with the local view cut from one region alone."""
    cells: Float[np.ndarray, "cells cells"]
    """For each place, by fractions of height and width, the mean of the regions over it."""
    scale: LabelScale

    @property
    def worst(self) -> tuple[float, float]:
        """The middle of the cell with the worst score, as fractions of the photo's height and width."""
        sign = 1 if self.scale.higher_is_better else -1
        row, column = np.unravel_index(np.argmin(sign * self.cells), self.cells.shape)
        return (float(row) + 0.5) / len(self.cells), (float(column) + 0.5) / len(self.cells)

    def resize(self, height: int, width: int) -> Float[np.ndarray, "height width"]:
        """The map at a photo's size."""
        return cv2.resize(self.cells, (width, height), interpolation=cv2.INTER_LINEAR)

    def save(self, path: Path, pixels: Rgb, title: str) -> None:
        """Writes a PNG: the photo, the photo under the map with its scale, and a cross at the worst place."""
        from matplotlib.figure import Figure  # scoring does not wait for it

        height, width = pixels.shape[:2]
        low, high = float(self.cells.min()), float(self.cells.max())
        missing = max(0.0, LEAST_RANGE * (self.scale.high - self.scale.low) - (high - low)) / 2
        figure = Figure(figsize=(11, 0.8 + 5 * height / width), layout="constrained")
        left, right = figure.subplots(1, 2)
        for axes in (left, right):
            axes.imshow(pixels)
            axes.set_axis_off()
        # Of matplotlib's colour maps the one made for people who tell colours apart badly.
        shown = right.imshow(
            self.resize(height, width), cmap="cividis", alpha=0.65, vmin=low - missing, vmax=high + missing
        )
        row, column = self.worst
        right.plot(column * width, row * height, "x", color="white", markersize=14, markeredgewidth=3)
        figure.colorbar(shown, ax=right, label=f"score from here alone ({self.scale.dataset} scale)")
        figure.suptitle(title)
        with atomic.atomic_replace(path) as temporary:
            figure.savefig(temporary, dpi=100, format="png")


def average_tiles(tile_scores: Float[np.ndarray, "tiles tiles"], config: ModelConfig) -> Float[np.ndarray, "cells cells"]:
    """The mean of the scores of the tiles over each cell."""
    count, side, size = len(tile_scores), config.local_resize, config.view_size
    middles = (np.arange(CELLS) + 0.5) * side / CELLS
    offsets = np.array(views.tile_offsets(side, size, count))
    over = (middles[:, None] >= offsets) & (middles[:, None] < offsets + size)
    shares = over / over.sum(1, keepdims=True)
    return (shares @ tile_scores @ shares.T).astype(np.float32)


@functools.cache
def _make_explain_step(config: ModelConfig, dtype: ComputeDtype, device: jax.Device) -> Any:
    graphdef, _ = parameters.abstract_model(config, dtype, select_implementation(device, dtype))

    @jax.jit
    def explain(params: Params, global_images: Array, local_images: Array) -> Array:
        model: VTIQA = parameters.merge_params(graphdef, params)  # type: ignore[assignment]
        return model.explain(global_images, local_images, TILES)

    return explain


def make_quality_map(
    pair: ImagePair, params: Params, config: ModelConfig, scale: LabelScale, dtype: ComputeDtype
) -> QualityMap:
    """The map of one photo.

    Args:
        pair: the photo in both stored sizes.
        params: of a VT-IQA, on the devices.
        config: of the model.
        scale: what its scores mean.
        dtype: what the transformer multiplies in.
    """
    device = next(iter(next(iter(params.values())).devices()))
    step = _make_explain_step(config, dtype, device)
    tile_scores = np.asarray(step(params, pair[0][None], pair[1][None]))[0]
    return QualityMap(tile_scores, average_tiles(tile_scores, config), scale)
