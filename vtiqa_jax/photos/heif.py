"""AVIF by Pillow and HEIC by pi-heif: unlike OpenCV they turn the photo as the file says."""

import io
from typing import Any

import numpy as np
from jaxtyping import Integer
from numpy import ndarray as Array
from PIL.AvifImagePlugin import AvifImageFile

from vtiqa_jax.errors import ImageError
from vtiqa_jax.photos import boxes, colour, formats, hdr, pillow, stored
from vtiqa_jax.photos.headers import Format
from vtiqa_jax.photos.orientation import turn
from vtiqa_jax.photos.resize import Rgb


def decode(data: bytes, kind: Format) -> Rgb | None:
    """Decodes the primary picture of an AVIF or HEIC file, of a sequence the first, in sRGB; None if it is damaged.

    Raises:
        ImageError: it needs a package, or more bits, that are not there.
    """
    try:
        return _decode_avif(data) if kind == "AVIF" else _decode_heic(data)
    except ImageError:
        raise
    except Exception:  # they raise whatever comes to them on damaged files
        return None


def read_exif(data: bytes, kind: Format) -> bytes:
    """Returns the block of EXIF data of an AVIF or HEIC file; empty without one, or where it cannot be read."""
    try:
        if kind == "AVIF":
            return AvifImageFile(io.BytesIO(data)).info.get("exif") or b""
        return formats.HEIF.require().HeifFile(io.BytesIO(data)).info.get("exif") or b""
    except Exception:  # see `decode`
        return b""


def _decode_avif(data: bytes) -> Rgb | None:
    coding = boxes.read_avif_coding(data)
    image = AvifImageFile(io.BytesIO(data))
    orientation = image.getexif().get(0x0112, 1)  # Pillow puts the turns of the container there, too
    if coding.code_points is not None and coding.code_points.is_hdr and coding.bits > 8:
        deep = stored.decode_deep(data, "AVIF")  # 8 bits of them would show as steps
        if deep is None:
            return None
        pixels = deep << (16 - coding.bits)
    else:
        pixels = pillow.copy_rgb(image)
    return turn(_to_srgb(pixels, image.info.get("icc_profile") or b"", coding.code_points), orientation)


def _decode_heic(data: bytes) -> Rgb:
    package: Any = formats.HEIF.require()
    file = package.HeifFile(io.BytesIO(data))
    coding = file.info.get("nclx_profile")
    points = None
    if coding:
        points = hdr.CodePoints(int(coding["color_primaries"]), int(coding["transfer_characteristics"]))
    if points is not None and points.is_hdr and file.info["bit_depth"] > 8:
        deep = package.HeifFile(io.BytesIO(data), convert_hdr_to_8bit=False)
        pixels = np.asarray(deep)[:, :, :3]
    else:
        pixels = pillow.copy_rgb(file.to_pillow())
    return _to_srgb(pixels, file.info.get("icc_profile") or b"", points)


def _to_srgb(pixels: Integer[Array, "h w 3"], profile: bytes, points: hdr.CodePoints | None) -> Rgb:
    """Converts by the code points of light that sRGB does not have, else by the profile, else by the code points."""
    if points is not None and not points.is_srgb and (points.is_hdr or not profile):
        return hdr.to_srgb(pixels, points)
    return colour.to_srgb(pixels, profile)
