"""Pillow's images as RGB pixels, and files that Pillow reads."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from vtiqa_jax.errors import ImageError
from vtiqa_jax.photos import colour, tiff
from vtiqa_jax.photos.headers import Format
from vtiqa_jax.photos.resize import Rgb

CONVERTED = frozenset(("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"))
"""Modes that Pillow itself turns into RGB rightly, dropping transparency."""
ROWS = 1024
"""Rows that are copied at a time: all at once would be two more copies."""
FILES: dict[Format, type[ImageFile]] = {
    "BMP": BmpImageFile,
    "GIF": GifImageFile,
    "JPEG": JpegImageFile,
    "JPEG 2000": Jpeg2KImageFile,
    "PNG": PngImageFile,
    "PNM": PpmImageFile,
    "TIFF": TiffImageFile,
    "WebP": WebPImageFile,
}
"""Not by `Image.open`, which has a limit of its own to the number of pixels."""


def to_rgb(image: Image.Image) -> Rgb:
    """Turns a Pillow image upright and into sRGB, by its colour profile where it has one; 16 bits are cut to 8.

    Raises:
        ImageError: what its numbers mean cannot be told from its mode.
    """
    is_negative = _is_negative(image)
    image = ImageOps.exif_transpose(image)
    profile = image.info.get("icc_profile") or b""
    if image.mode.startswith("I"):
        return _cut_to_8(image, is_negative=is_negative)
    if image.mode == "LAB":
        profile = colour.lab_profile()
    if image.mode in ("La", "RGBa"):  # multiplied by their transparency
        image = image.convert(f"{image.mode[:-1]}A")
    if image.mode in ("CMYK", "LAB"):
        image = colour.image_to_srgb(image, profile) or image
    if image.mode not in CONVERTED:
        raise ImageError(f"a Pillow image of mode {image.mode} does not say which of its numbers is white: convert it")
    return colour.to_srgb(np.asarray(image.convert("RGB")), profile)


def copy_rgb(image: Image.Image) -> Rgb:
    """Returns the pixels of an image, without its transparency."""
    image = image if image.mode == "RGB" else image.convert("RGB")
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, ROWS):
        strip = image.crop((0, top, image.width, min(top + ROWS, image.height)))
        pixels[top : top + strip.height] = np.asarray(strip)
    return pixels


def _is_negative(image: Image.Image) -> bool:
    """Returns whether an image comes from a TIFF of 16 bits in which 0 is white: Pillow turns only 8 bits about."""
    return image.mode.startswith("I;16") and getattr(image, "tag_v2", {}).get(tiff.PHOTOMETRIC) == tiff.WHITE_IS_ZERO


def _cut_to_8(image: Image.Image, *, is_negative: bool) -> Rgb:
    """Cuts greys of 16 bits. Mode I holds numbers of any size: only such as 16-bit files make are taken."""
    pixels = np.asarray(image).astype(np.int64)
    if image.mode == "I" and not (pixels.min() >= 0 and 255 < pixels.max() < 65536):
        raise ImageError(
            f"a Pillow image of mode I with numbers from {pixels.min()} to {pixels.max()} is none of 16 bits: "
            "convert it to mode L"
        )
    pixels = 65535 - pixels if is_negative else pixels
    return np.repeat((pixels >> 8).astype(np.uint8)[:, :, None], 3, axis=2)


def decode(data: bytes, kind: Format) -> Rgb | None:
    """Decodes a JPEG of CMYK or the first page of a TIFF; None for what Pillow does not read."""
    try:
        if kind == "TIFF":
            return to_rgb(TiffImageFile(io.BytesIO(data)))
        image = JpegImageFile(io.BytesIO(data))
        return to_rgb(image) if image.mode == "CMYK" else None
    except Exception:  # mostly OSError; damaged files make it raise others
        return None


def _from_cmyk(inks: UInt8[np.ndarray, "height width 4"]) -> Rgb:
    """Takes ink from white as OpenCV rounds it; Pillow has other levels by one."""
    paper = 255 - inks[:, :, 3:].astype(np.uint16)
    return (paper - (inks[:, :, :3] * paper >> 8)).astype(np.uint8)


def decode_stored(data: bytes, kind: Format) -> Rgb | None:
    """Decodes a file to the RGB that it holds, 16 bits cut to 8, without regard to profiles, as OpenCV does.

    It is not turned upright but for TIFF. None for what Pillow does not read.
    """
    try:
        image = FILES[kind](io.BytesIO(data))
        image.load()
        if image.mode.startswith("I"):
            return _cut_to_8(image, is_negative=_is_negative(image))
        if image.mode == "CMYK":
            return _from_cmyk(np.asarray(image))
        return copy_rgb(image) if image.mode in CONVERTED else None
    except Exception:  # see `decode`
        return None
