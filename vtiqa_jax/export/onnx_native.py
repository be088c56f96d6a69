"""Views of photos at their own pixels, as nodes of an ONNX graph: what `photos/native.py` makes, to the bit.

Pixels are compared and averaged in integers, corners computed in float64, so that no runtime takes another place.
"""

import dataclasses
import functools
import math

import numpy as np

from vtiqa_jax.export.onnx_graph import Graph, Value
from vtiqa_jax.photos.native import GREY_LEVEL, LUMA, WINDOW, NativeViews, parts_of_cells


@dataclasses.dataclass(frozen=True)
class Places:
    """One place for each cell of a grid, row by row, in each photo."""

    rows: Value
    """Rows of the centres, as shares of the photo's height: float64 [photos, places]."""
    columns: Value
    """Columns of the centres, as shares of the photo's width."""
    structure: Value
    """See `photos.native.Places`: float32 [photos, places]."""


def _range(op: Graph, length: Value) -> Value:
    """Adds the whole numbers below a length, which has the shape [1]."""
    return op.Range(np.int64(0), op.Squeeze(length, np.array([0])), np.int64(1))


def _side(op: Graph, photos: Value, axis: int) -> Value:
    """Adds the length of an axis, [1]."""
    return op.Shape(photos, start=axis, end=axis + 1)


def _differences(op: Graph, luma: Value, axis: int) -> Value:
    """Adds absolute differences between both neighbours of each pixel along an axis; 0 at the edges."""
    length = _side(op, luma, axis)
    here = _range(op, length)
    step = op.Min(here, op.Sub(op.Sub(length, np.int64(1)), here), np.int64(1))
    after, before = (op.Gather(luma, place, axis=axis) for place in (op.Add(here, step), op.Sub(here, step)))
    return op.Abs(op.Sub(after, before))


