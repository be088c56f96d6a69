"""The stars in an XMP packet: read, put in, taken out. All other bytes stay as they are.

What is written here is marked by properties of a namespace of our own, which hold what was written. A rating that is
not the marked one is a person's.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape, quoteattr

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
"""Of programs that may leave XMP's own away."""
OUR_RATING, RATING_BEFORE, OUR_KEYWORDS = (
    rdf.name(VTIQA, local) for local in ("WrittenRating", "RatingBefore", "WrittenKeywords")
)
"""Not called as what they mark: programs that ask ExifTool for `Rating` may get any namespace's."""
SYNTAX = (rdf.RDF, "http://www.w3.org/XML/1998/namespace")
"""Namespaces of attributes that are no properties."""
KEYWORD_SEPARATOR = "; "
BEGIN, END = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>', b'<?xpacket end="w"?>'
NEW = (
    BEGIN
    + b'\n<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="vtiqa-jax">\n <rdf:RDF xmlns:rdf="%s">\n  %s\n </rdf:RDF>\n'
    b"</x:xmpmeta>\n" + END
)
Edit = tuple[int, int, bytes]
Property = Attribute | Element


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
    """What was written here, as it is marked."""

    @property
    def is_rated_by_people(self) -> bool:
        """Whether a person, or another program, gave the photo its rating, or took ours away."""
        if self.ours is not None:
            return self.rating != self.ours.rating
        return any(rating != 0 for rating in (self.rating or 0, *self.other_ratings))

    def holds(self, stars: Stars) -> bool:
        """Whether the packet says this, and marks the rating as ours."""
        is_ours = self.ours is not None and self.ours.rating == stars.rating == self.rating
        return is_ours and set(stars.keywords) <= set(self.keywords)


def read(data: bytes) -> Packet:
    """Reads what a packet says.

    Raises:
        Refused: it is no XMP that can be read.
    """
    return _Contents(data).packet()


def make(stars: Stars) -> bytes:
    """Returns a packet that says nothing else."""
    attributes = {"xmp:Rating": str(stars.rating), "vtiqa:WrittenRating": str(stars.rating)}
    child = ""
    if stars.keywords:
        attributes["vtiqa:WrittenKeywords"] = KEYWORD_SEPARATOR.join(stars.keywords)
        child = _list_keywords(stars.keywords)
    return NEW % (rdf.RDF.encode(), _describe("", attributes, child).encode())


def add(data: bytes, stars: Stars) -> bytes:
    """Puts stars into a packet that has none of ours.

    Args:
        data: the packet.
        stars: a rating, which takes the place of one that is 0, and keywords, added to those that are there.

    Raises:
        Refused: it is no XMP, a person has rated it, or its rating or keywords are written in a way that is not changed
            here.
    """
    contents = _Contents(data)
    packet = contents.packet()
    assert packet.ours is None
    if packet.is_rated_by_people:
        raise Refused("a person has rated it")
    edits = list[Edit]()
    attributes = {"vtiqa:WrittenRating": str(stars.rating)}
    rating = contents.rating
    if rating is None:
        attributes = {"xmp:Rating": str(stars.rating)} | attributes
    else:
        start, end = contents.value_span(rating)
        edits.append((start, end, str(stars.rating).encode()))
        attributes["vtiqa:RatingBefore"] = contents.document.body[start:end].decode()
    new = [keyword for keyword in stars.keywords if keyword not in packet.keywords]
    child = ""
    if new:
        attributes["vtiqa:WrittenKeywords"] = KEYWORD_SEPARATOR.join(new)
        array = contents.array()
        if array is None:
            child = _list_keywords(new)
        else:
            prefix = array.tag.rpartition(b":")
            tag = (prefix[0] + prefix[1]).decode() + "li"
            edits.append(contents.insert(array, [f"<{tag}>{escape(keyword)}</{tag}>" for keyword in new]))
    edits.append(contents.insert(contents.rdf, [_describe(contents.about, attributes, child)]))
    return contents.document.edit(edits)


