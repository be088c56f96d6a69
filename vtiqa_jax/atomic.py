"""Writing of outputs: files and folders are complete or not there at all.

The usual way is to write beside the target and to rename. Where that would destroy something, or cannot be, it differs:

- A device, a pipe, standard output: it gets the complete content, and stays what it is.
- A link, to a file or to a folder: it stays, and what it leads to is replaced, or made.
- What takes the place of something gets its owner, mode and extended attributes, as far as the user may set them; a new
  file has the mode that the umask gives. Where the group cannot be kept, the new one has no more rights than everybody.
  A file that the user may not write is not replaced.
- Of a file with several names (hard links) the one written to becomes a new file; the others keep the old content, as
  snapshots made by hard links want it.
- A mount point, or what stands in a folder that takes no new names, is written over: see `_overwrite` and `_refill`.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

STANDARD_OUTPUT = Path("-")
"""Written to as a file."""
IRREPLACEABLE = {errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM}
"""Why the system refuses to rename onto, or away, what may be written: mount points, layers of containers, folders in
which only the owner renames (`/tmp`), files that another program has open on Windows."""


# ---- what a path means ----


def resolve(path: Path) -> Path:
    """Follows all links, also to where there is nothing yet.

    Raises:
        OSError: the links run in a circle, or a name is too long; with the path as given.
    """
    with contextlib.suppress(FileNotFoundError):
        path.stat()
    return Path(os.path.realpath(path))


def _descriptor(path: Path) -> int | None:
    """Returns the number of this process's open file that a path names: 1 for `-` and /dev/stdout, 3 for /dev/fd/3."""
    if path == STANDARD_OUTPUT:
        return 1
    folders = {os.path.realpath(folder) for folder in ("/dev/fd", "/proc/self/fd", "/proc/thread-self/fd")}
    while os.name == "posix":  # not all links at once: the last one, in /proc, leads to the file itself
        folder = os.path.realpath(path.parent)
        path = Path(folder, path.name)
        if folder in folders and path.name.isdecimal():
            return int(path.name)
        if not path.is_symlink():
            break
        path = Path(folder, path.readlink())
    return None


def is_stream(path: Path) -> bool:
    """Returns whether a path is written to in place: a device, a pipe, an open file of this process.

    Raises:
        OSError: see `resolve`; or it is a disk or a socket, which cannot be written to so.
    """
    with contextlib.suppress(FileNotFoundError):
        mode = path.stat().st_mode  # first: it also ends circles of links
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            return _descriptor(path) is not None
        if stat.S_ISBLK(mode) and _descriptor(path) is None:
            raise PermissionError(errno.EPERM, "is a disk", str(path))
        if stat.S_ISSOCK(mode) and _descriptor(path) is None:
            raise PermissionError(errno.EPERM, "is a socket", str(path))
        return True
    return path == STANDARD_OUTPUT


def is_standard_output(path: Path) -> bool:
    """Returns whether what is written to a path comes where a command's own lines do."""
    return _descriptor(path) == 1


def require_new_files(folder: Path) -> None:
    """Checks that new files can be made in a folder, by making one: rights alone do not tell.

    Raises:
        OSError: they cannot; with the reason.
    """
    probe = folder / f".vtiqa-{os.getpid()}.probe"
    try:
        probe.open("wb").close()
        probe.unlink()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error


def takes_files(folder: Path) -> bool:
    """Returns whether new files can be made in a folder."""
    try:
        require_new_files(folder)
    except OSError:
        return False
    return True


