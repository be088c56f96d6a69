"""The camera's own picture in a RAW file. LibRaw finds it, too, but crashes on damaged files."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from vtiqa_jax.photos import headers, limits, stored, tiff
from vtiqa_jax.photos.metadata import jpeg_segments
from vtiqa_jax.photos.resize import Rgb

SHAPE_TOLERANCE = 0.02
"""Share by which a preview's sides may be in another proportion; cameras cut some rows off."""
MIN_CONTRAST = 32
"""Levels between the darkest and the brightest number of a preview that shows something."""
MAX_TRIES = 4
MAX_JPEGS = 64
JPEG_HEADER = 1 << 18
"""Bytes within which a JPEG says how large it is."""


class Candidate(NamedTuple):
    """A picture in the file."""

    width: int
    height: int
    read: Callable[[], bytes]
    """Returns it as a file of its own."""


def find(data: bytes, width: int, height: int) -> Rgb | None:
    """Decodes the largest picture that has the shape of the photo, lying as it may; None without one.

    Pictures of another shape have bars, or show a part.
    """
    photo_short, photo_long = sorted((width, height))
    fitting = []
    for candidate in (*_pages(data), *_jpegs(data)):
        short, long = sorted((candidate.width, candidate.height))
        same = abs(short * photo_long - long * photo_short) <= SHAPE_TOLERANCE * long * photo_short
        if short > 0 and same and short * long <= limits.LARGE:
            fitting.append(candidate)
    fitting.sort(key=lambda candidate: candidate.width * candidate.height, reverse=True)
    for candidate in fitting[:MAX_TRIES]:
        file = candidate.read()
        kind = headers.find_format(file)
        pixels = stored.decode(file, kind) if kind else None
        if pixels is not None and np.ptp(pixels) >= MIN_CONTRAST:
            return pixels
    return None


def _pages(data: bytes) -> Iterator[Candidate]:
    """Finds developed pictures among the pages of a file that is made like a TIFF."""
    for page in tiff.list_pages(data):
        if page.number(tiff.PHOTOMETRIC, 0) in (tiff.RGB, tiff.YCBCR):
            yield Candidate(*page.size, lambda page=page: tiff.put_first(page))


def _jpegs(data: bytes) -> Iterator[Candidate]:
    """Finds JPEGs, wherever they lie."""
    position = -1
    for _ in range(MAX_JPEGS):
        position = data.find(b"\xff\xd8\xff", position + 1)
        if position < 0:
            return
        header = data[position : position + JPEG_HEADER]
        for marker, start, end in jpeg_segments(header):
            if marker in (0xC0, 0xC1, 0xC2) and end - start > 5:  # 0xC3 is the photo itself, without loss
                height, width = (int.from_bytes(header[at : at + 2], "big") for at in (start + 1, start + 3))
                yield Candidate(width, height, lambda position=position: data[position:])
                break
