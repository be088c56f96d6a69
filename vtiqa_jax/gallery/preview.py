"""The page's data of a photo, computed while its pixels are at hand, and small enough to keep."""

import dataclasses

import numpy as np
from jaxtyping import Float32

from vtiqa_jax.gallery.looks import measure_looks
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.photos.jpeg import encode_jpeg
from vtiqa_jax.photos.resize import Resized, Rgb, make_thumbnail, prepare

THUMBNAIL_SIDE = 320
"""Longer side, pixels."""


@dataclasses.dataclass(frozen=True)
class Preview:
    """A photo's pictures on the page, as JPEG files."""

    thumbnail: bytes
    views: bytes
    """Global view and mosaic side by side."""
    looks: Float32[np.ndarray, " looks"]
    """See `gallery.looks`."""


def make_preview(pixels: Rgb, screen: Resized, config: ModelConfig) -> Preview:
    """Makes a photo's preview.

    Args:
        pixels: the photo.
        screen: the photo as `photos.resize.shrink` leaves it for the model, or the photo itself.
        config: the model's sizes.
    """
    thumbnail = make_thumbnail(pixels, THUMBNAIL_SIDE)
    views = np.concatenate(prepare(screen, config.screen_side, config.view_cuts[:2]), axis=1)
    return Preview(encode_jpeg(thumbnail), encode_jpeg(views), measure_looks(thumbnail))