def check_output(path: Path) -> None:
    """Checks, before hours of work, that a file can be written to `path`.

    Raises:
        OSError: it cannot; with the reason.
    """
    if is_stream(path):
        tempfile.gettempdir()  # where the content is made complete
        number = _descriptor(path)
        if number is not None:
            os.write(number, b"")  # refused by what is closed, or open for reading alone
        elif not os.access(path, os.W_OK):  # not opened: that waits until a pipe is read
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return
    path = resolve(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists():
        path.open("r+b").close()
    else:
        require_new_files(path.parent)


# ---- folders, and what is left over ----


def make_folder(path: Path) -> None:
    """Makes a folder and those above it; of a link to nowhere, the folder it leads to.

    Raises:
        OSError: there can be none; with the reason.
    """
    try:
        resolve(path).mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # what /proc says for "forbidden"
        raise PermissionError(errno.EACCES, "a folder cannot be made there", str(path)) from error


def remove(path: Path) -> None:
    """Removes a file or a folder, if it is there; of a link the link alone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):  # a disk that is read-only refuses even to remove nothing
        path.unlink()


def _hidden_name(path: Path, ending: str) -> str:
    """Returns a hidden name, short however long the name of `path` is."""
    return f".vtiqa-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.{ending}"


def temporary_name(path: Path) -> Path:
    """Returns where the file or folder `path` is written until it is complete: all processes of a run agree on it.

    A folder that cannot be replaced itself, as it is mounted there or stands where nothing new can be made, holds it.
    """
    path = resolve(path)
    inside = path.is_dir() and (os.path.ismount(path) or not takes_files(path.parent))
    return (path if inside else path.parent) / _hidden_name(path, "part")


def entries(path: Path) -> set[str]:
    """Returns the names in a folder, if it is there, without what a killed `atomic_replace` left in it."""
    return {entry.name for entry in path.iterdir()} - {temporary_name(path).name} if path.exists() else set()


# ---- writing ----


@contextmanager
def atomic_replace(path: Path) -> Iterator[Path]:
    """Yields a name to write a file or a folder to, which then takes `path`'s place; after an error nothing changed.

    What takes the place of a file, or goes to a device or a pipe, must be a file. See the top of this module for links,
    owners and what cannot be replaced.

    Raises:
        OSError: `path` cannot be written; asked before anything is yielded, as far as it can be known. With the name
            of a file: that of `path` where the system tells none, as of a full disk.
    """
    try:
        with _replace(path) as temporary:
            yield temporary
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def _replace(path: Path) -> Iterator[Path]:
    """Does what `atomic_replace` says."""
    if is_stream(path):
        with tempfile.TemporaryDirectory(prefix="vtiqa-") as elsewhere:
            complete = Path(elsewhere, "complete")
            yield complete
            with complete.open("rb") as source, _open_stream(path) as target:
                shutil.copyfileobj(source, target)
        return
    path = resolve(path)
    make_folder(path.parent)
    if path.is_file():
        path.open("r+b").close()  # what is protected stays
        if not takes_files(path.parent):
            with tempfile.TemporaryDirectory(prefix="vtiqa-") as elsewhere:
                yield Path(elsewhere, "complete")
                _overwrite(path, Path(elsewhere, "complete"))
            return
    elif not path.is_dir():
        require_new_files(path.parent)
    elif not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    temporary, old = temporary_name(path), path.with_name(_hidden_name(path, "old"))
    if old.exists() and not path.exists():  # killed between the two renamings of `_take_place`
        old.rename(path)
    remove(temporary)
    remove(old)
    try:
        if path.is_file():  # private until it has the mode of what it replaces
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield temporary
        _take_place(temporary, path, old)
    finally:
        if old.exists() and not path.exists():  # interrupted there
            old.rename(path)
        remove(temporary)
        remove(old)


def write_text(path: Path, text: str) -> None:
    """Writes a text file, complete or not at all."""
    with atomic_replace(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def _open_stream(path: Path) -> BinaryIO:
    number = _descriptor(path)
    if number is None:
        return path.open("wb")
    if number == 1 and sys.stdout is not None:
        sys.stdout.flush()  # what was printed before comes first
    # Opened by its name, a file that the shell made would be written over from its beginning.
    return os.fdopen(os.dup(number), "wb")


def _take_place(complete: Path, path: Path, old: Path) -> None:
    """Renames what is complete to `path`; what is there and cannot be renamed onto is written over.

    Raises:
        OSError: it cannot be done; a file never takes a folder's place.
    """
    if path.is_dir() and not complete.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists():
        keep_attributes(path, complete)
    try:
        if path.is_dir():  # only a file can be renamed onto another
            if complete.parent == path:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            path.rename(old)
        complete.replace(path)
    except OSError as error:
        if error.errno not in IRREPLACEABLE or not path.exists():
            raise
        (_refill if path.is_dir() else _overwrite)(path, complete)


def keep_attributes(path: Path, new: Path) -> None:
    """Gives a new file or folder the owner, mode and extended attributes (ACLs on Linux) of `path`, where one may."""
    status = path.stat()
    if hasattr(os, "chown"):
        for file in (new, *new.rglob("*")):
            for owner in (status.st_uid, -1):  # who may not give files away may still give them to a group
                with contextlib.suppress(OSError):
                    os.chown(file, owner, status.st_gid, follow_symlinks=False)
                    break
    with contextlib.suppress(OSError):  # disks without modes
        shutil.copystat(path, new)
        if new.stat().st_gid != status.st_gid:
            new.chmod(stat.S_IMODE(status.st_mode) & ~stat.S_IRWXG | (status.st_mode & stat.S_IRWXO) << 3)
        os.utime(new)


def _overwrite(path: Path, complete: Path) -> None:
    """Copies a complete file over one that cannot be replaced, which keeps its owner, mode and all its names.

    Whether there is room is asked first. A kill, a failing disk, or another program that fills the disk meanwhile can
    leave the file cut off.
    """
    check_disk_space(path, complete.stat().st_size - path.stat().st_size)
    with complete.open("rb") as source, path.open("r+b") as target:
        shutil.copyfileobj(source, target)
        target.truncate()
        target.flush()
        os.fsync(target.fileno())


def _refill(folder: Path, complete: Path) -> None:
    """Replaces all that is in a folder that cannot be replaced itself.

    The new files are brought into it first, complete, under a hidden name. A kill while the old ones are removed and
    the new ones renamed can leave some of each.
    """
    inside = folder / _hidden_name(folder, "part")
    if complete != inside:
        remove(inside)
        shutil.move(complete, inside)
    for entry in list(folder.iterdir()):
        if entry != inside:
            remove(entry)
    for entry in list(inside.iterdir()):
        entry.rename(folder / entry.name)
    inside.rmdir()


def check_disk_space(place: Path, size: int) -> None:
    """Checks that `size` bytes are free where a file or folder is.

    Asked before Orbax writes: its threads print tracebacks of their own when the disk is full.

    Raises:
        OSError: they are not; with its name.
    """
    if shutil.disk_usage(place).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(place))
