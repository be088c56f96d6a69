"""Views of a photo resized to a square, at test time: its middle, and mosaics (paper, section III-A)."""

import numpy as np

from vtiqa_jax.photos.resize import Cut

R2_SEQUENCE = np.array([0.7548776662466927, 0.5698402909980532])
"""Steps of the R2 sequence (M. Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018): multiples of
these, modulo 1, cover the unit square evenly."""


def middle_cut(side: int, size: int) -> Cut:
    """Returns the middle of a square: the global view at test time is [10:234, 10:234] of the photo at 244 px."""
    middle = (side - size) // 2 + np.arange(size)
    return Cut(side, middle, middle)


def mosaic_cut(side: int, grid: int, patch: int, number: int = 0) -> Cut:
    """Returns mosaic `number` at test time.

    Args:
        side: of the square that it is cut from, pixels.
        grid: cells along a side.
        patch: side of one patch, pixels.
        number: 0 is the released mosaic, the centre of each cell (offset 38 in cells of 109 px, for a square of 768);
            further ones spread over all places of a patch in its cell.
    """
    cell = side // grid
    rows, columns = (
        (np.arange(grid)[:, None] * cell + int(fraction * (cell - patch)) + np.arange(patch)).ravel()
        for fraction in (0.5 + number * R2_SEQUENCE) % 1
    )
    return Cut(side, rows, columns)
