"""Photos decoded once, into memory-mapped files that training reads batch by batch.

Stopping in the middle loses nothing: each photo is marked done after its pixels are written, with a fingerprint of
its file, so running again decodes only what is missing or has changed since.

A photo with fewer pixels than the large stored size is kept as it is and enlarged whenever it is read (some 8 ms of a
core): its slot in the file is sparse and takes no more room on the disk than its own pixels.
"""

import contextlib
import dataclasses
import errno
import hashlib
import os
import secrets
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from filelock import FileLock
from jaxtyping import Int, Int32, UInt8
from tqdm import tqdm

from vtiqa_jax import atomic, sharding
from vtiqa_jax.cpus import available_cpus
from vtiqa_jax.data import images
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.photos import formats
from vtiqa_jax.photos.resize import ARITHMETIC, Rgb, resize_bicubic, shrink
from vtiqa_jax.photos.stderr import quiet_decoders

BROKEN_LIST = "broken-photos.txt"
"""The file that names the photos which cannot be read, one a line."""
SHOWN = 5
"""Such photos that a message names."""
SAMPLED = 64
"""Photos after which it is known how much room all of them need."""


class LocalImages:
    """The large stored size of every photo, as an array [n, large, large, 3] that is read by rows."""

    def __init__(self, slots: UInt8[np.ndarray, "n bytes"], sizes: Int32[np.ndarray, "n 2"], side: int) -> None:
        """Opens the photos.

        Args:
            slots: their pixels, `3 * side * side` bytes each; what a smaller photo does not fill is not used.
            sizes: height and width of photos that are kept as they are; (0, 0) for those stored at the large size.
            side: of the large size, pixels.
        """
        self._slots, self._sizes = slots, sizes
        self.shape = (len(slots), side, side, 3)
        self.dtype = slots.dtype
        self.nbytes = slots.nbytes

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, rows: slice | Int[np.ndarray, " m"]) -> UInt8[np.ndarray, "m large large 3"]:
        """Returns the given photos."""
        numbers = np.arange(len(self))[rows].tolist()
        photos = np.empty((len(numbers), *self.shape[1:]), self.dtype)

        def fill(place: int) -> None:
            height, width = self._sizes[numbers[place]].tolist()
            stored = self._slots[numbers[place]]
            if height:
                pixels = stored[: height * width * 3].reshape(height, width, 3)
                photos[place] = resize_bicubic(pixels, self.shape[1:3])
            else:
                photos[place] = stored.reshape(self.shape[1:])

        # An accelerator takes photos faster than one core enlarges them.
        with ThreadPoolExecutor(available_cpus()) as pool:
            list(pool.map(fill, range(len(numbers))))
        return photos


@dataclasses.dataclass(frozen=True)
class ImageCache:
    """Both stored sizes of every photo, uint8, on disk."""

    global_images: UInt8[np.ndarray, "n small small 3"]
    local_images: UInt8[np.ndarray, "n large large 3"] | LocalImages
    broken: tuple[int, ...] = ()
    """Photos that cannot be decoded and were to be left out; their pixels mean nothing."""


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _fingerprints(photos: Manifest) -> list[str]:
    """Returns what the stored pixels of each photo depend on: its file, the decoders, the arithmetic of resizing."""
    suffixes = [formats.suffix(name) for name in photos.names]
    made_by = {suffix: f"{formats.decoder_versions((suffix,))} {ARITHMETIC}" for suffix in set(suffixes)}
    return [
        _hash(f"{photos.images} {name} {photos.images.stamp(name)} {made_by[suffix]}")
        for name, suffix in zip(photos.names, suffixes, strict=True)
    ]


def _broken_mark(mark: bytes) -> bytes:
    """Returns what marks a photo as broken that would have `mark` if it could be decoded."""
    return _hash(f"broken {mark.decode()}").encode()


def fingerprint(photos: Manifest) -> str:
    """Hashes the photos' names and versions, and what reads them: the same for the same photos in another folder."""
    versions = [(name, photos.images.version(name)) for name in photos.names]
    decoders = formats.decoder_versions({formats.suffix(name) for name in photos.names})
    return _hash(repr((versions, decoders, ARITHMETIC)))


def _cache_folder(photos: Manifest, folder: Path, config: ModelConfig) -> Path:
    """Returns the folder of these photos, in this order, at these sizes."""
    listed = _hash("\n".join([str(photos.images), *photos.names]))[:12]
    sides = f"{config.global_resize}-{config.local_resize}-{config.screen_side or 'any'}"
    return folder / f"{len(photos.names)}-photos-{sides}-{listed}"


