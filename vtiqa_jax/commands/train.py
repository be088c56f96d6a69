"""`vtiqa train`: trains a VT-IQA; without arguments, on distorted sample photos of scikit-image and scikit-learn."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from vtiqa_jax import atomic, sharding
from vtiqa_jax.commands.recipe import offer_recipe
from vtiqa_jax.data import datasets, demo, joint, manifest, split_files, splits
from vtiqa_jax.data.datasets.info import Dataset
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.data.splits import Split
from vtiqa_jax.errors import UserError
from vtiqa_jax.evaluation import report
from vtiqa_jax.models import catalog
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.train import train
from vtiqa_jax.training.finetune import FinetuneRecipe
from vtiqa_jax.training.logger import say
from vtiqa_jax.training.options import SplitOptions, TrainOptions
from vtiqa_jax.training.run_checkpointer import lock_workdir
from vtiqa_jax.training.start import shape_start

DEMO_RECIPE = FinetuneRecipe(freeze_backbone=True, epochs=20, batch_size=8, head_lr=1e-3, head_dropout=0.2)


def train_splits(
    photos: Manifest,
    make_split: Callable[[int], Split],
    scale: LabelScale,
    options: TrainOptions,
    provenance: dict[str, Any],
    *,
    partial: bool = False,
    tell_before: bool = True,
) -> None:
    """Trains on each split; of several, each in a folder of its own, also reports their median and quartiles.

    Args:
        photos: all photos.
        make_split: gives split number 0, 1, ...
        scale: what the labels mean.
        options: see `TrainOptions`.
        provenance: JSON kept with the model: what it was trained on.
        partial: leaves out photos that cannot be read; --split-file may list photos that are not there.
        tell_before: tells how the model of --checkpoint scores the test photos as it is.

    Raises:
        UserError: a person's mistake.
    """
    dividing, count = options.split, options.split.splits
    if count < 1 or (count > 1 and dividing.split_file):
        raise UserError("--splits must be at least 1, and --split-file names one split")
    if min(options.machine.save_every, options.machine.log_every) < 1:
        raise UserError("--save-every and --log-every must be at least 1")
    if min(dividing.split_seed, options.recipe.seed) < 0:
        raise UserError("--split-seed and --recipe.seed must be at least 0")
    sharding.require_devices()
    named = catalog.load(options.checkpoint)
    start, before = shape_start(named, options), named if tell_before else None
    with lock_workdir(options.workdir):
        if count == 1:
            if dividing.split_file:
                split = split_files.load(
                    dividing.split_file, photos.names, column=dividing.split_column, meta=dividing.split_names,
                    val_fraction=dividing.val_fraction, seed=dividing.split_seed, partial=partial, scenes=photos.scenes,
                )  # fmt: skip
            else:
                split = make_split(0)
            train(photos, split, scale, start, options, options.workdir, provenance, before=before, partial=partial)
            return
        results = []
        for index in range(count):
            say(f"---- split {index} ----")
            folder = options.workdir / f"split-{index}"
            split = make_split(index)
            results.append(
                train(photos, split, scale, start, options, folder, provenance, before=before, partial=partial)
            )
        if sharding.is_main_process() and results[0].get("plcc") is not None:
            report.write_splits_summary(options.workdir, results)


def _divide(
    photos: Manifest,
    options: SplitOptions,
    seed: int,
    official: Sequence[str] = (),
    note: str = "",
    *,
    in_order: bool = False,
) -> Split:
    """Divides photos into given parts where there are any, at random otherwise. Raises: UserError, see `splits`."""
    if official:
        return splits.from_parts(official, val_fraction=options.val_fraction, seed=seed, note=note)
    return splits.random_split(
        len(photos.names), test_fraction=options.test_fraction, val_fraction=options.val_fraction, seed=seed,
        in_order=in_order, scenes=photos.scenes,
    )  # fmt: skip


def run_demo(*, workdir: Path = Path("runs/demo"), recipe: FinetuneRecipe = DEMO_RECIPE) -> None:
    """Trains on photographs distorted by rule, at known levels: a head learns to order them. Takes under two minutes.

    Example: vtiqa train

    Args:
        workdir: Folder for the results. An earlier demonstration there is replaced.
        recipe: how to train.
    """
    sharding.require_devices()
    for left_over in ("checkpoint", "result.json"):
        atomic.remove(atomic.resolve(workdir / left_over))
    photos, split = demo.make(workdir / "photos")
    provenance = {"data": "demo", "labels": demo.LABELS}
    options = TrainOptions(workdir=workdir, recipe=recipe, eval_mosaics=1)
    train_splits(photos, lambda _: split, demo.SCALE, options, provenance, tell_before=False)


@offer_recipe(FinetuneRecipe)
def train_manifest(
    *,
    scores: Path,
    images: Path,
    options: TrainOptions = TrainOptions(),
    in_order: bool = False,
    group_column: str | None = None,
    scene_column: str | None = None,
    target_columns: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
    name: str | None = None,
    lower_is_better: bool = False,
    partial: bool = False,
) -> None:
    """Trains on your own photos, listed with their scores in a CSV with the header `image,mos`.

    Example: vtiqa train manifest --scores scores.csv --images photos

    --recipe published trains as the authors did, --recipe FILE.py:CLASS by a recipe of your own.

    Args:
        scores: CSV file; its photos are named relative to --images.
        images: Folder of the photos.
        options: see `TrainOptions`.
        in_order: Take the test photos from the end of the file, and the validation photos from before them.
        group_column: Column of the CSV; the results within each of its groups are reported too.
        scene_column: Column of the CSV; photos with the same entry, such as near-duplicates, stay in one part.
        target_columns: Columns of the CSV with further numbers that the recipe's loss uses.
        low: Lower end of the label range. The lowest score in the CSV when not given.
        high: Upper end of the label range. The highest score in the CSV when not given.
        name: Name of the label scale. The CSV's name when not given.
        lower_is_better: Treat lower scores as better, as for DMOS.
        partial: Leave out photos that do not exist or cannot be read.
    """
    machine, dividing = options.machine, options.split
    sharding.initialize_distributed(machine.coordinator, machine.processes, machine.process_id)
    photos = manifest.read_csv(
        scores, images, group_column, scene_column, target_columns, partial=partial, out=options.workdir
    )
    if photos.mos.min() == photos.mos.max():
        raise UserError(f"all scores in {scores} are {photos.mos[0]:g}: nothing can be learnt from them")
    lowest = float(photos.mos.min()) if low is None else low
    highest = float(photos.mos.max()) if high is None else high
    if not lowest < highest:
        raise UserError(f"the label range must rise, but goes from {lowest:g} to {highest:g}; correct --low and --high")
    if lowest > photos.mos.min() or highest < photos.mos.max():
        raise UserError(
            f"{scores} has scores from {photos.mos.min():g} to {photos.mos.max():g}, outside of --low {lowest:g} and"
            f" --high {highest:g}"
        )

    def make_split(index: int) -> Split:
        return _divide(photos, dividing, dividing.split_seed + index, in_order=in_order)

    scale = LabelScale(name or scores.stem, lowest, highest, higher_is_better=not lower_is_better)
    train_splits(photos, make_split, scale, options, {"data": scores.name}, partial=partial)


def _read_dataset(name: str, release: Path, source: Literal["files", "tfds"], partial: bool) -> Dataset:
    if source == "files":
        return datasets.read(name, release, partial=partial)
    from vtiqa_jax.data.datasets import tfds

    return tfds.read_prepared(name, release)


@offer_recipe(FinetuneRecipe)
def train_dataset(
    name: str,
    /,
    *,
    release: Path,
    options: TrainOptions = TrainOptions(),
    protocol: splits.Protocol = "clean",
    source: Annotated[Literal["files", "tfds"], Parameter(name="--from")] = "files",
    partial: bool = False,
) -> None:
    """Trains on a public data set, as its owners distribute it. Its labels are mapped to the common scale from 1 to 5.

    Example: vtiqa train dataset koniq10k --release koniq10k

    --recipe published trains as the authors did, --recipe FILE.py:CLASS by a recipe of your own.

    Args:
        name: Data set: koniq10k, spaq, livew, rbid, cid2013, biq2021, flive, uhdiqa, kadid10k, tid2013, csiq, agiqa3k,
            or FILE.py that reads a data set of your own.
        release: Folder of the unpacked release. With --from tfds, the folder of the prepared data set.
        options: see `TrainOptions`.
        protocol: Way to split. clean: train, validation and test, with scenes kept together. paper: the authors'
            splits, with the best epoch selected on the test photos as they did. official: the split that comes with the
            data set.
        source: Form of the release: its own files, or tfds, what tensorflow-datasets prepared from them.
        partial: Accept an incomplete release; photos that do not exist or cannot be read are left out.
    """
    machine, dividing = options.machine, options.split
    sharding.initialize_distributed(machine.coordinator, machine.processes, machine.process_id)
    found = _read_dataset(name, release, source, partial)
    if protocol == "paper" and source == "tfds" and name == "livew":
        raise UserError("the authors' split of LIVE in the Wild needs the order of its table; leave out --from tfds")
    # The authors' group keeps LIVE in the Wild's practice photos; nobody else does.
    dataset = found if protocol == "paper" else found.without_practice()
    photos = dataset.on_common_scale()

    def make_split(index: int) -> Split:
        seed = dividing.split_seed + index
        if protocol == "paper":
            number = None if dividing.splits == 1 else index
            split = splits.authors_split(name, found.all_names, number, complete=found.complete)
            return splits.restrict_to(split, found.all_names, photos.names)
        if protocol == "official":
            if not dataset.official:
                raise UserError(f"{found.info.title} has no official split, or its table is missing in {release}")
            return _divide(photos, dividing, seed, dataset.official, f"the official split of {found.info.title}")
        return _divide(photos, dividing, seed)

    provenance = {"data": found.info.title, "protocol": protocol}
    train_splits(photos, make_split, found.info.scale, options, provenance, partial=partial)


@offer_recipe(FinetuneRecipe)
def train_datasets(
    names: str,
    /,
    *,
    releases: Path,
    options: TrainOptions = TrainOptions(),
    protocol: Literal["clean", "official"] = "clean",
    lower_is_better: tuple[str, ...] = (),
    partial: bool = False,
) -> None:
    """Trains on several data sets together, each on its own scale, and tests on each.

    Example: vtiqa train datasets koniq10k,mine --releases releases

    --recipe published trains as the authors did, --recipe FILE.py:CLASS by a recipe of your own.

    Args:
        names: Data sets, separated by commas: koniq10k,spaq,mine. The release of a public set is in a folder of its
            name; any other name is a folder of photos with a scores.csv that has the header `image,mos`.
        releases: Folder that holds these folders.
        options: see `TrainOptions`.
        protocol: Way to split. clean: train, validation and test, with scenes kept together. official: the splits that
            come with the public sets; your own folders are divided as in clean.
        lower_is_better: Your own folders in whose scores.csv lower scores are better, as for DMOS.
        partial: Accept incomplete releases and folders; photos that do not exist or cannot be read are left out.
    """
    machine, dividing = options.machine, options.split
    sharding.initialize_distributed(machine.coordinator, machine.processes, machine.process_id)
    if dividing.splits != 1 or dividing.split_file:
        raise UserError("several data sets are trained on one split of each; leave out --splits and --split-file")
    wanted = sorted({name.strip() for name in names.split(",")})
    if len(wanted) < 2:
        raise UserError(f"name at least two data sets, with a comma between them, not {names!r}")
    for name in wanted:
        if "/" in name or not name:
            raise UserError(f"{name!r} is not a name; give the names of folders in --releases")
        if name not in datasets.READERS and not (releases / name / "scores.csv").is_file():
            raise UserError(
                f"{name!r} is neither one of {', '.join(datasets.READERS)} nor a folder with a scores.csv in {releases}"
            )
    for name in lower_is_better:
        if name not in wanted or name in datasets.READERS:
            raise UserError(f"--lower-is-better takes your own folders among the data sets, not {name!r}")
    sets: dict[str, tuple[Manifest, Split]] = {}
    for name in wanted:
        official: tuple[str, ...] = ()
        if name in datasets.READERS:
            found = datasets.read(name, releases / name, partial=partial).without_practice()
            photos, official = found.on_common_scale(), found.official
        else:
            own = releases / name
            photos = manifest.read_csv(own / "scores.csv", own, partial=partial, out=options.workdir / name)
            if name in lower_is_better:  # joint scores are higher for better photos
                photos = dataclasses.replace(photos, mos=-photos.mos)
        if protocol == "official" and name in datasets.READERS and not official:
            raise UserError(f"{name} has no official split, or its table is missing in {releases / name}")
        try:
            parts = official if protocol == "official" else ()
            sets[name] = photos, _divide(photos, dividing, dividing.split_seed, parts, "official split")
        except UserError as error:
            raise UserError(f"{name}: {error}") from error
    photos, split, scale = joint.join(sets)
    titles = [datasets.READERS[name].INFO.title if name in datasets.READERS else name for name in sets]
    train_splits(photos, lambda _: split, scale, options, {"data": titles, "protocol": protocol}, partial=partial)
