"""Evaluate a checkpoint: PLCC, SRCC, KRCC and RMSE against mean opinion scores, a CSV and a scatter plot."""

import csv
import io
import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter
from tqdm import tqdm

import vtiqa_jax
from vtiqa_jax import atomic
from vtiqa_jax.data import datasets, demo, image_cache, manifest, split_files, splits
from vtiqa_jax.data.datasets.info import Dataset
from vtiqa_jax.data.manifest import ImageFolder, Manifest
from vtiqa_jax.errors import UserError
from vtiqa_jax.evaluation import metrics, report
from vtiqa_jax.evaluation.metrics import METRICS
from vtiqa_jax.scoring.scorer import Scorer


def _score_rows(
    model: Scorer, photos: Manifest, rows: np.ndarray, batch_size: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that can be read and their scores; the others are named on standard error."""
    assert isinstance(photos.images, ImageFolder)
    paths = [photos.images.path(photos.names[row]) for row in rows]
    stream = model.stream(paths, batch_size=batch_size)
    results = list(tqdm(stream, "scoring", len(rows), unit="photo", disable=None, leave=False))
    for failed in (result for result in results if result.error):
        print(f"left out: {failed.image}: {failed.error}", file=sys.stderr)
    kept = np.array([result.score is not None for result in results])
    return rows[kept], np.array([result.score for result in results if result.score is not None], np.float32)


def _evaluate(
    photos: Manifest,
    rows: np.ndarray,
    checkpoint: str,
    out: Path,
    batch_size: int | None,
    *,
    lower_is_better: bool = False,
) -> int:
    """Scores the given photos and writes result.json, predictions.csv and scatter.png; 1 when some cannot be read."""
    model = vtiqa_jax.load(checkpoint)
    atomic.make_folder(out)
    kept, scores = _score_rows(model, photos, rows, batch_size)
    print(f"{checkpoint}: {model.scale}")
    opposite = lower_is_better and model.scale.higher_is_better
    if opposite:
        print("of the MOS lower ones are better: the model's scores are negated for the correlations", file=sys.stderr)
    low, high = photos.mos[rows].min(), photos.mos[rows].max()
    if low < model.scale.low or high > model.scale.high:
        print(f"the MOS, {low:g} to {high:g}, are on another scale: RMSE means nothing", file=sys.stderr)
    results = report.write_report(out, photos, kept, scores, model.scale, opposite=opposite)
    failed = len(rows) - len(kept)
    if failed:
        broken = "".join(f"{photos.names[row]}\n" for row in np.setdiff1d(rows, kept))
        atomic.write_text(out / image_cache.BROKEN_LIST, broken)
        print(f"{failed} of {len(rows)} photos cannot be read: all in {out / image_cache.BROKEN_LIST}", file=sys.stderr)
    content = results | {"failed": failed, "model": model.fingerprint}
    atomic.write_text(out / "result.json", json.dumps(content, indent=2) + "\n")
    print(f"{out}/: result.json, predictions.csv, scatter.png")
    return 1 if failed else 0


def eval_manifest(
    *,
    scores: Path,
    images: Path,
    checkpoint: str = "default",
    out: Path = Path("runs/eval"),
    group_column: str | None = None,
    lower_is_better: bool = False,
    partial: bool = False,
    batch_size: int | None = None,
) -> int:
    """All photos of a CSV with the header `image,mos`; the predictions.csv of a training run is one.

    Example: vtiqa eval manifest --scores scores.csv --images photos

    Args:
        scores: the CSV file; photos are named relative to --images.
        images: the folder of the photos.
        checkpoint: a checkpoint's folder, or "default" for the model that comes with the package.
        out: where the results go.
        group_column: a column of the CSV; the results within each of its groups are reported too.
        lower_is_better: in the CSV lower scores are better, DMOS say; not needed for a model that was trained so.
        partial: leave out photos that are not there.
        batch_size: photos computed together; 4 at most on a CPU, and 64 on a GPU when not given.
    """
    if (out / "predictions.csv").exists() and scores.exists() and scores.samefile(out / "predictions.csv"):
        raise UserError(f"{scores} would be replaced by the results; name another folder with --out")
    photos = manifest.read_csv(scores, images, group_column, partial=partial, out=out)
    rows = np.arange(len(photos.names))
    return _evaluate(photos, rows, checkpoint, out, batch_size, lower_is_better=lower_is_better)


def eval_demo(
    *,
    checkpoint: str = "runs/demo/checkpoint",
    photos: Path = Path("runs/demo/photos"),
    out: Path = Path("runs/demo/eval"),
    batch_size: int | None = None,
) -> int:
    """The held-out photographs of the demonstration.

    Example: vtiqa eval demo

    Args:
        checkpoint: a checkpoint's folder, by default the one that `python train.py` makes.
        photos: the demonstration's photos, made there when they are not.
        out: where the results go.
        batch_size: photos computed together; 4 at most on a CPU, and 64 on a GPU when not given.
    """
    made, split = demo.make(photos)
    return _evaluate(made, split.test, checkpoint, out, batch_size)


Part = Literal["all", "paper", "official"]
FITTED = ("plcc", "rmse")
"""What is also computed after the logistic fit."""


def _test_rows(name: str, dataset: Dataset, part: Part, split_file: Path | None, partial: bool) -> np.ndarray:
    """The rows of a data set to test on."""
    names = dataset.photos.names
    if split_file is not None:
        return split_files.load(split_file, names, val_fraction=0.0, seed=0, partial=partial, data_set=name).test
    if part == "paper":
        split = splits.authors_split(name, dataset.all_names, complete=dataset.complete)
        split = splits.restrict_to(split, dataset.all_names, names)
        print(f"{dataset.info.title}: the test photos of {split.note.split(';')[0]}")
        return split.test
    if part == "official":
        rows = np.flatnonzero(np.asarray(dataset.official) == "test")
        if not len(rows):
            raise UserError(f"{dataset.info.title} has no official split, or its table is missing")
        return rows
    return np.arange(len(names))


def eval_datasets(
    *,
    on: str,
    releases_in: Annotated[Path, Parameter(name="--releases")],
    checkpoint: str = "default",
    part: Part = "all",
    split_files: tuple[str, ...] = (),
    partial: bool = False,
    out: Path = Path("runs/cross"),
    batch_size: int | None = None,
) -> int:
    """Several public data sets: the cross-data-set table, raw and after the 4-parameter logistic, which may also fall:
    scores that run against the MOS have a raw PLCC below 0 and a fitted one above.

    Example: vtiqa eval datasets --on koniq10k,livew --releases releases

    Args:
        on: their names, with commas between them: koniq10k,livew,rbid; FILE.py reads one of your own.
        releases_in: the folder that holds each release in a folder by its name.
        checkpoint: a checkpoint's folder, or "default" for the model that comes with the package.
        part: all photos, the authors' test photos (paper), or the official test photos.
        split_files: NAME=FILE: of that data set only the test photos of the split in FILE, split.json of a run say.
        partial: accept parts of the releases.
        out: where the results go.
        batch_size: photos computed together; 4 at most on a CPU, and 64 on a GPU when not given.
    """
    names = [name.strip() for name in on.split(",")]
    for pair in split_files:
        if "=" not in pair:
            raise UserError(f"--split-files takes NAME=FILE, koniq10k=runs/koniq/split.json say, not {pair}")
    files = {pair.partition("=")[0]: Path(pair.partition("=")[2]) for pair in split_files}
    for name in [*names, *files]:
        datasets.dataset_info(name)
    model = Scorer.load(checkpoint)
    trained = model.provenance.get("trained", {})
    rows_out: list[dict[str, Any]] = []
    failed = 0
    for name in names:
        found = datasets.read(name, releases_in / datasets.dataset_info(name).name, partial=partial)
        split_file = files.get(name)
        # The authors' group keeps LIVE in the Wild's practice photos, and so do its splits.
        dataset = found if part == "paper" or split_file else found.without_practice()
        photos = dataset.on_common_scale()
        rows = _test_rows(name, dataset, part, split_file, partial)
        seen = trained.get("data", [])
        if dataset.info.title in ([seen] if isinstance(seen, str) else seen) and (
            trained.get("protocol") != part and split_file is None
        ):
            print(
                f"{dataset.info.title}: the model was trained on photos of this set; see --split-files", file=sys.stderr
            )
        kept, scores = _score_rows(model, photos, rows, batch_size)
        failed += len(rows) - len(kept)
        quality = scores if model.scale.higher_is_better else -scores
        rows_out.append({"dataset": dataset.info.name} | _compute_row(quality, photos.mos[kept]))
        if (model.scale.low, model.scale.high, model.scale.higher_is_better) != (1.0, 5.0, True):
            of_scale = (name for name, metric in METRICS.items() if metric.in_mos)
            rows_out[-1] |= dict.fromkeys(of_scale)  # the scales are different
    atomic.make_folder(out)
    table = io.StringIO()
    writer = csv.DictWriter(table, list(rows_out[0]))
    writer.writeheader()
    writer.writerows(rows_out)
    atomic.write_text(out / "datasets.csv", table.getvalue())
    content = {
        "checkpoint": checkpoint,
        "model": model.fingerprint,
        "scale": vars(model.scale),
        "part": part,
        "failed": failed,
        "datasets": rows_out,
    }
    atomic.write_text(out / "datasets.json", json.dumps(content, indent=2) + "\n")
    print(f"{checkpoint}: {model.scale}; MOS on the common scale from 1 to 5; 95 % bootstrap intervals")
    heads = "".join(f"{name.upper():<{25 if metric.resampled else 9}}" for name, metric in METRICS.items())
    print(f"{'':<10}{'photos':>7}  {heads}logistic: {''.join(f'{name.upper():<9}' for name in FITTED)}".rstrip())
    for row in rows_out:
        cells = "".join(
            f"{_number(row[name])} [{_number(row[f'{name}_low'])}, {_number(row[f'{name}_high'])}]".ljust(25)
            if metric.resampled
            else f"{_number(row[name]):<9}"
            for name, metric in METRICS.items()
        )
        fitted = "".join(f"{_number(row[f'{name}_logistic']):<9}" for name in FITTED)
        print(f"{row['dataset']:<10}{row['photos']:>7}  {cells}{'':<10}{fitted}".rstrip())
    print(f"{out}/: datasets.csv, datasets.json")
    return 1 if failed else 0


def _number(value: float | None) -> str:
    return "-" if value is None else re.sub(r"^(-?)0\.", r"\1.", f"{value:.4f}")


def _compute_row(scores: np.ndarray, mos: np.ndarray) -> dict[str, Any]:
    """One row of the table; None for what does not exist."""
    if len(scores) < 2:
        raise UserError(f"a correlation needs at least 2 photos, not {len(scores)}")
    raw, bounds = metrics.correlations(scores, mos), metrics.bootstrap_ci(scores, mos)
    after = metrics.correlations_if_any(metrics.fit_logistic(scores, mos), mos)
    values: dict[str, float] = {}
    for name in METRICS:
        values[name] = getattr(raw, name)
        if name in bounds:
            values[f"{name}_low"], values[f"{name}_high"] = bounds[name]
    values |= {f"{name}_logistic": getattr(after, name) for name in FITTED}
    return {"photos": raw.n} | {name: float(v) if np.isfinite(v) else None for name, v in values.items()}
