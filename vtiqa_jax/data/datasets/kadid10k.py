"""KADID-10k: 81 pictures, each distorted in 25 ways at 5 levels, 512 x 384, rated by a crowd."""

import re
from pathlib import Path

from vtiqa_jax.data.datasets import tables
from vtiqa_jax.data.datasets.info import Dataset, DatasetInfo, find_file, validate
from vtiqa_jax.data.datasets.synthetic import check_direction
from vtiqa_jax.errors import UserError

INFO = DatasetInfo(
    name="kadid10k",
    title="KADID-10k",
    count=10125,
    low=1.0,
    high=4.93,
    mean=3.0326,
    slope=1.0,
    intercept=0.0,
    terms="for research; see its page",
    homepage="database.mmsp-kn.de/kadid-10k-database.html",
    citation="H. Lin, V. Hosu, D. Saupe, KADID-10k: A large-scale artificially distorted IQA database, QoMEX 2019",
    layout="images/I01_01_01.png ...; dmos.csv",
    marks=("dmos.csv",),
    width=512,
)


def read(folder: Path, *, partial: bool = False) -> Dataset:
    """Reads the release; scenes are its references, `I01` to `I81`, groups its distortions, `01` to `25`.

    Of what its table calls DMOS higher values are better, from 1 (very annoying) to 5 (imperceptible).
    """
    table = find_file(folder, ("dmos.csv",), "the table of scores")
    photos = find_file(folder, ("images",), "the photos")
    rows = tables.read_csv(table, ("dist_img", "dmos"))
    names = [row["dist_img"] for row in rows]
    parts = [re.fullmatch(r"(I\d\d)_(\d\d)_(\d\d)\.png", name) for name in names]
    if None in parts:
        raise UserError(f"{table}: {names[parts.index(None)]!r} is not a picture like I01_01_01.png")
    scenes, kinds, levels = zip(*(part.groups() for part in parts if part), strict=True)
    mos = [tables.number(table, row["dist_img"], row["dmos"]) for row in rows]
    check_direction(INFO, table, [int(level) for level in levels], mos)
    return validate(INFO, table, photos, names, mos, partial=partial, scenes=scenes, groups=kinds)
