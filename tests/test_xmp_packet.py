"""Stars in an XMP packet, whoever wrote it and however: put in, read, taken out, and every other byte as it was."""

import codecs
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtiqa_jax.xmp import contents, packet, rdf, splice
from vtiqa_jax.xmp.packet import Stars
from vtiqa_jax.xmp.rdf import Refused

SIDECARS = Path(__file__).parent / "xmp"
"""That programs wrote; see the README there."""
STARS = Stars(4, ("vtiqa: too dark", "vtiqa: out of focus"))
DECLARED = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'


def wrapped(inside: str, declared: str = DECLARED) -> bytes:
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {declared}>{inside}</rdf:RDF></x:xmpmeta>'.encode()


def described(attributes: str = "", inside: str = "") -> bytes:
    return wrapped(f'\n <rdf:Description rdf:about="" {attributes}>{inside}</rdf:Description>\n')


UNRATED = {
    "nothing": wrapped(""),
    "no space": wrapped('<rdf:Description rdf:about=""/>'),
    "zero as an attribute": described('xmp:Rating="0"'),
    "zero in single quotes": described("xmp:Rating  =\n'0'"),
    "zero as an element": described(inside="<xmp:Rating> 0\n</xmp:Rating>"),
    "a label": described('xmp:Label="Red"', "<!-- <xmp:Rating>5</xmp:Rating> -->"),
    "another prefix": wrapped('<rdf:Description about="" xmlns:p="http://ns.adobe.com/xap/1.0/" p:Rating="0"/>'),
    "several descriptions": wrapped(
        '\n\t<rdf:Description rdf:about="uuid:1 &amp; 2" xmp:Label="&lt;a&gt;"/>'
        "\n\t<rdf:Description rdf:about='uuid:1 &amp; 2'><xmp:Rating>0</xmp:Rating></rdf:Description>\n"
    ),
    "line ends of Windows": described('xmp:Rating="0"').replace(b"\n", b"\r\n"),
    "character data": described(inside="<xmp:Nickname><![CDATA[<xmp:Rating>5</xmp:Rating>]]></xmp:Nickname>"),
    "rdf alone": f'<rdf:RDF {DECLARED}><rdf:Description rdf:about="">\n</rdf:Description></rdf:RDF>'.encode(),
    "rdf without a prefix": b'<RDF xmlns="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><Description/></RDF>',
    "names of ours for other things": wrapped(
        '<rdf:Description rdf:about="" xmlns:vtiqa="urn:other" xmlns:dc="urn:other" vtiqa:WrittenRating="2"'
        ' dc:subject="x"/>'
    ),
    "rated in what it was made from": described(
        'xmlns:m="http://ns.adobe.com/xap/1.0/mm/"',
        '<m:DerivedFrom rdf:parseType="Resource"><xmp:Rating>5</xmp:Rating></m:DerivedFrom>'
        '<m:History><rdf:Seq><rdf:li xmp:Rating="5"/></rdf:Seq></m:History>',
    ),
    "keywords": described(
        'xmlns:dc="http://purl.org/dc/elements/1.1/"',
        "<dc:subject>\n  <rdf:Bag>\n   <rdf:li>Köln &amp; Bonn</rdf:li>\n   <rdf:li>vtiqa: too dark</rdf:li>\n"
        "  </rdf:Bag>\n </dc:subject>",
    ),
    "keywords by another prefix": described(
        'xmlns:d="http://purl.org/dc/elements/1.1/" xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"',
        "<d:subject><r:Bag><r:li>a</r:li></r:Bag></d:subject>",
    ),
    "a wrapper with padding": splice.BEGIN + described('xmp:Rating="0"') + b" " * 300 + splice.END,
    "a declaration": b'<?xml version="1.0" encoding="UTF-8"?>\n' + described(),
    "a mark": codecs.BOM_UTF8 + described(),
    "zero bytes after it": described() + b"\0\0",
    "UTF-16, little end first": codecs.BOM_UTF16_LE + described('xmp:Label="grün"').decode().encode("utf-16-le"),
    "UTF-16, big end first": codecs.BOM_UTF16_BE
    + ('<?xml version="1.0" encoding="UTF-16"?>' + described().decode()).encode("utf-16-be"),
} | {file.name: file.read_bytes() for file in SIDECARS.glob("*_unrated.xmp")}
ENCODINGS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def cut(data: bytes, old: bytes) -> bytes:
    """What is left of a packet without our description and keywords, by other means than the package's."""
    encoding = ENCODINGS.get(data[:2], "utf-8")
    text = data[2 * (encoding != "utf-8") :].decode(encoding)
    ours = r"""\s*<rdf:Description (?:(?!<rdf:Description).)*?vtiqa:WrittenRating="4".*?(?:/>|</rdf:Description>)"""
    text = re.sub(ours, "", text, count=1, flags=re.DOTALL)
    for keyword in STARS.keywords:
        if keyword.encode() not in old:
            text = re.sub(rf"\s*<(\w+:)?li>{keyword}</\1?li>", "", text)
    return (data[:2] if encoding != "utf-8" else b"") + text.encode(encoding)


