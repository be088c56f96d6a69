"""The two views of a photo, from uint8 pixels, on the device (paper, section III-A; release, test scripts).

All functions are pure, work under `jax.jit` and take a batch of photos [batch, height, width, 3]. Offsets may be
given once for the batch or once per photo.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped, UInt8

from vtiqa_jax.photos.resize import Cut

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)

Photos = Shaped[Array, "batch height width channels"]
Views = Shaped[Array, "batch size size channels"]
Offset = Int[Array, ""] | Int[Array, " batch"]
Offsets = Int[Array, " grid"] | Int[Array, "batch grid"]


def normalize(images: UInt8[Array, "batch height width 3"]) -> Float[Array, "batch height width 3"]:
    """Pixels 0..255 to zero mean and unit variance over ImageNet, float32."""
    return (images.astype(jnp.float32) / 255 - IMAGENET_MEAN.reshape(1, 1, 1, 3)) / IMAGENET_STD.reshape(1, 1, 1, 3)


def crop(images: Photos, top: Offset, left: Offset, size: int) -> Views:
    """Returns the size x size window whose upper left corner is (top, left), pixels."""
    batch, _, _, channels = images.shape
    top, left = jnp.broadcast_to(top, (batch,)), jnp.broadcast_to(left, (batch,))

    def one(image: Array, row: Array, col: Array) -> Array:
        return jax.lax.dynamic_slice(image, (row, col, np.int32(0)), (size, size, channels))

    return jax.vmap(one)(images, top, left)


def flip(images: Photos, where: Bool[Array, ""] | Bool[Array, " batch"]) -> Photos:
    """Mirrors left and right the photos for which `where` holds."""
    where = jnp.broadcast_to(where, images.shape[:1]).reshape(-1, 1, 1, 1)
    return jnp.where(where, images[:, :, ::-1], images)


def _indices(length: int, offsets: Int[Array, " grid"], patch: int) -> Int[Array, " size"]:
    """Returns the pixels of `length` along one axis that the mosaic keeps: `patch` of each cell, from its offset."""
    grid = offsets.shape[0]
    starts = jnp.arange(grid, dtype=jnp.int32) * (length // grid) + offsets
    return (starts[:, None] + jnp.arange(patch, dtype=jnp.int32)[None, :]).reshape(-1)


def mosaic(images: Photos, row_offsets: Offsets, col_offsets: Offsets, patch: int) -> Views:
    """Returns one patch from each cell of a grid x grid division, side by side; no pixel is resampled.

    Args:
        images: photos [batch, height, width, channels].
        row_offsets: row i of patches starts so many pixels below the top of its cell, in [0, height // grid - patch].
            [grid] for the whole batch, or [batch, grid].
        col_offsets: column j starts so many pixels right of its cell's left edge.
        patch: side of one patch, pixels.

    Returns:
        [batch, grid * patch, grid * patch, channels]. Rows and columns are independent, so one gather with two index
        vectors makes the whole mosaic.
    """
    batch, height, width, _ = images.shape
    grid = row_offsets.shape[-1]

    def one(image: Array, rows: Array, cols: Array) -> Array:
        rows, cols = _indices(height, rows, patch), _indices(width, cols, patch)
        return image[rows[:, None], cols[None, :]]

    if row_offsets.ndim == 1 and col_offsets.ndim == 1:
        rows, cols = _indices(height, row_offsets, patch), _indices(width, col_offsets, patch)
        return images[:, rows[:, None], cols[None, :]]
    rows, cols = jnp.broadcast_to(row_offsets, (batch, grid)), jnp.broadcast_to(col_offsets, (batch, grid))
    return jax.vmap(one)(images, rows, cols)


def patches_at(images: Photos, positions: Int[Array, "batch grid grid 2"], patch: int) -> Views:
    """Returns a mosaic of the patches whose upper left corners, (row, column) in pixels, are given one by one."""
    grid = positions.shape[1]
    steps = jnp.arange(patch, dtype=jnp.int32)

    def one(image: Array, corners: Array) -> Array:
        rows = corners[:, None, :, None, 0] + steps[None, :, None, None]
        cols = corners[:, None, :, None, 1] + steps[None, None, None, :]
        return image[rows, cols].reshape(grid * patch, grid * patch, -1)

    return jax.vmap(one)(images, positions)


def center_crop(images: Photos, size: int) -> Views:
    """Cuts the middle of each photo: at test time the global view is [10:234, 10:234] of that shrunk to 244 px."""
    margin = jnp.int32((images.shape[1] - size) // 2)
    return crop(images, margin, margin, size)


def keep(images: Photos, cut: Cut) -> Views:
    """Returns the rows and columns of a cut, of photos that have its side."""
    return images[:, cut.rows[:, None], cut.columns]


def region_views(images: Photos, size: int, count: int) -> UInt8[Array, "regions batch size size channels"]:
    """Views filled by one square of each photo, half as wide as they are; row by row.

    The square is mirrored to the right and downwards: its details keep their size, and no edges are added.

    Args:
        images: photos [batch, height, width, channels].
        size: side of a view, pixels.
        count: squares along a side, at least 2.
    """
    _, height, width, _ = images.shape
    half = size // 2
    tops, lefts = (region_offsets(length, half, count) for length in (height, width))
    squares = jnp.stack([images[:, top : top + half, left : left + half] for top in tops for left in lefts])
    return jnp.pad(squares, ((0, 0), (0, 0), (0, size - half), (0, size - half), (0, 0)), mode="symmetric")


def region_offsets(length: int, side: int, count: int) -> list[int]:
    """Returns where each of `count` squares of `side` pixels begins, spread evenly over `length` pixels."""
    return [round(number * (length - side) / (count - 1)) for number in range(count)]
