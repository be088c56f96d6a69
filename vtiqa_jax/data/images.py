"""Photos to pixels: reading files as the authors' code does, and the two stored sizes that every view is cut from."""

import os
from pathlib import Path
from typing import Any

# Before cv2 is imported: what it would print about broken files is said by our own errors.
os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")

import cv2
import numpy as np
from jaxtyping import UInt8

from vtiqa_jax.models.vtiqa import ModelConfig

SUFFIXES = {".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
"""Endings, lower case, of the files that a folder is searched for."""

Rgb = UInt8[np.ndarray, "height width 3"]
ImagePair = tuple[UInt8[np.ndarray, "small small 3"], UInt8[np.ndarray, "large large 3"]]
"""One photo at `global_resize` and at `local_resize`."""


class ImageError(Exception):
    """A photo cannot be read; the message is the reason, without the file's name."""


def find_images(paths: list[Path]) -> list[Path]:
    """The given files and, sorted by name, the images in the given folders and everything below them."""
    images: list[Path] = []
    for path in paths:
        if path.is_dir():
            images += sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        else:
            images.append(path)
    return images


def _is_truncated_jpeg(data: bytes) -> bool:
    """Whether a JPEG stops before its end marker; decoders fill the missing part with grey and say nothing.

    Walks the header's segments to the start of the picture's data, so that the end marker of an embedded
    thumbnail is not mistaken for the photo's. Within that data FF D9 cannot occur but as the end marker.
    """
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # padding before a marker
            position += 1
            continue
        if marker == 0xDA:
            return data.find(b"\xff\xd9", position) < 0
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return True


def decode(data: bytes) -> Rgb:
    """An image file's bytes to RGB pixels.

    EXIF orientation is applied; grey, palette and CMYK are turned into colour, 16 bit cut to 8, transparency dropped.

    Raises:
        ImageError: the data is no whole image.
    """
    if not data:
        raise ImageError("the file is empty")
    if data.startswith(b"\xff\xd8") and _is_truncated_jpeg(data):
        raise ImageError("the JPEG is truncated")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise ImageError(f"OpenCV cannot decode it ({error.err})") from error
    if pixels is None:
        raise ImageError("not an image that OpenCV can decode, or a damaged one")
    return pixels


def read(path: Path) -> Rgb:
    """A file's pixels, see `decode`.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error


def as_rgb(image: Any) -> Rgb:
    """The pixels of a photo given in any form.

    Args:
        image: a path, a uint8 array [h, w], [h, w, 1], [h, w, 3] or [h, w, 4] (RGB order), or a Pillow image.

    Raises:
        ImageError: it is something else, or cannot be read.
    """
    if isinstance(image, str | Path):
        return read(Path(image))
    if hasattr(image, "getexif"):  # a Pillow image, without importing Pillow
        from PIL import ImageOps

        image = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    if not isinstance(image, np.ndarray):
        raise ImageError(f"a photo is a path, a uint8 array or a Pillow image, not {type(image).__name__}")
    if image.ndim == 2:
        image = image[:, :, None]
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3, 4) or not image.size:
        raise ImageError(f"a photo is a uint8 array [height, width, 3], not {image.dtype} {image.shape}")
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else np.ascontiguousarray(image[:, :, :3])


def resize_square(pixels: Rgb, side: int) -> UInt8[np.ndarray, "side side 3"]:
    """The photo resized to a square, aspect ratio discarded (release, data preparation).

    OpenCV's INTER_CUBIC (a = -0.75, no antialiasing) is part of the published model: Pillow's bicubic differs by up
    to 18 grey levels.
    """
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_CUBIC)


def resize_pair(pixels: Rgb, config: ModelConfig) -> ImagePair:
    """The photo in both stored sizes."""
    return resize_square(pixels, config.global_resize), resize_square(pixels, config.local_resize)
