"""Train a VT-IQA. Without arguments: a demonstration on distorted photographs that come inside ordinary wheels."""

import csv
import dataclasses
import hashlib
import io
import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro

from vtiqa_jax import atomic, checkpoint, demo, devices, feed, models, params, prepared, releases, report, resize
from vtiqa_jax import manifest as manifests
from vtiqa_jax import splits as splitting
from vtiqa_jax.command import run
from vtiqa_jax.config import LabelScale
from vtiqa_jax.errors import UserError
from vtiqa_jax.journal import Journal
from vtiqa_jax.modern import Modern
from vtiqa_jax.released import Released
from vtiqa_jax.run import differing, fit, refuse_other
from vtiqa_jax.scoring import Scorer
from vtiqa_jax.splits import Split
from vtiqa_jax.states import States, only_run_in
from vtiqa_jax.training import Training


@dataclasses.dataclass(frozen=True)
class Options:
    """What every training has."""

    workdir: Path = Path("runs/train")
    """Where the results go. The same command again goes on with a run that was stopped."""
    init: str = "default"
    """The checkpoint to start from, or "default" for the model that comes with the package."""
    readout: tuple[int, ...] = ()
    """The blocks, counted from 1, whose class tokens the head sees; those after the last are dropped. The checkpoint's
    own, or its last block, when not given."""
    mosaics: int = 3
    """Mosaics that the trained model scores a photo by, their class tokens averaged; the release has 1."""
    view_size: int | None = None
    """Side of both views, pixels, a multiple of the patch; positions are interpolated. As --init's when not given."""
    test_fraction: float = 0.2
    """Share of the photos that is looked at once, at the end."""
    val_fraction: float = 0.1
    """Share of the other photos that chooses the best epoch; 0 keeps the last one."""
    split_seed: int = 0
    """Shuffles the photos before they are divided."""
    splits: int = 1
    """Train on so many splits, one after the other, and report the median and the interquartile range."""
    split_file: Path | None = None
    """Take the split from a file: split.json of an earlier run, pyiqa's .csv or .pkl, or a folder of LIQE's lists."""
    split_column: str = "official_split"
    """In pyiqa's .csv the column with the part; of its .pkl the number of the split."""
    split_names: Path | None = None
    """pyiqa's .csv that the row numbers in its .pkl refer to."""
    prepared: Path | None = None
    """Where decoded photos are kept; share it among runs on the same photos."""
    photos_on_device: bool | None = None
    """Keep all prepared photos in the devices' memory; when not given, if they take at most half of what is free."""
    save_every: int = 500
    """Steps after which the state of the run is saved, besides after each epoch."""
    coordinator: str | None = None
    """Train with other processes: "auto" finds SLURM, Kubernetes or MPI, HOST:PORT is process 0's address."""
    processes: int | None = None
    """How many there are, with HOST:PORT."""
    process_id: int | None = None
    """Which of them this is, from 0, with HOST:PORT."""
    recipe: Modern | Released = Modern()
    """How to train."""


def say(text: str) -> None:
    """Prints in one process of a run."""
    if devices.first_process():
        print(text, flush=True)


