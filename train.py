"""Train a VT-IQA. Without arguments: a demonstration on distorted photographs that come inside ordinary wheels."""

import dataclasses
import json
import shutil
import time
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro
from tqdm import tqdm

from vtiqa_jax import checkpoint, demo, metrics, models, params, plots, prepared, report
from vtiqa_jax import manifest as manifests
from vtiqa_jax.command import run
from vtiqa_jax.config import LabelScale
from vtiqa_jax.errors import UserError
from vtiqa_jax.scoring import Scorer
from vtiqa_jax.training import Recipe, Training


def train(
    photos: manifests.Manifest,
    division: manifests.Division,
    scale: LabelScale,
    init: checkpoint.Checkpoint,
    recipe: Recipe,
    workdir: Path,
    prepared_in: Path,
    told: dict,
) -> None:
    """Fine-tunes `init`'s backbone with a new head and writes all results into `workdir`."""
    started = time.perf_counter()
    if workdir.exists() and any((workdir / name).exists() for name in ("checkpoint", "result.json")):
        raise UserError(f"{workdir} holds the results of another run; name another with --workdir")

    # ---- data: every photo decoded and resized once ----
    config = init.config.replace(kind="vtiqa")
    arrays = prepared.prepare(photos.paths, prepared_in, config)

    # ---- model: the given backbone, a new head ----
    prefix = "" if init.config.kind == "backbone" else "backbone."
    backbone = {f"backbone.{k.removeprefix(prefix)}": v for k, v in init.params.items() if k.startswith(prefix)}
    start = params.drawn(config, recipe.seed) | {k: v for k, v in backbone.items() if k.startswith("backbone.")}
    training = Training(config, recipe, start, arrays, photos.mos, division.train)
    print(
        f"{len(division.train)} photos to train, {len(division.val)} to validate, {len(division.test)} to test;"
        f" {config.depth} blocks of width {config.width} on {jax.device_count()} x {jax.devices()[0].device_kind}"
    )

    # ---- loop: the model with the best validation SRCC is kept; without validation photos the last one ----
    def scores_of(weights: params.Params, rows: np.ndarray) -> np.ndarray:
        scorer = Scorer(config, weights, scale)
        return scorer.score_versions(arrays.global_versions, arrays.local_versions, rows.tolist())

    losses: list[float] = []
    val_srcc: list[float] = []
    kept: params.Params = {}
    for epoch in range(recipe.epochs):
        steps = tqdm(
            training.epoch(epoch), f"epoch {epoch + 1}/{recipe.epochs}", training.steps_per_epoch, disable=None
        )
        pending = None
        for value in steps:  # read the loss of the step before, so that reading never holds the device up
            if pending is not None:
                losses.append(float(pending))
                steps.set_postfix(loss=f"{losses[-1]:.3f}")
            pending = value
        losses.append(float(pending))  # type: ignore[arg-type]
        mean = float(np.mean(losses[-training.steps_per_epoch :]))
        if not np.isfinite(mean):
            raise UserError(f"the loss is {mean} in epoch {epoch + 1}; lower --recipe.lr")
        line = f"epoch {epoch + 1}: loss {mean:.4f}"
        if len(division.val):
            figures = metrics.correlations(scores_of(training.params(), division.val), photos.mos[division.val])
            line += f", validation PLCC {figures.plcc:.4f} SRCC {figures.srcc:.4f}"
            if figures.srcc > max(val_srcc, default=-np.inf):
                kept = training.params()
            val_srcc.append(figures.srcc)
        print(f"{line}, {time.perf_counter() - started:.0f} s")
    kept = kept or training.params()

    # ---- results: the test photos are looked at once, here ----
    workdir.mkdir(parents=True, exist_ok=True)
    settings = {"trained": told | {"recipe": dataclasses.asdict(recipe), "started from": init.source}}
    checkpoint.save(workdir / "checkpoint", checkpoint.Checkpoint(config, kept, scale, settings))
    plots.curve(workdir / "curve.png", losses, training.steps_per_epoch, val_srcc)
    result: dict = {"epochs": recipe.epochs}
    if len(division.test):
        scores = scores_of(kept, division.test)
        result |= report.write(workdir, photos, division.test, scores, scale)
    result["seconds"] = round(time.perf_counter() - started, 1)
    (workdir / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print(f"{workdir}/: {', '.join(sorted(path.name for path in workdir.iterdir()))}; {result['seconds']:.0f} s")


def run_demo(workdir: Path = Path("runs/demo"), recipe: Recipe = demo.RECIPE) -> None:
    """Photographs distorted by rule, at known levels: learns to order them, in under 3 minutes on 2 CPU cores.

    Args:
        workdir: where the results go; an earlier demonstration there is replaced.
    """
    for left_over in ("checkpoint", "result.json"):
        path = workdir / left_over
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    photos, division = demo.make(workdir / "photos")
    told = {"data": "demo", "labels": demo.LABELS}
    train(photos, division, demo.SCALE, models.load(), recipe, workdir, workdir / "prepared", told)


def manifest(
    scores: Path,
    images: Path,
    workdir: Path = Path("runs/manifest"),
    init: str = "default",
    depth: int | None = None,
    test_fraction: float = 0.2,
    val_fraction: float = 0.1,
    in_order: bool = False,
    split_seed: int = 0,
    group_column: str | None = None,
    low: float | None = None,
    high: float | None = None,
    name: str | None = None,
    prepared_in: Annotated[Path | None, tyro.conf.arg(name="prepared")] = None,
    recipe: Recipe = Recipe(),
) -> None:
    """Your own photos, listed with their scores in a CSV with the header `image,mos`.

    Args:
        scores: the CSV file; photos are named relative to --images.
        images: the folder of the photos.
        workdir: where the results go.
        init: the checkpoint to start from, or "default" for the model that comes with the package.
        depth: keep only the first N blocks of it.
        test_fraction: share of the photos that is looked at once, at the end.
        val_fraction: share of the other photos that chooses the best epoch; 0 keeps the last one.
        in_order: take the test photos, and before them the validation photos, from the end of the file.
        split_seed: shuffles the photos before they are divided.
        group_column: a column of the CSV; the results within each of its groups are reported too.
        low: lower end of the label range; the lowest score in the CSV when not given.
        high: upper end of the label range; the highest score in the CSV when not given.
        name: what the label scale is called; the CSV's name when not given.
        prepared_in: where decoded photos are kept; share it among runs on the same photos.
    """
    photos = manifests.read(scores, images, group_column)
    division = manifests.divide(len(photos.names), test_fraction, val_fraction, in_order=in_order, seed=split_seed)
    lowest = float(photos.mos.min()) if low is None else low
    highest = float(photos.mos.max()) if high is None else high
    if not lowest < highest:
        raise UserError(f"a label range must rise, not go from {lowest:g} to {highest:g}; see --low and --high")
    scale = LabelScale(name or scores.stem, lowest, highest)
    start = models.load(init)
    if start.config.kind == "original":
        raise UserError(f"{init} is the paper's model, which is scored and converted but not trained here")
    if depth is not None:
        start = checkpoint.shortened(start, depth)
    told = {
        "data": scores.name, "test_fraction": test_fraction, "val_fraction": val_fraction, "in_order": in_order,
        "split_seed": split_seed,
    }  # fmt: skip
    train(photos, division, scale, start, recipe, workdir, prepared_in or workdir / "prepared", told)


def main() -> None:
    """Entry point."""
    run({"demo": run_demo, "manifest": manifest}, "python train.py", __doc__, default="demo")


if __name__ == "__main__":
    main()
