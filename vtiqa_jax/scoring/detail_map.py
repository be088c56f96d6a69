"""The map of detail: where a photo is sharp, clean and real at its own pixels, and where it is not."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int, UInt8

from vtiqa_jax.errors import UserError
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.detail import SUBJECT_WEIGHT
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.vit import select_implementation
from vtiqa_jax.models.vtiqa import VTIQA
from vtiqa_jax.photos.place_grid import Arrangement, PlaceGrid, Region, arrange_mosaics, arrange_tiles
from vtiqa_jax.photos.resize import Resized, Rgb, prepare
from vtiqa_jax.results.words import say_place
from vtiqa_jax.scoring.photo_map import PhotoMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FACTORS = (4, 2, 1)
"""Factors by which a whole photo is shrunk for its map: the first that leaves MIN_TILES."""
MIN_TILES = 6
"""Views' areas that the map of a whole photo has at least, unless the photo itself has fewer."""
ZOOM_TILES = 3
"""Views along a side of the region that is looked at around a point, at 1:1."""
MIN_STRUCTURE = 1.0
"""Grey levels, see `photos.native.Places.structure`. More than the detail head asks of a place: here each is judged by
itself, and the grain of a sky, .7, would tell of the sky."""
AREA = 5
"""Places along a side of what `DetailMap.sharpest` and `worst` are the middles of."""
VIEWS_TOGETHER = 4
"""Views in one pass: more would leave a CPU's caches."""
MAX_OCTAVES = 2.0
"""At which the colours of pictures end: a place that has lost as much looks as bad as one that has lost more."""


@dataclasses.dataclass(frozen=True, repr=False)
class DetailMap(PhotoMap):
    """How much of the resolution is lost at each place of a photo, or of a region of it."""

    octaves: Float32[np.ndarray, "rows columns"]
    """Lost in the photo shrunk by `factor`; NaN where a place has no structure, and says nothing."""
    weights: Float32[np.ndarray, "rows columns"]
    """Weights of the places, shares of 1; 0 where a place has no structure. In the map of a whole photo by a model that
    finds the subject, the subject weighs most."""
    factor: int
    """Factor by which the photo was shrunk; 1 for its own pixels."""
    region: Region
    """Region that the places fill."""
    height: int
    """Height of the photo in pixels."""
    width: int

    def __repr__(self) -> str:
        rows, columns = self.octaves.shape
        known = int((self.weights > 0).sum())
        return f"DetailMap({rows} x {columns} places at 1:{self.factor}, {known} of them with structure)"

    def middle(self, row: int, column: int) -> tuple[float, float]:
        """Returns the middle of a place, as shares of the photo's height and width."""
        return find_middle(self.region, self.octaves.shape[0], (row, column), (self.height, self.width))

    @property
    def center(self) -> tuple[float, float]:
        """The middle of the region, as shares of the photo's height and width."""
        region = self.region
        return (region.top + region.height / 2) / self.height, (region.left + region.width / 2) / self.width

    @property
    def sharpest(self) -> tuple[float, float] | None:
        """The middle of the area that has lost least, as shares of height and width; None without any structure."""
        return self._find(np.argmin)

    @property
    def worst(self) -> tuple[float, float] | None:
        """The middle of the area that has lost most, as shares of height and width; None without any structure."""
        return self._find(np.argmax)

    def _find(self, choose: Callable[[np.ndarray], np.intp]) -> tuple[float, float] | None:
        place = find_area(self.octaves, choose)
        return None if place is None else self.middle(*place)

    def paint(self, axes: "Axes") -> None:
        """Draws the region under the map on a part of a picture, with the map's scale beside it.

        What is hatched has no structure.
        """
        from vtiqa_jax.scoring.map_pictures import paint_places

        assert self.photo is not None
        title = f"detail, {say_region(self.region, self.factor, (self.height, self.width))}"
        label = f"octaves lost at 1:{self.factor}"
        paint_places(axes, self.region.cut(self.photo), self.octaves, MAX_OCTAVES, title, label)


def find_middle(region: Region, rows: int, place: tuple[int, int], size: tuple[int, int]) -> tuple[float, float]:
    """Finds the middle of a place, as shares of a photo's height and width.

    Args:
        region: that the places fill.
        rows: of places.
        place: its row and column.
        size: height and width of the photo, pixels.
    """
    side = region.height / rows
    down, across = region.top + (place[0] + 0.5) * side, region.left + (place[1] + 0.5) * side
    return down / size[0], across / size[1]