@pytest.mark.parametrize("name", UNRATED)
def test_stars_come_in_and_every_other_byte_stays(name: str) -> None:
    old = UNRATED[name]
    new = splice.add(old, STARS)
    found = packet.read(new)
    assert found.holds(STARS) and found.rating == 4 and not found.is_rated_by_people
    assert set(found.keywords) == set(packet.read(old).keywords) | set(STARS.keywords)
    assert splice.take_out(new) == old
    left = cut(new, old)
    if packet.read(old).rating is None:
        assert left == old
    else:
        assert len(left) == len(old)
        assert [(a, b) for a, b in zip(left, old, strict=True) if a != b] == [(ord("4"), ord("0"))]


@pytest.mark.parametrize("name", UNRATED)
def test_other_stars_take_the_place_of_ours(name: str) -> None:
    old = UNRATED[name]
    first = splice.add(old, STARS)
    second = splice.add(splice.take_out(first), Stars(-1))
    assert packet.read(second).ours == Stars(-1) and packet.read(second).rating == -1
    assert splice.take_out(second) == old


def test_an_rdf_in_one_tag_becomes_two() -> None:
    old = wrapped("").replace(b"></rdf:RDF>", b"/>")
    new = splice.add(old, STARS)
    assert packet.read(new).holds(STARS)
    assert splice.take_out(new) == wrapped("")


def test_a_new_packet_says_what_it_should() -> None:
    assert packet.read(splice.make(STARS)).ours == STARS
    assert packet.read(splice.make(Stars(-1))).rating == -1


RATED = {
    "an attribute": described('xmp:Rating="3"'),
    "an element": described(inside="<xmp:Rating>1</xmp:Rating>"),
    "rejected": described('xmp:Rating="-1"'),
    "another prefix": wrapped('<rdf:Description rdf:about="" xmlns:p="http://ns.adobe.com/xap/1.0/" p:Rating="2"/>'),
    "a second description": wrapped('<rdf:Description rdf:about=""/><rdf:Description rdf:about="" xmp:Rating="5"/>'),
    "no number": described('xmp:Rating="good"'),
    "with a qualifier": described(inside='<xmp:Rating rdf:parseType="Resource"><rdf:value>3</rdf:value></xmp:Rating>'),
    "by Windows": described('xmlns:M="http://ns.microsoft.com/photo/1.0/" M:Rating="75"'),
    "by ACDSee, beside a zero": described('xmp:Rating="0" xmlns:a="http://ns.acdsee.com/iptc/1.0/" a:rating="2"'),
} | {file.name: file.read_bytes() for file in SIDECARS.glob("*_rated.xmp")}


@pytest.mark.parametrize("name", RATED)
def test_a_rating_by_a_person_is_never_changed(name: str) -> None:
    assert packet.read(RATED[name]).is_rated_by_people
    with pytest.raises(Refused, match="a person has rated it"):
        splice.add(RATED[name], STARS)
    assert splice.take_out(RATED[name]) == RATED[name]


