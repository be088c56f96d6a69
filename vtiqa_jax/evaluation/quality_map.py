"""Where a photo is bad: its score with the local view cut from one region alone, region by region."""

import dataclasses
import functools
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, UInt8

from vtiqa_jax import atomic
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models import views
from vtiqa_jax.models.checkpoint import LabelScale
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.vtiqa import VTIQA, ComputeDtype, ModelConfig, select_implementation
from vtiqa_jax.photos.own import DRAWN
from vtiqa_jax.photos.resize import Rgb

REGIONS = 7
"""Along a side of the photo; half a view wide, they hardly overlap."""
LEAST_RANGE = 0.15
"""Of the label scale that the colours of a picture span at least, lest what hardly differs look different."""


@dataclasses.dataclass(frozen=True, repr=False)
class QualityMap:
    """How good each place of a photo is, on the model's label scale."""

    scores: Float[np.ndarray, "regions regions"]
    """Of the photo with the local view cut from one region alone."""
    middles: Float[np.ndarray, " regions"]
    """Of the regions, as fractions of the photo's height or width."""
    scale: LabelScale
    photo: Rgb | None = None
    """What `draw` draws the map on."""

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
        row, column = (min(2, int(3 * fraction)) for fraction in self.worst)
        words = ["upper", "", "lower"][row], ["left", "", "right"][column]
        alone = {"upper": "top", "lower": "bottom"}
        return " ".join(filter(None, words)) if all(words) else alone.get(words[0], words[0] or words[1] or "middle")

    def resample(self, height: int, width: int) -> Float[np.ndarray, "height width"]:
        """The map of a photo of this size: linear between the middles of regions, constant beyond the outer ones."""
        rows, columns = ((np.arange(side) + 0.5) / side for side in (height, width))
        down = np.stack([np.interp(rows, self.middles, column) for column in self.scores.T], axis=1)
        return np.stack([np.interp(columns, self.middles, row) for row in down]).astype(np.float32)

    def draw(self, title: str = "") -> bytes:
        """A PNG: the photo beside itself under the map, with the map's scale and a cross at the worst place.

        Raises:
            ValueError: the map does not have its photo.
        """
        from matplotlib.figure import Figure  # scoring does not wait for it

        from vtiqa_jax.evaluation.plots import literal_text

        if self.photo is None:
            raise ValueError("this map does not have its photo")
        height, width = self.photo.shape[:2]
        low, high = float(self.scores.min()), float(self.scores.max())
        missing = max(0.0, LEAST_RANGE * (self.scale.high - self.scale.low) - (high - low)) / 2
        figure = Figure(figsize=(11, 0.8 + 5 * min(3.0, height / width)), layout="constrained")
        left, right = figure.subplots(1, 2)
        for axes in (left, right):
            axes.imshow(self.photo)
            axes.set_axis_off()
        # Of matplotlib's colour maps the one made for people who tell colours apart badly.
        colours = "cividis" if self.scale.higher_is_better else "cividis_r"
        shown = right.imshow(
            self.resample(height, width), cmap=colours, alpha=0.65, vmin=low - missing, vmax=high + missing
        )
        row, column = self.worst
        right.plot(column * width, row * height, "x", color="white", markersize=14, markeredgewidth=3)
        with literal_text():
            figure.colorbar(shown, ax=right, label=f"score by this region ({self.scale.dataset} scale)")
            # The bytes of a name may be no text, and matplotlib wants text.
            figure.suptitle(title.encode(errors="surrogateescape").decode(errors="replace"))
            file = io.BytesIO()
            figure.savefig(file, dpi=100, format="png", metadata=DRAWN)
        return file.getvalue()

    def save(self, path: Path, title: str = "") -> None:
        """Writes what `draw` draws.

        Raises:
            OSError: it cannot be written.
            ValueError: the map does not have its photo.
        """
        picture = self.draw(title)
        with atomic.atomic_replace(path) as temporary:
            temporary.write_bytes(picture)

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows."""
        return None if self.photo is None else self.draw()


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
    """The map of one photo.

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
