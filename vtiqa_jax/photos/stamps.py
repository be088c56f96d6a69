"""Stamps that tell, without reading a file, whether it has changed."""

from pathlib import Path


def file_stamp(path: Path) -> str:
    """Returns size, times of change and place of a file: whoever writes to it or replaces it changes one of them.

    The time of the last change (ctime) cannot be set, so a copy with the old time of modification is noticed, too.

    Raises:
        OSError: there is no such file.
    """
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
