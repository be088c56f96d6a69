"""The map of a fault: how strong it is at each place, by the photo's own pixels."""

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32

from vtiqa_jax.errors import UserError
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.faults import NATIVE_FAULTS
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.reasons import FULL
from vtiqa_jax.models.vit import select_implementation
from vtiqa_jax.photos.place_grid import PlaceGrid, Region, arrange_tiles
from vtiqa_jax.photos.resize import Resized, Rgb
from vtiqa_jax.results.reasons import SEVERE, WORDS
from vtiqa_jax.scoring.detail_map import (
    MIN_STRUCTURE,
    choose_factor,
    cut_grid,
    find_area,
    find_middle,
    judge_grid,
    say_region,
)
from vtiqa_jax.scoring.photo_map import PhotoMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLIPPED = "clipped_highlights"
"""The only fault of light and colour that has places."""
MAX_CLIPPED = 0.5
"""Share of a place's pixels at which the colours of pictures end."""
SEEN_IN_PLAIN_PLACES = "luminance_noise", "chroma_noise", "compression"
"""Faults that a plain wall or sky shows best; the others need something to be sharp."""


@dataclasses.dataclass(frozen=True, repr=False)
class FaultMap(PhotoMap):
    """How much of one fault there is at each place of a photo, or of a region of it."""

    fault: str
    """Fault of `models.faults.FAULTS`."""
    values: Float32[np.ndarray, "rows columns"]
    """Strengths, 1 slight, 2 plain, 3 severe, NaN where a place has no structure; of clipped highlights the share of
    clipped pixels."""
    factor: int
    """Factor by which the photo was shrunk; 1 for its own pixels."""
    region: Region
    """Region that the places fill."""
    height: int
    """Height of the photo in pixels."""
    width: int

    def __repr__(self) -> str:
        rows, columns = self.values.shape
        known = int(np.isfinite(self.values).sum())
        return f"FaultMap({self.fault}, {rows} x {columns} places at 1:{self.factor}, {known} of them known)"

    @property
    def worst(self) -> tuple[float, float] | None:
        """The middle of the area that has most of it, as shares of height and width; None where nothing is known."""
        place = find_area(self.values, np.argmax)
        if place is None:
            return None
        return find_middle(self.region, self.values.shape[0], place, (self.height, self.width))

    def paint(self, axes: "Axes") -> None:
        """Draws the region under the map on a part of a picture, with the map's scale beside it.

        What is hatched has no structure.
        """
        from vtiqa_jax.scoring.map_pictures import paint_places

        assert self.photo is not None
        plain = WORDS[self.fault][1]
        most, label = (MAX_CLIPPED, "share of pixels") if self.fault == CLIPPED else (SEVERE, "strength at each place")
        title = f"{plain}, {say_region(self.region, self.factor, (self.height, self.width))}"
        paint_places(axes, self.region.cut(self.photo), self.values, most, title, label)


@functools.cache
def _make_step(config: ModelConfig, dtype: ComputeDtype, device: jax.Device, fault: int, scale: int) -> Any:
    """Makes a step from views to the strengths of a fault at each of their places.

    Each place is taken for all that there is of a photo at one scale; of the others there is nothing.
    """
    graphdef, _ = parameters.abstract_model(config, dtype, select_implementation(device, dtype))

    @jax.jit
    def judge(params: Params, views: Array) -> tuple[Array]:
        model: Any = parameters.merge_params(graphdef, params)
        tokens = model.read_places(views)
        alone = model.reasons.see_places(tokens[:, :, None], jnp.ones((*tokens.shape[:2], 1)))
        nothing = jnp.zeros((*alone.shape[:2], len(config.native_factors), alone.shape[2]))
        return (model.reasons.see_native(nothing.at[:, :, scale].set(alone))[:, :, fault],)

    return judge


def _clipped_shares(pixels: Rgb, cut: PlaceGrid) -> Float32[np.ndarray, "rows columns"]:
    """Returns at each place the share of the photo's pixels of which a channel is clipped."""
    rows, columns = cut.structure.shape
    side = cut.region.height // rows
    clipped = (cut.region.cut(pixels) >= FULL).any(-1)
    return clipped.reshape(rows, side, columns, side).mean((1, 3)).astype(np.float32)


def check_fault(config: ModelConfig, fault: str) -> None:
    """Checks that a model has maps of a fault.

    Raises:
        UserError: it names no reasons, or the fault is of the whole photo.
    """
    if not config.reasons:
        raise UserError("this model names no faults, so it has no maps of them")
    if fault not in (*NATIVE_FAULTS, CLIPPED):
        raise UserError(f'"{WORDS[fault][1]}" is a fault of the whole photo, so it has no map; leave out --reason')


def make_fault_map(
    pixels: Rgb,
    screen: Resized,
    params: Params,
    config: ModelConfig,
    dtype: ComputeDtype,
    fault: str,
    *,
    region: Region | None = None,
) -> FaultMap:
    """Makes the map of a fault in a photo, or in a region of it at 1:1.

    Args:
        pixels: the photo.
        screen: the same as a screen shows it, see `photos.resize.shrink`.
        params: of a model with reasons, on the devices.
        config: of the model.
        dtype: what the transformer multiplies in.
        fault: of `models.faults.FAULTS`.
        region: at its own pixels. When not given, all of the photo, shrunk as for a map of detail.

    Raises:
        UserError: the model names no reasons, the fault has no places, or the photo is smaller than one.
    """
    check_fault(config, fault)
    height, width = pixels.shape[:2]
    wanted = 1 if region else choose_factor(height, width, config.view_size)
    factor = max(known for known in config.native_factors if known <= wanted)
    cut = cut_grid(pixels, screen, config, region, factor)
    if fault == CLIPPED:
        values = _clipped_shares(pixels, cut)
    else:
        device = next(iter(jax.tree.leaves(params)[0].devices()))
        scale = config.native_factors.index(factor)
        step = _make_step(config, dtype, device, NATIVE_FAULTS.index(fault), scale)
        rows, columns = cut.structure.shape
        order = arrange_tiles(rows, columns, config.mosaic_grid)
        (strengths,) = judge_grid(cut, order, functools.partial(step, params))
        counts = (cut.structure > MIN_STRUCTURE) | (fault in SEEN_IN_PLAIN_PLACES)
        values = np.where(counts, strengths, np.float32(np.nan))
    return FaultMap(fault, values, factor, cut.region, height, width)
