"""Metadata of a photo's file: its orientation, and the meaning of its numbers as colours and light."""

import dataclasses
import re
import struct
import zlib
from collections.abc import Iterator

from PIL import Image
from PIL.ExifTags import IFD, Base

from vtiqa_jax.photos import colour, tiff
from vtiqa_jax.photos.hdr import CodePoints
from vtiqa_jax.photos.headers import Format

SEGMENT = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]", re.DOTALL)
"""A marker with content: no padding, no number of a picture, and none of those that stand alone."""
MAX_PROFILE = 1 << 24
"""Bytes; a compressed profile of more is not unpacked further."""


@dataclasses.dataclass(frozen=True)
class Metadata:
    """What is said; nothing of it has to be."""

    orientation: int = 1
    """EXIF's, 1 to 8, of which 1 is upright."""
    profile: bytes = b""
    """ICC."""
    code_points: CodePoints | None = None
    bits: int = 16
    """Significant ones of a sample of 16."""
    exif: bytes = b""
    """The block of EXIF data, where the file itself is none."""
    is_for_pillow: bool = False
    """Whether Pillow reads the file better than OpenCV."""


def read(data: bytes, kind: Format) -> Metadata:
    """Reads the metadata of a file; damaged parts count as not there. AVIF and HEIC: see `heif`."""
    if kind == "JPEG":
        return _read_jpeg(data)
    if kind == "PNG":
        return _read_png(data)
    if kind == "WebP":
        chunks = dict(reversed(list(_riff_chunks(data))))  # of two the first counts
        exif = chunks.get(b"EXIF", b"")
        return Metadata(read_orientation(exif), chunks.get(b"ICCP", b""), exif=exif)
    if kind == "TIFF":
        return _read_tiff(data)
    return Metadata()


def read_orientation(exif: bytes) -> int:
    """Reads the orientation that EXIF data name, else 1."""
    pages = tiff.list_pages(exif.removeprefix(b"Exif\0\0"), most=1)
    orientation = pages[0].number(tiff.ORIENTATION, 1) if pages else 1
    return orientation if 1 <= orientation <= 8 else 1


def is_as_taken(data: bytes, shape: tuple[int, ...]) -> bool:
    """Returns whether a JPEG has as many pixels as the camera gave it: EXIF names a camera and the same size."""
    exif = Image.Exif()
    for marker, start, end in jpeg_segments(data):
        if marker == 0xE1 and data.startswith(b"Exif\0\0", start):
            try:
                exif.load(data[start:end])
                inner = exif.get_ifd(IFD.Exif)
            except (SyntaxError, ValueError, OSError, struct.error):  # damaged: it says nothing
                return False
            size = {inner.get(Base.ExifImageWidth), inner.get(Base.ExifImageHeight)}
            return Base.Make in exif and size == set(shape[:2])
    return False


def jpeg_segments(data: bytes, all_scans: bool = False) -> Iterator[tuple[int, int, int]]:
    """Yields the segments of a JPEG: marker, start and end of the content; last that of the first scan, or of all.

    Stops where the data stop. What lies between two segments is passed over, as by libjpeg; so is a scan's picture.
    """
    position = 2
    while match := SEGMENT.search(data, position):
        marker, start = data[match.start() + 1], match.end() + 2
        end = match.end() + int.from_bytes(data[match.end() : start], "big")
        if not start <= end <= len(data):
            return
        yield marker, start, end
        if marker == 0xDA and not all_scans:
            return
        position = end


def _read_jpeg(data: bytes) -> Metadata:
    exif, pieces = b"", {}
    for marker, start, end in jpeg_segments(data):
        if marker == 0xE1 and not exif and data.startswith(b"Exif\0\0", start):
            exif = data[start:end]
        elif marker == 0xE2 and data.startswith(b"ICC_PROFILE\0", start) and end - start > 14:
            pieces[data[start + 12]] = data[start + 14 : end]  # the first is number 1
    profile = b"".join(pieces[number] for number in sorted(pieces))
    return Metadata(read_orientation(exif), profile, exif=exif, is_for_pillow=colour.is_of_press(profile))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields name and content of all chunks but the pixels'."""
    position = 8
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4], "big")
        name = data[position + 4 : position + 8]
        if name == b"IEND":
            return
        if name not in (b"IDAT", b"fdAT"):
            yield name, data[position + 8 : end]
        position = end + 4


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    while position + 8 <= len(data):
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        yield data[position : position + 4], data[position + 8 : position + 8 + size]
        position += 8 + size + size % 2


def _inflate(content: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(content, MAX_PROFILE)
    except zlib.error:
        return b""


def _read_png(data: bytes) -> Metadata:
    chunks: dict[bytes, bytes] = {}
    exif = b""
    for name, content in _png_chunks(data):
        chunks.setdefault(name, content)
        if name in (b"tEXt", b"zTXt") and content.startswith(b"Raw profile type exif\0"):
            exif = _unpack_raw_profile(name, content)
    coding = chunks.get(b"cICP", b"")
    exif = chunks.get(b"eXIf", exif)
    return Metadata(
        read_orientation(exif),
        _inflate(chunks.get(b"iCCP", b"").partition(b"\0")[2][1:]),
        CodePoints(coding[0], coding[1]) if len(coding) == 4 else None,
        max(chunks.get(b"sBIT", b"") or b"\x10"),
        exif=exif,
    )


def _unpack_raw_profile(name: bytes, content: bytes) -> bytes:
    """Unpacks EXIF data as ImageMagick wrote them before PNG had a place for them: a length and hexadecimal digits."""
    text = content.partition(b"\0")[2]
    text = _inflate(text[1:]) if name == b"zTXt" else text
    match = re.fullmatch(rb"\s*exif\s+\d+\s+([0-9a-fA-F\s]*)", text)
    try:
        return bytes.fromhex(match[1].decode("ascii")) if match else b""
    except ValueError:  # half a byte
        return b""


def _read_tiff(data: bytes) -> Metadata:
    """Reads the metadata of the first page; OpenCV itself turns it by the page's own orientation."""
    pages = tiff.list_pages(data, most=1)
    if not pages:
        return Metadata()
    page = pages[0]
    profile, most = page.content(tiff.PROFILE), page.number(tiff.MAX_SAMPLE, 65535)
    is_full = most & (most + 1) == 0  # else it is the picture's brightest value
    return Metadata(
        profile=profile,
        bits=most.bit_length() if is_full and 255 < most < 65536 else 16,
        is_for_pillow=colour.is_of_press(profile)
        or page.number(tiff.COMPRESSION, 1) in tiff.RARE_COMPRESSIONS
        or page.number(tiff.PHOTOMETRIC, 0) == tiff.CIELAB
        or page.number(tiff.EXTRA_SAMPLES, 0) in tiff.TRANSPARENCY  # OpenCV makes it black
        or page.number(tiff.SAMPLES, 1) > 4,  # selections that were saved with the picture; OpenCV refuses them
    )
