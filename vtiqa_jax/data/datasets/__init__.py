"""The public data sets, read as their owners distribute them."""

import difflib
from pathlib import Path

from vtiqa_jax.data.datasets import biq2021, cid2013, koniq10k, livew, rbid, spaq
from vtiqa_jax.data.datasets.info import Dataset, DatasetInfo
from vtiqa_jax.errors import UserError

READERS = {module.INFO.name: module for module in (koniq10k, spaq, livew, rbid, cid2013, biq2021)}
"""A data set is a module with `INFO` and `read(folder, *, partial)`. A new one is added here and nowhere else."""


def dataset_info(name: str) -> DatasetInfo:
    """The facts of a data set.

    Raises:
        UserError: there is no data set of this name.
    """
    if name not in READERS:
        near = difflib.get_close_matches(name, READERS, 1)
        hint = f"did you mean {near[0]}?" if near else f"they are {', '.join(READERS)}"
        raise UserError(f"{name!r} is not a data set; {hint}")
    return READERS[name].INFO


def read(name: str, folder: Path, *, partial: bool = False) -> Dataset:
    """Reads a data set as it was downloaded, and checks it against its facts.

    Args:
        name: the data set.
        folder: what was unpacked.
        partial: accepts a part of it: photos that are not there are left out.

    Raises:
        UserError: there is no such data set, or the folder does not hold it.
    """
    dataset_info(name)
    return READERS[name].read(folder, partial=partial)
