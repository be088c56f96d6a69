"""BIQ2021: 12,000 photographs, 512 x 512, rated in a laboratory; with an official split."""

from pathlib import Path

from vtiqa_jax.data.datasets import tables
from vtiqa_jax.data.datasets.info import Dataset, DatasetInfo, find_file, validate

INFO = DatasetInfo(
    name="biq2021",
    title="BIQ2021",
    count=12000,
    low=0.0,
    high=1.0,
    mean=None,
    slope=4.0,
    intercept=1.0,
    terms="freely available for use and benchmarking",
    homepage="github.com/nisarahmedrana/BIQ2021",
    citation="N. Ahmed et al., BIQ2021: a large-scale blind image quality assessment database, J. Electronic"
    " Imaging 31(5):053010, 2022",
    layout="Images/ss01 (10).jpg ...; Train (Images and MOS).csv; Test (Images and MOS).csv",
    marks=("Test (Images and MOS).csv",),
)
TABLES = {"train": "Train (Images and MOS).csv", "test": "Test (Images and MOS).csv"}


def read(folder: Path, *, partial: bool = False) -> Dataset:
    """Returns the release below `folder`; groups are its three sources, `ss01` to `ss03`."""
    photos = find_file(folder, ("Images",), "the photos")
    names: list[str] = []
    mos: list[float] = []
    official: list[str] = []
    table = folder
    for part, name in TABLES.items():
        table = find_file(folder, (name,), f"the table of the {part} split")
        for row in tables.read_csv(table, ("Image Name", "MOS")):
            names.append(row["Image Name"])
            mos.append(tables.number(table, names[-1], row["MOS"]))
            official.append(part)
    hint = "Train.csv and Test.csv are on another scale"
    sources = [name.split(" ")[0] for name in names]
    return validate(INFO, table, photos, names, mos, partial=partial, hint=hint, official=official, groups=sources)
