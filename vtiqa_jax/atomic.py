"""Files and folders that are there whole or not at all."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def make_folder(path: Path) -> None:
    """Makes a folder and those above it. Errors: OSError with the reason, when there can be none."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # what /proc says for "forbidden"
        raise PermissionError(errno.EACCES, "a folder cannot be made there", str(path)) from error


def remove(path: Path) -> None:
    """Removes a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """What `path` is called until it is complete."""
    return path.with_name(f".{path.name}.part")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write a file or a folder to; what is there then takes `path`'s place, or nothing
    changes."""
    part, old = part_of(path), path.with_name(f".{path.name}.old")
    if old.exists() and not path.exists():  # killed between the two renamings below
        old.rename(path)
    remove(part)
    remove(old)
    try:
        yield part
        if path.is_dir():  # only a file can be renamed onto another
            path.rename(old)
        part.rename(path)
    finally:
        if old.exists() and not path.exists():  # interrupted there
            old.rename(path)
        remove(part)
        remove(old)


def write_text(path: Path, text: str) -> None:
    """Writes a text file."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="")


def reserve(folder: Path, size: int) -> None:
    """Errors: OSError, with the folder's name, when `size` bytes cannot be written into it now.

    Asked before Orbax writes: its threads print tracebacks of their own when the disk is full.
    """
    probe = folder / ".space"
    try:
        with probe.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            elif shutil.disk_usage(folder).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error
    finally:
        probe.unlink(missing_ok=True)
