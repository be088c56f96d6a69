"""From prepared arrays to batches on the devices, the next one read while the present one is computed."""

import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, UInt8
from tqdm import tqdm

from vtiqa_jax import devices
from vtiqa_jax.errors import UserError
from vtiqa_jax.prepared import Prepared

CHUNK = 64
"""Photos that are moved to the devices at a time."""


class Batch(NamedTuple):
    """One batch on the devices. `present` is 0 for photos that only fill it up to a multiple of the devices."""

    global_versions: Array
    local_versions: Array
    labels: Array
    present: Array


def order(rows: Int[np.ndarray, " n"], size: int, seed: int, epoch: int) -> list[Int[np.ndarray, " _"]]:
    """The rows of each batch of an epoch, as (seed, epoch) shuffles them; the last batch may be smaller."""
    shuffled = np.random.default_rng((seed, epoch)).permutation(rows)
    # Sorted within the batch: neighbours on disk are read together.
    return [np.sort(shuffled[start : start + size]) for start in range(0, len(rows), size)]


@functools.cache
def _taking(mesh: Mesh) -> Callable[[Array, Array], Array]:
    """`(whole array, rows) -> those rows, divided over the mesh`; each device takes its own from its own copy."""
    taken = devices.batched(mesh)
    return jax.jit(lambda array, rows: array.at[rows].get(mode="promise_in_bounds"), out_shardings=taken)


def _copied(array: UInt8[np.ndarray, "n side side 3"], mesh: Mesh) -> Array:
    """The whole array on each device, moved in pieces: the host never holds all of it."""
    place = devices.whole(mesh)
    size = min(CHUNK, len(array))

    @jax.jit(donate_argnums=0, out_shardings=place)
    def put(whole: Array, piece: Array, start: Array) -> Array:
        return jax.lax.dynamic_update_slice_in_dim(whole, piece, start, axis=0)

    copy = jnp.zeros(array.shape, array.dtype, device=place)
    for start in tqdm(range(0, len(array), size), "photos to the device", leave=False, disable=None):
        first = min(start, len(array) - size)  # the last piece overlaps the one before: one shape, compiled once
        copy = put(copy, jax.device_put(array[first : first + size], place), np.int32(first))
    return copy


def _fits(needed: int, memories: Sequence[dict[str, int] | None]) -> bool:
    """Whether `needed` bytes take at most half of what is free on each device, by what these tell of their memory. A
    CPU tells nothing: its photos are in the page cache anyway."""
    return all(told is not None and 2 * needed <= told["bytes_limit"] - told["bytes_in_use"] for told in memories)


def filled(rows: Int[np.ndarray, " n"], size: int) -> Int[np.ndarray, " size"]:
    """The rows, and the first of them again until there are `size`."""
    return np.concatenate([rows, np.full(size - len(rows), rows[0])])


class Source:
    """Prepared photos by row, on the devices: read from disk each time, or from a copy that stays on each device."""

    def __init__(self, prepared: Prepared, mesh: Mesh, *, on_device: bool | None = None) -> None:
        """`on_device` keeps the copy; None decides by the memory there is. Of several machines each reads its share.

        Errors: UserError for a copy on several machines.
        """
        if on_device and jax.process_count() > 1:
            raise UserError("photos stay on the devices of one machine only; leave out --photos-on-device")
        self.mesh = mesh
        versions = (prepared.global_versions, prepared.local_versions)
        if on_device is None and jax.process_count() == 1:
            memories = [device.memory_stats() for device in mesh.devices.flat]
            on_device = _fits(sum(array.nbytes for array in versions), memories)
        self.on_device = bool(on_device)
        self._arrays = tuple(_copied(array, mesh) for array in versions) if self.on_device else versions

    def read(
        self, rows: Int[np.ndarray, " n"]
    ) -> tuple[UInt8[Array, "n small small 3"], UInt8[Array, "n large large 3"]]:
        """Both versions of the given photos (a multiple of the mesh), divided over it. All processes ask for the same
        rows; from disk each reads its share only."""
        if self.on_device:
            places = devices.divided(rows.astype(np.int32), self.mesh)
            return tuple(_taking(self.mesh)(array, places) for array in self._arrays)  # type: ignore[return-value]
        own = rows[devices.share(len(rows), self.mesh)]
        return tuple(devices.divided(array[own], self.mesh) for array in self._arrays)  # type: ignore[return-value]


def batches(
    source: Source, labels: Float[np.ndarray, " n"], chosen: Sequence[Int[np.ndarray, " _"]], size: int
) -> Iterator[Batch]:
    """The given batches, each filled up to `size` (a multiple of the mesh)."""
    own = devices.share(size, source.mesh)

    def read(rows: np.ndarray) -> Batch:
        whole = filled(rows, size)
        present = (np.arange(size) < len(rows)).astype(np.float32)
        told = (devices.divided(array[own], source.mesh) for array in (labels[whole], present))
        return Batch(*source.read(whole), *told)

    if not len(chosen):
        return
    with ThreadPoolExecutor(1) as reader:
        upcoming = reader.submit(read, chosen[0])
        for following in [*chosen[1:], None]:
            current = upcoming.result()
            if following is not None:
                upcoming = reader.submit(read, following)
            yield current
