"""The map of quality: a photo's score with the local view cut from one region alone, region by region."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Array, Float, UInt8

from vtiqa_jax import atomic
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models import views
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.vit import select_implementation
from vtiqa_jax.models.vtiqa import VTIQA
from vtiqa_jax.results.words import say_place
from vtiqa_jax.scoring.photo_map import PhotoMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REGIONS = 7
"""Along a side of the photo; half a view wide, they hardly overlap."""
MIN_RANGE = 0.15
"""Least share of the label scale that the colours span, so that small differences do not look large."""


@dataclasses.dataclass(frozen=True, repr=False)
class QualityMap(PhotoMap):
    """How good each place of a photo is, on the model's label scale."""

    scores: Float[np.ndarray, "regions regions"]
    """Scores of the photo with the local view cut from one region alone."""
    middles: Float[np.ndarray, " regions"]
    """Middles of the regions, as fractions of the photo's height or width."""
    scale: LabelScale

    def __repr__(self) -> str:
        count = len(self.scores)
        low, high, (row, column) = self.scores.min(), self.scores.max(), self.worst
        return f"QualityMap({count} x {count} scores, {low:.2f} to {high:.2f}, worst=({row:.2f}, {column:.2f}))"

    @property
    def worst(self) -> tuple[float, float]:
        """The middle of the region with the worst score, as fractions of the photo's height and width."""
        sign = 1 if self.scale.higher_is_better else -1
        row, column = np.unravel_index(np.argmin(sign * self.scores), self.scores.shape)
        return float(self.middles[row]), float(self.middles[column])

    @property
    def worst_place(self) -> str:
        """The place of `worst` in words, by thirds: "upper left", "middle", "right"."""
        return say_place(*self.worst)

    def resample(self, height: int, width: int) -> Float[np.ndarray, "height width"]:
        """Resamples to a photo's size: linear between the middles of regions, constant beyond the outer ones."""
        rows, columns = ((np.arange(side) + 0.5) / side for side in (height, width))
        down = np.stack([np.interp(rows, self.middles, column) for column in self.scores.T], axis=1)
        return np.stack([np.interp(columns, self.middles, row) for row in down]).astype(np.float32)

    def paint(self, axes: "Axes") -> None:
        """Draws the photo under the map on a part of a picture, with the map's scale and a cross at the worst place."""
        from vtiqa_jax.scoring.colours import quality_colours
        from vtiqa_jax.scoring.map_pictures import set_panel_title, shrink_for_picture

        assert self.photo is not None
        photo = shrink_for_picture(self.photo)
        height, width = photo.shape[:2]
        low, high = float(self.scores.min()), float(self.scores.max())
        missing = max(0.0, MIN_RANGE * (self.scale.high - self.scale.low) - (high - low)) / 2
        axes.imshow(photo)
        colours = quality_colours(higher_is_better=self.scale.higher_is_better)
        drawn = axes.imshow(
            self.resample(height, width), cmap=colours, alpha=0.65, vmin=low - missing, vmax=high + missing
        )
        row, column = self.worst
        set_panel_title(axes, "score by region, x: the worst")
        axes.plot(column * width, row * height, "x", color="white", markersize=14, markeredgewidth=3)
        axes.figure.colorbar(drawn, ax=axes, label=f"score by this region ({self.scale.dataset} scale)")

    def save(self, path: Path, title: str = "") -> None:
        """Writes what `draw` draws.

        Raises:
            OSError: it cannot be written.
            ValueError: the map does not have its photo.
        """
        picture = self.draw(title)
        with atomic.atomic_replace(path) as temporary:
            temporary.write_bytes(picture)


@functools.cache
def _make_explain_step(config: ModelConfig, dtype: ComputeDtype, device: jax.Device) -> Any:
    graphdef, _ = parameters.abstract_model(config, dtype, select_implementation(device, dtype))

    @jax.jit
    def explain(params: Params, global_images: Array, local_images: Array) -> Array:
        model: VTIQA = parameters.merge_params(graphdef, params)  # type: ignore[assignment]
        return model.explain(global_images, local_images, REGIONS)

    return explain


def make_quality_map(
    pair: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    params: Params,
    config: ModelConfig,
    scale: LabelScale,
    dtype: ComputeDtype,
) -> QualityMap:
    """Returns the map of one photo.

    Args:
        pair: the photo in both stored sizes.
        params: of a VT-IQA, on the devices.
        config: of the model.
        scale: what its scores mean.
        dtype: what the transformer multiplies in.
    """
    device = next(iter(jax.tree.leaves(params)[0].devices()))
    scores = np.asarray(_make_explain_step(config, dtype, device)(params, pair[0][None], pair[1][None]))[0]
    side, half = config.local_resize, config.view_size // 2
    return QualityMap(scores, (np.array(views.region_offsets(side, half, REGIONS)) + half / 2) / side, scale)