def train(
    photos: manifests.Manifest,
    split: Split,
    scale: LabelScale,
    start: checkpoint.Checkpoint,
    options: Options,
    workdir: Path,
    told: dict[str, Any],
) -> dict[str, Any]:
    """Fine-tunes `start`, a backbone, with a new head on one split; writes `workdir` and returns the figures."""
    recipe, started = options.recipe, time.perf_counter()
    settings = dataclasses.asdict(recipe)
    listed = splitting.names_of(split, photos.names)
    identity = {
        "recipe": type(recipe).__name__.lower(),
        **{f"recipe.{name}": value for name, value in settings.items()},
        **{f"model.{name}": value for name, value in dataclasses.asdict(start.config).items()},
        "init": params.digest(start.params),
        "split": listed["sha256"],
        "chosen on": "test" if split.chosen_on_test else "validation",
        "labels": hashlib.sha256(photos.mos.tobytes()).hexdigest(),
        "photos": prepared.fingerprint(photos),
    }
    identity = json.loads(json.dumps(identity))
    finished = workdir / "result.json"
    if finished.exists():
        try:
            result = json.loads(finished.read_text())
            before = result["identity"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{finished} is damaged, or not of a training; remove it and start again") from error
        if before != identity:
            raise UserError(
                f"{workdir} holds the results of another run ({differing(identity, before)}); name another"
                " with --workdir"
            )
        say(f"{workdir} is finished: its results are shown again\n{report.table(result)}")
        return result

    # ---- what cannot be is refused before anything is written ----
    choosing, chosen_on = split.choosing, "test" if split.chosen_on_test else "validation"
    if len(choosing) and np.ptp(photos.mos[choosing]) == 0:
        raise UserError(f"all {len(choosing)} {chosen_on} photos have the same score: they cannot choose an epoch")
    states = States(workdir / "states")
    refuse_other(states, identity)

    # ---- data: every photo decoded and resized once ----
    config = start.config
    arrays = prepared.prepare(photos.paths, options.prepared or options.workdir / "prepared", config)

    # ---- model: the given backbone, a new head ----
    weights = recipe.head(params.drawn(config, recipe.seed)) | start.params
    source = feed.Source(arrays, devices.data_mesh(), on_device=options.photos_on_device)
    training = Training(config, recipe, weights, source, photos.mos, split.train)
    say(
        f"{len(split.train)} photos to train, {len(split.val)} to validate, {len(split.test)} to test ({split.note});"
        f" {config.depth} blocks of width {config.width} on {jax.device_count()} x {jax.devices()[0].device_kind}"
        f"{', where the photos stay' if source.on_device else ''}"
    )

    # ---- loop: the model that is best on the choosing photos is kept; without such photos the last one ----
    judging = Scorer(config, weights, scale, compute_dtype=recipe.compute_dtype)

    def judge() -> np.ndarray | None:
        if not len(choosing):
            return None
        judging.set_params(training.params())
        return judging.score_stored(source, choosing)

    def keep() -> None:
        source = {"trained": told | {"recipe": settings, "split": split.note, "started from": start.source}}
        model = checkpoint.Checkpoint(config, training.params(best=True), scale, source)
        checkpoint.save(workdir / "checkpoint", model, force=True)

    if devices.first_process():
        atomic.write_text(workdir / "split.json", json.dumps(listed, indent=1) + "\n")
    history = fit(
        training, recipe, judge, photos.mos[choosing], photos.names, states, identity,
        lambda history: Journal(workdir, scale, chosen_on, history), keep, options.save_every,
    )  # fmt: skip

    if len(choosing) and all(entry["srcc"] is None for entry in history):
        raise UserError(
            f"in no epoch did the scores of the {chosen_on} photos differ, so no best model was found; lower the"
            " learning rates of --recipe"
        )

    # ---- results: the test photos of a clean split are looked at once, here ----
    final = training.params(best=True)
    result: dict[str, Any] = {"epochs": len(history), "split": split.note, "chosen_on": chosen_on}
    if len(split.test):
        scores = Scorer(config, final, scale).score_stored(source, split.test)
        if devices.first_process():
            result |= report.write(workdir, photos, split.test, scores, scale)
    keep()
    if devices.first_process():
        result |= {"seconds": round(time.perf_counter() - started, 1), "identity": identity}
        atomic.write_text(finished, json.dumps(result, indent=2) + "\n")
        names = sorted({path.name for path in workdir.iterdir()} - {"states", ".lock"})
        print(f"{workdir}/: {', '.join(names)}; {result['seconds']:.0f} s")
    states.remove()
    return result


def train_all(
    photos: manifests.Manifest,
    split_number: Callable[[int], Split],
    scale: LabelScale,
    options: Options,
    told: dict[str, Any],
    partial: bool = False,
) -> None:
    """Trains on each split; with several, each in a folder of its own, and their median and quartiles."""
    if options.splits < 1 or (options.splits > 1 and options.split_file):
        raise UserError("--splits must be at least 1, and --split-file names one split")
    if options.save_every < 1 or min(options.split_seed, options.recipe.seed) < 0:
        raise UserError("--save-every must be at least 1, and --split-seed and --recipe.seed at least 0")
    start = models.load(options.init)
    if start.config.kind == "original":
        raise UserError(f"{options.init} is the paper's model, which is scored and converted but not trained here")
    start = checkpoint.read_out(start, options.readout or start.config.readout or (start.config.depth,))
    if options.mosaics < 1:
        raise UserError(f"--mosaics must be at least 1, not {options.mosaics}")
    start = dataclasses.replace(start, config=start.config.replace(mosaics=options.mosaics))
    if options.view_size is not None:
        start = resize.to_views_of(start, options.view_size)
    options.recipe.transform(start.config)  # what does not fit is said before an hour of decoding
    with only_run_in(options.workdir):
        if options.splits == 1:
            split = _from_file(options, photos, partial) if options.split_file else split_number(0)
            train(photos, split, scale, start, options, options.workdir, told)
            return
        results = []
        for index in range(options.splits):
            say(f"---- split {index} ----")
            split = split_number(index)
            results.append(train(photos, split, scale, start, options, options.workdir / f"split-{index}", told))
        if devices.first_process() and results[0].get("plcc") is not None:
            summarise(results, options.workdir)


def _from_file(options: Options, photos: manifests.Manifest, partial: bool) -> Split:
    assert options.split_file is not None
    return splitting.load(
        options.split_file, photos.names, column=options.split_column, meta=options.split_names,
        val_fraction=options.val_fraction, seed=options.split_seed, partial=partial, scenes=photos.scenes,
    )  # fmt: skip


def summarise(results: Sequence[dict[str, Any]], workdir: Path) -> None:
    """The results of all splits, their median and interquartile range: printed, splits.csv and splits.json."""
    figures = ("plcc", "srcc", "krcc", "rmse")
    values = {name: np.array([result[name] for result in results], float) for name in figures}
    quartiles = {name: np.nanpercentile(array, [25, 50, 75]).tolist() for name, array in values.items()}
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["split", *figures])
    writer.writerows([index, *(result[name] for name in figures)] for index, result in enumerate(results))
    atomic.write_text(workdir / "splits.csv", table.getvalue())
    chosen = results[0]["chosen_on"]
    told = {name: dict(zip(("q25", "median", "q75"), found, strict=True)) for name, found in quartiles.items()}
    atomic.write_text(
        workdir / "splits.json", json.dumps({"chosen_on": chosen, "splits": len(results)} | told, indent=2)
    )
    print(f"{len(results)} splits, best epoch chosen on {chosen} photos: median (interquartile range)")
    for name in ("plcc", "srcc"):
        low, median, high = quartiles[name]
        print(f"{name.upper():>6} {median:.4f} ({low:.4f} to {high:.4f})")


