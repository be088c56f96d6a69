"""The adapters' common part: the columns that they add, and a model that each process loads once."""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vtiqa_jax.errors import UserError
from vtiqa_jax.results.columns import COLUMNS

COLUMNS_BY_NAME = {f"vtiqa_{column.name}": column for column in COLUMNS if column.where == "all"}
"""Columns of every photo. The names leave a table's own `score` or `error` alone."""

Load = Callable[[str | Path], Any]
"""Makes a scorer of a model, as `vtiqa_jax.load` does. The scorer has a method `stream`."""

_IMPORTED_IN = os.getpid()


def load_scorer(load: Load, model: str | Path) -> Any:
    """Loads a model, in each process once.

    Raises:
        UserError: there is no such model, or JAX would wait for ever in this process.
    """
    _check_process(os.getpid())
    return _load(load, model, os.getpid())


@functools.cache
def _load(load: Load, model: str | Path, process: int) -> Any:
    return load(model)


@functools.cache
def _check_process(process: int) -> None:
    """Checks that this process is no copy of one that computed: JAX's threads are not copied.

    Raises:
        UserError: it is.
    """
    if process == _IMPORTED_IN or "jax" not in sys.modules:
        return
    from jax._src import xla_bridge  # what says this has no public name

    if xla_bridge.backends_are_initialized():
        raise UserError(
            "this process is a fork of one in which JAX has computed, and would wait for ever; start processes anew: "
            'multiprocess.set_start_method("spawn")'
        )
