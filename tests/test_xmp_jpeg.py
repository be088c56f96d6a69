"""The packet in a JPEG: put in and taken out, and nothing else in the file changes."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.photo_files import encoded, exif, smooth
from tests.test_xmp_packet import UNRATED
from vtiqa_jax.photos import decode
from vtiqa_jax.xmp import inside, jpeg, packet, splice
from vtiqa_jax.xmp.packet import Stars
from vtiqa_jax.xmp.rdf import Refused

STARS = Stars(4, ("vtiqa: too dark",))
PADDED = UNRATED["a wrapper with padding"].replace(b" " * 300, b"\n" + (b" " * 99 + b"\n") * 20)


def segment(content: bytes, marker: int = 0xE1) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def photo(*segments: bytes, tail: bytes = b"", progressive: bool = False) -> bytes:
    """A JPEG with EXIF, then these segments."""
    made = encoded(Image.fromarray(smooth(60, 80)), "JPEG", exif=exif(1), quality=90, progressive=progressive)
    end = jpeg.read(made).starting(jpeg.EXIF)[0].end
    return made[:end] + b"".join(segments) + made[end:] + tail


def xmp(content: bytes) -> bytes:
    return segment(jpeg.SIGNATURE + content)


def extension(content: bytes) -> bytes:
    """An extended packet, in two pieces, the second first."""
    half, size = len(content) // 2, len(content).to_bytes(4, "big")
    head = jpeg.EXTENSION + b"0" * 32 + size
    return segment(head + half.to_bytes(4, "big") + content[half:]) + segment(head + bytes(4) + content[:half])


def with_stars(old: bytes) -> bytes:
    inner = jpeg.read(old).packet
    return jpeg.read(old).with_packet(splice.make(STARS) if inner is None else splice.add(inner, STARS))


PLAIN = {
    "no packet": photo(),
    "progressive": photo(progressive=True),
    "a packet": photo(xmp(UNRATED["zero as an attribute"])),
    "a packet before EXIF": photo().replace(b"\xff\xe1", xmp(UNRATED["nothing"]) + b"\xff\xe1", 1),
    "no EXIF": encoded(Image.fromarray(smooth(60, 80)), "JPEG"),
    "a comment and a profile": photo(segment(b"ICC_PROFILE\0\1\1" + b"x" * 99, 0xE2), segment(b"hello", 0xFE)),
    "an extension": photo(xmp(UNRATED["a label"]), extension(UNRATED["a label"])),
    "zero bytes after the picture": photo(tail=b"\0" * 100),
    "a film behind the picture": photo(tail=b"\0\0\0\x18ftypmp42" + b"x" * 500),
    "Samsung's notes behind the picture": photo(tail=b"\1\n\x0e\0" + b"x" * 60 + b"SEFT"),
}


@pytest.mark.parametrize("name", PLAIN)
def test_stars_come_into_a_jpeg_and_nothing_else_changes(name: str) -> None:
    old = PLAIN[name]
    new = with_stars(old)
    inner = jpeg.read(new).packet
    assert inner is not None and packet.read(inner).holds(STARS)
    jpeg.require_same_picture(old, new)
    others = [[part for part in parts(data) if not part.startswith(jpeg.SIGNATURE, 4)] for data in (old, new)]
    assert others[0] == others[1] and sum(map(len, others[0])) > 500
    assert np.array_equal(decode.decode("a.jpg", new).pixels, decode.decode("a.jpg", old).pixels)
    assert Image.open(io.BytesIO(new)).info["xmp"] == inner  # Pillow finds it, too
    before = jpeg.read(old).packet
    assert jpeg.read(new).with_packet(before) == old


def parts(data: bytes) -> list[bytes]:
    """A JPEG cut at its segments, by a walk of this test's own; the last part is the picture."""
    found, position = [data[:2]], 2
    while data[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        found.append(data[position:end])
        position = end
    return [*found, data[position:]]


FIXED = {
    "several pictures": photo(xmp(PADDED), segment(jpeg.MULTI_PICTURE + b"x" * 80, 0xE2), tail=photo()),
    "a preview behind the picture": photo(xmp(PADDED), tail=photo()),
}


@pytest.mark.parametrize("name", FIXED)
def test_what_others_point_to_does_not_move(name: str) -> None:
    old = FIXED[name]
    new = with_stars(old)  # the padding gives way
    start = jpeg.read(old).starting(jpeg.SIGNATURE)[0].end
    assert len(new) == len(old) and new[start:] == old[start:]
    inner = jpeg.read(new).packet
    assert inner is not None and packet.read(inner).holds(STARS)
    taken = jpeg.read(new).with_packet(splice.take_out(inner))
    assert len(taken) == len(old) and b"vtiqa" not in taken
    for without in (old.replace(xmp(PADDED), xmp(UNRATED["nothing"])), old.replace(xmp(PADDED), b"")):
        with pytest.raises(Refused, match=r"a change would move them"):
            with_stars(without)


def test_a_packet_with_too_little_padding_grows() -> None:
    old = photo(xmp(splice.BEGIN + UNRATED["nothing"] + b"  \n" + splice.END))
    new = with_stars(old)
    assert len(new) > len(old)
    inner = jpeg.read(new).packet
    assert inner is not None and splice.take_out(inner) == jpeg.read(old).packet


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x89PNG\r\n\x1a\n", "not a JPEG"),
        (photo()[:200], "damaged JPEG"),
        (photo(xmp(UNRATED["nothing"]), xmp(UNRATED["nothing"])), "two XMP packets"),
        (photo(xmp(UNRATED["a label"].replace(b"Red", b"x" * 64_900))), "64 kB"),
        (photo(xmp(b"no XML")), "not XML"),
        (photo(segment(b"JP\0\1\0\0\0\1\0\0\0\x20jumb\0\0\0\x18jumdc2pa", 0xEB)), "signed"),
    ],
    ids=["no JPEG", "cut off", "two packets", "no room", "no XML", "signed"],
)
def test_a_jpeg_that_cannot_be_changed_safely_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(Refused, match=said):
        with_stars(data)


