"""FLIVE (PaQ-2-PiQ, LIVE-FB): 39,810 photographs of many sizes, rated by a crowd; with an official test part."""

from pathlib import Path

from vtiqa_jax.data.datasets import tables
from vtiqa_jax.data.datasets.info import Dataset, DatasetInfo, find_file, validate
from vtiqa_jax.errors import UserError

INFO = DatasetInfo(
    name="flive",
    title="FLIVE",
    count=39810,
    low=0.0,
    high=94.33324,
    mean=72.1325,
    slope=0.04,
    intercept=1.0,
    terms="for research; the photos are those of AVA, VOC, EMOTIC and a data set of blur; see its page",
    homepage="github.com/niu-haoran/FLIVE_Database",
    citation="Z. Ying, H. Niu, P. Gupta, D. Mahajan, D. Ghadiyaram, A. Bovik, From patches to pictures (PaQ-2-PiQ):"
    " Mapping the perceptual space of picture quality, CVPR 2020",
    layout="database/voc_emotic_ava/*.jpg, database/blur_dataset/*.jpg, database/EE371R/*.jpg; labels_image.csv;"
    " labels640.csv and labels=640_padded.csv, which have the official split",
    marks=("labels_image.csv",),
)
TEST, OTHERS = "labels640.csv", "labels=640_padded.csv"


def _source(name: str) -> str:
    """Returns the data set that a photo came from: voc_emotic_ava/AVA__149.jpg is AVA's."""
    folder, _, file = name.partition("/")
    return file.partition("__")[0] if "__" in file else folder


def _read_split(folder: Path, names: list[str]) -> list[str]:
    """Reads the official part of each photo; none if the table of the large photos, the test photos, is missing."""
    present = {path.name.casefold() for path in folder.rglob("*")}
    if TEST not in present:
        return []
    table = find_file(folder, (TEST,), "the official test photos")
    tested = {row["name_image"] for row in tables.read_csv(table, ("name_image",))}
    if unlisted := tested - set(names):
        raise UserError(f"{table} lists {min(unlisted)}, which {INFO.marks[0]} does not")
    validating: set[str] = set()
    if OTHERS in present:
        rows = tables.read_csv(find_file(folder, (OTHERS,), "the other photos"), ("name_image", "is_valid"))
        validating = {row["name_image"] for row in rows if row["is_valid"].strip().casefold() == "true"}
    return ["test" if name in tested else "val" if name in validating else "train" for name in names]


def read(folder: Path, *, partial: bool = False) -> Dataset:
    """Reads the release below `folder`, whole photos without their patches; groups are the sources of its photos.

    Without `labels640.csv`, which lies beside the authors' program, there is no official split.
    """
    table = find_file(folder, ("labels_image.csv",), "the table of scores")
    photos = find_file(folder, ("voc_emotic_ava",), "the photos, in database/").parent
    rows = tables.read_csv(table, ("name", "mos"))
    names = [row["name"] for row in rows]
    mos = [tables.number(table, row["name"], row["mos"]) for row in rows]
    official = _read_split(folder, names)
    sources = [_source(name) for name in names]
    return validate(INFO, table, photos, names, mos, partial=partial, official=official, groups=sources)
