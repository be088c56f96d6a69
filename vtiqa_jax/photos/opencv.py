"""OpenCV's decoders, see `stored`."""

import cv2
import numpy as np
from jaxtyping import UInt16
from numpy import ndarray as Array

from vtiqa_jax.photos.resize import Rgb


def decode(data: bytes) -> Rgb | None:
    """Decodes to 8 bits, not turned upright but for TIFF; None for what OpenCV does not read."""
    return _decode(data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)


def decode_deep(data: bytes) -> Rgb | UInt16[Array, "h w 3"] | None:
    """Decodes with all bits that the file has, as `decode` otherwise."""
    # Of TIFFs of 16 bits IMREAD_COLOR_RGB exchanges red and blue.
    pixels = _decode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if pixels is None else pixels[:, :, ::-1]


def _decode(data: bytes, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
