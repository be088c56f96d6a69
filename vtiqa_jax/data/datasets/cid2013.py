"""CID2013: 474 photographs of 8 scenes by 79 cameras, rated in a laboratory."""

import re
from pathlib import Path

from vtiqa_jax.data.datasets import tables
from vtiqa_jax.data.datasets.info import Dataset, DatasetInfo, find_file, validate
from vtiqa_jax.errors import UserError

INFO = DatasetInfo(
    name="cid2013",
    title="CID2013",
    count=474,
    low=-9.5491,
    high=87.8821,
    mean=46.072,
    slope=0.04,
    intercept=1.4,
    terms="freely available for research; see its page",
    homepage="zenodo.org/records/2647033",
    citation="T. Virtanen, M. Nuutinen, M. Vaahteranoksa, P. Oittinen, J. Hakkinen, CID2013: A database for evaluating"
    " no-reference image quality assessment algorithms, IEEE TIP 24(1):390-402, 2015",
    layout="IS1/co1/IS_I_C01_D01.jpg ...; CID2013 data - version 12112014.xlsx",
    marks=("CID2013 data - version 12112014.xlsx",),
)
SETS = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6}


def _place(table: Path, source: str) -> str:
    """Returns where the photo `IS_II_C03_D04` is: IS2/co3/IS_II_C03_D04.jpg."""
    match = re.fullmatch(r"IS_([IV]+)_C0?(\d+)_D\d+", source)
    if match is None or match[1] not in SETS:
        raise UserError(f"{table}: {source!r} is not a Source_ID like IS_II_C03_D04")
    return f"IS{SETS[match[1]]}/co{int(match[2])}/{source}.jpg"


def read(folder: Path, *, partial: bool = False) -> Dataset:
    """Returns the release below `folder`; scenes are `co1` to `co8`.

    The MOS is the realigned one: the other column cannot be compared from one image set to the next.
    """
    table = find_file(folder, ("CID2013 data - version 12112014.xlsx",), "the table of scores")
    rows = tables.read_excel(table, "CID2013 MOS", ("Source_ID", "Realigned MOS"))
    sources = [Path(str(row["Source_ID"]).strip().replace("\\", "/")).name.removesuffix(".jpg") for row in rows]
    names = [_place(table, source) for source in sources]
    photos = find_file(folder, ("IS1", "IS2", "IS3", "IS4", "IS5", "IS6"), "the photos of the first image set").parent
    mos = [tables.number(table, name, row["Realigned MOS"]) for name, row in zip(names, rows, strict=True)]
    scenes = [name.split("/")[1] for name in names]
    hint = "was the column of the MOS specific to each image set read?"
    return validate(INFO, table, photos, names, mos, partial=partial, hint=hint, scenes=scenes)
