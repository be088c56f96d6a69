"""Files and folders that are there whole or not at all."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def make_folder(path: Path) -> None:
    """Makes a folder and those above it.

    Raises:
        OSError: there can be none; with the reason.
    """
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


def temporary_name(path: Path) -> Path:
    """The name under which `path` is written until it is complete."""
    return path.with_name(f".{path.name}.part")


@contextmanager
def atomic_replace(path: Path) -> Iterator[Path]:
    """Yields a name to write a file or a folder to, which then takes `path`'s place; after an error nothing changed."""
    temporary, old = temporary_name(path), path.with_name(f".{path.name}.old")
    if old.exists() and not path.exists():  # killed between the two renamings below
        old.rename(path)
    remove(temporary)
    remove(old)
    try:
        yield temporary
        if path.is_dir():  # only a file can be renamed onto another
            path.rename(old)
        temporary.rename(path)
    finally:
        if old.exists() and not path.exists():  # interrupted there
            old.rename(path)
        remove(temporary)
        remove(old)


def write_text(path: Path, text: str) -> None:
    """Writes a text file, complete or not at all."""
    with atomic_replace(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def check_disk_space(folder: Path, size: int) -> None:
    """Checks that `size` bytes can be written into a folder now.

    Asked before Orbax writes: its threads print tracebacks of their own when the disk is full.

    Raises:
        OSError: they cannot; with the folder's name.
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
