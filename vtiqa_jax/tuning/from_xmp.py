"""Stars that people gave photos in other programs: `xmp:Rating` in sidecars and inside JPEG files."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.parsers import expat

from vtiqa_jax.photos import formats
from vtiqa_jax.photos.metadata import jpeg_segments
from vtiqa_jax.tuning.marks import MOST_STARS, Marks

RATING = "http://ns.adobe.com/xap/1.0/ Rating"
"""As expat writes a name with its namespace."""
OURS = "https://vtiqa-jax.github.io/ns/"
"""Begins the namespace of properties that say a rating was written by this project."""
APP1 = b"http://ns.adobe.com/xap/1.0/\0"
"""Begins the segment of a JPEG that holds XMP."""
LARGEST = 16 << 20
"""Bytes; darktable's history of edits may take megabytes."""
REJECTED = -1
"""A rating below one star. 0 is a photo that nobody has rated."""


class _Refused(Exception):
    """A sidecar declares entities, which no program that rates photos writes."""


def read_rating(xmp: bytes) -> float | None:
    """Reads the stars that a person gave; 0 for a rejected photo.

    Args:
        xmp: a sidecar, or what a JPEG holds; untrusted.

    Returns:
        None where there is no rating, it is not a person's, or the text is damaged.
    """
    found: list[str] = []
    is_ours = inside = False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal is_ours, inside
        is_ours |= any(title.startswith(OURS) for title in (name, *attributes))
        found.extend(value for title, value in attributes.items() if title == RATING)
        inside = name == RATING
        if inside:
            found.append("")

    def text(data: str) -> None:
        if inside:
            found[-1] += data

    def end(name: str) -> None:
        nonlocal inside
        inside = False

    def refuse(*declared: object) -> None:
        raise _Refused

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(xmp[:LARGEST], True)
        rating = float(found[0])
    except (expat.ExpatError, _Refused, ValueError, IndexError):
        return None
    if is_ours or not (rating == REJECTED or 0 < rating <= MOST_STARS):
        return None
    return max(0.0, rating)


def list_sidecars(photo: Path, shared: bool) -> list[Path]:
    """Lists where a photo's sidecar may lie: a.jpg.xmp, as darktable and digiKam name it, and a.xmp, as Adobe does.

    Args:
        photo: the photo.
        shared: whether another photo has the same name but for its ending: a.xmp is then that of the RAW.
    """
    beside = [photo.with_name(f"{photo.name}.xmp")]
    if not shared or photo.suffix.lower() in formats.RAW.suffixes:
        beside.append(photo.with_suffix(".xmp"))
    return beside


def _read_jpeg(photo: Path) -> float | None:
    """Reads the rating inside a JPEG."""
    data = photo.read_bytes()
    for marker, begin, end in jpeg_segments(data):
        if marker == 0xE1 and data.startswith(APP1, begin):
            return read_rating(data[begin + len(APP1) : end])
    return None


def read_ratings(found: Sequence[Path]) -> Marks:
    """Reads the stars of photos. A sidecar counts before what is inside a JPEG."""
    photos = [Path(os.path.abspath(photo)) for photo in found]
    stems = Counter(photo.with_suffix("") for photo in photos)
    stars: dict[Path, float] = {}
    for photo in photos:
        rating = None
        for sidecar in list_sidecars(photo, stems[photo.with_suffix("")] > 1):
            if rating is None and sidecar.is_file():
                rating = read_rating(sidecar.read_bytes())
        if rating is None and photo.suffix.lower() in (".jpg", ".jpeg"):
            rating = _read_jpeg(photo)
        if rating is not None:
            stars[photo] = rating
    return Marks({"stars": stars})
