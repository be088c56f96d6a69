"""The pages of a TIFF and of EXIF data, as their directories describe them, and which of them is the photo."""

import dataclasses
import struct
from collections import deque
from typing import NamedTuple

SUBFILE_TYPE = 254
OLD_SUBFILE_TYPE = 255
WIDTH = 256
HEIGHT = 257
BITS = 258
COMPRESSION = 259
PHOTOMETRIC = 262
MAKE = 271
MODEL = 272
ORIENTATION = 274
SAMPLES = 277
MAX_SAMPLE = 281
SUB_DIRECTORIES = 330
EXTRA_SAMPLES = 338
SAMPLE_FORMAT = 339
PROFILE = 34675
EXIF = 34665
DNG_VERSION = 50706

WHITE_IS_ZERO, RGB, TRANSPARENCY_MASK, YCBCR, CIELAB, CFA, LINEAR_RAW = 0, 2, 4, 6, 8, 32803, 34892
"""Values of `PHOTOMETRIC`."""
TRANSPARENCY = (1, 2)
"""Values of `EXTRA_SAMPLES`."""
RARE_COMPRESSIONS = (34925, 50000, 50001)
"""LZMA, Zstandard, WebP."""
COMPRESSIONS = frozenset([1, 2, 3, 4, 5, 6, 7, 8, 32766, 32771, 32773, 32809, 32946, 34661, 34676, 34677, 34887])
"""All others that libtiff knows. Of an unknown one OpenCV makes a black picture, and says nothing."""

MAX_PAGES = 256
MAX_ENTRIES = 4096
"""Most entries of a directory; a photo's has no more."""
MAX_NUMBERS = 1024
"""Most numbers of an entry."""
MAX_TEXT = 256
"""Bytes of an entry that are read as text."""

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value of each type."""
_UNSIGNED = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q", 18: "Q"}
_FRACTIONS = {5: "LL", 10: "ll"}


class Entry(NamedTuple):
    """Where a tag's values lie."""

    kind: int
    length: int
    position: int


@dataclasses.dataclass(frozen=True)
class Page:
    """A directory, and with it a picture."""

    data: bytes = dataclasses.field(repr=False)
    order: str
    """`<` or `>`, as in `struct`."""
    offset: int
    """Offset of the directory in the file."""
    entries: dict[int, Entry]
    parent: "Page | None"
    """The page that lists this one among its sub-directories."""

    def content(self, tag: int) -> bytes:
        """Returns a tag's values as they stand; empty without the tag."""
        if (entry := self.entries.get(tag)) is None:
            return b""
        return self.data[entry.position : entry.position + entry.length * _SIZES.get(entry.kind, 0)]

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Returns a tag's values where they are whole numbers, else none."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in _UNSIGNED:
            return ()
        content = self.data[entry.position : entry.position + min(entry.length, MAX_NUMBERS) * _SIZES[entry.kind]]
        count = len(content) // _SIZES[entry.kind]
        return struct.unpack_from(f"{self.order}{count}{_UNSIGNED[entry.kind]}", content)

    def number(self, tag: int, default: int) -> int:
        """Returns a tag's first value."""
        return next(iter(self.numbers(tag)), default)

    def text(self, tag: int) -> str:
        """Returns a tag's text, up to the byte that ends it; empty where it has another type."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind != 2:
            return ""
        content = self.data[entry.position : entry.position + min(entry.length, MAX_TEXT)]
        return content.partition(b"\0")[0].decode("utf-8", "replace").strip()

    def ratio(self, tag: int) -> float | None:
        """Returns a tag's first value if it is a fraction; None if it divides by zero, or is of another type."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in _FRACTIONS or not 0 <= entry.position <= len(self.data) - 8:
            return None
        numerator, denominator = struct.unpack_from(self.order + _FRACTIONS[entry.kind], self.data, entry.position)
        return numerator / denominator if denominator else None

    def directory(self, tag: int) -> "Page | None":
        """Returns the directory that a tag points to, which has no picture of its own."""
        is_big = struct.unpack_from(self.order + "H", self.data, 2)[0] == 43
        offset = self.number(tag, 0)
        directory = _read_directory(self.data, self.order, is_big, offset)
        return None if directory is None else Page(self.data, self.order, offset, directory[0], self)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.number(WIDTH, 0), self.number(HEIGHT, 0)

    @property
    def is_photo(self) -> bool:
        """Whether it has pixels and is no preview, mask or depth map by its own word."""
        kind = self.number(SUBFILE_TYPE, 0) & ~2  # 2: one page of several
        return (
            min(self.size) > 0
            and kind == 0
            and self.number(OLD_SUBFILE_TYPE, 1) != 2
            and self.number(PHOTOMETRIC, 0) != TRANSPARENCY_MASK
        )

    @property
    def inherited_orientation(self) -> int:
        """The orientation of the page above, where this one names none."""
        return 1 if self.parent is None or ORIENTATION in self.entries else self.parent.number(ORIENTATION, 1)