def say_region(region: Region, factor: int, size: tuple[int, int]) -> str:
    """Says at which scale a region is seen and, if it is less than half of the photo, where it lies.

    Args:
        region: what is seen.
        factor: by which the photo was shrunk.
        size: height and width of the photo, pixels.
    """
    height, width = size
    whole = region.height * region.width > 0.5 * height * width
    middle = (region.top + region.height / 2) / height, (region.left + region.width / 2) / width
    return f"at 1:{factor}{'' if whole else f', {say_place(*middle)}'}"


def find_area(
    values: Float32[np.ndarray, "rows columns"], choose: Callable[[np.ndarray], np.intp]
) -> tuple[int, int] | None:
    """Finds a place by the mean of AREA x AREA places around it: one place's number is noisy.

    Args:
        values: of places; NaN where nothing is known.
        choose: which of the means, `np.argmax` or `np.argmin`.

    Returns:
        Its row and column; None where nothing is known at all.
    """
    known = np.isfinite(values)
    if not known.any():
        return None
    sums, count = (
        cv2.boxFilter(array.astype(np.float32), -1, (AREA, AREA), normalize=False, borderType=cv2.BORDER_CONSTANT)
        for array in (np.where(known, values, 0), known)
    )
    # An area with few known places is taken for an average one.
    means = (sums + AREA * np.nanmean(values)) / (count + AREA)
    rows, columns = np.nonzero(known)
    chosen = choose(means[known])
    return int(rows[chosen]), int(columns[chosen])


def check_point(at: tuple[float, float]) -> None:
    """Checks that a point lies in a photo.

    Raises:
        UserError: it does not.
    """
    if not all(0 <= share <= 1 for share in at):
        raise UserError(f"a point is two shares of the photo's height and width, from 0 to 1, not {at[0]:g} {at[1]:g}")


def choose_factor(height: int, width: int, view_size: int) -> int:
    """Returns by which factor a whole photo is shrunk for its map.

    Args:
        height: of the photo, pixels.
        width: of the photo, pixels.
        view_size: side of a view, pixels.
    """
    tiles = height * width / view_size**2
    return next((factor for factor in FACTORS if tiles / factor**2 >= MIN_TILES), FACTORS[-1])


@functools.cache
def _make_places_step(config: ModelConfig, dtype: ComputeDtype, device: jax.Device) -> Any:
    graphdef, _ = parameters.abstract_model(config, dtype, select_implementation(device, dtype))

    @jax.jit
    def judge(params: Params, views: Array) -> list[Array]:
        model: VTIQA = parameters.merge_params(graphdef, params)  # type: ignore[assignment]
        return [values for values in model.judge_places(views) if values is not None]

    return judge


@functools.cache
def _make_subject_step(config: ModelConfig, dtype: ComputeDtype, device: jax.Device) -> Any:
    graphdef, _ = parameters.abstract_model(config, dtype, select_implementation(device, dtype))

    @jax.jit
    def find(params: Params, global_view: Array) -> Array:
        model: VTIQA = parameters.merge_params(graphdef, params)  # type: ignore[assignment]
        return model.find_subject(global_view)

    return find


def _find_subject(
    screen: Resized, cut: PlaceGrid, size: tuple[int, int], find: Callable[[Array], Array], config: ModelConfig
) -> Float32[np.ndarray, "places_down places_across"]:
    """Finds how much each place shows the subject: as much as the photo's cell which its middle lies in.

    Args:
        screen: the photo as a screen shows it.
        cut: the places.
        size: height and width of the photo, pixels.
        find: global views to the logits of their places, see `SubjectHead`.
        config: of the model.
    """
    (global_view,) = prepare(screen, None, config.view_cuts[:1])
    (found,), grid, region = np.asarray(find(jnp.asarray(global_view[None]))), config.mosaic_grid, cut.region
    starts, lengths = (region.top, region.left), (region.height, region.width)
    rows, columns = (
        ((start + length * (np.arange(count) + 0.5) / count) * grid / whole).astype(int)
        for start, length, count, whole in zip(starts, lengths, cut.structure.shape, size, strict=True)
    )
    return found.reshape(grid, grid)[np.ix_(rows, columns)]


