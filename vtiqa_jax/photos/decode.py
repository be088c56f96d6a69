"""The one way from a file's name and bytes to pixels: formats, orientation, damage, limits, decoders."""

import contextlib
import dataclasses
import io
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# Before cv2 is imported: what it would print about broken files is said by our own errors.
os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")

import cv2
import numpy as np

from vtiqa_jax.errors import ImageError
from vtiqa_jax.photos import damage, formats, headers
from vtiqa_jax.photos.resize import Rgb

MAX_PIXELS = 210_000_000
"""A photo of more is not decoded unless asked for: three bytes for each, and as much again for some decoders."""
LARGE = 50_000_000
"""Photos of more pixels are decoded one at a time, so that a folder of them does not fill the memory."""

_large_photo = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photo that was read."""

    pixels: Rgb
    warning: str | None = None
    """What is wrong with its file nevertheless."""


def decode(name: str | os.PathLike[str], data: bytes, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Turns a file's name and bytes into RGB pixels.

    EXIF orientation is applied; grey, palette and CMYK are turned into colour, 16 bit cut to 8, transparency dropped.

    Args:
        name: the file's name, whose ending tells a camera's RAW file from a TIFF.
        data: its bytes.
        max_pixels: more of them are not decoded; the header is asked.

    Raises:
        ImageError: the data is no whole image, has too many pixels, or needs an extra.
    """
    if not data:
        raise ImageError("the file is empty")
    if formats.suffix(name) in formats.RAW.suffixes:
        return Photo(_decode_raw(data, max_pixels))
    kind = headers.find_format(data)
    if kind is None:
        raise ImageError("not an image, or of a format that is not read")
    if kind == "HEIC":
        formats.HEIF.require()
    if kind == "JPEG" and damage.is_truncated_jpeg(data):
        raise ImageError("the JPEG is truncated")
    width, height = headers.read_size(data, kind)
    headers.check_size(width, height, max_pixels)
    with _one_large_photo(width * height):
        warning = damage.find_damage(data, kind)  # while no pixels are held
        pixels = _decode_heif(data, kind) if kind in ("AVIF", "HEIC") else _decode_by_opencv(data)
    if pixels is None:
        if width * height > 1 << 28:
            raise ImageError(f"the {kind} has {width} x {height} pixels, which may be more than its decoder takes")
        raise ImageError(f"the {kind} is damaged or cut off, or of a kind that is not read")
    return Photo(pixels, warning)


def _one_large_photo(pixels: int) -> contextlib.AbstractContextManager[Any]:
    return _large_photo if pixels > LARGE else contextlib.nullcontext()


def _decode_by_opencv(data: bytes) -> Rgb | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        return None


def _decode_heif(data: bytes, kind: headers.Format) -> Rgb | None:
    """AVIF by Pillow, HEIC by pi-heif: unlike OpenCV they turn the photo as the file says."""
    from PIL import Image, ImageOps

    image: Image.Image
    try:
        if kind == "AVIF":
            from PIL.AvifImagePlugin import AvifImageFile

            image = AvifImageFile(io.BytesIO(data))
        else:
            from pi_heif import HeifFile

            image = HeifFile(io.BytesIO(data)).to_pillow()
        ImageOps.exif_transpose(image, in_place=True)
        image = image if image.mode == "RGB" else image.convert("RGB")
        pixels = np.empty((image.height, image.width, 3), np.uint8)
        for top in range(0, image.height, 1024):  # all at once would be two more copies
            strip = image.crop((0, top, image.width, min(top + 1024, image.height)))
            pixels[top : top + strip.height] = np.asarray(strip)
        return pixels
    except Exception:  # they raise whatever comes to them on damaged files
        return None


def _decode_raw(data: bytes, max_pixels: int) -> Rgb:
    """A camera's RAW file, developed by LibRaw with the camera's white balance."""
    formats.RAW.require()
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            headers.check_size(raw.sizes.raw_width, raw.sizes.raw_height, max_pixels)
            with _one_large_photo(raw.sizes.raw_width * raw.sizes.raw_height):
                return raw.postprocess(use_camera_wb=True)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError("the RAW file is damaged, or of a camera that LibRaw does not know") from error


def read(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Reads and decodes a file, see `decode`.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        return decode(path, Path(path).read_bytes(), max_pixels=max_pixels)
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error
    except MemoryError as error:
        raise ImageError("it needs more memory than there is") from error


def open_photo(image: Any, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """A photo given in any form.

    Args:
        image: a path, a uint8 array [h, w], [h, w, 1], [h, w, 3] or [h, w, 4] (RGB order), or a Pillow image.
        max_pixels: a file of more pixels is not decoded.

    Raises:
        ImageError: it is something else, or cannot be read.
    """
    if isinstance(image, str | os.PathLike):
        return read(image, max_pixels=max_pixels)
    if hasattr(image, "getexif"):  # a Pillow image, without importing Pillow
        from PIL import ImageOps

        image = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    if not isinstance(image, np.ndarray):
        raise ImageError(f"a photo is a path, a uint8 array or a Pillow image, not {type(image).__name__}")
    if image.ndim == 2:
        image = image[:, :, None]
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3, 4) or not image.size:
        raise ImageError(f"a photo is a uint8 array [height, width, 3], not {image.dtype} {image.shape}")
    return Photo(np.repeat(image, 3, axis=2) if image.shape[2] == 1 else np.ascontiguousarray(image[:, :, :3]))


def list_photos(photos: Any) -> list[Any]:
    """Lists photos given in any form that `open_photo` takes: one, several, an iterator or an array [n, h, w, 3].

    Raises:
        ImageError: they are no photos.
    """
    if isinstance(photos, str | os.PathLike) or hasattr(photos, "getexif") or getattr(photos, "ndim", None) in (2, 3):
        return [photos]
    # A file, its bytes and a dictionary could be gone through, but what they give is no photo.
    if isinstance(photos, Iterable) and not isinstance(photos, bytes | bytearray | Mapping | io.IOBase):
        return list(photos)
    raise ImageError(
        f"a photo, or a list of photos, is needed, not {type(photos).__name__}: a path, a uint8 array or a Pillow image"
    )
