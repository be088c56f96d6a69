"""The public data sets, read as their owners distribute them."""

import difflib
from pathlib import Path
from typing import Any

from vtiqa_jax.data.datasets import (
    agiqa3k,
    biq2021,
    cid2013,
    csiq,
    flive,
    kadid10k,
    koniq10k,
    livew,
    rbid,
    spaq,
    tid2013,
    uhdiqa,
)
from vtiqa_jax.data.datasets.info import Dataset, DatasetInfo
from vtiqa_jax.errors import UserError
from vtiqa_jax.own_code import load_module

READERS: dict[str, Any] = {
    module.INFO.name: module
    for module in (
        *(koniq10k, spaq, livew, rbid, cid2013, biq2021, flive, uhdiqa),  # photographs
        *(kadid10k, tid2013, csiq),  # distorted pictures
        agiqa3k,  # generated ones
    )
}
"""A data set is a module with `INFO` and `read(folder, *, partial)`. A new one is added here and nowhere else."""


def _reader(name: str) -> Any:
    """Returns the module of a data set, by its name or as a file of a person's own.

    Raises:
        UserError: there is none.
    """
    if name in READERS:
        return READERS[name]
    if not name.endswith(".py"):
        near = difflib.get_close_matches(name, READERS, 1)
        hint = f"did you mean {near[0]}?" if near else f"they are {', '.join(READERS)}, or FILE.py with one of your own"
        raise UserError(f"{name!r} is not a data set; {hint}")
    module = load_module(name)
    if not isinstance(getattr(module, "INFO", None), DatasetInfo) or not callable(getattr(module, "read", None)):
        raise UserError(
            f"{name} is not a reader of a data set: it needs INFO, a DatasetInfo, and read(folder, *, partial)"
        )
    return module


def dataset_info(name: str) -> DatasetInfo:
    """Returns the facts of a data set.

    Raises:
        UserError: there is no data set of this name.
    """
    return _reader(name).INFO


def read(name: str, folder: Path, *, partial: bool = False) -> Dataset:
    """Reads a data set as it was downloaded, and checks it against its facts.

    Args:
        name: the data set, or a file of a person's own, FILE.py, with `INFO` and `read` as the modules here have them.
        folder: what was unpacked.
        partial: accepts a part of it: photos that are not there are left out.

    Raises:
        UserError: there is no such data set, or the folder does not hold it.
    """
    return _reader(name).read(folder, partial=partial)
