"""From prepared arrays to batches on the devices, the next one read while the present one is computed."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from vtiqa_jax import devices
from vtiqa_jax.prepared import Prepared


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


def batches(
    prepared: Prepared,
    labels: Float[np.ndarray, " n"],
    chosen: Sequence[Int[np.ndarray, " _"]],
    size: int,
    mesh: Mesh,
) -> Iterator[Batch]:
    """The given batches, each filled up to `size` (a multiple of the mesh). A process reads its own share only."""
    own = devices.share(size, mesh)

    def read(rows: np.ndarray) -> tuple[np.ndarray, ...]:
        present = (np.arange(size) < len(rows)).astype(np.float32)[own]
        mine = np.concatenate([rows, np.full(size - len(rows), rows[0])])[own]
        return prepared.global_versions[mine], prepared.local_versions[mine], labels[mine], present

    if not len(chosen):
        return
    with ThreadPoolExecutor(1) as reader:
        upcoming = reader.submit(read, chosen[0])
        for following in [*chosen[1:], None]:
            current = upcoming.result()
            if following is not None:
                upcoming = reader.submit(read, following)
            yield Batch(*(devices.divided(array, mesh) for array in current))
