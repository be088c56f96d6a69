"""The public data sets, read as their owners distribute them."""

from pathlib import Path
from types import ModuleType
from typing import Literal, get_args

from vtiqa_jax.releases import biq2021, cid2013, koniq10k, livew, rbid, spaq
from vtiqa_jax.releases.release import Card, Release

Name = Literal["koniq10k", "spaq", "livew", "rbid", "cid2013", "biq2021"]
NAMES: tuple[Name, ...] = get_args(Name)
_READERS: dict[str, ModuleType] = {
    module.CARD.name: module for module in (koniq10k, spaq, livew, rbid, cid2013, biq2021)
}


def card(name: Name) -> Card:
    """The facts of a data set."""
    return _READERS[name].CARD


def read(name: Name, folder: Path, *, partial: bool = False) -> Release:
    """The data set as downloaded into `folder`, checked against its card.

    `partial` accepts a part of it: photos that are not there are left out. Errors: UserError.
    """
    return _READERS[name].read(folder, partial=partial)
