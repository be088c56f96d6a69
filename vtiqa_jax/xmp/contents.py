"""The properties of the photo in an XMP packet, and where they stand."""

import math
from collections.abc import Iterator

from vtiqa_jax.xmp import rdf
from vtiqa_jax.xmp.rdf import Attribute, Document, Element, Refused

XMP = "http://ns.adobe.com/xap/1.0/"
DC = "http://purl.org/dc/elements/1.1/"
VTIQA = "urn:vtiqa-jax:xmp:1.0/"
"""Our own namespace."""
RDF_ROOT, DESCRIPTION, ABOUT, ITEM = (rdf.name(rdf.RDF, local) for local in ("RDF", "Description", "about", "li"))
ARRAYS = {rdf.name(rdf.RDF, local) for local in ("Bag", "Seq", "Alt")}
RATING, SUBJECT = rdf.name(XMP, "Rating"), rdf.name(DC, "subject")
OTHER_RATINGS = {
    rdf.name("http://ns.microsoft.com/photo/1.0/", "Rating"),
    rdf.name("http://ns.microsoft.com/photo/1.0", "Rating"),
    rdf.name("http://ns.acdsee.com/iptc/1.0/", "rating"),
}
"""Ratings of programs that may leave out XMP's own."""
OUR_RATING, RATING_BEFORE, OUR_KEYWORDS = (
    rdf.name(VTIQA, local) for local in ("WrittenRating", "RatingBefore", "WrittenKeywords")
)
"""Not called as what they mark: programs that ask ExifTool for `Rating` may get any namespace's."""
SYNTAX = (rdf.RDF, "http://www.w3.org/XML/1998/namespace")
"""Namespaces of attributes that are no properties."""
Property = Attribute | Element


class Contents:
    """The properties of the photo in a packet: those of the descriptions directly in `rdf:RDF`.

    A rating further inside is of something else: of what the photo was made from, of a version of it.
    """

    def __init__(self, data: bytes) -> None:
        """Reads a packet.

        Raises:
            Refused: it is no XMP, or none that is safe to read and to change.
        """
        self.document: Document = rdf.read(data)
        root = self.document.root
        roots = [root] if root.name == RDF_ROOT else root.named(RDF_ROOT)
        if len(roots) != 1:
            raise Refused("it is not XMP" if not roots else "it has two rdf:RDF")
        self.rdf = roots[0]
        self.descriptions = self.rdf.named(DESCRIPTION)

    def properties(self) -> Iterator[Property]:
        """Yields all properties of the photo."""
        for description in self.descriptions:
            yield from properties_of(description)

    def values(self, name: str) -> list[str | None]:
        """Returns the values of the properties of a name; None for one that is more than text."""
        return [value_of(each) for each in self.properties() if each.name == name]

    @property
    def rating(self) -> Property | None:
        """XMP's own rating. Raises `Refused` where there are two."""
        ratings = [each for each in self.properties() if each.name == RATING]
        if len(ratings) > 1:
            raise Refused("it has two ratings")
        return ratings[0] if ratings else None

    @property
    def about(self) -> str:
        """The identity of the photo, the same in all descriptions, usually empty."""
        attributes = (each for description in self.descriptions for each in description.attributes)
        return next((each.value for each in attributes if each.name in (ABOUT, "about")), "")

    def array(self) -> Element | None:
        """Returns the list of keywords, None without one. Raises `Refused` for one that is no plain list."""
        subjects = [each for each in self.properties() if each.name == SUBJECT]
        if not subjects:
            return None
        array = array_of(subjects[0])
        if len(subjects) > 1 or array is None:
            raise Refused("its keywords are written in a way that vtiqa cannot change")
        return array

    def keywords(self) -> tuple[str, ...]:
        """Returns the keywords, as far as they are in plain lists."""
        arrays = (array_of(each) for each in self.properties() if each.name == SUBJECT)
        return tuple(item.text for array in arrays if array is not None for item in array.named(ITEM))


def properties_of(description: Element) -> Iterator[Property]:
    """Yields the properties in a description, first those written as attributes."""
    for attribute in description.attributes:
        if attribute.name not in ("", "about") and not attribute.name.startswith(SYNTAX):
            yield attribute
    yield from description.children


def array_of(its: Property) -> Element | None:
    """Returns the array that is the value of a property; None where it is none."""
    inside = [] if isinstance(its, Attribute) else its.children
    return inside[0] if len(inside) == 1 and inside[0].name in ARRAYS else None


def value_of(its: Property) -> str | None:
    """Returns the text of a property; None where it is more than text."""
    if isinstance(its, Attribute):
        return its.value
    is_plain = not its.children and not any(attribute.name for attribute in its.attributes)
    return its.text if is_plain else None


def number_of(text: str | None) -> float:
    """Returns a rating as a number; 0 for an empty one, NaN for what is none."""
    if text is not None and not text.strip():
        return 0.0
    try:
        return float(text or "")
    except ValueError:
        return math.nan
