"""Data parallelism: the batch is sharded over a mesh of devices, the parameters are replicated.

One device is a mesh of one. The mesh spans all devices of all processes, and every process runs the same program on its
share of each batch. Plain `jax.jit` with sharded inputs compiles it, for one device as for many: `jax.pmap`, the older
way, is in maintenance mode, stacks a device axis onto every array and cannot shard what it did not map.
"""

import os
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from vtiqa_jax.errors import UserError

PyTree = TypeVar("PyTree")


def initialize_distributed(coordinator: str | None, processes: int | None, process_id: int | None) -> None:
    """Joins the other processes of a run. To be called before any computation.

    Args:
        coordinator: "auto" finds SLURM, Kubernetes, MPI or a cloud TPU by their environment; HOST:PORT is process 0's
            address; None for a run of one process.
        processes: how many there are, with HOST:PORT.
        process_id: which of them this is, from 0, with HOST:PORT.

    Raises:
        UserError: the processes cannot be found or joined.
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


def require_devices() -> None:
    """Starts JAX's devices.

    Raises:
        UserError: those that were asked for are not there.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # JAX asserts that one of the platforms could be started
        older = os.environ.get("JAX_PLATFORM_NAME")
        asked: str | None = jax.config.jax_platforms or older  # type: ignore[attr-defined]
        variable = "JAX_PLATFORMS" if asked != older else "JAX_PLATFORM_NAME"
        if not asked:
            raise
        reason = " ".join(str(error).partition(" (set JAX_PLATFORMS")[0].split()).rstrip(".")
        hint = '; NVIDIA GPUs need pip install "vtiqa-jax[cuda]"' if "cuda" in asked or "gpu" in asked else ""
        raise UserError(
            f"{variable}={asked}: {reason or 'this machine has no such device'};"
            f" unset it to use the devices that are here{hint}"
        ) from error


def is_main_process() -> bool:
    """Returns whether this process writes files and prints."""
    require_devices()
    return jax.process_index() == 0


def has_other_processes() -> bool:
    """Returns whether this process is one of several of a run."""
    return jax.process_count() > 1


def broadcast_from_main(value: int) -> int:
    """Returns the main process's value, on every process."""
    if not has_other_processes():
        return value
    return int(multihost_utils.broadcast_one_to_all(np.int32(value)))


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Arranges the given devices, or all, along one axis, `data`."""
    require_devices()
    selected = list(devices or jax.devices())
    # Explicit axes, JAX's default, would want shardings inside the model.
    return jax.make_mesh((len(selected),), ("data",), axis_types=(AxisType.Auto,), devices=selected)


def local_slice(size: int, mesh: Mesh) -> slice:
    """Returns the rows of a batch of `size` (a multiple of the mesh) that this process provides."""
    indices = batch_sharding(mesh).addressable_devices_indices_map((size,)).values()
    rows = [index[0].indices(size) for index in indices if index is not None]
    return slice(min(start for start, _, _ in rows), max(stop for _, stop, _ in rows))


def replicated_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array of which every device holds a full copy."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array whose leading axis is divided over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def shard_batch(array: np.ndarray, mesh: Mesh) -> jax.Array:
    """Divides the leading axis of an array over the mesh, from this process's `local_slice` of it."""
    return jax.make_array_from_process_local_data(batch_sharding(mesh), array)


def replicate(arrays: PyTree, mesh: Mesh) -> PyTree:
    """Copies the arrays to every device. A copy, so that a step may donate it without taking another's memory."""
    sharding = replicated_sharding(mesh)

    def place(array: Any) -> jax.Array:
        host = np.array(array)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(place, arrays)


def round_up(count: int, mesh: Mesh) -> int:
    """Returns the smallest batch of at least `count` that divides over the devices."""
    return -(-count // mesh.size) * mesh.size
