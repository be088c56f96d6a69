"""Headers of files: the format, and the size in pixels, before anything is decoded."""

import io
import math
import re
import struct
from typing import Literal

import imagesize

from vtiqa_jax.errors import ImageError
from vtiqa_jax.photos import tiff

Format = Literal["AVIF", "BMP", "GIF", "HEIC", "JPEG", "JPEG 2000", "PNG", "PNM", "TIFF", "WebP"]

PREFIXES: dict[bytes, Format] = {
    b"\xff\xd8": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    **{b"P%d" % kind: "PNM" for kind in range(1, 7)},
}
"""First bytes of files."""
AVIF_BRANDS = {b"avif", b"avis"}
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def find_format(data: bytes) -> Format | None:
    """Finds the format that the first bytes of a file stand for; None for one that cannot be read."""
    for prefix, name in PREFIXES.items():
        if data.startswith(prefix):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        end = min(int.from_bytes(data[:4], "big"), 256)
        brands = {data[start : start + 4] for start in (8, *range(16, end, 4))}
        if brands & AVIF_BRANDS:
            return "AVIF"
        if brands & HEIC_BRANDS:
            return "HEIC"
    return None


def read_size(data: bytes, kind: Format) -> tuple[int, int]:
    """Reads width and height in pixels from the header, before any EXIF orientation.

    They are what OpenCV goes by: it refuses a JPEG 2000 whose box and codestream differ, for one.

    Raises:
        ImageError: the header is damaged.
    """
    if kind in ("AVIF", "HEIC"):
        width, height = _largest_box(data)
    elif kind == "TIFF":
        width, height = pages[0].size if (pages := tiff.list_pages(data, most=1)) else (0, 0)
    else:  # numbers are read digit by digit: a megabyte of them must not be
        width, height = imagesize.get(io.BytesIO(data[:65536] if kind == "PNM" else data), exif_rotation=False)
    if kind == "GIF":  # imagesize reads the 16 bits with a sign
        width, height = width % 65536, height % 65536
    if kind == "BMP" and data[14:18] == b"\x0c\0\0\0":  # the header of OS/2, two bytes a side
        width, height = (int.from_bytes(data[start : start + 2], "little") for start in (18, 20))
    if width < 1 or height < 1:
        raise ImageError(f"the {kind} is damaged: its header cannot be read")
    return width, height


def _largest_box(data: bytes) -> tuple[int, int]:
    """Finds the largest picture in a container: the one that is shown may be a small part cut out of it."""
    sizes = [struct.unpack(">LL", found[1]) for found in re.finditer(rb"ispe\0{4}(.{8})", data, re.DOTALL)]
    return max(sizes, key=math.prod, default=(0, 0))
