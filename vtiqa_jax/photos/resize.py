"""All resizing: photos to the squares that models see, thumbnails, and the sizes of distorted versions.

No CPU changes a score: what a model sees is computed in integers (Pillow's antialiased filter) or by single float32
operations in a fixed order (the release's bicubic). OpenCV's own bicubic gives other pixels with Intel's IPP than
without it, and with IPP others on AVX2 than on AVX-512.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int, UInt8
from PIL import Image

Rgb = UInt8[np.ndarray, "height width 3"]
"""A photo's pixels."""
Resized = UInt8[np.ndarray, "rows columns 3"]
"""Pixels of another size."""

ARITHMETIC = 2
"""Version of what this module computes for models. Scores, and stored photos, of another version are others."""
CUBIC_A = -0.75
"""The release's cubic kernel, OpenCV's. Pillow's has -0.5: it differs by up to 18 grey levels."""
BLOCK = 32
"""Rows resized together, so that they stay in a core's cache."""


@dataclasses.dataclass(frozen=True, eq=False)
class Cut:
    """The rows and columns that are kept of a photo resized to a square."""

    side: int
    """Of the square, pixels."""
    rows: Int[np.ndarray, " rows"]
    columns: Int[np.ndarray, " columns"]

    @classmethod
    def whole(cls, side: int) -> "Cut":
        """Returns the cut that keeps the whole square."""
        return cls(side, np.arange(side), np.arange(side))


def _taps(
    length: int, side: int, kept: Int[np.ndarray, " kept"]
) -> tuple[Int[np.ndarray, "4 kept"], Float32[np.ndarray, "4 kept"]]:
    """Returns, for each kept pixel of an axis resized to `side`, the four source pixels and their weights."""
    place = ((kept + 0.5) * (length / side) - 0.5).astype(np.float32)
    before = np.floor(place)
    fraction, first, a = (place - before).astype(np.float64), before.astype(np.int64), CUBIC_A
    indices, weights = [], []
    for offset in (-1, 0, 1, 2):
        # A pixel's weight is a polynomial of its distance, one for 0 to 1 and one for 1 to 2 pixels.
        distance = np.abs(fraction - offset)
        cubic, *others = (a + 2, -a - 3, 0, 1) if offset in (0, 1) else (a, -5 * a, 8 * a, -4 * a)
        weight = np.full_like(distance, cubic)
        for coefficient in others:
            weight = weight * distance + coefficient
        indices.append(np.clip(first + offset, 0, length - 1))  # beyond the edge the last pixel is repeated
        weights.append(weight.astype(np.float32))
    return np.stack(indices), np.stack(weights)


def _resample_rows(
    rows: UInt8[np.ndarray, "length width"] | Float32[np.ndarray, "length width"],
    indices: Int[np.ndarray, "4 kept"],
    weights: Float32[np.ndarray, "4 kept"],
) -> Float32[np.ndarray, "kept width"]:
    """Adds up the four weighted source rows of each kept row, always in the same order."""
    total = rows[indices[0]] * weights[0, :, None]
    for tap in (1, 2, 3):
        total += rows[indices[tap]] * weights[tap, :, None]
    return total


def resize_bicubic(
    pixels: Rgb,
    size: tuple[int, int],
    rows: Int[np.ndarray, " rows"] | None = None,
    columns: Int[np.ndarray, " columns"] | None = None,
) -> Resized:
    """Resizes by the release's rule: bicubic with a = -0.75, no antialiasing (release, data preparation).

    Only the rows and columns that are kept are computed.

    Args:
        pixels: the photo.
        size: height and width that it is resized to, pixels.
        rows: the rows that are kept; all when not given.
        columns: the columns that are kept; all when not given.
    """
    height, width, _ = pixels.shape
    row_taps, row_weights = _taps(height, size[0], np.arange(size[0]) if rows is None else rows)
    column_taps, column_weights = _taps(width, size[1], np.arange(size[1]) if columns is None else columns)
    needed_rows, rows_in_part = np.unique(row_taps, return_inverse=True)
    needed_columns, columns_in_part = np.unique(column_taps, return_inverse=True)
    if 2 * len(needed_rows) * len(needed_columns) < height * width:  # else picking them out costs more than it saves
        pixels = pixels[needed_rows[:, None], needed_columns]
        row_taps, column_taps = rows_in_part.reshape(4, -1), columns_in_part.reshape(4, -1)
    source, count = pixels.reshape(len(pixels), -1), row_taps.shape[1]
    resized = np.empty((count, column_taps.shape[1], 3), np.uint8)
    for start in range(0, count, BLOCK):
        part = slice(start, start + BLOCK)
        down = _resample_rows(source, row_taps[:, part], row_weights[:, part]).reshape(-1, pixels.shape[1], 3)
        turned = np.ascontiguousarray(down.transpose(1, 0, 2)).reshape(pixels.shape[1], -1)
        across = np.clip(np.rint(_resample_rows(turned, column_taps, column_weights)), 0, 255)
        resized[part] = across.reshape(-1, len(down), 3).transpose(1, 0, 2)
    return resized


def shrink(pixels: Rgb, screen_side: int | None) -> Resized:
    """Shrinks a photo whose longer side has more than `screen_side` pixels to that, with antialiasing.

    Pillow's bicubic, in integers. Without it a large photo's fine details turn into what a model takes for noise: the
    release's rule looks at a few of its pixels only.

    Args:
        pixels: the photo.
        screen_side: pixels; None leaves every photo alone, as the release does.
    """
    height, width, _ = pixels.shape
    longer = max(height, width)
    if screen_side is None or longer <= screen_side:
        return pixels
    # Rounded in integers, as an exported graph does it, too.
    rows, columns = (max(1, (side * screen_side + longer // 2) // longer) for side in (height, width))
    # A channel at a time: the whole photo would be copied with four bytes a pixel.
    channels = [
        Image.fromarray(np.ascontiguousarray(pixels[:, :, channel])).resize((columns, rows), Image.Resampling.BICUBIC)
        for channel in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


def prepare(pixels: Rgb, screen_side: int | None, cuts: Sequence[Cut]) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """Makes what a model sees of a photo.

    Args:
        pixels: the photo, of any size.
        screen_side: see `shrink`.
        cuts: `ModelConfig.eval_cuts` for its views, `ModelConfig.stored_cuts` for the two stored sizes that every view
            is cut from.

    Returns:
        An array for each cut.
    """
    screen = shrink(pixels, screen_side)
    return [resize_bicubic(screen, (cut.side, cut.side), cut.rows, cut.columns) for cut in cuts]


def resize_area(pixels: UInt8[np.ndarray, "height width *channels"], size: tuple[int, int]) -> np.ndarray:
    """Resizes to (height, width) by averaging areas: for thumbnails and distortions, not for what a model sees."""
    import cv2  # not a part of vtiqa-onnx, which needs no such pixels

    return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)


def resize_nearest(pixels: Rgb, size: tuple[int, int]) -> Resized:
    """Resizes to (height, width) by repeating pixels."""
    rows, columns = (np.arange(after) * before // after for before, after in zip(pixels.shape[:2], size, strict=True))
    return pixels[rows[:, None], columns]


def make_thumbnail(pixels: UInt8[np.ndarray, "height width *channels"], longer_side: int) -> np.ndarray:
    """Shrinks a photo whose longer side has more than `longer_side` pixels to that; aspect ratio kept."""
    height, width = pixels.shape[:2]
    scale = longer_side / max(height, width)
    if scale >= 1:
        return pixels
    return resize_area(pixels, (max(1, round(height * scale)), max(1, round(width * scale))))
