"""OpenCV's decoders, see `stored`."""

import re

import cv2
import numpy as np
from jaxtyping import UInt16
from numpy import ndarray as Array

from vtiqa_jax.photos.resize import Rgb

WHITE_OF_PNM = re.compile(rb"P[2356](?:(?:\s|#[^\r\n]*[\r\n])+(\d{1,9})){3}\s")
"""The header of a PNM that is not black and white; of three numbers the last one is kept, which stands for white."""


def decode(data: bytes) -> Rgb | None:
    """Decodes to 8 bits, not turned upright but for TIFF; None for what OpenCV does not read."""
    return (
        _decode_pnm(data) if data[:1] == b"P" else _decode(data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    )


def _decode_pnm(data: bytes) -> Rgb | None:
    """Decodes a PNM. OpenCV takes its numbers as they are, whichever stands for white, but for plain ones of 8 bits."""
    is_plain = data[1:2] in b"123"
    pixels = decode_deep(data + b"\n" if is_plain else data)  # no number may be the file's last byte
    header = WHITE_OF_PNM.match(data)
    white = int(header[1]) if header else 255
    if pixels is None or (pixels.dtype == np.uint8 and (is_plain or white in (0, 255))):
        return pixels
    if white == 65535:
        return (pixels >> 8).astype(np.uint8)
    return np.rint(pixels / white * 255).clip(0, 255).astype(np.uint8)


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
