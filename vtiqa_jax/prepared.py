"""Photos decoded and resized once, into memory-mapped arrays that training reads batch by batch.

Stopping in the middle loses nothing: each photo is marked done after its pixels are written, with a fingerprint of
its file, so running again prepares only what is missing or has changed since.
"""

import dataclasses
import hashlib
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from vtiqa_jax import atomic, devices, images
from vtiqa_jax.config import ModelConfig
from vtiqa_jax.errors import UserError
from vtiqa_jax.manifest import Manifest


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Both stored sizes of every photo, uint8, on disk."""

    global_versions: UInt8[np.ndarray, "n small small 3"]
    local_versions: UInt8[np.ndarray, "n large large 3"]


def _fingerprint(path: Path) -> bytes:
    status = path.stat()
    told = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
    return hashlib.sha256(told.encode()).hexdigest().encode()


def fingerprint(photos: Manifest) -> str:
    """A hash of the photos' names, sizes and times of change: the same for the same photos in another folder."""
    told = [
        (name, (path.stat().st_size, path.stat().st_mtime_ns))
        for name, path in zip(photos.names, photos.paths, strict=True)
    ]
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _sides(config: ModelConfig) -> dict[str, int]:
    return {"global": config.global_size, "local": config.local_size}


def _place(paths: list[Path], folder: Path, config: ModelConfig) -> Path:
    """Where the arrays of these photos, in this order, at these sizes are."""
    listed = hashlib.sha256("\n".join(str(path.resolve()) for path in paths).encode()).hexdigest()[:12]
    return folder / f"{len(paths)}-photos-{config.global_size}-{config.local_size}-{listed}"


def _is_whole(path: Path, shape: tuple[int, ...], dtype: str) -> bool:
    """Whether an array of this kind is in `path`; one that was cut off is not."""
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return array.shape == shape and array.dtype == np.dtype(dtype)


def _array(path: Path, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """The array in `path`, made anew (sparse, zero) where it is missing or damaged."""
    mode = "r+" if _is_whole(path, shape, dtype) else "w+"
    return np.lib.format.open_memmap(path, mode=mode, dtype=np.dtype(dtype), shape=shape)


def _waited_for(paths: list[Path], folder: Path, config: ModelConfig) -> Prepared:
    """The arrays that the first process prepares, once they are complete."""
    wanted = [_fingerprint(path) for path in paths]
    while True:
        try:
            done = np.load(folder / "done.npy", mmap_mode="r")
            if done.shape == (len(paths),) and all(mark == want for mark, want in zip(done, wanted, strict=True)):
                break
        except (OSError, ValueError, EOFError):  # not there yet, or its header is being written
            pass
        time.sleep(0.2)
    return Prepared(*(np.load(folder / f"{name}_{side}.npy", mmap_mode="r") for name, side in _sides(config).items()))


def prepare(paths: list[Path], folder: Path, config: ModelConfig) -> Prepared:
    """The prepared arrays of these photos in a folder of their own below `folder`, made or completed on all cores.

    Other photos, another order or other sizes have another folder there: runs do not disturb each other. Of several
    processes the first prepares, and the others wait for it; they must share the folder. Errors: UserError when the
    disk is too small (before anything is written) or photos cannot be read (after all others are prepared).
    """
    folder = _place(paths, folder, config)
    if not devices.first_process():
        return _waited_for(paths, folder, config)
    atomic.make_folder(folder)
    sides = _sides(config)
    files = {name: folder / f"{name}_{side}.npy" for name, side in sides.items()}
    needed = sum(len(paths) * side * side * 3 for side in sides.values())
    present = sum(file.stat().st_blocks * 512 for file in files.values() if file.exists())
    free = shutil.disk_usage(folder).free
    if needed - present > free:
        raise UserError(
            f"preparing {len(paths)} photos needs {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are"
            " free; make room or name another folder with --prepared"
        )
    # The marks first: were they to survive new pixel arrays, empty photos would count as done.
    shapes = {name: (len(paths), side, side, 3) for name, side in sides.items()}
    if not all(_is_whole(files[name], shape, "u1") for name, shape in shapes.items()):
        (folder / "done.npy").unlink(missing_ok=True)
    arrays = {name: _array(files[name], shape, "u1") for name, shape in shapes.items()}
    done = _array(folder / "done.npy", (len(paths),), "S64")
    wanted = [_fingerprint(path) for path in paths]
    missing = [row for row in range(len(paths)) if done[row] != wanted[row]]

    def one(row: int) -> str | None:
        try:
            small, large = images.versions(images.read(paths[row]), config)
        except images.ImageError as error:
            return f"{paths[row]}: {error}"
        done[row] = b""
        arrays["global"][row], arrays["local"][row] = small, large
        done[row] = wanted[row]
        return None

    if missing:
        print(f"preparing {len(missing)} of {len(paths)} photos in {folder}: {needed / 1e9:.1f} GB when complete")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            results = tqdm(pool.map(one, missing), "preparing photos", len(missing), unit="photo", disable=None)
            failed = [error for error in results if error]
        if failed:
            raise UserError(f"{len(failed)} of {len(paths)} photos cannot be read: {'; '.join(failed[:5])}")
    return Prepared(arrays["global"], arrays["local"])
