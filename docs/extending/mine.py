"""A data set: a CSV with the header `image,mos` beside the photos that it names."""

from pathlib import Path

from vtiqa_jax.data.datasets import tables
from vtiqa_jax.data.datasets.info import Dataset, DatasetInfo, find_file, validate

INFO = DatasetInfo(
    name="mine",
    title="My photographs",
    count=5000,
    low=0.0,
    high=100.0,
    mean=None,
    slope=0.04,
    intercept=1.0,
    terms="mine",
    homepage="example.org/mine",
    citation="unpublished",
    layout="scores.csv; the photos that it names, relative to it",
)


def read(folder: Path, *, partial: bool = False) -> Dataset:
    """Reads the release below `folder`."""
    table = find_file(folder, ("scores.csv",), "the table of scores")
    rows = tables.read_csv(table, ("image", "mos"))
    names = [row["image"] for row in rows]
    mos = [tables.number(table, row["image"], row["mos"]) for row in rows]
    return validate(INFO, table, table.parent, names, mos, partial=partial)
