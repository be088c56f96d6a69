"""Averaging heads that learnt apart, by one head that has the units of all of them."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32

Head = Mapping[str, Float32[np.ndarray, "..."]]
"""The parameters of a `ReasonsHead`, by name."""


def average_heads(members: Sequence[Head], scales: int) -> dict[str, Float32[np.ndarray, "..."]]:
    """Returns a head that finds the mean of what others find: their units stand side by side and do not mix.

    Args:
        members: heads of one shape.
        scales: of their native views.

    Returns:
        The parameters of a head with as many units and queries as all of them have.
    """
    count, (width, queries) = len(members), members[0]["queries.kernel"].shape
    averaged = {name: np.mean([member[name] for member in members], axis=0) for name in members[0]}
    for layer in ("place", "screen"):
        averaged[f"{layer}.kernel"] = np.concatenate([member[f"{layer}.kernel"] for member in members], axis=1)
    for layer in ("place", "queries", "native", "screen"):
        averaged[f"{layer}.bias"] = np.concatenate([member[f"{layer}.bias"] for member in members])
    for layer in ("native_faults", "screen_faults"):
        averaged[f"{layer}.kernel"] = np.concatenate([member[f"{layer}.kernel"] for member in members]) / count
    units = count * width
    weighed = np.zeros((units, count * queries), np.float32)
    means = np.zeros((scales, count * queries, units, units), np.float32)
    is_seen = np.zeros((scales, 1, units), np.float32)
    for number, member in enumerate(members):
        own = slice(number * width, (number + 1) * width)
        asked = slice(number * queries, (number + 1) * queries)
        weighed[own, asked] = member["queries.kernel"]
        kernel = member["native.kernel"].reshape(scales, -1, width)
        means[:, asked, own, own] = kernel[:, :-1].reshape(scales, queries, width, width)
        is_seen[:, 0, own] = kernel[:, -1]
    mixed = np.concatenate([means.reshape(scales, -1, units), is_seen], axis=1)
    return averaged | {"queries.kernel": weighed, "native.kernel": mixed.reshape(-1, units)}
