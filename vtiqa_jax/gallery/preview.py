"""What the page shows of a photo: made while its pixels are at hand, small enough to keep."""

import dataclasses

import cv2
import numpy as np
from jaxtyping import UInt8

from vtiqa_jax.data.images import ImagePair, Rgb
from vtiqa_jax.gallery.fingerprints import Fingerprint, fingerprint
from vtiqa_jax.models.vtiqa import ModelConfig

THUMBNAIL_SIDE = 320
"""Longer side, pixels."""
JPEG_QUALITY = 85


@dataclasses.dataclass(frozen=True)
class Preview:
    """A photo's pictures on the page, as JPEG files, and what finds shots like it."""

    width: int
    """Of the photo, pixels."""
    height: int
    thumbnail: bytes
    views: bytes
    """Global view and mosaic side by side."""
    fingerprint: Fingerprint


def model_views(pair: ImagePair, config: ModelConfig) -> UInt8[np.ndarray, "size two_sizes 3"]:
    """The global view and the first mosaic, as `VTIQA.encode` cuts them on the device, side by side."""
    small, large = pair
    margin = (config.global_resize - config.view_size) // 2
    global_view = small[margin : margin + config.view_size, margin : margin + config.view_size]
    cell, patch = config.local_resize // config.mosaic_grid, config.mosaic_patch
    corners = np.arange(config.mosaic_grid) * cell + (cell - patch) // 2
    kept = (corners[:, None] + np.arange(patch)).reshape(-1)
    return np.concatenate([global_view, large[kept[:, None], kept]], axis=1)


def _jpeg(pixels: Rgb) -> bytes:
    _, data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()


def make_preview(pixels: Rgb, pair: ImagePair, config: ModelConfig) -> Preview:
    """A photo's preview.

    Args:
        pixels: the photo.
        pair: the same photo in both stored sizes, see `images.resize_pair`.
        config: the model's sizes.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, THUMBNAIL_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    thumbnail = pixels if scale == 1 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return Preview(width, height, _jpeg(thumbnail), _jpeg(model_views(pair, config)), fingerprint(thumbnail))
