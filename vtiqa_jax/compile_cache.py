"""Compiled programs kept on disk, so that only the first call on a machine compiles."""

import os
import shutil
import warnings
from pathlib import Path

MAX_BYTES = 1 << 30
"""Largest size of the folder when a command starts; programs that were not used for longest go first."""
MIN_FREE = 256 << 20
"""Bytes free on the disk below which nothing is added: JAX never replaces a file that was cut off there."""


def keep_compiled() -> None:
    """Makes JAX keep compiled programs in the user's cache folder, where there is one.

    A folder that JAX_COMPILATION_CACHE_DIR names is left to JAX. Whatever goes wrong with the folder costs time and no
    result, so that nothing is said of it.
    """
    import jax  # not at the top: help and mistakes need none of it

    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache")
    folder = None if "JAX_COMPILATION_CACHE_DIR" in os.environ else make_cache_folder()
    if folder is None:
        return
    trim(folder, MAX_BYTES)
    has_room = shutil.disk_usage(folder).free >= MIN_FREE
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0 if has_room else float("inf"))


def make_cache_folder() -> Path | None:
    """Makes the folder below XDG_CACHE_HOME or ~/.cache; None where there is no home, or nothing can be made in it."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        if not named.is_absolute():  # which does not count, says its specification
            home = Path.home()
            if not home.is_absolute() or home == home.parent:  # "/" is the home of users who have none
                return None
            named = home / ".cache"
        folder = named / "vtiqa-jax"
        folder.mkdir(parents=True, exist_ok=True)
    except (RuntimeError, OSError):  # the first when there is no HOME, and the user is not in the list of users
        return None
    return folder if os.access(folder, os.R_OK | os.X_OK) else None


def trim(folder: Path, max_bytes: int) -> None:
    """Removes the files that were not used for longest until the others take `max_bytes` at most."""
    found: list[tuple[float, int, str]] = []
    for entry in os.scandir(folder):
        try:
            about = entry.stat(follow_symlinks=False)
        except OSError:  # removed by another process just now
            continue
        if entry.is_file(follow_symlinks=False):
            found.append((max(about.st_atime, about.st_mtime), about.st_size, entry.path))
    held = 0
    for _, size, path in sorted(found, reverse=True):
        held += size
        if held > max_bytes:
            try:
                os.unlink(path)
            except OSError:  # as above, or a folder that is only read
                continue