def rewritten(stars: int | None, before: str = "", keywords: str = "") -> bytes:
    """Our stars as another program writes them again: one description, other quotes, another rating."""
    rating = "" if stars is None else f"xmp:Rating='{stars}' "
    ours = f"xmlns:v='{contents.VTIQA}' v:WrittenRating='4' {before} v:WrittenKeywords='vtiqa: too dark; vtiqa: gone'"
    return described(
        f"{rating}xmlns:dc='http://purl.org/dc/elements/1.1/' {ours}",
        f"<xmp:Label>x</xmp:Label><dc:subject><rdf:Bag>{keywords}</rdf:Bag></dc:subject>",
    )


@pytest.mark.parametrize("stars", [5, 1, 0, -1, None])
def test_a_rating_changed_since_is_a_persons(stars: int | None) -> None:
    assert packet.read(rewritten(4)).ours == Stars(4, ("vtiqa: too dark", "vtiqa: gone"))
    assert not packet.read(rewritten(4)).is_rated_by_people
    changed = rewritten(stars, keywords="<rdf:li>mine</rdf:li><rdf:li>vtiqa: too dark</rdf:li>")
    assert packet.read(changed).is_rated_by_people
    back = splice.take_out(changed)
    assert packet.read(back).rating == stars and packet.read(back).keywords == ("mine",)
    assert b"vtiqa" not in back and b"<xmp:Label>x</xmp:Label>" in back


def test_what_another_program_has_moved_is_taken_out() -> None:
    back = splice.take_out(rewritten(4, "v:RatingBefore='0'", "<rdf:li>vtiqa: too dark</rdf:li>"))
    assert b"vtiqa" not in back and b"subject" not in back
    assert packet.read(back).rating == 0
    assert packet.read(splice.take_out(rewritten(4))).rating is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not XML"),
        (b"\xff\xd8\xff", "not in UTF-8"),
        (codecs.BOM_UTF16_LE + b"<", "not in UTF-8 or UTF-16"),
        (described()[:-9], "not XML"),
        (b"<html/>", "not XMP"),
        (b"<a>" + f"<rdf:RDF {DECLARED}/>".encode() * 2 + b"</a>", "two rdf:RDF"),
        (described('xmp:Rating="0" xmlns:q="http://ns.adobe.com/xap/1.0/"', "<q:Rating>0</q:Rating>"), "two ratings"),
        (described(inside="<xmp:Rating><!-- none -->0</xmp:Rating>"), "rating is written in a way"),
        (described(inside="<xmp:Rating/>"), "rating is written in a way"),
        (described('xmlns:dc="http://purl.org/dc/elements/1.1/" dc:subject="a"'), "keywords are written in a way"),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + described(), "document type"),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?>' + described(), "encoding is ISO-8859-1"),
        (b"<a>" + b" " * rdf.MAX_BYTES + b"</a>", "16 MB"),
        (described('xmp:Rating="0"').replace(b"xmlns:xmp", b"xmlns:no"), "not XML: unbound prefix"),
    ],
)  # fmt: skip
def test_what_cannot_be_changed_safely_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(Refused, match=said):
        splice.add(data, STARS)


def test_a_packet_of_too_many_elements_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rdf, "MAX_ELEMENTS", 5)
    assert packet.read(wrapped("<a/><a/>"))
    with pytest.raises(Refused, match="more than 5 elements"):
        packet.read(wrapped("<a/><a><a/></a><a/>"))


@given(st.binary(max_size=40), st.integers(0, 10_000), st.integers(0, 40))
def test_damaged_packets_are_refused_or_change_in_nothing_else(junk: bytes, place: int, removed: int) -> None:
    old = UNRATED["several descriptions"] if place % 2 else UNRATED["keywords"]
    place %= len(old)
    new_stars = Stars(4, ("vtiqa: out of focus",))
    damaged = old[:place] + junk + old[place + removed :]
    try:
        new = splice.add(damaged, new_stars)
    except Refused:
        return
    assert packet.read(new).holds(new_stars)
    assert splice.take_out(new) == damaged
