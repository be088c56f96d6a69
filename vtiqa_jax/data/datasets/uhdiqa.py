"""UHD-IQA: 6,073 photographs from the web, 3840 pixels wide, rated by ten experts; with an official split."""

from pathlib import Path

from vtiqa_jax.data.datasets import tables
from vtiqa_jax.data.datasets.info import Dataset, DatasetInfo, find_file, validate
from vtiqa_jax.errors import UserError

INFO = DatasetInfo(
    name="uhdiqa",
    title="UHD-IQA",
    count=6073,
    low=0.2865,
    high=0.889,
    mean=0.72464,
    slope=4.0,
    intercept=1.0,
    terms="the photos are Pixabay's; see its page",
    homepage="database.mmsp-kn.de/uhd-iqa-benchmark-database.html",
    citation="V. Hosu, L. Agnolucci, O. Wiedemann, D. Iso, D. Saupe, UHD-IQA benchmark database: Pushing the boundaries"
    " of blind photo quality assessment, ECCV workshops 2024",
    layout="training/1.jpg ..., validation/8.jpg ..., test/4.jpg ...; uhd-iqa-metadata.csv",
    marks=("uhd-iqa-metadata.csv",),
    width=3840,
)
PARTS = {"training": "train", "validation": "val", "test": "test"}


def read(folder: Path, *, partial: bool = False) -> Dataset:
    """Reads the release below `folder`."""
    table = find_file(folder, ("uhd-iqa-metadata.csv",), "the table of scores")
    photos = find_file(folder, ("test",), "the test photos").parent
    rows = tables.read_csv(table, ("image_name", "quality_mos", "set"))
    if unknown := {row["set"] for row in rows} - PARTS.keys():
        raise UserError(f"{table}: the set of a photo is {min(unknown)!r}, not one of {', '.join(PARTS)}")
    names = [f"{row['set']}/{row['image_name']}" for row in rows]
    mos = [tables.number(table, name, row["quality_mos"]) for name, row in zip(names, rows, strict=True)]
    official = [PARTS[row["set"]] for row in rows]
    return validate(INFO, table, photos, names, mos, partial=partial, official=official)
