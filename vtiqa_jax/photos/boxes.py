"""The boxes of AVIF and CR3 files, as far as they tell how a photo codes light, and when it was taken."""

import dataclasses
from collections.abc import Iterator

from vtiqa_jax.photos.hdr import CodePoints

CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
"""Names the box of a CR3 that tells of its photo."""


@dataclasses.dataclass(frozen=True)
class Coding:
    """How the primary picture of a file is coded."""

    code_points: CodePoints | None = None
    bits: int = 8


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields name and content of each box."""
    position = 0
    while position + 8 <= len(content):
        size, start = int.from_bytes(content[position : position + 4], "big"), position + 8
        if size == 1:
            size, start = int.from_bytes(content[start : start + 8], "big"), start + 8
        end = position + size if size else len(content)
        if end < start:
            return
        yield content[position + 4 : position + 8], content[start:end]
        position = end


def read_canon(data: bytes) -> dict[bytes, bytes]:
    """Reads the directories of a CR3, by the names of their boxes: CMT1 is the main one, CMT2 that of EXIF."""
    for name, content in _boxes(dict(_boxes(data)).get(b"moov", b"")):
        if name == b"uuid" and content.startswith(CANON):
            return dict(_boxes(content[len(CANON) :]))
    return {}


def read_avif_coding(data: bytes) -> Coding:
    """Reads how the primary picture is coded, which previews and gain maps beside it are not.

    What is damaged or not there counts as not said.
    """
    meta = dict(_boxes(dict(_boxes(data)).get(b"meta", b"")[4:]))
    primary = meta.get(b"pitm", b"")
    item = int.from_bytes(primary[4 : 6 if primary[:1] == b"\0" else 8], "big")
    parts = dict(_boxes(meta.get(b"iprp", b"")))
    properties = list(_boxes(parts.get(b"ipco", b"")))
    code_points, bits = None, 8
    for index in _associations(parts.get(b"ipma", b""), item):
        name, content = properties[index - 1] if 0 < index <= len(properties) else (b"", b"")
        if name == b"colr" and content[:4] == b"nclx" and len(content) >= 10:
            code_points = CodePoints(int.from_bytes(content[4:6], "big"), int.from_bytes(content[6:8], "big"))
        elif name == b"av1C" and len(content) >= 4:
            bits = 12 if content[2] & 0x20 else 10 if content[2] & 0x40 else 8
        elif name == b"pixi" and len(content) >= 6:
            bits = content[5]
    return Coding(code_points, bits)


def _associations(content: bytes, item: int) -> Iterator[int]:
    """Returns the numbers of an item's properties, from 1."""
    if len(content) < 8:
        return
    item_size = 2 if content[0] == 0 else 4
    size = 2 if content[3] & 1 else 1
    position = 8
    while position + item_size < len(content):
        found = int.from_bytes(content[position : position + item_size], "big")
        count = content[position + item_size]
        position += item_size + 1
        if found == item:
            for at in range(position, min(position + count * size, len(content)), size):
                yield int.from_bytes(content[at : at + size], "big") & (0x7FFF if size == 2 else 0x7F)
            return
        position += count * size
