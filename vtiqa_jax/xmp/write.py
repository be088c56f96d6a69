"""Writes a photo's stars, and takes them back. Each file is changed whole or not at all."""

import contextlib
import enum
import os
from collections.abc import Iterator
from pathlib import Path

from vtiqa_jax import atomic
from vtiqa_jax.photos.stamps import file_stamp
from vtiqa_jax.photos.transfer import DISK_FULL
from vtiqa_jax.xmp import backup, inside
from vtiqa_jax.xmp.packet import Stars
from vtiqa_jax.xmp.place import Place, State, is_jpeg, mentions_us
from vtiqa_jax.xmp.rdf import Refused
from vtiqa_jax.xmp.sidecars import Sidecars


class Outcome(enum.Enum):
    """What came of a photo's stars."""

    WRITTEN = "written"
    UNCHANGED = "as they were"
    KEPT = "kept as people set them"


def write_stars(photo: Path, stars: Stars, sidecars: Sidecars, *, embed: bool = False) -> Outcome:
    """Writes a photo's stars to the sidecars it has, or to a new one.

    Nothing is written of a photo that a person has rated, in any of these files or in the photo's own.

    Args:
        photo: its file.
        stars: what to write.
        sidecars: finds its sidecars.
        embed: of a JPEG, write them into its own file, too, and make no new sidecar.

    Raises:
        Refused: a file cannot be changed without changing what is not ours; says which, and why. None is changed.
        OSError: the disk is full. What is written of the photo, is written.
    """
    with _told_of(photo):
        is_inside = embed and is_jpeg(photo)
    with _told_of(photo.parent):
        files = sidecars.find(photo, new=not is_inside)
    places = [Place(file, is_photo=False) for file in files] + [Place(photo, is_photo=True)] * is_inside
    states = list[State]()
    for place in places:
        with _told_of(place.path):
            states.append(place.look())
    with _told_of(photo):
        if any(state.packet.is_rated_by_people for state in states) or inside.is_rated_by_people(photo):
            return Outcome.KEPT
    changes = list[tuple[Place, State, bytes]]()
    for place, state in zip(places, states, strict=True):
        with _told_of(place.path):
            new = place.with_stars(state.before, stars)
            if new != state.data:
                place.check(state.data, new, stars)
                changes.append((place, state, new))
    for place, state, new in changes:
        with _told_of(place.path):
            _replace(place, state, new)
    return Outcome.WRITTEN if changes else Outcome.UNCHANGED


class Taken(enum.Enum):
    """What came of taking stars out of a file."""

    NOTHING = "without any"
    WHOLE = "taken back"
    STARS_ALONE = "taken out of what was changed since"
    NOT_OURS = "left where another program has written anew, beside the backups"


def take_back(place: Place) -> Taken:
    """Takes our stars out of a file.

    A file that nobody has changed since is again what it was, with its times, or is gone if there was none. From
    another, what is ours is taken, and its backup stays.

    Raises:
        Refused: the file cannot be changed without changing what is not ours; says which, and why.
        OSError: the disk is full.
    """
    path, saved = place.path, backup.path_of(place.path)
    with _told_of(path):
        if not path.is_file():
            return Taken.NOTHING
        if not mentions_us(content := path.read_bytes()):
            if content == backup.read(path):
                saved.unlink()  # a run was interrupted before it wrote the stars
            return Taken.NOT_OURS if saved.exists() else Taken.NOTHING
        state = place.look()
        if state.packet.ours is None:
            return Taken.NOTHING
        _require_unchanged(path, state)
        if state.is_as_written and saved.exists():
            saved.replace(path)
        elif state.before is None:
            path.unlink()
        else:
            _replace(place, state, state.before)
        return Taken.WHOLE if state.is_as_written else Taken.STARS_ALONE


def _replace(place: Place, state: State, new: bytes) -> None:
    """Replaces a file, by one that is complete on the disk before it has the file's name; the old one is kept.

    What stars of ours were in before has its backup already.
    """
    path = place.path
    temporary = path.with_name(f".vtiqa-{os.getpid()}.part")
    is_there = state.data is not None
    if is_there:
        path.open("r+b").close()  # what is protected stays
    try:
        # Private until it has the mode of what it replaces.
        descriptor = os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600 if is_there else 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(new)
            file.flush()
            os.fsync(file.fileno())
        if temporary.read_bytes() != new:
            raise Refused("what was written could not be read again")
        _require_unchanged(path, state)
        if is_there:
            times = path.stat()
            atomic.keep_attributes(path, temporary)
            if place.is_photo:
                os.utime(temporary, ns=(times.st_atime_ns, times.st_mtime_ns))
            if state.packet.ours is None:
                backup.keep(path)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _require_unchanged(path: Path, state: State) -> None:
    if state.stamp != (file_stamp(path) if os.path.lexists(path) else ""):
        raise Refused("another program is writing it")


@contextlib.contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """Tells of which file, or in which folder, something was refused."""
    try:
        yield
    except Refused as error:
        raise Refused(f"{path}: {error}") from error
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        raise Refused(f"{path}: {error.strerror or error}") from error
