"""LIVE in the Wild (LIVEW, CLIVE, LIVEC): 1,162 photographs by mobile devices, rated by a crowd."""

from pathlib import Path

from vtiqa_jax.data.datasets import tables
from vtiqa_jax.data.datasets.info import Dataset, DatasetInfo, find_file, validate
from vtiqa_jax.errors import UserError

INFO = DatasetInfo(
    name="livew",
    title="LIVE in the Wild",
    count=1162,
    low=3.42,
    high=92.432,
    mean=55.401,
    slope=0.04,
    intercept=1.0,
    terms="copyright of The University of Texas at Austin; use without fee, with the notice and the citation in its"
    " README.txt",
    homepage="live.ece.utexas.edu/research/ChallengeDB",
    citation="D. Ghadiyaram, A. C. Bovik, Massive online crowdsourced study of subjective and objective picture"
    " quality, IEEE TIP 25(1):372-387, 2016",
    layout="Images/*.bmp, *.JPG; Images/trainingImages/t1.bmp ... t7.bmp;"
    " Data/AllImages_release.mat, Data/AllMOS_release.mat",
    marks=("Data/AllMOS_release.mat",),
)
PRACTICE = tuple(f"t{number}.bmp" for number in range(1, 8))
"""Shown to observers before the study proper; the tables list them first."""


def read(folder: Path, *, partial: bool = False) -> Dataset:
    """Returns the release below `folder`: 1,169 rows, of which the first 7 are set aside."""
    images = find_file(folder, ("Images",), "the photos")
    listed = find_file(folder, ("AllImages_release.mat",), "the list of photos, in Data/")
    scored = find_file(folder, ("AllMOS_release.mat",), "the table of scores, in Data/")
    names = [str(name) for name in tables.read_mat(listed, "AllImages_release")]
    mos = [
        tables.number(scored, f"row {row}", value)
        for row, value in enumerate(tables.read_mat(scored, "AllMOS_release"))
    ]
    if len(names) != len(mos):
        raise UserError(
            f"{listed} lists {len(names)} photos, {scored} {len(mos)} scores: they are not from one release"
        )
    practice = sum(name in PRACTICE for name in names[:7])
    placed = [f"trainingImages/{name}" if name in PRACTICE else name for name in names]
    return validate(INFO, listed, images, placed, mos, partial=partial, practice=practice)
