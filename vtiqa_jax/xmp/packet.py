"""XMP packets: reads the stars of a photo.

What is written here is marked by properties of a namespace of our own, which hold what was written. A rating that is
not the marked one is a person's.
"""

import dataclasses
import math

from vtiqa_jax.xmp.contents import OTHER_RATINGS, OUR_KEYWORDS, OUR_RATING, Contents, number_of, value_of

KEYWORD_SEPARATOR = "; "
"""Separator of the keywords that are marked as ours."""


@dataclasses.dataclass(frozen=True)
class Stars:
    """What is written of a photo."""

    rating: int
    """1 to 5, or -1: rejected."""
    keywords: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Packet:
    """What a packet says."""

    rating: float | None
    """XMP's own; None without one, NaN for one that is no number."""
    other_ratings: tuple[float, ...]
    """Those of `OTHER_RATINGS`."""
    keywords: tuple[str, ...]
    ours: Stars | None
    """Stars and keywords that this program wrote, as they are marked."""

    @property
    def is_rated_by_people(self) -> bool:
        """Whether a person, or another program, gave the photo its rating, or took ours away."""
        if self.ours is not None:
            return self.rating != self.ours.rating
        return any(rating != 0 for rating in (self.rating or 0, *self.other_ratings))

    def holds(self, stars: Stars) -> bool:
        """Returns whether the packet says this, and marks the rating as ours."""
        is_ours = self.ours is not None and self.ours.rating == stars.rating == self.rating
        return is_ours and set(stars.keywords) <= set(self.keywords)


def read(data: bytes) -> Packet:
    """Reads what a packet says.

    Raises:
        Refused: it is no XMP that can be read.
    """
    return interpret(Contents(data))


def interpret(contents: Contents) -> Packet:
    """Returns what the properties in a packet say.

    Raises:
        Refused: it has two ratings.
    """
    rating = contents.rating
    marked = contents.values(OUR_RATING)
    ours = None
    if marked and math.isfinite(number := number_of(marked[0])):
        words = next(iter(contents.values(OUR_KEYWORDS)), None)
        ours = Stars(int(number), tuple(words.split(KEYWORD_SEPARATOR)) if words else ())
    return Packet(
        None if rating is None else number_of(value_of(rating)),
        tuple(number_of(value_of(each)) for each in contents.properties() if each.name in OTHER_RATINGS),
        contents.keywords(),
        ours,
    )
