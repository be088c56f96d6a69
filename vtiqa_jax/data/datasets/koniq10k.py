"""KonIQ-10k: 10,073 photographs from the web, 1024 x 768, rated by a crowd."""

from pathlib import Path

from vtiqa_jax.data.datasets import tables
from vtiqa_jax.data.datasets.info import Dataset, DatasetInfo, find_file, validate
from vtiqa_jax.errors import UserError

INFO = DatasetInfo(
    name="koniq10k",
    title="KonIQ-10k",
    count=10073,
    low=1.096,
    high=4.31,
    mean=3.162,
    slope=1.0,
    intercept=0.0,
    terms="for research; see its page",
    homepage="database.mmsp-kn.de/koniq-10k-database.html",
    citation="V. Hosu, H. Lin, T. Sziranyi, D. Saupe, KonIQ-10k: An ecologically valid database for deep learning of"
    " blind image quality assessment, IEEE TIP 29:4041-4056, 2020",
    layout="1024x768/*.jpg; koniq10k_scores_and_distributions.csv or koniq10k_distributions_sets.csv, or both",
    marks=("koniq10k_scores_and_distributions.csv", "koniq10k_distributions_sets.csv"),
    width=1024,
)
SCORES = "koniq10k_scores_and_distributions.csv"
SETS = "koniq10k_distributions_sets.csv"
PARTS = {"training": "train", "validation": "val", "test": "test"}


def read(folder: Path, *, partial: bool = False) -> Dataset:
    """Returns the release below `folder`.

    Two official tables exist. The `MOS` of the one with the official split is on another scale (3.9 to 88.4), but it
    also holds the shares of the five answers, whose mean is the MOS from 1 to 5 (to 1e-6).
    """
    table = find_file(folder, (SCORES, SETS), "the table of scores")
    photos = find_file(folder, ("1024x768", "512x384"), "the photos, from koniq10k_1024x768.zip")
    if photos.name.casefold() != "1024x768":
        raise UserError(f"{photos} holds shrunken copies; unpack koniq10k_1024x768.zip instead")
    has_scores = table.name.casefold() == SCORES
    sets = None if has_scores else table
    if deep := sorted(path for path in folder.rglob("*") if path.name.casefold() == SETS):
        sets = sets or find_file(deep[0].parent, (SETS,), "the table with the official split")
    parts: dict[str, str] = {}
    if sets is not None:
        rows = tables.read_csv(sets, ("image_name", "set"))
        unknown = {row["set"] for row in rows} - PARTS.keys()
        if unknown:
            raise UserError(f"{sets}: the set of a photo is {sorted(unknown)[0]!r}, not one of {', '.join(PARTS)}")
        parts = {row["image_name"]: PARTS[row["set"]] for row in rows}
    shares = tuple(f"c{answer}" for answer in range(1, 6))
    rows = tables.read_csv(table, ("image_name", "MOS") if has_scores else ("image_name", *shares))
    names = [row["image_name"] for row in rows]
    if has_scores:
        mos = [tables.number(table, row["image_name"], row["MOS"]) for row in rows]
    else:
        mos = [
            sum(answer * tables.number(table, row["image_name"], row[f"c{answer}"]) for answer in range(1, 6))
            for row in rows
        ]
    unlisted = [name for name in names if parts and name not in parts]
    if unlisted:
        raise UserError(f"{sets} does not list {unlisted[0]}, which {table} does")
    hint = "a copy whose MOS column is on the z-score scale? MOS_zscore runs from 3.9 to 88.4"
    official = [parts[name] for name in names] if parts else ()
    return validate(INFO, table, photos, names, mos, partial=partial, hint=hint, official=official)
