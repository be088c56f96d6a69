"""Photos copied or moved to another folder: nothing is overwritten, and whenever it is interrupted nothing is lost."""

import contextlib
import errno
import filecmp
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from vtiqa_jax import atomic
from vtiqa_jax.errors import UserError

NO_HARD_LINKS = {errno.EPERM, errno.EXDEV, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EACCES, errno.ENOSYS,
                 errno.EINVAL}  # fmt: skip
"""Errors of file systems without hard links, or that have no more of them; EINVAL on Windows."""
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
"""Errors that every further photo would have, too."""


def plan_targets(paths: Sequence[Path], photos: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Plans where each photo goes: its name is kept relative to the given folder in which it was found.

    Args:
        paths: photos and folders, as given.
        photos: what was found there.
        folder: where they are to go.

    Raises:
        UserError: two photos would have one name.
    """
    roots = [path for path in paths if path.is_dir()]
    targets: dict[Path, Path] = {}
    photo_of: dict[Path, Path] = {}
    for photo in photos:
        root = next((root for root in roots if photo.is_relative_to(root)), photo.parent)
        target = folder / photo.relative_to(root)
        other = photo_of.setdefault(target, photo)
        if other != photo:
            raise UserError(f"{other} and {photo} would both become {target}; score their common folder instead")
        targets[photo] = target
    return targets


def transfer(source: Path, target: Path, *, move: bool = False) -> bool:
    """Copies or moves a file to a name that is free. A target with the same content counts as done before.

    The target is there whole or not at all, and a moved source is removed after that.

    Returns:
        Whether it is there; False when the name is taken by something else, which stays as it is.

    Raises:
        OSError: it cannot be written or read.
    """
    atomic.make_folder(target.parent)
    is_new = _place(source, target, link=move and not source.is_symlink())
    if not is_new and not _is_copy(source, target):
        return False
    # A photo is not its own copy, by whatever name of the folder.
    if move and not (os.path.samefile(source, target) and target.stat().st_nlink < 2):
        try:
            source.unlink()
        except OSError:  # it stays where it was, and there alone
            if is_new:
                target.unlink()
            raise
    return True


def _is_copy(source: Path, target: Path) -> bool:
    return target.is_file() and filecmp.cmp(source, target, shallow=False)


def _place(source: Path, target: Path, *, link: bool) -> bool:
    """Gives a file, or a copy of it, the target's name too; False when that is taken."""
    if os.path.lexists(target):
        return False
    if link:  # a second name on the same disk costs nothing
        try:
            os.link(source, target)
            return True
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
    # A name of its own: the photo's may be as long as a name can be.
    descriptor, name = tempfile.mkstemp(prefix=".vtiqa-", suffix=".part", dir=target.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        shutil.copyfile(source, temporary)
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # a memory card keeps no modes
            shutil.copystat(source, temporary)
        return _rename(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _rename(temporary: Path, target: Path) -> bool:
    """Renames but onto nothing, which `os.rename` does not promise."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        if os.path.lexists(target):
            return False
        temporary.rename(target)
    return True
