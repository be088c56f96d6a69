"""TID2013: 25 pictures, each distorted in 24 ways at 5 levels, 512 x 384, rated in laboratories and on the web."""

import re
from pathlib import Path

from vtiqa_jax.data.datasets import tables
from vtiqa_jax.data.datasets.info import Dataset, DatasetInfo, find_file, validate
from vtiqa_jax.data.datasets.synthetic import check_direction
from vtiqa_jax.errors import UserError

INFO = DatasetInfo(
    name="tid2013",
    title="TID2013",
    count=3000,
    low=0.24242,
    high=7.21429,
    mean=4.47466,
    slope=4 / 9,
    intercept=1.0,
    terms="for research; see its page",
    homepage="www.ponomarenko.info/tid2013.htm",
    citation="N. Ponomarenko et al., Image database TID2013: Peculiarities, results and perspectives, Signal"
    " Processing: Image Communication 30:57-77, 2015",
    layout="distorted_images/i01_01_1.bmp ...; mos_with_names.txt",
    marks=("mos_with_names.txt",),
    width=512,
)
COUNT_OF_TID2008 = 1700


def read(folder: Path, *, partial: bool = False) -> Dataset:
    """Reads the release; scenes are its references, `i01` to `i25`, groups its distortions, `01` to `24`."""
    table = find_file(folder, ("mos_with_names.txt",), "the table of scores")
    photos = find_file(folder, ("distorted_images",), "the photos")
    rows = tables.read_words(table, 2)
    if len(rows) == COUNT_OF_TID2008:
        raise UserError(f"{table} lists {len(rows)} pictures: this is TID2008, which is not read; take TID2013")
    names = [name for _, name in rows]
    parts = [re.fullmatch(r"(i\d\d)_(\d\d)_(\d)\.bmp", name, re.IGNORECASE) for name in names]
    if None in parts:
        raise UserError(f"{table}: {names[parts.index(None)]!r} is not a picture like i01_01_1.bmp")
    scenes, kinds, levels = zip(*(part.groups() for part in parts if part), strict=True)
    mos = [tables.number(table, name, score) for score, name in rows]
    check_direction(INFO, table, [int(level) for level in levels], mos)
    scenes = [scene.lower() for scene in scenes]  # some names begin with a capital I
    return validate(INFO, table, photos, names, mos, partial=partial, scenes=scenes, groups=kinds)