def test_another_picture_is_noticed() -> None:
    old, new = PLAIN["a packet"], bytearray(with_stars(PLAIN["a packet"]))
    for place in (-3, -200, 30):
        wrong = new.copy()
        wrong[place] ^= 1
        with pytest.raises(Refused, match="picture would have changed"):
            jpeg.require_same_picture(old, bytes(wrong))


def exif_rating(rating: int) -> bytes:
    found = Image.Exif()
    found[jpeg.RATING_TAG] = rating
    return encoded(Image.fromarray(smooth(60, 80)), "JPEG", exif=found)


RATED = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">' \
    b'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="3"/></rdf:RDF></x:xmpmeta>'  # fmt: skip


@pytest.mark.parametrize(
    ("data", "is_rated"),
    [
        (photo(xmp(RATED)), True),
        (photo(xmp(UNRATED["a label"]), extension(RATED)), True),
        (photo(xmp(UNRATED["a label"]), extension(UNRATED["a label"])), False),
        (exif_rating(4), True),
        (exif_rating(0), False),
        (photo(xmp(splice.make(STARS))), False),
        (photo(xmp(b"no XML")), False),
        (photo()[:200], False),
        (b"II*\0" + b"x" * 100 + RATED + b"x" * 100, True),
        (b"\0\0\0\x18ftypheic" + UNRATED["rdf alone"] + RATED.replace(b'"3"', b'"0"'), False),
        (b"\0\0\0\x18ftypheic" + splice.make(STARS) + RATED, True),
        (encoded(Image.fromarray(smooth(60, 80)), "TIFF", tiffinfo={jpeg.RATING_TAG: 3}), True),
        (encoded(Image.fromarray(smooth(60, 80)), "TIFF"), False),
        (b"", False),
    ],
)
def test_a_persons_rating_in_the_photos_own_file_is_found(tmp_path: Path, data: bytes, is_rated: bool) -> None:
    (tmp_path / "photo").write_bytes(data)
    assert inside.is_rated_by_people(tmp_path / "photo") == is_rated