def _window_sums(op: Graph, values: Value, axis: int) -> Value:
    """Sums over the `WINDOW` values around each along an axis; beyond the edges there is nothing."""
    length = _side(op, values, axis)
    here = _range(op, length)
    zero_before = (np.arange(6) == axis).astype(np.int64)
    totals = op.CumSum(op.Pad(values, zero_before, np.int32(0)), np.int64(axis))
    end = op.Min(op.Add(here, np.int64(WINDOW - WINDOW // 2)), length)
    start = op.Max(op.Sub(here, np.int64(WINDOW // 2)), np.int64(0))
    return op.Sub(op.Gather(totals, end, axis=axis), op.Gather(totals, start, axis=axis))


def _cells(op: Graph, length: Value, grid: int) -> tuple[Value, Value]:
    """Divides an axis into cells.

    Returns:
        Where each begins, [grid]; and its pixels, [grid, longest]. Shorter ones repeat their last pixel, which changes
        neither the greatest value of a cell nor where it comes first.
    """
    first, end = (op.Div(op.Mul(np.arange(grid) + step, length), np.int64(grid)) for step in (0, 1))
    last = op.Max(op.Sub(end, np.int64(1)), first)
    longest = op.Div(op.Add(length, np.int64(grid - 1)), np.int64(grid))
    first_of_each, last_of_each = (op.Unsqueeze(value, np.array([1])) for value in (first, last))
    return first, op.Min(op.Add(first_of_each, _range(op, longest)), last_of_each)


def choose_places(op: Graph, screen: Value, grid: int) -> Places:
    """Finds where photos have structure, as by `photos.native.choose_places`.

    Args:
        op: the graph.
        screen: photos as a screen shows them, uint8 [photos, height, width, 3].
        grid: cells along a side.
    """
    luma = op.ReduceSum(op.Mul(op.cast(screen, np.int32), LUMA.astype(np.int32)), np.array([3]), keepdims=0)
    differences = op.Add(_differences(op, luma, 1), _differences(op, luma, 2))
    sums = _window_sums(op, _window_sums(op, differences, 1), 2)
    (first_row, rows), (first_column, columns) = (_cells(op, _side(op, luma, axis), grid) for axis in (1, 2))
    cells = op.Gather(op.Gather(sums, rows, axis=1), columns, axis=3)
    cells = op.Reshape(op.Transpose(cells, perm=[0, 1, 3, 2, 4]), np.array([0, grid**2, -1]))
    found = op.ArgMax(cells, axis=2, keepdims=0)
    cell_width, cell = _side(op, columns, 1), np.arange(grid**2)
    row = op.Add(op.Gather(first_row, cell // grid), op.Div(found, cell_width))
    column = op.Add(op.Gather(first_column, cell % grid), op.Mod(found, cell_width))
    centre_row, centre_column = (
        op.Div(op.Add(op.cast(place, np.float64), np.float64(0.5)), op.cast(_side(op, luma, axis), np.float64))
        for axis, place in ((1, row), (2, column))
    )
    greatest = op.cast(op.ReduceMax(cells, np.array([2]), keepdims=0), np.float32)
    return Places(centre_row, centre_column, op.Div(greatest, np.float32(GREY_LEVEL * WINDOW**2)))


def rank_places(op: Graph, screen: Value, grid: int, count: int) -> list[Places]:
    """Finds several places in each cell of a grid, as by `photos.native.rank_places`.

    Args:
        op: the graph.
        screen: photos as a screen shows them, uint8 [photos, height, width, 3].
        grid: cells along a side.
        count: parts of a cell, a square number.
    """
    found, numbers = choose_places(op, screen, grid * math.isqrt(count)), parts_of_cells(grid, count)
    of_parts = [op.Gather(values, numbers, axis=1) for values in (found.rows, found.columns, found.structure)]
    here, others = op.Unsqueeze(of_parts[2], np.array([3])), op.Unsqueeze(of_parts[2], np.array([2]))
    # Of equal ones the first comes first.
    is_earlier = np.tril(np.ones((count, count), np.bool_), -1)
    is_before = op.Or(op.Greater(others, here), op.And(op.Equal(others, here), is_earlier))
    ranks = op.ReduceSum(op.cast(is_before, np.int32), np.array([3]), keepdims=0)  # [photos, cells, parts]
    ranked = []
    for rank in range(count):
        is_chosen = op.Equal(ranks, np.int32(rank))
        chosen = [
            op.ReduceSum(op.Where(is_chosen, values, zero), np.array([2]), keepdims=0)
            for values, zero in zip(of_parts, (np.float64(0), np.float64(0), np.float32(0)), strict=True)
        ]
        ranked.append(Places(*chosen))
    return ranked


@dataclasses.dataclass(frozen=True)
class _Photos:
    """The photos that squares are cut from."""

    pixels: Value
    """uint8 [photos * height * width, 3]."""
    height: Value
    width: Value
    first_pixel: Value
    """First pixel of each photo, [photos, 1, 1, 1]."""


def _cut_places(op: Graph, photos: _Photos, places: Places, native: NativeViews, factor: int) -> Value:
    """Views of the squares around places, shrunk by a whole factor: int32 [photos, size, size, 3]."""
    side = native.patch * factor
    corners = []
    for centre, length in ((places.rows, photos.height), (places.columns, photos.width)):
        middle = op.Mul(centre, op.cast(length, np.float64))
        corner = op.cast(op.Round(op.Sub(middle, np.float64(side / 2))), np.int64)
        corner = op.Max(op.Min(corner, op.Sub(length, np.int64(side))), np.int64(0))
        corners.append(op.Unsqueeze(corner, np.array([2, 3])))
    # A photo that is smaller than a square repeats its edge; `make_views` blackens that.
    last_row, last_column = (op.Sub(length, np.int64(1)) for length in (photos.height, photos.width))
    columns = op.Add(op.Min(op.Add(corners[1], np.arange(side)), last_column), photos.first_pixel)
    bands = []
    # Every `factor`-th row, `factor` times: all at once would be the largest arrays of the graph.
    for offset in range(factor):
        rows = np.arange(offset, side, factor)[:, None]
        rows = op.Min(op.Add(corners[0], rows), last_row)
        band = op.Gather(photos.pixels, op.Add(op.Mul(rows, photos.width), columns), axis=0)
        bands.append(op.cast(band, np.int32))
    shrunk = functools.reduce(op.Add, bands)
    if factor > 1:
        sums = op.ReduceSum(op.Reshape(shrunk, np.array([-1, factor, 3])), np.array([1]), keepdims=0)
        shrunk = op.Div(op.Add(sums, np.int32(factor**2 // 2)), np.int32(factor**2))
    grid, patch = native.grid, native.patch
    squares = op.Reshape(shrunk, np.array([-1, grid, grid, patch, patch, 3]))
    return op.Reshape(op.Transpose(squares, perm=[0, 1, 3, 2, 4, 5]), np.array([-1, grid * patch, grid * patch, 3]))


def make_views(op: Graph, native: NativeViews, photos: Value, screen: Value, count: Value) -> tuple[Value, Value]:
    """Makes the views of photos, as by `NativeViews.make`.

    Args:
        op: the graph.
        native: which views.
        photos: uint8 [photos, height, width, 3].
        screen: the same as a screen shows them.
        count: of how many of the photos, the first ones, views are made: int64 [1].

    Returns:
        float32 [views * count, size, size, 3], one view of all photos and then the next; and the structure of their
        places, float32 [views * count, places].
    """
    ranked = [
        Places(*(op.Slice(values, np.array([0]), count, np.array([0])) for values in vars(places).values()))
        for places in rank_places(op, screen, native.grid, max(native.mosaics))
    ]
    height, width = (_side(op, photos, axis) for axis in (1, 2))
    first_pixel = op.Reshape(op.Mul(_range(op, count), op.Mul(height, width)), np.array([-1, 1, 1, 1]))
    flat = _Photos(op.Reshape(photos, np.array([-1, 3])), height, width, first_pixel)
    views, structures = [], []
    for factor, mosaics in zip(native.factors, native.mosaics, strict=True):
        is_large = op.cast(op.LessOrEqual(np.int64(native.patch * factor), op.Min(height, width)), np.float32)
        for places in ranked[:mosaics]:
            view = _cut_places(op, flat, places, native, factor)
            views.append(op.Mul(op.cast(view, np.float32), is_large))
            structures.append(op.Mul(places.structure, is_large))
    return op.Concat(*views, axis=0), op.Concat(*structures, axis=0)
