"""Evaluate a checkpoint: PLCC, SRCC, KRCC and RMSE against mean opinion scores, a CSV and a scatter plot."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

import vtiqa_jax
from vtiqa_jax import atomic
from vtiqa_jax.data import demo, image_cache, manifest
from vtiqa_jax.data.manifest import ImageFolder, Manifest
from vtiqa_jax.errors import UserError
from vtiqa_jax.evaluation import report
from vtiqa_jax.scoring.scorer import Scorer
from vtiqa_jax.terminal import visible


def _score_rows(
    model: Scorer, photos: Manifest, rows: np.ndarray, batch_size: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Scores rows. Returns those that can be read and their scores; the others are named on standard error."""
    assert isinstance(photos.images, ImageFolder)
    paths = [photos.images.path(photos.names[row]) for row in rows]
    stream = model.stream(paths, batch_size=batch_size)
    results = list(tqdm(stream, "scoring", len(rows), unit="photo", disable=None, leave=False))
    for failed in (result for result in results if result.error):
        print(visible(f"left out: {failed.image}: {failed.error}"), file=sys.stderr)
    kept = np.array([result.score is not None for result in results])
    return rows[kept], np.array([result.score for result in results if result.score is not None], np.float32)


def _count_training_photos(model: Scorer, run: Path, names: Sequence[str]) -> int:
    """Counts photos that trained a model, by their names.

    Args:
        model: that is evaluated.
        run: folder in which it was trained. Its split.json lists the photos; 0 are counted if there is none of this
            model.
        names: of the photos.
    """
    try:
        split = json.loads((run / "split.json").read_text(encoding="utf-8"))
        is_of_model = split["sha256"] == model.provenance["trained"]["split sha256"]
        return len(set(names) & set(split["train"])) if is_of_model else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0


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
    run, names = Path(checkpoint).parent, [photos.names[row] for row in rows]
    if seen := _count_training_photos(model, run, names):
        print(
            f"{seen} of {len(rows)} photos trained this model, so the figures are too good; its test photos are in"
            f" {run / 'predictions.csv'}",
            file=sys.stderr,
        )
    atomic.make_folder(out)
    kept, scores = _score_rows(model, photos, rows, batch_size)
    print(f"{checkpoint}: {model.scale}")
    opposite = lower_is_better and model.scale.higher_is_better
    if opposite:
        print("of these MOS lower is better, so the model's scores are negated for the correlations", file=sys.stderr)
    low, high = photos.mos[rows].min(), photos.mos[rows].max()
    if low < model.scale.low or high > model.scale.high:
        print(f"the MOS, {low:g} to {high:g}, are not on the model's scale, so RMSE means nothing", file=sys.stderr)
    results = report.write_report(out, photos, kept, scores, model.scale, opposite=opposite)
    failed = len(rows) - len(kept)
    if failed:
        broken = "".join(f"{photos.names[row]}\n" for row in np.setdiff1d(rows, kept))
        atomic.write_text(out / image_cache.BROKEN_LIST, broken)
        print(
            f"{failed} of {len(rows)} photos cannot be read; {out / image_cache.BROKEN_LIST} lists them",
            file=sys.stderr,
        )
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
    """Evaluates a model on all photos of a CSV with the header `image,mos`, such as predictions.csv of a training.

    Example: vtiqa eval manifest --scores scores.csv --images photos

    Args:
        scores: CSV file; its photos are named relative to --images.
        images: Folder of the photos.
        checkpoint: Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model.
        out: Folder for the results.
        group_column: Column of the CSV; the results within each of its groups are reported too.
        lower_is_better: Treat lower scores in the CSV as better, as for DMOS. Models that were trained so need no word.
        partial: Leave out photos that do not exist.
        batch_size: Photos computed together: at most 4 on a CPU; 64 on a GPU when not given.
    """
    if (out / "predictions.csv").exists() and scores.exists() and scores.samefile(out / "predictions.csv"):
        raise UserError(f"the results would replace {scores}; name another folder with --out")
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
    """Evaluates a model on the held-out photographs of the demonstration.

    Example: vtiqa eval demo

    Args:
        checkpoint: Folder of a checkpoint. When not given, the one that `vtiqa train` makes.
        photos: Folder of the demonstration's photos, which are made there when they are missing.
        out: Folder for the results.
        batch_size: Photos computed together: at most 4 on a CPU; 64 on a GPU when not given.
    """
    made, split = demo.make(photos)
    return _evaluate(made, split.test, checkpoint, out, batch_size)
