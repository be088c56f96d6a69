"""Data parallelism: the batch is divided over a mesh of devices, parameters are on each; one is a mesh of one."""

from collections.abc import Sequence
from typing import TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

Tree = TypeVar("Tree")


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The given devices, or all, along one axis, `data`.

    Explicit axes, JAX's default, would want shardings inside the model.
    """
    chosen = list(devices or jax.devices())
    return jax.make_mesh((len(chosen),), ("data",), axis_types=(AxisType.Auto,), devices=chosen)


def divided(arrays: Tree, mesh: Mesh) -> Tree:
    """Host arrays on the devices, the leading axis divided among them."""
    return jax.device_put(arrays, NamedSharding(mesh, PartitionSpec("data")))


def replicated(arrays: Tree, mesh: Mesh) -> Tree:
    """Arrays on every device, whole. Copied: what is donated to a jitted step must not be anybody else's."""
    return jax.device_put(jax.tree.map(np.array, arrays), NamedSharding(mesh, PartitionSpec()))


def round_up(count: int, mesh: Mesh) -> int:
    """The smallest batch of at least `count` that divides over the devices."""
    return -(-count // mesh.size) * mesh.size
