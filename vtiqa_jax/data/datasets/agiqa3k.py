"""AGIQA-3K: 2,982 pictures that six generators made from 300 prompts, rated in a laboratory."""

from pathlib import Path

from vtiqa_jax.data.datasets import tables
from vtiqa_jax.data.datasets.info import Dataset, DatasetInfo, find_file, validate

INFO = DatasetInfo(
    name="agiqa3k",
    title="AGIQA-3K",
    count=2982,
    low=0.0,
    high=4.48874,
    mean=2.50042,
    slope=0.8,
    intercept=1.0,
    terms="for research; see its page",
    homepage="github.com/lcysyzxdxc/AGIQA-3k-Database",
    citation="C. Li et al., AGIQA-3K: An open database for AI-generated image quality assessment, IEEE TCSVT"
    " 34(8):6833-6846, 2024",
    layout="AttnGAN_normal_000.jpg ...; data.csv",
    marks=("AttnGAN_normal_000.jpg",),
)


def read(folder: Path, *, partial: bool = False) -> Dataset:
    """Reads the release below `folder`; scenes are its prompts, groups its generators, `AttnGAN` to `xl2.2`.

    The MOS is that of quality: the other column says how well a picture fits its prompt.
    """
    table = find_file(folder, ("data.csv",), "the table of scores")
    photos = find_file(folder, ("AttnGAN_normal_*.jpg",), "the pictures").parent
    rows = tables.read_csv(table, ("name", "prompt", "mos_quality"))
    names = [row["name"] for row in rows]
    mos = [tables.number(table, row["name"], row["mos_quality"]) for row in rows]
    generators, prompts = [name.split("_")[0] for name in names], [row["prompt"] for row in rows]
    return validate(INFO, table, photos, names, mos, partial=partial, scenes=prompts, groups=generators)