def _layout(count: int, config: ModelConfig) -> dict[str, tuple[tuple[int, ...], str]]:
    """Returns shape and type of each file.

    The marks come first: were they to survive new pixels, empty photos would count as done.
    """
    small, large = config.global_resize, config.local_resize
    return {
        "done": ((count,), "S64"),
        "global": ((count, small, small, 3), "u1"),
        "local": ((count, large * large * 3), "u1"),
        "sizes": ((count, 2), "i4"),
    }


def is_complete(path: Path, shape: tuple[int, ...], dtype: str) -> bool:
    """Tells whether `path` holds an array of this kind; one that was cut off does not count."""
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return array.shape == shape and array.dtype == np.dtype(dtype)


def _open_cache(folder: Path, config: ModelConfig, broken: tuple[int, ...]) -> ImageCache:
    """Returns the files of a folder whose photos are all done."""
    small, slots, sizes = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("global", "local", "sizes"))
    return ImageCache(small, LocalImages(slots, sizes, config.local_resize), broken)


def _wait_for_cache(
    photos: Manifest, folder: Path, config: ModelConfig, failed: Path, *, leave_out_broken: bool
) -> ImageCache:
    """Returns the files that the main process builds, once they are complete.

    Raises:
        UserError: the main process made the file `failed`.
    """
    count = len(photos.names)
    expected = [mark.encode() for mark in _fingerprints(photos)]
    while True:
        try:
            done = np.load(folder / "done.npy", mmap_mode="r")
            waiting = [row for row in range(count) if done.shape == (count,) and done[row] != expected[row]]
            broken = tuple(row for row in waiting if leave_out_broken and done[row] == _broken_mark(expected[row]))
            if done.shape == (count,) and len(waiting) == len(broken):
                return _open_cache(folder, config, broken)
        except (OSError, ValueError, EOFError):  # not there yet, or its header is being written
            pass
        if failed.exists():
            raise UserError("the main process could not prepare the photos; it says why")
        time.sleep(0.2)