def take_out(data: bytes) -> bytes:
    """Takes out of a packet what was put in, wherever another program has moved or copied it since.

    digiKam copies the rating to properties of other programs, darktable the keywords to a list of Lightroom's.
    What a person has changed stays as it is now: a rating that is not ours any more, keywords that are not ours. The
    packet that stars were put into comes back byte for byte, but for what stood in one tag, `<rdf:RDF/>`, and is two.

    Raises:
        Refused: it is no XMP, or its rating or keywords are written in a way that is not changed here.
    """
    contents = _Contents(data)
    packet = contents.packet()
    if packet.ours is None:
        return data
    edits = list[Edit]()
    removed = {id(each) for each in contents.properties() if each.name.startswith(VTIQA)}
    if contents.rating is not None and packet.rating == packet.ours.rating:
        before = next(iter(contents.values(RATING_BEFORE)), None)
        if before and _number(before) == 0:
            edits.append((*contents.value_span(contents.rating), before.encode()))
        else:
            removed.add(id(contents.rating))
        others = (each for each in contents.properties() if each.name in OTHER_RATINGS)
        removed |= {id(each) for each in others if _number(_value(each)) != 0}
    for each in contents.properties():
        if (array := _array(each)) is None:
            continue
        items = [item for item in array.children if item.text in packet.ours.keywords]
        if items and len(items) == len(array.children):
            removed.add(id(each))
        else:
            edits += [contents.removal(item) for item in items]
    for description in contents.descriptions:
        properties = list(_properties(description))
        taken = [each for each in properties if id(each) in removed]
        if taken and len(taken) == len(properties):
            edits = [edit for edit in edits if not description.start <= edit[0] < description.end]
            edits.append(contents.removal(description))
            continue
        declarations = [each for each in description.attributes if not each.name and each.value == VTIQA]
        edits += [contents.removal(each) for each in (*taken, *declarations)]
    return contents.document.edit(edits)


class _Contents:
    """The properties of the photo in a packet: those of the descriptions directly in `rdf:RDF`.

    A rating further inside is of something else: of what the photo was made from, of a version of it.
    """

    def __init__(self, data: bytes) -> None:
        self.document: Document = rdf.read(data)
        root = self.document.root
        found = [root] if root.name == RDF_ROOT else root.named(RDF_ROOT)
        if len(found) != 1:
            raise Refused("it is no XMP" if not found else "it has two rdf:RDF")
        self.rdf = found[0]
        self.descriptions = self.rdf.named(DESCRIPTION)

    def properties(self) -> Iterator[Property]:
        for description in self.descriptions:
            yield from _properties(description)

    def values(self, name: str) -> list[str | None]:
        """The values of the properties of a name; None for one that is more than text."""
        return [_value(each) for each in self.properties() if each.name == name]

    @property
    def rating(self) -> Property | None:
        found = [each for each in self.properties() if each.name == RATING]
        if len(found) > 1:
            raise Refused("it has two ratings")
        return found[0] if found else None

    @property
    def about(self) -> str:
        """Which photo it is, the same in all descriptions, usually empty."""
        attributes = (each for description in self.descriptions for each in description.attributes)
        return next((each.value for each in attributes if each.name in (ABOUT, "about")), "")

    def packet(self) -> Packet:
        rating = self.rating
        marked = self.values(OUR_RATING)
        ours = None
        if marked and math.isfinite(number := _number(marked[0])):
            words = next(iter(self.values(OUR_KEYWORDS)), None)
            ours = Stars(int(number), tuple(words.split(KEYWORD_SEPARATOR)) if words else ())
        return Packet(
            None if rating is None else _number(_value(rating)),
            tuple(_number(_value(each)) for each in self.properties() if each.name in OTHER_RATINGS),
            self.keywords(),
            ours,
        )

    def array(self) -> Element | None:
        """The list of keywords; None without one. Raises `Refused` for one that is no plain list."""
        found = [each for each in self.properties() if each.name == SUBJECT]
        if not found:
            return None
        array = _array(found[0])
        if len(found) > 1 or array is None:
            raise Refused("its keywords are written in a way that is not changed here")
        return array

    def keywords(self) -> tuple[str, ...]:
        arrays = (_array(each) for each in self.properties() if each.name == SUBJECT)
        return tuple(item.text for array in arrays if array is not None for item in array.named(ITEM))

    def value_span(self, its: Property) -> tuple[int, int]:
        """Where the text of a property stands, without white space around it. Raises `Refused` unless it is plain."""
        start, end = (
            (its.value_start, its.value_end) if isinstance(its, Attribute) else (its.content_start, its.content_end)
        )
        inside = self.document.body[start:end]
        text = inside.strip()
        value = _value(its)
        if not text or value is None or text != value.strip().encode():
            raise Refused("its rating is written in a way that is not changed here")
        start += inside.index(text)
        return start, start + len(text)

    def insert(self, parent: Element, texts: list[str]) -> Edit:
        """An edit that adds elements at the end of another, indented like the last one there."""
        if parent.children:
            last = parent.children[-1]
            gap = self.document.body[self._gap(last.start) : last.start]
            return last.end, last.end, b"".join(gap + text.encode() for text in texts)
        new = "".join(texts).encode()
        if parent.content_end < parent.end:
            return parent.content_start, parent.content_start, new
        return parent.end - 2, parent.end, b">" + new + b"</" + parent.tag + b">"

    def removal(self, its: Property) -> Edit:
        """An edit that removes an attribute or an element, with the white space before it."""
        return (its.start if isinstance(its, Attribute) else self._gap(its.start)), its.end, b""

    def _gap(self, position: int) -> int:
        """Where the white space before a place begins."""
        return len(self.document.body[:position].rstrip(b" \t\r\n"))


