"""Views of a photo at its own pixels: small squares from all over it, at 1:1 and shrunk by whole factors.

A grid divides the photo. In each of its cells the place is taken where the photo, as a screen shows it, has the most
structure: sharpness and noise are judged where there is something to be sharp. Where several mosaics are made, the
cells are divided again, and the best places of these parts follow in the others.
"""

import dataclasses
import itertools
import math

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from vtiqa_jax.photos.resize import Resized, Rgb

LUMA = np.array([77, 150, 29])
"""256 times BT.601's weights of red, green and blue, in integers."""
GREY_LEVEL = 4 * 256
"""What `_differences` has for each grey level: two pixels apart, in two directions."""
WINDOW = 5
"""Side of the squares of a screen's pixels whose structure is compared."""


@dataclasses.dataclass(frozen=True)
class NativeViews:
    """Which views of a photo are made at its own pixels."""

    factors: tuple[int, ...]
    """By which the photo is shrunk."""
    mosaics: tuple[int, ...]
    """Views at each factor, square numbers: into so many parts is a cell divided, and each view has one place of it."""
    grid: int
    """Places along a side of a view."""
    patch: int
    """Side of a place in a view, pixels."""

    @property
    def spans(self) -> list[slice]:
        """Where the views of each factor stand among all."""
        ends = list(itertools.accumulate(self.mosaics, initial=0))
        return [slice(*span) for span in itertools.pairwise(ends)]

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shapes of what `make` returns."""
        size, count = self.grid * self.patch, sum(self.mosaics)
        return (count, size, size, 3), (count, self.grid**2)

    def make(
        self, pixels: Rgb, screen: Resized
    ) -> tuple[UInt8[np.ndarray, "views size size 3"], Float32[np.ndarray, "views places"]]:
        """Makes the views of a photo.

        Args:
            pixels: the photo.
            screen: the same as a screen shows it, see `resize.shrink`.

        Returns:
            The views of each factor, the places of most structure first, and the structure of their places, see
            `Places`. Where the photo is too small for a place the views are black and have no structure.
        """
        ranked = rank_places(screen, self.grid, max(self.mosaics))
        views, structure = (
            np.zeros(shape, dtype) for shape, dtype in zip(self.shapes, (np.uint8, np.float32), strict=True)
        )
        for factor, span in zip(self.factors, self.spans, strict=True):
            if min(pixels.shape[:2]) >= self.patch * factor:
                for number, places in zip(range(span.start, span.stop), ranked, strict=False):
                    views[number] = cut_places(pixels, places, self.patch, factor)
                    structure[number] = places.structure
        return views, structure


@dataclasses.dataclass(frozen=True, eq=False)
class Places:
    """One place for each cell of a grid, row by row."""

    centres: Float[np.ndarray, "places 2"]
    """Row and column as shares of the photo's height and width."""
    structure: Float32[np.ndarray, " places"]
    """Mean difference between neighbouring pixels of the screen there, grey levels."""


def _window_sums(values: Int[np.ndarray, "rows columns"], size: int) -> Int[np.ndarray, "rows columns"]:
    """Returns the sums over the squares around each pixel; beyond the edge there is nothing."""
    before, after = size // 2, size - size // 2 - 1
    for axis in (0, 1):
        width = [(0, 0), (0, 0)]
        width[axis] = (before + 1, after)
        total = np.pad(values, width).cumsum(axis)
        upper, lower = (slice(size, None), slice(None, -size))
        values = total[upper] - total[lower] if axis == 0 else total[:, upper] - total[:, lower]
    return values


def _differences(screen: Resized) -> Int[np.ndarray, "rows columns"]:
    """Returns how much pixels around each one differ: two apart, in two directions, 256 times a grey level."""
    luma = screen.astype(np.int32) @ LUMA
    down, across = np.zeros_like(luma), np.zeros_like(luma)
    down[1:-1] = np.abs(luma[2:] - luma[:-2])
    across[:, 1:-1] = np.abs(luma[:, 2:] - luma[:, :-2])
    return down + across


