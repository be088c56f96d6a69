"""SPAQ: 11,125 photographs by 66 smartphones, at full size, rated in a laboratory."""

from pathlib import Path

from vtiqa_jax.data.datasets import tables
from vtiqa_jax.data.datasets.info import Dataset, DatasetInfo, find_file, validate
from vtiqa_jax.errors import UserError

INFO = DatasetInfo(
    name="spaq",
    title="SPAQ",
    count=11125,
    low=2.0,
    high=96.0,
    mean=50.318,
    slope=0.04,
    intercept=1.0,
    terms="for research; see its page",
    homepage="github.com/h4nwei/SPAQ",
    citation="Y. Fang, H. Zhu, Y. Zeng, K. Ma, Z. Wang, Perceptual quality assessment of smartphone photography,"
    " CVPR 2020",
    layout="TestImage/00001.jpg ...; Annotations/MOS and Image attribute scores.xlsx",
    marks=("Annotations/MOS and Image attribute scores.xlsx",),
)


def read(folder: Path, *, partial: bool = False) -> Dataset:
    """Returns the release below `folder`."""
    table = find_file(folder, ("MOS and Image attribute scores.xlsx",), "the table of scores, in Annotations/")
    photos = find_file(folder, ("TestImage",), "all photos, in spite of its name")
    rows = tables.read_excel(table, None, ("Image name", "MOS"))
    # Read as text: a number would lose the leading zeros.
    names = [str(row["Image name"]).strip() for row in rows]
    suffixes = {path.suffix.lower() for path in photos.iterdir()}
    if ".png" in suffixes and ".jpg" not in suffixes:
        raise UserError(f"{photos} holds .png files: shrunken copies; the release's photos are .jpg, some 35 GB")
    mos = [tables.number(table, name, row["MOS"]) for name, row in zip(names, rows, strict=True)]
    return validate(INFO, table, photos, names, mos, partial=partial)
