"""Ratings inside a photo's own file: they count although stars are written beside the photo."""

import contextlib
import mmap
from collections.abc import Iterator
from pathlib import Path

from vtiqa_jax.photos import tiff
from vtiqa_jax.xmp import jpeg, packet
from vtiqa_jax.xmp.rdf import MAX_BYTES, Refused

BEGIN, END = b"<x:xmpmeta", b"</x:xmpmeta>"
"""Begin and end of a packet, which no format of photos but PNG may compress."""
MAX_PACKETS = 16


def is_rated_by_people(photo: Path) -> bool:
    """Looks for a rating that is not ours: in the XMP and EXIF of a JPEG, in XMP anywhere in another file.

    What cannot be read counts as not there.

    Raises:
        OSError: the file cannot be opened.
    """
    with photo.open("rb") as file:
        if file.read(2) == b"\xff\xd8":
            file.seek(0)
            with contextlib.suppress(Refused):
                return _is_rated_jpeg(jpeg.read(file.read()))
            return False
        try:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # an empty file
            return False
    with content:
        return any(map(_is_rated, _find_packets(content))) or _is_rated_tiff(content)


def _is_rated_jpeg(photo: jpeg.Jpeg) -> bool:
    return photo.exif_rating != 0 or any(map(_is_rated, filter(None, (photo.packet, photo.extension))))


def _is_rated_tiff(content: mmap.mmap) -> bool:
    """Returns whether a TIFF, or a RAW file that is a TIFF, has a rating."""
    if content[:2] not in (b"II", b"MM"):
        return False
    pages = tiff.list_pages(content[:], most=1)
    return bool(pages) and pages[0].number(jpeg.RATING_TAG, 0) != 0


def _is_rated(data: bytes) -> bool:
    with contextlib.suppress(Refused):
        return packet.read(data).is_rated_by_people
    return False


def _find_packets(content: mmap.mmap) -> Iterator[bytes]:
    position = 0
    for _ in range(MAX_PACKETS):
        start = content.find(BEGIN, position)
        end = content.find(END, start)
        if start < 0 or end < 0:
            return
        position = end + len(END)
        if position - start <= MAX_BYTES:
            yield content[start:position]
