"""Loading of batches onto the devices; the next one is read while the present one is computed."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, UInt8
from tqdm import tqdm

from vtiqa_jax import sharding
from vtiqa_jax.data.image_cache import ImageCache, LocalImages
from vtiqa_jax.errors import UserError

IMAGE_COLUMNS = ("global_images", "local_images")
MASK = "mask"
CHUNK = 64
"""Photos that are copied to the devices at a time."""

Batch = dict[str, Array]
"""Arrays by name, their leading axis sharded over the devices: `global_images` and `local_images` (uint8, the two
stored sizes) or `features`, `labels` and other columns (float32), and `mask`, 0 for photos without a label: those that
only pad the batch, and distorted versions."""


def pad_rows(rows: Int[np.ndarray, " n"], size: int) -> Int[np.ndarray, " size"]:
    """Returns the rows, and the first of them again until there are `size`."""
    return np.concatenate([rows, np.full(size - len(rows), rows[0])])


@functools.cache
def _gather(mesh: Mesh) -> Callable[[Array, Array], Array]:
    """Makes `(whole array, rows) -> rows, sharded over the mesh`; each device reads its own copy."""
    sharded = sharding.batch_sharding(mesh)
    return jax.jit(lambda array, rows: array.at[rows].get(mode="promise_in_bounds"), out_shardings=sharded)


def _copy_to_devices(array: UInt8[np.ndarray, "n side side 3"] | LocalImages, mesh: Mesh) -> Array:
    """Returns the whole array on each device, moved in pieces: the host never holds all of it."""
    replicated = sharding.replicated_sharding(mesh)
    size = min(CHUNK, len(array))

    @jax.jit(donate_argnums=0, out_shardings=replicated)
    def put(whole: Array, piece: Array, start: Array) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(whole, piece, start, axis=0)

    copy = jnp.zeros(array.shape, array.dtype, device=replicated)
    for start in tqdm(range(0, len(array), size), "photos to the device", leave=False, disable=None):
        first = min(start, len(array) - size)  # the last piece overlaps the one before: one shape, compiled once
        copy = put(copy, jax.device_put(array[first : first + size], replicated), np.int32(first))
    return copy


def _fits_in_memory(needed: int, memory_stats: Sequence[dict[str, int] | None]) -> bool:
    """Tells whether `needed` bytes take at most half of what is free on each device.

    A CPU has no memory statistics: its photos are in the page cache anyway.
    """
    return all(
        stats is not None and 2 * needed <= stats["bytes_limit"] - stats["bytes_in_use"] for stats in memory_stats
    )


class ImageStore:
    """Stored photos by row, as sharded arrays: read from disk each time, or from a copy that stays on each device."""

    def __init__(self, cache: ImageCache, mesh: Mesh, *, on_device: bool | None = None) -> None:
        """Opens the photos for a mesh.

        Args:
            cache: the photos on disk.
            mesh: the devices that batches are sharded over.
            on_device: keeps a copy of all photos on each device; None decides by the memory there is.

        Raises:
            UserError: copies are asked for on several machines, of which each reads its share only.
        """
        if on_device and jax.process_count() > 1:
            raise UserError("photos stay on the devices of one machine only; leave out --photos-on-device")
        self.mesh = mesh
        arrays = dict(zip(IMAGE_COLUMNS, (cache.global_images, cache.local_images), strict=True))
        if on_device is None and jax.process_count() == 1:
            stats = [device.memory_stats() for device in mesh.devices.flat]
            on_device = _fits_in_memory(sum(array.nbytes for array in arrays.values()), stats)
        self.on_device = bool(on_device)
        self._copies = {name: _copy_to_devices(array, mesh) for name, array in arrays.items()} if on_device else {}
        self._arrays = arrays

    def read(self, rows: Int[np.ndarray, " n"]) -> Batch:
        """Reads `global_images` and `local_images` of the given photos (a multiple of the mesh).

        All processes ask for the same rows; from disk each reads its share only.
        """
        if self.on_device:
            places = sharding.shard_batch(rows.astype(np.int32), self.mesh)
            return {name: _gather(self.mesh)(copy, places) for name, copy in self._copies.items()}
        local = rows[sharding.local_slice(len(rows), self.mesh)]
        return {name: sharding.shard_batch(array[local], self.mesh) for name, array in self._arrays.items()}


@runtime_checkable
class Store(Protocol):
    """What batches are read from: photos, or features of them."""

    mesh: Mesh

    def read(self, rows: Int[np.ndarray, " n"]) -> Batch:
        """Arrays of the given photos (a multiple of the mesh), sharded over it."""
        ...


def load_batches(
    store: Store,
    columns: Mapping[str, Float[np.ndarray, " n"]],
    batches: Sequence[Int[np.ndarray, " _"]],
    size: int,
) -> Iterator[Batch]:
    """Returns the given batches, each padded to one size.

    Args:
        store: the photos.
        columns: further numbers of every photo, `labels` say; `mask` is multiplied by 0 for those that pad.
        batches: the rows of each batch.
        size: photos in every batch, a multiple of the mesh.

    Yields:
        The photos, the columns and `mask`.
    """
    local = sharding.local_slice(size, store.mesh)

    def read(rows: np.ndarray) -> Batch:
        padded = pad_rows(rows, size)
        numbers = {name: values[padded] for name, values in columns.items()}
        numbers[MASK] = numbers.get(MASK, np.float32(1)) * (np.arange(size) < len(rows)).astype(np.float32)
        return store.read(padded) | {
            name: sharding.shard_batch(values[local], store.mesh) for name, values in numbers.items()
        }

    if not len(batches):
        return
    with ThreadPoolExecutor(1) as reader:
        upcoming = reader.submit(read, batches[0])
        for following in [*batches[1:], None]:
            current = upcoming.result()
            if following is not None:
                upcoming = reader.submit(read, following)
            yield current
