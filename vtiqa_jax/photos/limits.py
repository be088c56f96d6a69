"""Limits of decoding: the pixels of one photo, and of all photos at a time."""

import contextlib
import threading
from typing import Any

from vtiqa_jax.errors import ImageError

LARGE = 50_000_000
"""Photos of more pixels are decoded one at a time, so that a folder of them does not fill the memory."""

_large_photo = threading.Lock()


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Checks that a photo may be decoded.

    Raises:
        ImageError: it has more pixels than `max_pixels`.
    """
    if width * height > max_pixels:
        raise ImageError(f"{width} x {height} pixels are more than max-pixels, {max_pixels:,}")


def one_large_photo(pixels: int) -> contextlib.AbstractContextManager[Any]:
    """Waits, with a large photo, until no other thread decodes one."""
    return _large_photo if pixels > LARGE else contextlib.nullcontext()
