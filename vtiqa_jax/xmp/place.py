"""A file that holds stars: a sidecar, or a JPEG with a packet in it."""

import dataclasses
import stat
from pathlib import Path

from vtiqa_jax.photos import own
from vtiqa_jax.photos.stamps import file_stamp
from vtiqa_jax.xmp import backup, jpeg, packet, splice
from vtiqa_jax.xmp.contents import VTIQA
from vtiqa_jax.xmp.packet import Packet, Stars
from vtiqa_jax.xmp.rdf import Refused

NOTHING = Packet(None, (), (), None)


@dataclasses.dataclass(frozen=True)
class State:
    """What a file holds, now and without our stars."""

    data: bytes | None = dataclasses.field(repr=False)
    """None where there is no file."""
    stamp: str
    """See `stamps.file_stamp`."""
    packet: Packet
    before: bytes | None = dataclasses.field(repr=False)
    """Without our stars; None where there would be no file."""
    is_as_written: bool
    """Whether nobody else has changed the file since stars were written: `before` is what was there then."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a photo's stars may be."""

    path: Path
    is_photo: bool
    """Whether it is the JPEG itself."""

    def look(self) -> State:
        """Reads the file.

        Raises:
            Refused: it is no regular file, or its packet cannot be read or changed.
            OSError: it cannot be opened.
        """
        try:
            mode = self.path.lstat().st_mode
        except FileNotFoundError:
            return State(None, "", NOTHING, None, is_as_written=True)
        if not stat.S_ISREG(mode):
            raise Refused("it is a link" if stat.S_ISLNK(mode) else "it is not a file")
        stamp, data = file_stamp(self.path), self.path.read_bytes()
        inner = self._packet(data)
        found = NOTHING if inner is None else packet.read(inner)
        if inner is None or found.ours is None:
            return State(data, stamp, found, data, is_as_written=True)
        saved = backup.read(self.path)
        if saved is not None:
            if mentions_us(saved) or self.with_stars(saved, found.ours) != data:
                return State(data, stamp, found, self._without_stars(data, inner), is_as_written=False)
            return State(data, stamp, found, saved, is_as_written=True)
        if inner == splice.make(found.ours):
            rest = jpeg.read(data).with_packet(None) if self.is_photo else None
            return State(data, stamp, found, rest, is_as_written=True)
        return State(data, stamp, found, self._without_stars(data, inner), is_as_written=False)

    def with_stars(self, before: bytes | None, stars: Stars) -> bytes:
        """Returns the file's content with stars.

        Args:
            before: its content without any of ours; None where there is no file.
            stars: what to write.

        Raises:
            Refused: they cannot be put in without changing something else.
        """
        inner = None if before is None else self._packet(before)
        new = splice.make(stars) if inner is None else splice.add(inner, stars)
        return jpeg.read(before).with_packet(new) if self.is_photo and before is not None else new

    def check(self, before: bytes | None, new: bytes, stars: Stars) -> None:
        """Checks a file that is to take another's place: it can be read, says what it should, has the same picture.

        Raises:
            Refused: it does not.
        """
        inner = self._packet(new)
        if inner is None or not packet.read(inner).holds(stars):
            raise Refused("the stars could not be read again")
        if self.is_photo and before is not None:
            jpeg.require_same_picture(before, new)

    def _packet(self, data: bytes) -> bytes | None:
        return jpeg.read(data).packet if self.is_photo else data

    def _without_stars(self, data: bytes, inner: bytes) -> bytes:
        rest = splice.take_out(inner)
        if packet.read(rest).ours is not None:
            raise Refused("another program has changed the stars that vtiqa wrote")
        return jpeg.read(data).with_packet(rest) if self.is_photo else rest


def mentions_us(data: bytes) -> bool:
    """Tells whether there may be stars of ours in a file."""
    return any(VTIQA.encode(encoding) in data for encoding in ("utf-8", "utf-16-le", "utf-16-be"))


def is_jpeg(file: Path) -> bool:
    """Tells whether a file is a JPEG, by its content; False when it cannot be read."""
    return own.read_head(file, 2) == b"\xff\xd8"
