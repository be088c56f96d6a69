"""Data parallelism: the batch is divided over a mesh of devices, parameters are on each; one is a mesh of one.

The mesh spans all devices of all processes, and every process runs the same program on its share of each batch. Plain
`jax.jit` with sharded inputs compiles it, for one device as for many: `jax.pmap`, the older way, is in maintenance
mode, stacks a device axis onto every array and cannot shard what it did not map.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vtiqa_jax.errors import UserError

Tree = TypeVar("Tree")


def join(coordinator: str | None, processes: int | None, process_id: int | None) -> None:
    """Joins the other processes of a run: "auto" finds SLURM, Kubernetes, MPI or a cloud TPU by their environment,
    HOST:PORT names process 0's. Nothing happens when `coordinator` is None. To be called before any computation.

    Errors: UserError when they cannot be found or joined.
    """
    if coordinator is None:
        if processes is not None or process_id is not None:
            raise UserError("--processes and --process-id need --coordinator HOST:PORT")
        return
    address = None if coordinator == "auto" else coordinator
    try:
        jax.distributed.initialize(address, processes, process_id)
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--coordinator {coordinator}: the processes of this run cannot be joined: {reason}") from error


def first_process() -> bool:
    """Whether this process writes files and talks to the person."""
    return jax.process_index() == 0


def agreed(value: int) -> int:
    """The first process's value, on every process."""
    if jax.process_count() == 1:
        return value
    return int(multihost_utils.broadcast_one_to_all(np.int32(value)))


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The given devices, or all, along one axis, `data`.

    Explicit axes, JAX's default, would want shardings inside the model.
    """
    chosen = list(devices or jax.devices())
    return jax.make_mesh((len(chosen),), ("data",), axis_types=(AxisType.Auto,), devices=chosen)


def share(size: int, mesh: Mesh) -> slice:
    """Which rows of a batch of `size` (a multiple of the mesh) this process has to provide."""
    indices = batched(mesh).addressable_devices_indices_map((size,)).values()
    rows = [index[0].indices(size) for index in indices if index is not None]
    return slice(min(start for start, _, _ in rows), max(stop for _, stop, _ in rows))


def whole(mesh: Mesh) -> NamedSharding:
    """Of an array that every device holds completely."""
    return NamedSharding(mesh, PartitionSpec())


def batched(mesh: Mesh) -> NamedSharding:
    """Of an array whose leading axis is divided over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def divided(array: np.ndarray, mesh: Mesh) -> jax.Array:
    """An array over the mesh, its leading axis divided, from this process's `share` of it."""
    return jax.make_array_from_process_local_data(batched(mesh), array)


def replicated(arrays: Tree, mesh: Mesh) -> Tree:
    """Arrays on every device, whole. Copied: what is donated to a jitted step must not be anybody else's."""
    sharding = whole(mesh)

    def placed(array: Any) -> jax.Array:
        host = np.array(array)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(placed, arrays)


def round_up(count: int, mesh: Mesh) -> int:
    """The smallest batch of at least `count` that divides over the devices."""
    return -(-count // mesh.size) * mesh.size
