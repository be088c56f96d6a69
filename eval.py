"""Evaluate a checkpoint: PLCC, SRCC, KRCC and RMSE against mean opinion scores, a CSV and a scatter plot."""

import json
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

import vtiqa_jax
from vtiqa_jax import demo, report
from vtiqa_jax import manifest as manifests
from vtiqa_jax.command import run


def evaluate(photos: manifests.Manifest, rows: np.ndarray, checkpoint: str, out: Path, batch_size: int) -> int:
    """Scores the given photos and writes result.json, predictions.csv and scatter.png; 1 when some cannot be read."""
    model = vtiqa_jax.load(checkpoint)
    out.mkdir(parents=True, exist_ok=True)
    stream = model.stream([photos.paths[row] for row in rows], batch_size=batch_size)
    scored = list(tqdm(stream, "scoring", len(rows), unit="photo", disable=None, leave=False))
    for failed in (result for result in scored if result.error):
        print(f"left out: {failed.image}: {failed.error}", file=sys.stderr)
    kept = np.array([result.score is not None for result in scored])
    scores = np.array([result.score for result in scored if result.score is not None], np.float32)
    print(f"{checkpoint}: {model.scale}")
    figures = report.write(out, photos, rows[kept], scores, model.scale)
    (out / "result.json").write_text(json.dumps(figures | {"failed": int((~kept).sum())}, indent=2) + "\n")
    print(f"{out}/: result.json, predictions.csv, scatter.png")
    return 0 if kept.all() else 1


def manifest(
    scores: Path,
    images: Path,
    checkpoint: str = "default",
    out: Path = Path("runs/eval"),
    group_column: str | None = None,
    batch_size: int = 32,
) -> int:
    """All photos of a CSV with the header `image,mos`; the predictions.csv of a training run is one.

    Args:
        scores: the CSV file; photos are named relative to --images.
        images: the folder of the photos.
        checkpoint: a checkpoint's folder, or "default" for the model that comes with the package.
        out: where the results go.
        group_column: a column of the CSV; the results within each of its groups are reported too.
        batch_size: photos computed together.
    """
    photos = manifests.read(scores, images, group_column)
    return evaluate(photos, np.arange(len(photos.names)), checkpoint, out, batch_size)


def run_demo(
    checkpoint: str = "runs/demo/checkpoint",
    photos: Path = Path("runs/demo/photos"),
    out: Path = Path("runs/demo/eval"),
    batch_size: int = 32,
) -> int:
    """The held-out photographs of the demonstration.

    Args:
        checkpoint: a checkpoint's folder, by default the one that `python train.py` makes.
        photos: the demonstration's photos, made there when they are not.
        out: where the results go.
        batch_size: photos computed together.
    """
    made, division = demo.make(photos)
    return evaluate(made, division.test, checkpoint, out, batch_size)


def main() -> None:
    """Entry point."""
    run({"demo": run_demo, "manifest": manifest}, "python eval.py", __doc__)


if __name__ == "__main__":
    main()
