"""CSIQ: 30 pictures, each distorted in 6 ways at 4 or 5 levels, 512 x 512, rated in a laboratory; a true DMOS."""

from pathlib import Path
from typing import Any

from vtiqa_jax.data.datasets import tables
from vtiqa_jax.data.datasets.info import Dataset, DatasetInfo, find_file, validate
from vtiqa_jax.data.datasets.synthetic import check_direction
from vtiqa_jax.errors import UserError

INFO = DatasetInfo(
    name="csiq",
    title="CSIQ",
    count=866,
    low=0.0,
    high=1.0,
    mean=0.35074,
    slope=-4.0,
    intercept=5.0,
    terms="for research; see its page",
    homepage="s2.smu.edu/~eclarson/csiq.html",
    citation="E. C. Larson, D. M. Chandler, Most apparent distortion: full-reference image quality assessment and the"
    " role of strategy, J. Electronic Imaging 19(1):011006, 2010",
    layout="dst_imgs/awgn/1600.AWGN.1.png ...; csiq.DMOS.xlsx",
    marks=("csiq.DMOS.xlsx",),
    width=512,
)
PLACES = {
    "noise": ("awgn", "AWGN"),
    "blur": ("blur", "BLUR"),
    "contrast": ("contrast", "contrast"),
    "fnoise": ("fnoise", "fnoise"),
    "jpeg": ("jpeg", "JPEG"),
    "jpeg 2000": ("jpeg2000", "jpeg2000"),
}
"""The folder of a distortion and what its files call it, by what the table calls it."""


def _scene(cell: Any) -> str:
    """Returns the reference's name; Excel holds `1600` as a number."""
    return str(int(cell)) if isinstance(cell, float) else str(cell).strip()


def read(folder: Path, *, partial: bool = False) -> Dataset:
    """Reads the release below `folder`; scenes are its references, groups its distortions.

    Its DMOS is one: 0 is as good as the reference, and lower is better.
    """
    table = find_file(folder, ("csiq.DMOS.xlsx",), "the table of scores")
    photos = find_file(folder, ("awgn",), "the photos with noise, in dst_imgs/").parent
    rows = tables.read_excel(table, "all_by_image", ("image", "dst_type", "dst_lev", "dmos"))
    scenes = [_scene(row["image"]) for row in rows]
    kinds = [str(row["dst_type"]).strip().lower() for row in rows]
    if unknown := set(kinds) - PLACES.keys():
        raise UserError(f"{table}: a distortion {min(unknown)!r}, not one of {', '.join(PLACES)}")
    levels = [int(tables.number(table, scene, row["dst_lev"])) for scene, row in zip(scenes, rows, strict=True)]
    names = [
        f"{PLACES[kind][0]}/{scene}.{PLACES[kind][1]}.{level}.png"
        for scene, kind, level in zip(scenes, kinds, levels, strict=True)
    ]
    mos = [tables.number(table, name, row["dmos"]) for name, row in zip(names, rows, strict=True)]
    check_direction(INFO, table, levels, mos)
    hint = "was its DMOS turned round?"
    return validate(INFO, table, photos, names, mos, partial=partial, hint=hint, scenes=scenes, groups=kinds)
