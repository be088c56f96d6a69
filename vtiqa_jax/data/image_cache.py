"""Photos decoded and resized once, into memory-mapped arrays that training reads batch by batch.

Stopping in the middle loses nothing: each photo is marked done after its pixels are written, with a fingerprint of
its file, so running again decodes only what is missing or has changed since.
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

from vtiqa_jax import atomic, sharding
from vtiqa_jax.data import images
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.vtiqa import ModelConfig


@dataclasses.dataclass(frozen=True)
class ImageCache:
    """Both stored sizes of every photo, uint8, on disk."""

    global_images: UInt8[np.ndarray, "n small small 3"]
    local_images: UInt8[np.ndarray, "n large large 3"]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _fingerprint(photos: Manifest, row: int) -> bytes:
    name = photos.names[row]
    return _hash(f"{photos.images} {name} {photos.images.version(name)}").encode()


def fingerprint(photos: Manifest) -> str:
    """A hash of the photos' names and versions: the same for the same photos in another folder."""
    return _hash(repr([(name, photos.images.version(name)) for name in photos.names]))


def _sizes(config: ModelConfig) -> dict[str, int]:
    return {"global": config.global_resize, "local": config.local_resize}


def _cache_folder(photos: Manifest, folder: Path, config: ModelConfig) -> Path:
    """The folder of these photos, in this order, at these sizes."""
    listed = _hash("\n".join([str(photos.images), *photos.names]))[:12]
    return folder / f"{len(photos.names)}-photos-{config.global_resize}-{config.local_resize}-{listed}"


def _is_complete(path: Path, shape: tuple[int, ...], dtype: str) -> bool:
    """Whether `path` holds an array of this kind; one that was cut off does not count."""
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return array.shape == shape and array.dtype == np.dtype(dtype)


def _open_array(path: Path, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """The array in `path`, made anew (sparse, zero) where it is missing or damaged."""
    mode = "r+" if _is_complete(path, shape, dtype) else "w+"
    return np.lib.format.open_memmap(path, mode=mode, dtype=np.dtype(dtype), shape=shape)


def _wait_for_cache(photos: Manifest, folder: Path, config: ModelConfig) -> ImageCache:
    """The arrays that the main process builds, once they are complete."""
    count = len(photos.names)
    expected = [_fingerprint(photos, row) for row in range(count)]
    while True:
        try:
            done = np.load(folder / "done.npy", mmap_mode="r")
            if done.shape == (count,) and all(mark == want for mark, want in zip(done, expected, strict=True)):
                break
        except (OSError, ValueError, EOFError):  # not there yet, or its header is being written
            pass
        time.sleep(0.2)
    return ImageCache(*(np.load(folder / f"{name}_{side}.npy", mmap_mode="r") for name, side in _sizes(config).items()))


def build_image_cache(photos: Manifest, folder: Path, config: ModelConfig) -> ImageCache:
    """Builds or completes the arrays of these photos, on all cores, in a folder of their own below `folder`.

    Other photos, another order or other sizes have another folder there: runs do not disturb each other. Of several
    processes the main one builds, and the others wait for it; they must share the folder.

    Raises:
        UserError: the disk is too small (before anything is written), or photos cannot be read (after all others are
            done).
    """
    folder = _cache_folder(photos, folder, config)
    if not sharding.is_main_process():
        return _wait_for_cache(photos, folder, config)
    atomic.make_folder(folder)
    count, sizes = len(photos.names), _sizes(config)
    files = {name: folder / f"{name}_{side}.npy" for name, side in sizes.items()}
    needed = sum(count * side * side * 3 for side in sizes.values())
    present = sum(file.stat().st_blocks * 512 for file in files.values() if file.exists())
    free = shutil.disk_usage(folder).free
    if needed - present > free:
        raise UserError(
            f"preparing {count} photos needs {needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are"
            " free; make room or name another folder with --image-cache"
        )
    # The marks first: were they to survive new pixel arrays, empty photos would count as done.
    shapes = {name: (count, side, side, 3) for name, side in sizes.items()}
    if not all(_is_complete(files[name], shape, "u1") for name, shape in shapes.items()):
        (folder / "done.npy").unlink(missing_ok=True)
    arrays = {name: _open_array(files[name], shape, "u1") for name, shape in shapes.items()}
    done = _open_array(folder / "done.npy", (count,), "S64")
    expected = [_fingerprint(photos, row) for row in range(count)]
    missing = [row for row in range(count) if done[row] != expected[row]]

    def decode(row: int) -> str | None:
        try:
            pixels = images.decode(photos.images.read(photos.names[row]))
        except (images.ImageError, OSError) as error:
            return f"{photos.images}/{photos.names[row]}: {getattr(error, 'strerror', None) or error}"
        done[row] = b""
        arrays["global"][row], arrays["local"][row] = images.resize_pair(pixels, config)
        done[row] = expected[row]
        return None

    if missing:
        print(f"preparing {len(missing)} of {count} photos in {folder}: {needed / 1e9:.1f} GB when complete")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            results = tqdm(pool.map(decode, missing), "preparing photos", len(missing), unit="photo", disable=None)
            failed = [error for error in results if error]
        if failed:
            raise UserError(f"{len(failed)} of {count} photos cannot be read: {'; '.join(failed[:5])}")
    return ImageCache(arrays["global"], arrays["local"])
