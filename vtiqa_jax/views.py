"""The two views of a photo, from uint8 pixels, on the device (paper, section III-A; release, test scripts).

All functions are pure, work under `jax.jit` and take a batch of photos [batch, height, width, 3]. Offsets may be
given once for the batch or once per photo.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped, UInt8

from vtiqa_jax.config import ModelConfig

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)

Photos = Shaped[Array, "batch height width channels"]
Views = Shaped[Array, "batch size size channels"]
Offset = Int[Array, ""] | Int[Array, " batch"]
Offsets = Int[Array, " grid"] | Int[Array, "batch grid"]


def normalise(images: UInt8[Array, "batch height width 3"]) -> Float[Array, "batch height width 3"]:
    """Pixels 0..255 to zero mean and unit variance over ImageNet, float32."""
    return (images.astype(jnp.float32) / 255 - IMAGENET_MEAN.reshape(1, 1, 1, 3)) / IMAGENET_STD.reshape(1, 1, 1, 3)


def crop(images: Photos, top: Offset, left: Offset, size: int) -> Views:
    """The size x size window whose upper left corner is (top, left), pixels."""
    batch, _, _, channels = images.shape
    top, left = jnp.broadcast_to(top, (batch,)), jnp.broadcast_to(left, (batch,))

    def one(image: Array, row: Array, col: Array) -> Array:
        return jax.lax.dynamic_slice(image, (row, col, np.int32(0)), (size, size, channels))

    return jax.vmap(one)(images, top, left)


def flip(images: Photos, where: Bool[Array, ""] | Bool[Array, " batch"]) -> Photos:
    """Mirrors left and right the photos for which `where` holds."""
    where = jnp.broadcast_to(where, images.shape[:1]).reshape(-1, 1, 1, 1)
    return jnp.where(where, images[:, :, ::-1], images)


def _indices(length: int, offsets: Int[Array, " grid"], cell: int) -> Int[Array, " size"]:
    """Which of `length` pixels along one axis the mosaic keeps: `cell` of each pitch, starting at its offset."""
    grid = offsets.shape[0]
    starts = jnp.arange(grid, dtype=jnp.int32) * (length // grid) + offsets
    return (starts[:, None] + jnp.arange(cell, dtype=jnp.int32)[None, :]).reshape(-1)


def mosaic(images: Photos, row_offsets: Offsets, col_offsets: Offsets, cell: int) -> Views:
    """One cell x cell patch from each cell of a grid x grid division, side by side; no pixel is resampled.

    Row i of patches starts `row_offsets[..., i]` pixels below the top of its grid cell, column j
    `col_offsets[..., j]` pixels right of its left edge, each in [0, length // grid - cell]. Rows and columns
    are chosen apart from each other, so the whole mosaic is one gather with two index vectors.
    """
    batch, height, width, _ = images.shape
    grid = row_offsets.shape[-1]

    def one(image: Array, rows: Array, cols: Array) -> Array:
        rows, cols = _indices(height, rows, cell), _indices(width, cols, cell)
        return image[rows[:, None], cols[None, :]]

    if row_offsets.ndim == 1 and col_offsets.ndim == 1:
        rows, cols = _indices(height, row_offsets, cell), _indices(width, col_offsets, cell)
        return images[:, rows[:, None], cols[None, :]]
    rows, cols = jnp.broadcast_to(row_offsets, (batch, grid)), jnp.broadcast_to(col_offsets, (batch, grid))
    return jax.vmap(one)(images, rows, cols)


def patches_at(images: Photos, positions: Int[Array, "batch grid grid 2"], cell: int) -> Views:
    """A mosaic of the patches whose upper left corners, (row, column) in pixels, are given one by one."""
    grid = positions.shape[1]
    steps = jnp.arange(cell, dtype=jnp.int32)

    def one(image: Array, corners: Array) -> Array:
        rows = corners[:, None, :, None, 0] + steps[None, :, None, None]
        cols = corners[:, None, :, None, 1] + steps[None, None, None, :]
        return image[rows, cols].reshape(grid * cell, grid * cell, -1)

    return jax.vmap(one)(images, positions)


def centre_global(images: Photos, config: ModelConfig) -> Views:
    """The global view at test time: the middle of the shrunk photo ([10:234, 10:234] of 244)."""
    margin = jnp.int32((config.global_size - config.view_size) // 2)
    return crop(images, margin, margin, config.view_size)


# Additive recurrence of the plastic number: each further point falls into the largest gap of the unit square.
SPREAD = np.array([0.7548776662466927, 0.5698402909980532])


def still_mosaic(images: Photos, config: ModelConfig, number: int = 0) -> Views:
    """Mosaic number `number` at test time. 0 is the released one, the middle of each grid cell (offset 38 in cells of
    109 px, for a photo of 768); the others are spread evenly over what a patch can reach in its cell."""
    _, height, width, _ = images.shape
    fractions = (0.5 + number * SPREAD) % 1
    rows, cols = (
        int(fraction * (length // config.grid - config.cell))
        for fraction, length in zip(fractions, (height, width), strict=True)
    )
    return mosaic(images, jnp.full(config.grid, rows, jnp.int32), jnp.full(config.grid, cols, jnp.int32), config.cell)


def augment(
    key: Array,
    global_versions: UInt8[Array, "batch small small 3"],
    local_versions: UInt8[Array, "batch rows cols 3"],
    config: ModelConfig,
) -> tuple[UInt8[Array, "batch size size 3"], UInt8[Array, "batch size size 3"]]:
    """Random views for training, drawn for each photo by itself: crop, mosaic offsets, and one flip for both views."""
    batch, height, width, _ = local_versions.shape
    keys = jax.random.split(key, 4)
    margin = config.global_size - config.view_size + 1
    corner = jax.random.randint(keys[0], (batch, 2), 0, margin)
    rows = jax.random.randint(keys[1], (batch, config.grid), 0, height // config.grid - config.cell + 1)
    cols = jax.random.randint(keys[2], (batch, config.grid), 0, width // config.grid - config.cell + 1)
    mirrored = jax.random.bernoulli(keys[3], shape=(batch,))
    global_view = crop(global_versions, corner[:, 0], corner[:, 1], config.view_size)
    local_view = mosaic(local_versions, rows, cols, config.cell)
    return flip(global_view, mirrored), flip(local_view, mirrored)