def cut_grid(pixels: Rgb, screen: Resized, config: ModelConfig, region: Region | None, factor: int) -> PlaceGrid:
    """Cuts a photo, or a region of it, into places.

    Args:
        pixels: the photo.
        screen: the same as a screen shows it, see `photos.resize.shrink`.
        config: of the model.
        region: all of the photo when not given.
        factor: by which it is shrunk.

    Raises:
        UserError: it is smaller than a place.
    """
    (height, width), patch = pixels.shape[:2], config.mosaic_patch
    region = region or Region(0, 0, height, width)
    if min(region.height, region.width) < patch * factor:
        raise UserError(f"a map of detail needs a photo of {patch} x {patch} px at least, not {width} x {height}")
    return PlaceGrid.cut(pixels, screen, region, patch, factor)


def judge_grid(
    cut: PlaceGrid,
    order: Int[np.ndarray, "views grid grid"],
    judge: Callable[[UInt8[np.ndarray, "views size size 3"]], Sequence[Array]],
) -> list[Float32[np.ndarray, "rows columns"]]:
    """Judges each place of a grid among others.

    Args:
        cut: the places.
        order: which of them share a view.
        judge: a few views to numbers of their places, [views, places] each.
    """
    rows, columns = cut.structure.shape
    views, judged = cut.views(order), []
    for start in range(0, len(views), VIEWS_TOGETHER):
        part = views[start : start + VIEWS_TOGETHER]
        padding = [(0, VIEWS_TOGETHER - len(part))] + [(0, 0)] * 3
        judged.append([np.asarray(values)[: len(part)] for values in judge(np.pad(part, padding))])
    maps = []
    for values in zip(*judged, strict=True):
        whole = np.empty(rows * columns, np.float32)
        whole[order.ravel()] = np.concatenate(values).ravel()
        maps.append(whole.reshape(rows, columns))
    return maps


def _weigh(
    logits: Float32[np.ndarray, "rows columns"], counts: Bool[np.ndarray, "rows columns"]
) -> Float32[np.ndarray, "rows columns"]:
    """Returns the weights of places, shares of 1; 0 of those that do not count."""
    weights = np.zeros_like(logits)
    if counts.any():
        shares = np.exp(logits[counts] - logits[counts].max())
        weights[counts] = shares / shares.sum()
    return weights


def make_detail_map(
    pixels: Rgb,
    screen: Resized,
    params: Params,
    config: ModelConfig,
    dtype: ComputeDtype,
    *,
    region: Region | None = None,
    arrangement: Arrangement = "tiles",
) -> DetailMap:
    """Makes the map of a photo, or of a region of it at 1:1.

    Args:
        pixels: the photo.
        screen: the same as a screen shows it, see `photos.resize.shrink`.
        params: of a model with detail, on the devices.
        config: of the model.
        dtype: what the transformer multiplies in.
        region: at its own pixels. When not given, all of the photo, shrunk by the factor of `choose_factor`.
        arrangement: "tiles" shows each place among its neighbours; "mosaics" as the detail head was trained, among
            places from all over.

    Raises:
        UserError: the model has no detail, or the photo is smaller than a place.
    """
    if config.native is None:
        raise UserError("this model has no detail: it does not look at photos at their own pixels")
    height, width = pixels.shape[:2]
    factor = 1 if region else choose_factor(height, width, config.view_size)
    cut = cut_grid(pixels, screen, config, region, factor)
    rows, columns = cut.structure.shape
    order = (arrange_tiles if arrangement == "tiles" else arrange_mosaics)(rows, columns, config.mosaic_grid)
    device = next(iter(jax.tree.leaves(params)[0].devices()))
    judge = functools.partial(_make_places_step(config, dtype, device), params)
    octaves, logits, *softness = judge_grid(cut, order, judge)
    counts = cut.structure > MIN_STRUCTURE
    weights = _weigh(logits, counts)
    if softness:
        # Tokens know of their neighbours: places differ by more than they say, as the pixels of each tell.
        octaves = octaves + softness[0] - (weights * softness[0]).sum()
    if config.subject and region is None:
        find = functools.partial(_make_subject_step(config, dtype, device), params)
        weights = _weigh(logits + SUBJECT_WEIGHT * _find_subject(screen, cut, (height, width), find, config), counts)
    return DetailMap(
        octaves=np.where(counts, octaves, np.float32(np.nan)),
        weights=weights,
        factor=factor,
        region=cut.region,
        height=height,
        width=width,
    )
