"""Photos to pixels: reading files as the authors' code does, and the two stored sizes that every view is cut from."""

import contextlib
import dataclasses
import io
import os
import threading
from pathlib import Path
from typing import Any

# Before cv2 is imported: what it would print about broken files is said by our own errors.
os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")

import cv2
import numpy as np
from jaxtyping import UInt8

from vtiqa_jax.data import damage, formats, headers
from vtiqa_jax.errors import ImageError

MAX_PIXELS = 210_000_000
"""A photo of more is not decoded unless asked for: three bytes for each, and as much again for some decoders."""
LARGE = 50_000_000
"""Photos of more pixels are decoded one at a time, so that a folder of them does not fill the memory."""

Rgb = UInt8[np.ndarray, "height width 3"]
ImagePair = tuple[UInt8[np.ndarray, "small small 3"], UInt8[np.ndarray, "large large 3"]]
"""One photo at `global_resize` and at `local_resize`."""

_large_photo = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photo that was read."""

    pixels: Rgb
    warning: str | None = None
    """What is wrong with its file nevertheless."""


def decode(data: bytes, *, is_raw: bool = False, max_pixels: int = MAX_PIXELS) -> Rgb:
    """An image file's bytes to RGB pixels.

    EXIF orientation is applied; grey, palette and CMYK are turned into colour, 16 bit cut to 8, transparency dropped.

    Args:
        data: the file.
        is_raw: it is a camera's RAW file, which its ending tells and its bytes do not.
        max_pixels: more of them are not decoded; the header is asked.

    Raises:
        ImageError: the data is no whole image, has too many pixels, or needs an extra.
    """
    return _decode(data, is_raw, max_pixels, look_for_damage=False).pixels


def _decode(data: bytes, is_raw: bool, max_pixels: int, look_for_damage: bool) -> Photo:
    """See `decode`; what is wrong with the file is looked for while no pixels are held."""
    if not data:
        raise ImageError("the file is empty")
    if is_raw:
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
        warning = damage.find_damage(data, kind) if look_for_damage else None
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


def read(path: Path, *, max_pixels: int = MAX_PIXELS) -> Rgb:
    """A file's pixels, see `decode`.

    Raises:
        ImageError: it cannot be read.
    """
    return _read(path, max_pixels, look_for_damage=False).pixels


def _read(path: Path, max_pixels: int, look_for_damage: bool) -> Photo:
    try:
        return _decode(path.read_bytes(), path.suffix.lower() in formats.RAW.suffixes, max_pixels, look_for_damage)
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
    if isinstance(image, str | Path):
        return _read(Path(image), max_pixels, look_for_damage=True)
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


def resize_square(pixels: Rgb, side: int) -> UInt8[np.ndarray, "side side 3"]:
    """The photo resized to a square, aspect ratio discarded (release, data preparation).

    OpenCV's INTER_CUBIC (a = -0.75, no antialiasing) is part of the published model: Pillow's bicubic differs by up
    to 18 grey levels.
    """
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_CUBIC)


def resize_pair(pixels: Rgb, sides: tuple[int, int]) -> ImagePair:
    """The photo in both stored sizes, `ModelConfig.stored_sides`."""
    return resize_square(pixels, sides[0]), resize_square(pixels, sides[1])
