"""Pixels of the photos that data sets keep as bytes."""

import os

from vtiqa_jax.photos import decode as photos
from vtiqa_jax.photos.resize import Rgb


def decode(data: bytes, name: str | os.PathLike[str] = "") -> Rgb:
    """Decodes a photo, see `photos.decode.decode`.

    Args:
        data: of its file.
        name: of its file, which tells some RAW files.

    Returns:
        Its sRGB pixels, upright.

    Raises:
        ImageError: the data is no whole image, has too many pixels, or needs an extra.
    """
    return photos.decode(name, data).pixels
