"""Applies a table to arrays, in either direction, and refuses whatever does not fit it exactly."""

import numpy as np

from vtiqa_jax.convert.files import Arrays
from vtiqa_jax.convert.table import FileTable, Shape
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.params import Params

SHOWN = 12
"""Problems listed in one message; a file of another model has hundreds."""


def refuse(name: str, problems: list[str]) -> None:
    """Refuses a file for all its problems at once, if it has any.

    Raises:
        UserError: it has.
    """
    if problems:
        more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        listed = "; ".join(problems[:SHOWN] + more)
        raise UserError(f"{name} does not fit the model, {len(problems)} problem(s): {listed}")


def describe_numbers(array: np.ndarray) -> str:
    """Returns what keeps an array from being float32 weights, in words; empty if nothing does."""
    if array.dtype.kind != "f":
        hint = " (as NumPy writes bfloat16)" if array.dtype == "V2" else ""
        return f"is stored as {array.dtype}{hint}, not as floating point numbers"
    if not np.isfinite(array).all():
        return "holds values that are not finite"
    if array.dtype.itemsize > 4 and np.abs(array).max(initial=0) > np.finfo(np.float32).max:
        return "holds numbers that are too large for float32"
    return ""


def to_jax(name: str, source: Arrays, table: FileTable, shapes: dict[str, Shape]) -> Params:
    """Returns the parameters of ours that one file fills, float32.

    Args:
        name: the file's name, for the message.
        source: its arrays by key.
        table: which key is which parameter.
        shapes: the shape of each of our parameters.

    Raises:
        UserError: lists every unknown key, missing key, key that occurs both with and without the `module.` prefix,
            wrong shape, and array of anything but finite numbers.
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
    params: Params = {}
    for key, target, transform in rows:
        expected = transform.torch_shape(shapes[target])
        if key not in bare:
            problems.append(f"missing key {key}")
        elif bare[key].shape != expected:
            problems.append(f"{key} has shape {bare[key].shape}, the model expects {expected}")
        elif wrong := describe_numbers(bare[key]):
            problems.append(f"{key} {wrong}")
        elif target in params:
            problems.append(f"{key} fills {target} a second time")
        else:
            params[target] = np.ascontiguousarray(transform.to_jax(bare[key].astype(np.float32)))
    refuse(name, problems)
    return params


def to_torch(params: Params, table: FileTable) -> Arrays:
    """Returns one published file's arrays, under its own keys, from our parameters."""
    return {
        table.prefix + key: np.ascontiguousarray(transform.to_torch(params[target]))
        for key, target, transform in table.expanded()
    }