def run_demo(workdir: Path = Path("runs/demo"), recipe: Modern = demo.RECIPE) -> None:
    """Photographs distorted by rule, at known levels: learns to order them, in under 3 minutes on 2 CPU cores.

    Args:
        workdir: where the results go; an earlier demonstration there is replaced.
    """
    for left_over in ("checkpoint", "result.json"):
        path = workdir / left_over
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    photos, split = demo.make(workdir / "photos")
    told = {"data": "demo", "labels": demo.LABELS}
    train_all(photos, lambda _: split, demo.SCALE, Options(workdir=workdir, recipe=recipe), told)


def manifest(
    scores: Path,
    images: Path,
    in_order: bool = False,
    group_column: str | None = None,
    scene_column: str | None = None,
    low: float | None = None,
    high: float | None = None,
    name: str | None = None,
    options: Annotated[Options, tyro.conf.arg(name="")] = Options(),
) -> None:
    """Your own photos, listed with their scores in a CSV with the header `image,mos`.

    Args:
        scores: the CSV file; photos are named relative to --images.
        images: the folder of the photos.
        in_order: take the test photos, and before them the validation photos, from the end of the file.
        group_column: a column of the CSV; the results within each of its groups are reported too.
        scene_column: a column of the CSV; photos with the same entry, near-duplicates say, stay in one part.
        low: lower end of the label range; the lowest score in the CSV when not given.
        high: upper end of the label range; the highest score in the CSV when not given.
        name: what the label scale is called; the CSV's name when not given.
    """
    devices.join(options.coordinator, options.processes, options.process_id)
    photos = manifests.read(scores, images, group_column, scene_column)
    lowest = float(photos.mos.min()) if low is None else low
    highest = float(photos.mos.max()) if high is None else high
    if not lowest < highest:
        raise UserError(f"a label range must rise, not go from {lowest:g} to {highest:g}; see --low and --high")
    if lowest > photos.mos.min() or highest < photos.mos.max():
        raise UserError(
            f"{scores} has scores from {photos.mos.min():g} to {photos.mos.max():g}, outside of --low {lowest:g} and"
            f" --high {highest:g}"
        )
    scale = LabelScale(name or scores.stem, lowest, highest)

    def split_number(index: int) -> Split:
        return splitting.clean(
            len(photos.names), test_fraction=options.test_fraction, val_fraction=options.val_fraction,
            seed=options.split_seed + index, in_order=in_order, scenes=photos.scenes,
        )  # fmt: skip

    train_all(photos, split_number, scale, options, {"data": scores.name})


