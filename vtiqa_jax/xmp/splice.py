"""Stars put into an XMP packet and taken out again. All other bytes stay as they are."""

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

from vtiqa_jax.xmp import rdf
from vtiqa_jax.xmp.contents import (
    DC,
    OTHER_RATINGS,
    RATING_BEFORE,
    VTIQA,
    XMP,
    Contents,
    Property,
    array_of,
    number_of,
    properties_of,
    value_of,
)
from vtiqa_jax.xmp.packet import KEYWORD_SEPARATOR, Stars, interpret
from vtiqa_jax.xmp.rdf import Attribute, Element, Refused

BEGIN, END = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>', b'<?xpacket end="w"?>'
NEW = (
    BEGIN
    + b'\n<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="vtiqa-jax">\n <rdf:RDF xmlns:rdf="%s">\n  %s\n </rdf:RDF>\n'
    b"</x:xmpmeta>\n" + END
)
Edit = tuple[int, int, bytes]


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
    contents = Contents(data)
    packet, body = interpret(contents), contents.document.body
    assert packet.ours is None
    if packet.is_rated_by_people:
        raise Refused("a person has rated it")
    edits = list[Edit]()
    attributes = {"vtiqa:WrittenRating": str(stars.rating)}
    rating = contents.rating
    if rating is None:
        attributes = {"xmp:Rating": str(stars.rating)} | attributes
    else:
        start, end = _value_span(body, rating)
        edits.append((start, end, str(stars.rating).encode()))
        attributes["vtiqa:RatingBefore"] = body[start:end].decode()
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
            edits.append(_insert(body, array, [f"<{tag}>{escape(keyword)}</{tag}>" for keyword in new]))
    edits.append(_insert(body, contents.rdf, [_describe(contents.about, attributes, child)]))
    return contents.document.edit(edits)


def take_out(data: bytes) -> bytes:
    """Takes out of a packet what was put in, wherever another program has moved or copied it since.

    digiKam copies the rating to properties of other programs, darktable the keywords to a list of Lightroom's.
    What a person has changed stays as it is now: a rating that is not ours any more, keywords that are not ours. The
    packet that stars were put into comes back byte for byte, but for what stood in one tag, `<rdf:RDF/>`, and is two.

    Raises:
        Refused: it is no XMP, or its rating or keywords are written in a way that is not changed here.
    """
    contents = Contents(data)
    packet, body = interpret(contents), contents.document.body
    if packet.ours is None:
        return data
    edits, removed = _find_ours(contents, packet.ours, is_rating_ours=packet.rating == packet.ours.rating)
    for description in contents.descriptions:
        properties = list(properties_of(description))
        removable = [each for each in properties if id(each) in removed]
        if removable and len(removable) == len(properties):
            edits = [edit for edit in edits if not description.start <= edit[0] < description.end]
            edits.append(_removal(body, description))
            continue
        if any(each.name.startswith(VTIQA) for each in removable):  # our namespace is not used there any more
            removable += [each for each in description.attributes if not each.name and each.value == VTIQA]
        edits += [_removal(body, each) for each in removable]
    return contents.document.edit(edits)


def _find_ours(contents: Contents, ours: Stars, *, is_rating_ours: bool) -> tuple[list[Edit], set[int]]:
    """Returns edits of properties that are ours in part, and those that are ours whole, by `id`."""
    body, edits = contents.document.body, list[Edit]()
    removed = {id(each) for each in contents.properties() if each.name.startswith(VTIQA)}
    if contents.rating is not None and is_rating_ours:
        before = next(iter(contents.values(RATING_BEFORE)), None)
        if before and number_of(before) == 0:
            edits.append((*_value_span(body, contents.rating), before.encode()))
        else:
            removed.add(id(contents.rating))
        others = (each for each in contents.properties() if each.name in OTHER_RATINGS)
        removed |= {id(each) for each in others if number_of(value_of(each)) != 0}
    for each in contents.properties():
        if (array := array_of(each)) is None:
            continue
        items = [item for item in array.children if item.text in ours.keywords]
        if items and len(items) == len(array.children):
            removed.add(id(each))
        else:
            edits += [_removal(body, item) for item in items]
    return edits, removed


def _value_span(body: bytes, its: Property) -> tuple[int, int]:
    """Finds the text of a property, without white space around it. Raises `Refused` unless it is plain."""
    start, end = (
        (its.value_start, its.value_end) if isinstance(its, Attribute) else (its.content_start, its.content_end)
    )
    inside = body[start:end]
    text = inside.strip()
    value = value_of(its)
    if not text or value is None or text != value.strip().encode():
        raise Refused("its rating is written in a way that vtiqa cannot change")
    start += inside.index(text)
    return start, start + len(text)


def _insert(body: bytes, parent: Element, texts: list[str]) -> Edit:
    """Makes an edit that adds elements at the end of another, indented like the last one there."""
    if parent.children:
        last = parent.children[-1]
        gap = body[_gap(body, last.start) : last.start]
        return last.end, last.end, b"".join(gap + text.encode() for text in texts)
    new = "".join(texts).encode()
    if parent.content_end < parent.end:
        return parent.content_start, parent.content_start, new
    return parent.end - 2, parent.end, b">" + new + b"</" + parent.tag + b">"


def _removal(body: bytes, its: Property) -> Edit:
    """Makes an edit that removes an attribute or an element, with the white space before it."""
    return (its.start if isinstance(its, Attribute) else _gap(body, its.start)), its.end, b""


def _gap(body: bytes, position: int) -> int:
    """Finds where the white space before a place begins."""
    return len(body[:position].rstrip(b" \t\r\n"))


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