def choose_places(screen: Resized, grid: int) -> Places:
    """Finds where a photo has structure.

    Args:
        screen: the photo as a screen shows it, see `resize.shrink`.
        grid: cells along a side.
    """
    sums = _window_sums(_differences(screen), WINDOW)
    rows, columns = (np.arange(grid + 1) * side // grid for side in sums.shape)
    centres, structure = [], []
    for top, bottom in itertools.pairwise(rows):
        for left, right in itertools.pairwise(columns):
            cell = sums[top : max(bottom, top + 1), left : max(right, left + 1)]
            row, column = divmod(int(cell.argmax()), cell.shape[1])
            centres.append(((top + row + 0.5) / sums.shape[0], (left + column + 0.5) / sums.shape[1]))
            structure.append(cell[row, column])
    levels = np.array(structure, np.float32) / np.float32(GREY_LEVEL * WINDOW**2)
    return Places(np.array(centres), levels)


def parts_of_cells(grid: int, count: int) -> Int[np.ndarray, "cells parts"]:
    """Returns the numbers that the parts of a grid's cells have in the finer grid that they make.

    Args:
        grid: cells along a side.
        count: parts of each, a square number.
    """
    parts = math.isqrt(count)
    numbers = np.arange((grid * parts) ** 2).reshape(grid, parts, grid, parts)
    return numbers.swapaxes(1, 2).reshape(grid**2, count)


def rank_places(screen: Resized, grid: int, count: int) -> list[Places]:
    """Finds several places in each cell of a grid: one in each of its parts.

    Args:
        screen: the photo as a screen shows it, see `resize.shrink`.
        grid: cells along a side.
        count: parts of a cell, a square number.

    Returns:
        The places of most structure in their cells, then the next ones. The first are those of `choose_places`, but for
        ties. On a screen with fewer pixels than parts, places repeat and lie in other cells.
    """
    found, numbers = choose_places(screen, grid * math.isqrt(count)), parts_of_cells(grid, count)
    order = np.argsort(-found.structure[numbers], axis=1, kind="stable")
    ranked = np.take_along_axis(numbers, order, axis=1)
    return [Places(found.centres[chosen], found.structure[chosen]) for chosen in ranked.T]


def structure_of_cells(
    screen: Resized, rows: Float[np.ndarray, " row_edges"], columns: Float[np.ndarray, " column_edges"]
) -> Float32[np.ndarray, "cells_down cells_across"]:
    """Finds the mean structure of each cell of a grid, see `Places.structure`.

    Args:
        screen: the photo as a screen shows it.
        rows: where the cells begin and the last one ends, as shares of the photo's height.
        columns: the same across.
    """
    structure = _differences(screen).astype(np.float32) / np.float32(GREY_LEVEL)
    for axis, shares in ((0, rows), (1, columns)):
        side = structure.shape[axis]
        first = np.minimum((shares[:-1] * side).astype(int), side - 1)
        last = np.clip(np.ceil(shares[1:] * side).astype(int), first + 1, side)
        lines = [structure.take(range(*ends), axis).mean(axis) for ends in zip(first, last, strict=True)]
        structure = np.stack(lines, axis)
    return structure


def shrink_whole(pixels: Rgb, factor: int) -> Resized:
    """Shrinks pixels by a whole factor, which divides their height and width: each is the rounded mean of a square."""
    if factor == 1:
        return pixels
    sums = np.full((pixels.shape[0] // factor, pixels.shape[1] // factor, 3), factor**2 // 2, np.int32)
    for row, column in itertools.product(range(factor), repeat=2):  # six times as fast as a sum over reshaped axes
        sums += pixels[row::factor, column::factor]
    return (sums // factor**2).astype(np.uint8)


def cut_places(pixels: Rgb, places: Places, patch: int, factor: int) -> UInt8[np.ndarray, "size size 3"]:
    """Cuts a square around each place and shrinks it by a whole factor; side by side they are a view.

    Args:
        pixels: the photo, each side at least `patch * factor`.
        places: of `choose_places`.
        patch: side of a square in the view, pixels.
        factor: 1 keeps the photo's pixels, 2 is the mean of two by two.

    Returns:
        A view of sqrt(places) * patch pixels a side.
    """
    height, width, _ = pixels.shape
    side = patch * factor
    grid = round(len(places.centres) ** 0.5)
    view = np.empty((grid, patch, grid, patch, 3), np.uint8)
    corners = np.rint(places.centres * (height, width) - side / 2).astype(int)
    corners = np.clip(corners, 0, (height - side, width - side))
    for number, (top, left) in enumerate(corners):
        view[number // grid, :, number % grid] = shrink_whole(pixels[top : top + side, left : left + side], factor)
    return view.reshape(grid * patch, grid * patch, 3)