def list_pages(data: bytes, most: int = MAX_PAGES) -> list[Page]:
    """Walks the directories of a TIFF, classic or big: the chain of pages, and the sub-directories of each.

    Offsets that leave the file or lead back to a directory end the walk.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 16:
        return []
    is_big = struct.unpack_from(order + "H", data, 2)[0] == 43
    first: int = struct.unpack_from(order + "Q", data, 8)[0] if is_big else struct.unpack_from(order + "L", data, 4)[0]
    waiting: deque[tuple[int, Page | None]] = deque([(first, None)])
    pages: list[Page] = []
    seen: set[int] = set()
    while waiting and len(pages) < most:
        offset, parent = waiting.popleft()
        if offset in seen:
            continue
        seen.add(offset)
        directory = _read_directory(data, order, is_big, offset)
        if directory is None:
            continue
        entries, following = directory
        page = Page(data, order, offset, entries, parent)
        pages.append(page)
        waiting.append((following, parent))
        waiting.extend((sub, page) for sub in page.numbers(SUB_DIRECTORIES)[:MAX_PAGES])
    return pages


def _read_directory(data: bytes, order: str, is_big: bool, offset: int) -> tuple[dict[int, Entry], int] | None:
    """Reads a directory's entries and the offset of the next one, 0 after the last."""
    count_form, entry_form, offset_form = ("Q", "HHQ8s", "Q") if is_big else ("H", "HHL4s", "L")
    start = offset + struct.calcsize(order + count_form)
    if offset < 8 or start > len(data):
        return None
    count = struct.unpack_from(order + count_form, data, offset)[0]
    size = struct.calcsize(order + entry_form)
    end = start + count * size
    if count > MAX_ENTRIES or end > len(data):
        return None
    room = size - struct.calcsize(order + entry_form[:3])  # of a value in the entry itself
    entries: dict[int, Entry] = {}
    for index, (tag, kind, values, held) in enumerate(struct.iter_unpack(order + entry_form, data[start:end])):
        position = start + (index + 1) * size - room
        if values * _SIZES.get(kind, 0) > room:
            position = struct.unpack(order + offset_form, held)[0]
        entries.setdefault(tag, Entry(kind, values, position))  # of two the first counts, as for libtiff
    is_whole = end + struct.calcsize(order + offset_form) <= len(data)
    return entries, struct.unpack_from(order + offset_form, data, end)[0] if is_whole else 0


def find_photo(pages: list[Page]) -> Page | None:
    """Finds the page that is the photo: the first that is no preview, or one later that has at least twice its sides.

    Writers do not always mark previews. Pages of about the same size are a document's, of which the first counts.
    """
    photos = [page for page in pages if page.is_photo] or [page for page in pages if min(page.size) > 0]
    if not photos:
        return None
    first = photos[0]
    largest = max(photos, key=lambda page: page.size[0] * page.size[1])
    is_preview = all(2 * small <= large for small, large in zip(first.size, largest.size, strict=True))
    return largest if is_preview else first


def put_first(page: Page) -> bytes:
    """Returns the file with this page as its first one, which is the one that decoders read."""
    is_big = struct.unpack_from(page.order + "H", page.data, 2)[0] == 43
    start, offset = (
        (8, struct.pack(page.order + "Q", page.offset)) if is_big else (4, struct.pack(page.order + "L", page.offset))
    )
    end = start + len(offset)
    return page.data if page.data[start:end] == offset else page.data[:start] + offset + page.data[end:]