def _properties(description: Element) -> Iterator[Property]:
    for attribute in description.attributes:
        if attribute.name not in ("", "about") and not attribute.name.startswith(SYNTAX):
            yield attribute
    yield from description.children


def _array(its: Property) -> Element | None:
    """The array that is the value of a property."""
    inside = [] if isinstance(its, Attribute) else its.children
    return inside[0] if len(inside) == 1 and inside[0].name in ARRAYS else None


def _value(its: Property) -> str | None:
    """The text of a property; None where it is more than text."""
    if isinstance(its, Attribute):
        return its.value
    is_plain = not its.children and not any(attribute.name for attribute in its.attributes)
    return its.text if is_plain else None


def _number(text: str | None) -> float:
    """A rating as a number; 0 for an empty one, NaN for what is none."""
    if text is not None and not text.strip():
        return 0.0
    try:
        return float(text or "")
    except ValueError:
        return math.nan


def _list_keywords(keywords: Iterable[str]) -> str:
    items = "".join(f"\n     <rdf:li>{escape(keyword)}</rdf:li>" for keyword in keywords)
    return f"\n   <dc:subject>\n    <rdf:Bag>{items}\n    </rdf:Bag>\n   </dc:subject>\n  "


def _describe(about: str, attributes: dict[str, str], child: str) -> str:
    namespaces = {"rdf": rdf.RDF, "xmp": XMP, "vtiqa": VTIQA, "dc": DC}
    used = ["rdf", *(prefix for prefix in ("xmp", "vtiqa") if any(name.startswith(prefix) for name in attributes))]
    used += ["dc"] if child else []
    written = [f"xmlns:{prefix}={quoteattr(namespaces[prefix])}" for prefix in used]
    written += [f"{name}={quoteattr(value)}" for name, value in attributes.items()]
    lines = "".join(f"\n   {each}" for each in written)
    start = f"<rdf:Description rdf:about={quoteattr(about)}{lines}"
    return f"{start}>{child}</rdf:Description>" if child else f"{start}/>"
