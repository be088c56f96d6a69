"""The XMP packet in a JPEG: read, and put in, where nothing else in the file changes."""

import dataclasses
import hashlib
import re

from vtiqa_jax.photos import tiff
from vtiqa_jax.photos.metadata import jpeg_segments
from vtiqa_jax.xmp.rdf import Refused

APP0, APP1, APP2, APP11, SCAN = 0xE0, 0xE1, 0xE2, 0xEB, 0xDA
SIGNATURE = b"http://ns.adobe.com/xap/1.0/\0"
EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
EXTENSION_HEADER = len(EXTENSION) + 32 + 4 + 4
"""Before the content of a piece of an extension: its signature, 32 digits, length and offset."""
EXIF, MULTI_PICTURE = b"Exif\0\0", b"MPF\0"
MAX_CONTENT = 65533
"""Bytes of a segment."""
RATING_TAG = 0x4746
"""EXIF's, by Microsoft."""
PACKET_END = re.compile(rb"<\?xpacket\s+end=[\"']w")
"""End of a packet that may be changed in its place: white space before it is for that."""
END_OF_IMAGE = b"\xff\xd9"
"""In a picture's own bytes no byte but 0 or a restart marker follows 0xFF."""


@dataclasses.dataclass(frozen=True)
class Segment:
    """A segment with its marker."""

    marker: int
    start: int
    """Start of the marker."""
    content: int
    end: int


@dataclasses.dataclass(frozen=True)
class Jpeg:
    """A JPEG's segments before its picture."""

    data: bytes = dataclasses.field(repr=False)
    segments: tuple[Segment, ...]

    def starting(self, signature: bytes) -> list[Segment]:
        """Returns the application segments whose content begins so."""
        return [
            each
            for each in self.segments
            if each.marker in (APP1, APP2) and self.data.startswith(signature, each.content, each.end)
        ]

    @property
    def packet(self) -> bytes | None:
        """Its XMP packet, None without one. Raises `Refused` when it has several."""
        packets = self.starting(SIGNATURE)
        if len(packets) > 1:
            raise Refused("it has two XMP packets")
        return self.data[packets[0].content + len(SIGNATURE) : packets[0].end] if packets else None

    @property
    def extension(self) -> bytes:
        """The rest of its XMP, which did not fit into the packet: an XMP document, empty without one."""
        pieces = dict[int, bytes]()
        for each in self.starting(EXTENSION):
            content = self.data[each.content : each.end]
            offset = int.from_bytes(content[EXTENSION_HEADER - 4 : EXTENSION_HEADER], "big")
            pieces[offset] = content[EXTENSION_HEADER:]
        return b"".join(pieces[offset] for offset in sorted(pieces))

    @property
    def exif_rating(self) -> int:
        """The rating in EXIF, 0 without one."""
        for each in self.starting(EXIF):
            pages = tiff.list_pages(self.data[each.content + len(EXIF) : each.end], most=1)
            return pages[0].number(RATING_TAG, 0) if pages else 0
        return 0

    def with_packet(self, packet: bytes | None) -> bytes:
        """Returns the file with another packet, after EXIF where it had none; None for no packet.

        White space at the packet's end gives way to what is new, so that nothing else has to move.

        Raises:
            Refused: a segment cannot hold the packet, something would move that other parts of the file point to, or
                the photo is signed.
        """
        if any(each.marker == APP11 and b"c2pa" in self.data[each.content : each.end] for each in self.segments):
            raise Refused("it is signed (Content Credentials), and a change would break the signature")
        old = self.packet
        if old is None:
            if packet is None:
                return self.data
            start = end = self._after_exif()
        else:
            segment = self.starting(SIGNATURE)[0]
            start, end = segment.start, segment.end
            if packet is not None:
                packet = _fit(packet, len(old))
        new = b"" if packet is None else _segment(SIGNATURE + packet)
        if len(new) != end - start:
            self._require_loose()
        return self.data[:start] + new + self.data[end:]

    def _after_exif(self) -> int:
        """Returns the place of a packet: after EXIF, which readers want first."""
        position = 2
        for each in self.segments:
            if each.marker != APP0 and each not in self.starting(EXIF):
                break
            position = each.end
        return position

    def _require_loose(self) -> None:
        """Checks that nothing points behind the packet by its place in the file.

        Raises:
            Refused: there are more pictures than one, or something after the picture.
        """
        if self.starting(MULTI_PICTURE):
            raise Refused("it holds several pictures, and a change would move them")
        rest = self.data[self.segments[-1].end :].partition(END_OF_IMAGE)[2].strip(b"\0")
        # Films of moving photos and Samsung's notes are found from the file's end.
        if rest and b"ftyp" not in rest[:8] and not rest.endswith(b"SEFT"):
            raise Refused("other data follow its picture, and a change would move them")


def read(data: bytes) -> Jpeg:
    """Reads a JPEG as far as its picture.

    Raises:
        Refused: it is none, or is cut off before its picture.
    """
    if not data.startswith(b"\xff\xd8"):
        raise Refused("it is not a JPEG")
    segments = [Segment(marker, start - 4, start, end) for marker, start, end in jpeg_segments(data)]
    if not segments or segments[-1].marker != SCAN:
        raise Refused("it is a damaged JPEG")
    return Jpeg(data, tuple(segments))


def require_same_picture(before: bytes, after: bytes) -> None:
    """Checks that two files differ in nothing but their packets.

    Raises:
        Refused: they do.
    """
    if _hash_rest(before) != _hash_rest(after):
        raise Refused("its picture would have changed")  # a mistake of ours: nothing is written


def _hash_rest(data: bytes) -> str:
    """Returns the SHA-256 of a JPEG without its packet."""
    jpeg = read(data)
    rest, position = hashlib.sha256(), 0
    for each in jpeg.starting(SIGNATURE):
        rest.update(memoryview(data)[position : each.start])
        position = each.end
    rest.update(memoryview(data)[position:])
    return rest.hexdigest()


def _segment(content: bytes) -> bytes:
    if len(content) > MAX_CONTENT:
        raise Refused("its XMP has no room left: a JPEG's holds 64 kB")
    return b"\xff" + bytes([APP1]) + (len(content) + 2).to_bytes(2, "big") + content


def _fit(packet: bytes, size: int) -> bytes:
    """Makes a packet as long as it was, by its padding, if it has enough."""
    match = PACKET_END.search(packet)
    surplus = len(packet) - size
    if match is None:
        return packet
    end = match.start()
    start = len(packet[:end].rstrip(b" \t\r\n"))
    if surplus > end - start:
        return packet
    return packet[:start] + (packet[start + surplus :] if surplus > 0 else b" " * -surplus + packet[start:])
