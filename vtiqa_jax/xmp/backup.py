"""A file as it was before stars came into it, beside it under a name that no program takes for a photo or a sidecar.

It is the old file itself under another name (a hard link) where the disk has such, so that it costs no room, and comes
back with its times.
"""

import os
import shutil
from pathlib import Path

from vtiqa_jax.photos.transfer import NO_HARD_LINKS

ENDING = ".vtiqa-backup"


def path_of(file: Path) -> Path:
    """Returns where the backup of a file is."""
    return file.with_name(file.name + ENDING)


def read(file: Path) -> bytes | None:
    """Returns the content of a file's backup, None without one."""
    try:
        return path_of(file).read_bytes()
    except FileNotFoundError:
        return None


def keep(file: Path) -> None:
    """Makes a file's backup, in the place of an older one.

    Raises:
        OSError: it cannot be written.
    """
    temporary = file.with_name(f".vtiqa-{os.getpid()}.backup")
    temporary.unlink(missing_ok=True)
    try:
        try:
            os.link(file, temporary)
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            shutil.copy2(file, temporary)
            with temporary.open("r+b") as copy:
                os.fsync(copy.fileno())
        temporary.replace(path_of(file))
    finally:
        temporary.unlink(missing_ok=True)  # a file is not renamed to another name of itself
