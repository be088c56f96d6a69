"""Photos in files of every kind, made up: what cameras, phones and scanners write."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image, ImageOps

HEIC = Path(__file__).parent / "photos" / "turned.heic"
"""`PICTURE` in 20 x 30 and "turn it to the right", written by pillow-heif, whose encoder is not free enough to depend
on."""
PQ_HEIC = Path(__file__).parent / "photos" / "pq.heic"
"""128 x 96 pixels of 10 bits, PQ and BT.2020, whose numbers are those of `smooth(96, 128)`; written likewise."""
SECOND_HEIC = Path(__file__).parent / "photos" / "second.heic"
"""Two pictures, of which the second, `smooth(96, 128)`, is the primary one, the first lies upside down; likewise."""


def smooth(height: int, width: int) -> np.ndarray:
    """A picture of colours that change slowly, no two corners alike."""
    y, x = np.mgrid[:height, :width]
    red, green = 160 * y // height + 20, 232 * x // width
    return np.stack([red, green, (red + green) // 2 + 10], -1).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """A Pillow image as a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int) -> bytes:
    """EXIF data that name an orientation."""
    found = Image.Exif()
    found[0x0112] = orientation
    return found.tobytes()


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """What Pillow makes of pixels with an orientation."""
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def with_chunk(png: bytes, name: bytes, content: bytes) -> bytes:
    """A PNG with one more chunk after its header."""
    body = name + content
    return png[:33] + struct.pack(">L", len(content)) + body + struct.pack(">L", zlib.crc32(body)) + png[33:]


def tiff(*pages: tuple[np.ndarray, dict[str, Any]], **options: Any) -> bytes:
    """A TIFF of these pages; the options of tifffile's `write` for each, those of `TiffWriter` for all."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, **options) as file:
        for pixels, its in pages:
            file.write(np.ascontiguousarray(pixels), metadata=None, **{"photometric": "rgb", **its})
    return buffer.getvalue()


def oriented(orientation: int) -> list[tuple[int, str, int, int, bool]]:
    """The tag of a TIFF's orientation, for `extratags`."""
    return [(274, "H", 1, orientation, True)]


def as_dng(mosaic: np.ndarray, orientation: int = 1, preview: np.ndarray | None = None) -> bytes:
    """The smallest RAW file that LibRaw develops: a Bayer mosaic, red first. A preview is the first page."""
    mosaic_tags: list[tuple[int, str, int, Any, bool]] = [
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, bytes((0, 1, 1, 2)), True),
    ]
    camera_tags: list[tuple[int, str, int, Any, bool]] = [
        (50706, "B", 4, bytes((1, 4, 0, 0)), True),
        (50708, "s", 0, "Maker Camera", True),
        (50721, "2i", 9, (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1), True),
        (50728, "2I", 3, (1, 1, 1, 1, 1, 1), True),
        (271, "s", 0, "Maker", True),
        (272, "s", 0, "Camera", True),
        (274, "H", 1, orientation, True),
    ]
    if preview is None:
        return tiff((mosaic, {"photometric": "cfa", "extratags": mosaic_tags + camera_tags}))
    return tiff(
        (preview, {"subfiletype": 1, "subifds": 1, "extratags": camera_tags}),
        (mosaic, {"photometric": "cfa", "extratags": mosaic_tags}),
    )


def icc_profile(to_xyz: np.ndarray, curve: float | np.ndarray, space: bytes = b"RGB ") -> bytes:
    """A profile of three primaries and a curve, or of a curve for grey.

    Args:
        to_xyz: linear colours to XYZ under D50, [3, 3].
        curve: the gamma of the colours' numbers, or the light of numbers evenly spaced.
        space: `RGB ` or `GRAY`.
    """

    def xyz(values: np.ndarray) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3l", *np.rint(np.asarray(values) * 65536).astype(int))

    values = np.rint(curve * 65535 if isinstance(curve, np.ndarray) else np.array([curve * 256])).astype(">u2")
    light = b"curv\0\0\0\0" + struct.pack(">L", len(values)) + values.tobytes()
    tags = {}
    if space == b"GRAY":
        tags[b"kTRC"] = light
    else:
        for index, name in enumerate((b"r", b"g", b"b")):
            tags |= {name + b"XYZ": xyz(to_xyz[:, index]), name + b"TRC": light}
    return _profile(b"mntr", space, b"XYZ ", tags | {b"wtpt": xyz(np.array((0.9642, 1.0, 0.8249)))})


def cmyk_profile() -> bytes:
    """A profile of a press whose inks are weak: a table of its 16 corners."""
    corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * 4, indexing="ij"), -1).reshape(-1, 4)
    cyan, magenta, yellow, black = corners.T
    lightness = 255 * (1 - 0.7 * black) * (1 - 0.2 * (cyan + magenta + yellow))
    table = np.stack([lightness, 128 + 50 * (magenta - cyan), 128 + 50 * (yellow - cyan)], -1)
    straight = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + struct.pack(">9l", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    lut += straight * 4 + np.rint(table).astype(np.uint8).tobytes() + straight * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut})


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">L", 2) + b"x\0" + bytes(78), **tags}
    table, content, start = b"", b"", 132 + 12 * len(tags)
    for name, body in tags.items():
        table += name + struct.pack(">LL", start + len(content), len(body))
        content += body + bytes(-len(body) % 4)
    head = struct.pack(">L4sL4s4s4s", start + len(content), b"none", 0x02100000, kind, space, connection)
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3l", 63190, 65536, 54061) + bytes(48)
    return head + struct.pack(">L", len(tags)) + table + content
