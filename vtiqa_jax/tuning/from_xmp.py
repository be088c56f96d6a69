"""Stars that people gave photos in other programs: XMP's rating, in sidecars and inside JPEG files."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from vtiqa_jax.tuning.marks import MAX_STARS, Marks
from vtiqa_jax.xmp import jpeg, packet
from vtiqa_jax.xmp.place import is_jpeg
from vtiqa_jax.xmp.ratings import REJECTED
from vtiqa_jax.xmp.rdf import Refused
from vtiqa_jax.xmp.sidecars import Sidecars


def read_rating(xmp: bytes) -> float | None:
    """Reads the stars that a person gave; 0 for a rejected photo.

    Args:
        xmp: a sidecar, or what a JPEG holds; untrusted.

    Returns:
        None where there is no rating, it is not a person's, or it cannot be read.
    """
    try:
        found = packet.read(xmp)
    except Refused:
        return None
    rating = found.rating
    if rating is None or not found.is_rated_by_people or not (rating == REJECTED or 0 < rating <= MAX_STARS):
        return None
    return max(0.0, rating)


def _find_packets(photo: Path, sidecars: Sidecars) -> Iterator[bytes]:
    """Yields what may hold a photo's rating: first its sidecars, then what is inside of a JPEG."""
    files: list[Path] = []
    with contextlib.suppress(Refused, OSError):  # nobody knows whose a sidecar is
        files = sidecars.find(photo, new=False)
    for file in files:
        with contextlib.suppress(OSError):  # a folder, or a link to nowhere
            yield file.read_bytes()
    with contextlib.suppress(Refused, OSError):
        inner = jpeg.read(photo.read_bytes()).packet if is_jpeg(photo) else None
        if inner is not None:
            yield inner


def read_ratings(found: Sequence[Path]) -> Marks:
    """Reads the stars of photos. A sidecar counts before what is inside a JPEG."""
    sidecars = Sidecars()
    stars: dict[Path, float] = {}
    for photo in (Path(os.path.abspath(each)) for each in found):
        rating = next(
            (rating for xmp in _find_packets(photo, sidecars) if (rating := read_rating(xmp)) is not None), None
        )
        if rating is not None:
            stars[photo] = rating
    return Marks({"stars": stars})
