"""What the page shows of a photo: made while its pixels are at hand, small enough to keep."""

import dataclasses

import cv2
import numpy as np
from jaxtyping import Float32

from vtiqa_jax.gallery.looks import measure_looks
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.photos.resize import Resized, Rgb, make_thumbnail, prepare

THUMBNAIL_SIDE = 320
"""Longer side, pixels."""
JPEG_QUALITY = 85


@dataclasses.dataclass(frozen=True)
class Preview:
    """A photo's pictures on the page, as JPEG files."""

    thumbnail: bytes
    views: bytes
    """Global view and mosaic side by side."""
    looks: Float32[np.ndarray, " looks"]
    """See `gallery.looks`."""


def encode_jpeg(pixels: Rgb) -> bytes:
    """Returns pixels as a JPEG file of the page."""
    _, data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()


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
