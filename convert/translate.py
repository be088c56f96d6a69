"""Applies a table to arrays, in either direction, and refuses whatever does not fit it exactly."""

import numpy as np

from convert.table import FileTable, Shape
from vtiqa_jax.errors import UserError

SHOWN = 12
"""Problems listed in one message; a file of another model has hundreds."""


def _refuse(name: str, problems: list[str]) -> None:
    if problems:
        more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        listed = "; ".join(problems[:SHOWN] + more)
        raise UserError(f"{name} does not fit the model, {len(problems)} problem(s): {listed}")


def to_jax(
    name: str, source: dict[str, np.ndarray], table: FileTable, shapes: dict[str, Shape]
) -> dict[str, np.ndarray]:
    """The parameters of ours that one file fills, by path, float32.

    `source` maps the file's keys to its arrays; `shapes` gives the shape of each of our parameters. Errors:
    UserError that lists, for the file called `name`, every unknown key, missing key, key that occurs both with and
    without the `module.` prefix, wrong shape, and array of anything but finite numbers.
    """
    problems: list[str] = []
    bare: dict[str, np.ndarray] = {}
    for key, array in source.items():
        short = key.removeprefix("module.")
        if short in bare:
            problems.append(f"{short} occurs twice, with and without `module.`")
        bare[short] = array
    rows = list(table.expanded())
    known = {key for key, _, _ in rows}
    problems += [f"unknown key {key}" for key in bare if key not in known and key not in table.extras]
    filled: dict[str, np.ndarray] = {}
    for key, target, transform in rows:
        wanted = transform.torch_shape(shapes[target])
        if key not in bare:
            problems.append(f"missing key {key}")
        elif bare[key].shape != wanted:
            problems.append(f"{key} has shape {bare[key].shape}, the model wants {wanted}")
        elif bare[key].dtype.kind != "f" or not np.isfinite(bare[key]).all():
            problems.append(f"{key} holds values that are not finite floating point numbers")
        elif target in filled:
            problems.append(f"{key} fills {target} a second time")
        else:
            filled[target] = np.ascontiguousarray(transform.to_jax(bare[key].astype(np.float32)))
    _refuse(name, problems)
    return filled


def to_torch(params: dict[str, np.ndarray], table: FileTable) -> dict[str, np.ndarray]:
    """One published file's arrays, under its own keys, from our parameters by path."""
    return {
        table.prefix + key: np.ascontiguousarray(transform.to_torch(params[target]))
        for key, target, transform in table.expanded()
    }
