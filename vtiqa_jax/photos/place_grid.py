"""A photo, or a part of it, as a grid of places side by side, and views that show them: for maps of detail.

`photos.native` cuts places from all over a photo. Here they touch, so that there is a number for every place.
"""

import dataclasses
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int, UInt8

from vtiqa_jax.photos.native import shrink_whole, structure_of_cells
from vtiqa_jax.photos.resize import Resized, Rgb

Arrangement = Literal["tiles", "mosaics"]
"""Way in which places share views: with their neighbours, or with places from all over, as in `photos.native`."""


@dataclasses.dataclass(frozen=True)
class Region:
    """A rectangle of a photo, pixels."""

    top: int
    left: int
    height: int
    width: int

    @classmethod
    def around(cls, pixels: Rgb, row: float, column: float, side: int) -> "Region":
        """Returns a square around a point, moved into the photo; in a photo that is smaller, less of it.

        Args:
            pixels: the photo.
            row: of the point, as a share of the photo's height.
            column: as a share of its width.
            side: of the square, pixels.
        """
        lengths = [min(side, length) for length in pixels.shape[:2]]
        starts = [
            min(max(0, round(share * whole - length / 2)), whole - length)
            for share, whole, length in zip((row, column), pixels.shape[:2], lengths, strict=True)
        ]
        return cls(*starts, *lengths)

    def cut(self, pixels: Rgb) -> Resized:
        """Returns the photo's pixels in it."""
        return pixels[self.top : self.top + self.height, self.left : self.left + self.width]


@dataclasses.dataclass(frozen=True, eq=False)
class PlaceGrid:
    """Places side by side."""

    places: UInt8[np.ndarray, "rows columns patch patch 3"]
    structure: Float32[np.ndarray, "rows columns"]
    """See `native.Places`."""
    region: Region
    """Region that they fill."""

    @classmethod
    def cut(cls, pixels: Rgb, screen: Resized, region: Region, patch: int, factor: int) -> "PlaceGrid":
        """Cuts the middle of a region into places; what is left at its edges is less than one of them.

        Args:
            pixels: the photo.
            screen: the same as a screen shows it, see `resize.shrink`.
            region: each side at least `patch * factor`.
            patch: side of a place, pixels of the shrunk photo.
            factor: by which the photo is shrunk.
        """
        side = patch * factor
        rows, columns = region.height // side, region.width // side
        filled = Region(
            region.top + (region.height - rows * side) // 2,
            region.left + (region.width - columns * side) // 2,
            rows * side,
            columns * side,
        )
        shrunk = shrink_whole(filled.cut(pixels), factor)
        edges = [
            (start + side * np.arange(count + 1)) / length
            for start, count, length in zip((filled.top, filled.left), (rows, columns), pixels.shape[:2], strict=True)
        ]
        places = shrunk.reshape(rows, patch, columns, patch, 3).swapaxes(1, 2)
        return cls(places, structure_of_cells(screen, *edges), filled)

    def views(self, order: Int[np.ndarray, "views grid grid"]) -> UInt8[np.ndarray, "views size size 3"]:
        """Puts places side by side into views, by their numbers."""
        flat = self.places.reshape(-1, *self.places.shape[2:])
        grid, patch = order.shape[1], flat.shape[1]
        return flat[order].swapaxes(2, 3).reshape(len(order), grid * patch, grid * patch, 3)


def arrange_tiles(rows: int, columns: int, grid: int) -> Int[np.ndarray, "views grid grid"]:
    """Arranges a grid's places in views of neighbours.

    Where the grid's side is no multiple of a view's, the last view overlaps the one before; where it is less, the last
    place is repeated.

    Returns:
        The numbers of the places in each view, counted row by row.
    """

    def starts(count: int) -> list[int]:
        return [min(start, max(0, count - grid)) for start in range(0, count, grid)]

    step = np.arange(grid)
    return np.stack(
        [
            np.minimum(top + step, rows - 1)[:, None] * columns + np.minimum(left + step, columns - 1)
            for top in starts(rows)
            for left in starts(columns)
        ]
    )


def arrange_mosaics(rows: int, columns: int, grid: int) -> Int[np.ndarray, "views grid grid"]:
    """Arranges a grid's places in views each of which has places from all over; what is left is filled up by the first.

    Returns:
        The numbers of the places in each view, counted row by row.
    """
    count = -(-rows * columns // grid**2)
    numbers = np.arange(count * grid**2).reshape(grid, grid, count).transpose(2, 0, 1)
    return numbers % (rows * columns)