def dataset(
    name: tyro.conf.Positional[releases.Name],
    release: Path,
    protocol: splitting.Protocol = "clean",
    partial: bool = False,
    options: Annotated[Options, tyro.conf.arg(name="")] = Options(),
) -> None:
    """A public data set, as its owners distribute it; labels are mapped to the scale from 1 to 5 common to all.

    Args:
        name: which.
        release: the folder it was unpacked into.
        protocol: clean: train, validation, test, scenes kept together; paper: the authors' splits, the best epoch
            chosen on the test photos as they did; official: the split that comes with the data set.
        partial: accept a part of the release; photos that are not there are left out.
    """
    devices.join(options.coordinator, options.processes, options.process_id)
    found = releases.read(name, release, partial=partial)
    # The authors' group keeps LIVE in the Wild's practice photos; nobody else does.
    whole = found if protocol == "paper" else found.proper()
    photos = whole.common()

    def split_number(index: int) -> Split:
        seed = options.split_seed + index
        if protocol == "paper":
            drawn = splitting.released(
                name, found.listed, None if options.splits == 1 else index, complete=found.complete
            )
            return splitting.among(drawn, found.listed, photos.names)
        if protocol == "official":
            if not whole.official:
                raise UserError(f"{found.card.title} has no official split, or its table is missing in {release}")
            note = f"the official split of {found.card.title}"
            return splitting.from_parts(whole.official, val_fraction=options.val_fraction, seed=seed, note=note)
        return splitting.clean(
            len(photos.names), test_fraction=options.test_fraction, val_fraction=options.val_fraction, seed=seed,
            scenes=photos.scenes,
        )  # fmt: skip

    train_all(
        photos, split_number, found.card.scale, options, {"data": found.card.title, "protocol": protocol}, partial
    )


def main() -> None:
    """Entry point."""
    run({"demo": run_demo, "manifest": manifest, "dataset": dataset}, "train.py", __doc__, default="demo")


if __name__ == "__main__":
    main()