class _Writer:
    """The files of a folder, written photo by photo."""

    def __init__(self, folder: Path, count: int, config: ModelConfig) -> None:
        """Opens the files, and makes them anew (sparse, zero) where one is missing or damaged."""
        self._folder, self._config, layout = folder, config, _layout(count, config)
        files = {name: folder / f"{name}.npy" for name in layout}
        if not all(is_complete(files[name], *kind) for name, kind in layout.items()):
            files["done"].unlink(missing_ok=True)
            for name, (shape, dtype) in layout.items():
                np.lib.format.open_memmap(files[name], mode="w+", dtype=np.dtype(dtype), shape=shape)
        self.done: np.ndarray = np.load(files["done"])
        arrays = {name: np.load(file, mmap_mode="r") for name, file in files.items()}
        self._places = {name: (array.offset, array.nbytes // count) for name, array in arrays.items()}
        self._files = {name: file.open("r+b", buffering=0) for name, file in files.items()}
        self._lock = threading.Lock()
        self.bytes_written = self.photos_written = 0

    def close(self) -> None:
        """Closes the files."""
        for file in self._files.values():
            file.close()

    def _write(self, name: str, row: int, values: np.ndarray) -> None:
        # Not through the memory map: on a full disk that would end the process with a signal.
        offset, size = self._places[name]
        data, file = np.ascontiguousarray(values).tobytes(), self._files[name]
        with self._lock:
            file.seek(offset + row * size)
            if file.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.bytes_written += len(data)

    def mark(self, row: int, mark: bytes) -> None:
        """Marks a photo that has no pixels."""
        with contextlib.suppress(OSError):  # on a full disk it is tried again the next time
            self._write("done", row, np.array(mark, "S64"))

    def write(self, row: int, pixels: Rgb, mark: bytes) -> int:
        """Stores one photo; its mark is written last. Returns how many are written.

        Raises:
            UserError: the disk takes no more.
        """
        config = self._config
        pixels = shrink(pixels, config.screen_side)
        height, width, _ = pixels.shape
        kept = height * width < config.local_resize**2
        small = resize_bicubic(pixels, (config.global_resize, config.global_resize))
        large = pixels if kept else resize_bicubic(pixels, (config.local_resize, config.local_resize))
        try:
            self._write("done", row, np.array(b"", "S64"))
            self._write("global", row, small)
            self._write("local", row, large)
            self._write("sizes", row, np.array((height, width) if kept else (0, 0), np.int32))
            self._write("done", row, np.array(mark, "S64"))
        except OSError as error:
            raise UserError(
                f"{self._folder}: {error.strerror}; make room and give the same command again: it continues from there"
            ) from error
        with self._lock:
            self.photos_written += 1
            return self.photos_written


def build_image_cache(
    photos: Manifest, folder: Path, config: ModelConfig, *, leave_out_broken: bool = False
) -> ImageCache:
    """Builds or completes the files of these photos, on all cores, in a folder of their own below `folder`.

    Other photos, another order or other sizes have another folder there: runs do not disturb each other. Of several
    processes the main one builds, and the others wait for it; they must share the folder.

    Args:
        photos: all photos.
        folder: see above.
        config: has the stored sizes.
        leave_out_broken: goes on without photos that cannot be decoded, see `ImageCache.broken`, and says how many. A
            file that cannot be read for now is none of them.

    Raises:
        UserError: the disk is too small (told after the first photos), or photos cannot be read (after all others are
            done; all are listed in a file), or that happened to the main process.
    """
    folder = _cache_folder(photos, folder, config)
    # Of this run alone: a note that an earlier one left must not end it.
    failed = folder / f"failed-{sharding.broadcast_from_main(secrets.randbits(31))}"
    if not sharding.is_main_process():
        return _wait_for_cache(photos, folder, config, failed, leave_out_broken=leave_out_broken)
    atomic.make_folder(folder)
    for older in folder.glob("failed-*"):
        older.unlink(missing_ok=True)
    try:
        with FileLock(folder / ".lock"):  # another run may prepare the same photos
            return _build(photos, folder, config, leave_out_broken=leave_out_broken)
    except BaseException:  # Ctrl-C, too
        if sharding.has_other_processes():
            failed.touch()
        raise


def _build(photos: Manifest, folder: Path, config: ModelConfig, *, leave_out_broken: bool) -> ImageCache:
    writer, count = _Writer(folder, len(photos.names), config), len(photos.names)
    expected = [mark.encode() for mark in _fingerprints(photos)]
    missing = [row for row in range(count) if writer.done[row] != expected[row]]
    broken = {row for row in missing if leave_out_broken and writer.done[row] == _broken_mark(expected[row])}
    missing = [row for row in missing if row not in broken]
    failed: dict[int, str] = {}

    def check_room() -> None:
        left = len(missing) - writer.photos_written
        needed = writer.bytes_written / max(1, writer.photos_written) * left
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise UserError(
                f"preparing the other {left} photos needs about {needed / 1e9:.1f} GB in {folder},"
                f" where {free / 1e9:.1f} GB are free; make room or name another folder with --image-cache"
            )

    def store(row: int) -> None:
        try:
            pixels = images.decode(photos.images.read(photos.names[row]), photos.names[row])
        except (ImageError, OSError) as error:
            failed[row] = f"{photos.images}/{photos.names[row]}: {getattr(error, 'strerror', None) or error}"
            if leave_out_broken and isinstance(error, ImageError):
                writer.mark(row, _broken_mark(expected[row]))
                broken.add(row)
            return
        if writer.write(row, pixels, expected[row]) == SAMPLED:
            check_room()

    with quiet_decoders(), contextlib.closing(writer), ThreadPoolExecutor(available_cpus()) as pool:
        if missing:
            print(f"preparing {len(missing)} of {count} photos in {folder}")
        try:
            list(tqdm(pool.map(store, missing), "preparing photos", len(missing), unit="photo", disable=None))
        except UserError:
            pool.shutdown(cancel_futures=True)
            raise
    if failed or broken:
        rows = sorted(failed.keys() | broken)
        atomic.write_text(folder / BROKEN_LIST, "".join(f"{photos.names[row]}\n" for row in rows))
        shown = "; ".join(failed[row] for row in sorted(failed)[:SHOWN])
        told = f"{len(rows)} of {count} photos cannot be read{': ' * bool(shown)}{shown}; all in {folder / BROKEN_LIST}"
        if failed.keys() - broken:
            again = "give the same command again when they can be"
            raise UserError(
                f"{told}; {again if leave_out_broken else 'replace them, or leave them out with --partial'}"
            )
        print(f"{told}; they are left out")
    return _open_cache(folder, config, tuple(sorted(broken)))
