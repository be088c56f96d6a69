"""JPEG files to look at: thumbnails, and what a page shows at 1:1."""

import cv2

from vtiqa_jax.photos.resize import Rgb

QUALITY = 85


def encode_jpeg(pixels: Rgb) -> bytes:
    """Returns pixels as a JPEG file."""
    _, data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()
