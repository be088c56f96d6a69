"""`vtiqa heads`: what stands on a model's frozen backbone, made again."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from vtiqa_jax import sharding
from vtiqa_jax.commands.photos import find_photos
from vtiqa_jax.data import datasets
from vtiqa_jax.data.csv_table import read_table
from vtiqa_jax.data.judged import join_judged, read_judged
from vtiqa_jax.data.manifest import Manifest, read_csv
from vtiqa_jax.data.subjects import join_subjects, read_subjects
from vtiqa_jax.errors import UserError
from vtiqa_jax.heads.build import build_heads
from vtiqa_jax.heads.detail_percentiles import choose_compared, with_detail_percentiles
from vtiqa_jax.heads.held_out import SPREAD, check_held_out, with_intervals
from vtiqa_jax.heads.ladder_batches import FitOptions
from vtiqa_jax.models import catalog, quantized
from vtiqa_jax.models import checkpoint as checkpoints
from vtiqa_jax.photos import stderr

COMPARED = "name photos of 4 megapixels and more as cameras made them with --compare-with"
OTHERS = "name screenshots, plots, pages or drawings with --not-photographs"


def _read_scored(scored: Path, dataset: str | None, *, partial: bool) -> Manifest:
    if dataset is None:
        return read_csv(scored, scored.parent, partial=partial)
    release = datasets.read(dataset, scored, partial=partial).without_practice()
    photos = release.on_common_scale()
    if not release.official:
        return photos
    # What is tested on shall not have made the model.
    return photos.select(np.flatnonzero(np.array(release.official) == "train"))


def read_held_out(held_out: Path, *, partial: bool = False) -> Manifest:
    """Reads opinions, and how far single ones are apart where a column says so; `partial` as of `read_csv`."""
    titles = read_table(held_out, ("image", "mos")).header
    spread = (SPREAD,) if SPREAD in map(str.casefold, titles) else ()
    return read_csv(held_out, held_out.parent, target_columns=spread, partial=partial)


def _pair(option: str, tables: tuple[Path, ...], folders: tuple[Path, ...]) -> Iterator[tuple[Path, Path | None]]:
    """Pairs tables with the folders of their photos; without any folders each has None.

    Raises:
        UserError: they are not as many.
    """
    if folders and len(folders) != len(tables):
        raise UserError(f"--{option} names {len(folders)} folders for {len(tables)} tables; name one for each table")
    return zip_longest(tables, folders)


def heads(
    out: Path,
    /,
    *,
    photos: tuple[Path, ...],
    scored: Path,
    cache: Path,
    checkpoint: Annotated[str, Parameter(metavar="DIR")] = "default",
    dataset: str | None = None,
    not_photographs: tuple[Path, ...] = (),
    judged: tuple[Path, ...] = (),
    judged_images: tuple[Path, ...] = (),
    subjects: tuple[Path, ...] = (),
    subject_images: tuple[Path, ...] = (),
    held_out: Path | None = None,
    compare_with: tuple[Path, ...] = (),
    most_scored: int = 2000,
    seed: int = 0,
    partial: bool = False,
    force: bool = False,
) -> None:
    """Makes all heads of a model: detail at 100 %, faults, intervals, what is no photograph, and the ends of the scale.

    Example: vtiqa heads model.npz --photos holiday --scored scores.csv --cache cache

    On two cores it takes some minutes for ten photos. After an interruption the same command continues.

    Args:
        out: New model: a folder, or a file that ends in .npz, quantized like the packaged model.
        photos: Photos as cameras made them, and folders of such photos. Clean and sharp ones teach best.
        scored: CSV with the columns image and mos, on the model's scale. With --dataset, the folder of a release.
        cache: Folder for what takes long to compute.
        checkpoint: Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model.
        dataset: Data set whose training photos are the scored ones: koniq10k, spaq, livew, rbid, cid2013 or biq2021.
        not_photographs: Pictures that get a warning, and folders of them: screenshots, plots, pages and drawings. The
            model keeps its own warning when not given.
        judged: CSVs with the column image and, for each fault, a strength from 0 to 3 that people saw; they may name
            --photos too. When not given, the model learns faults only from those it plants, and takes --photos for
            faultless.
        judged_images: Folder of the photos of each CSV of --judged. The CSV's own folder when not given.
        subjects: CSVs with the columns image and subject: "all", or the cells of 7 x 7 that show what the photo is
            about, as in "-/-/CDE/CDE/-/-/-". Blur then counts most there. The model keeps what it knows of subjects
            when not given.
        subject_images: Folder of the photos of each CSV of --subjects. The CSV's own folder when not given.
        held_out: CSV with the columns image and mos, of photos that trained neither this model nor its start. The
            intervals are fitted to them. A column std, the standard deviation of single opinions, adds how far these
            are apart. The model keeps its intervals when not given.
        compare_with: At least 300 photos of 4 megapixels and more as cameras made them, and folders of such photos.
            None may be among --photos. A large photo's detail is then also told as a share of them.
        most_scored: Number of scored photos to look at, drawn at random.
        seed: Seed of all draws: of the scored photos, the head's first parameters and the order of learning.
        partial: Leave out photos of --scored and --held-out that do not exist.
        force: Replace OUT if it exists.
    """
    if out.suffix == ".npz":
        if out.exists() and not force:
            raise UserError(f"{out} exists already; choose another name, or overwrite it with --force")
    else:
        checkpoints.check_overwrite(out, force=force)
    large = sorted(find_photos(photos, what_to_do="name photos as cameras made them with --photos"))
    others = sorted(find_photos(not_photographs, what_to_do=OTHERS)) if not_photographs else []
    compared, small = [], []
    if compare_with:
        compared, small = choose_compared(sorted(find_photos(compare_with, what_to_do=COMPARED)), large)
    sharding.require_devices()
    options = FitOptions(seed=seed)
    model = catalog.load(checkpoint)
    if out.suffix == ".npz" and model.config.embed_dim % quantized.GROUP_SIZE:
        raise UserError(f"a model of width {model.config.embed_dim} cannot be quantized; name a folder as OUT")
    tables = [read_judged(*pair) for pair in _pair("judged-images", judged, judged_images)]
    marked = [read_subjects(*pair) for pair in _pair("subject-images", subjects, subject_images)]
    listed = _read_scored(scored, dataset, partial=partial)
    unseen = read_held_out(held_out, partial=partial) if held_out else None
    if unseen and model.scale:
        check_held_out(unseen, model.scale)  # what is wrong with them is told before the heads take their time
    rows = np.random.default_rng(seed).permutation(len(listed.names))[: max(0, most_scored)]
    with stderr.quiet_decoders():
        made, left_out = build_heads(
            model,
            large,
            listed.select(np.sort(rows)),
            cache,
            options,
            others if not_photographs else None,
            join_judged(tables) if tables else None,
            join_subjects(marked) if marked else None,
        )
        if unseen:
            made = with_intervals(made, unseen)
        if compare_with:
            made, more = with_detail_percentiles(made, compared)
            left_out += small + more
    if left_out:
        print("\n".join(["left out:", *left_out]))
    if out.suffix == ".npz":
        quantized.save(out, made)
    else:
        checkpoints.save(out, made, force=force)
    size = sum(array.size for name, array in made.params.items() if name.startswith("detail."))
    print(f"{out}: detail of {size:,} parameters on {made.scale}")
    if not made.config.novelty:
        print("it warns of no picture; --not-photographs DIR shows it what is none")
