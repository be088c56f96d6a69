"""Compares scores with people's on pictures of another kind: video frames, compressed and shrunk.

For example:

    python experiments/image_quality_test.py --release image_quality_test/test_1 [--checkpoint default]

The release is github.com/Telecommunication-Telemedia-Assessment/image_quality_test. People in a laboratory saw every
frame on the whole screen. So all frames are first resized to one height; their own height alone would predict the MOS.
"""

import csv
import dataclasses
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from cyclopts import Parameter
from scipy.special import ndtr

import vtiqa_jax
from vtiqa_jax import cli
from vtiqa_jax.evaluation import metrics
from vtiqa_jax.photos.decode import read
from vtiqa_jax.results.results import ScoreResult


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    release: Path
    """Folder with `mos_ci.csv` and `images`."""
    checkpoint: str = "default"
    """Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model."""
    height: int = 1080
    """Height that all frames are resized to, in pixels."""


def print_sureness(rows: Sequence[dict[str, str]], results: Sequence[ScoreResult], votes: Path) -> None:
    """Prints how often people's mean lies in its interval, and how often one person prefers what is said."""
    low, high, score, deviation, spread = (
        np.array([getattr(result, name) for result in results], float)
        for name in ("low", "high", "score", "deviation", "opinion_spread")
    )
    mos, observed = (np.array([float(row[name]) for row in rows]) for name in ("mos", "std"))
    inside = 100 * ((mos >= low) & (mos <= high)).mean()
    sizes = np.sqrt([np.square(values).mean() for values in (spread, observed)])
    print(f"{inside:.1f} % of means in intervals of 90 %; spread of opinions {sizes[0]:.2f}, of votes {sizes[1]:.2f},")
    print(f"r {np.corrcoef(spread, observed)[0, 1]:.2f}; people are {(mos - score).mean():.2f} above scores")
    places = {row["image_name"]: number for number, row in enumerate(rows)}
    people: dict[str, dict[int, float]] = defaultdict(dict)
    with votes.open(newline="") as file:
        for vote in csv.DictReader(file):
            name = re.findall(r"([^\\/']+)\.png", vote["video_name"])[0]
            if name in places:
                people[vote["user_ID"]][places[name]] = float(vote["rating"])
    rng, sure, ahead = np.random.default_rng(0), [], []
    for person in people.values():
        a, b = rng.choice(list(person), (2, 4000))
        a, b = a[a != b], b[a != b]
        apart = np.array([person[i] - person[j] for i, j in zip(a, b, strict=True)])
        variance = sum(np.square(values[a]) + np.square(values[b]) for values in (deviation, spread))
        sure.append(ndtr((score[a] - score[b]) / np.sqrt(variance)))
        ahead.append(0.5 + 0.5 * np.sign(apart))
    said, right = np.concatenate(sure), np.concatenate(ahead)
    said, right = np.where(said < 0.5, 1 - said, said), np.where(said < 0.5, 1 - right, right)
    for least in (0.5, 0.6, 0.7, 0.8, 0.9):
        chosen = (said >= least) & ((said < least + 0.1) | (least == 0.9))
        shares = f"{100 * said[chosen].mean():.1f} % said, {100 * right[chosen].mean():.1f} % right"
        print(f"one person's preference in {chosen.sum()} pairs: {shares}")


def main(arguments: Arguments) -> None:
    """Prints the correlations of the model and of the height alone, and how often its intervals hold, if it has any."""
    with (arguments.release / "mos_ci.csv").open(newline="") as file:
        rows = [
            row for row in csv.DictReader(file) if (arguments.release / "images" / f"{row['image_name']}.png").is_file()
        ]
    if len(rows) < 3:
        raise SystemExit(f"{arguments.release} holds {len(rows)} of the pictures that mos_ci.csv lists")
    mos = np.array([float(row["mos"]) for row in rows])
    heights = np.array([float(row["image_name"].rsplit("_", 1)[1]) for row in rows])
    scorer, results = vtiqa_jax.load(arguments.checkpoint), []
    for start in range(0, len(rows), 4):
        batch = []
        for row in rows[start : start + 4]:
            pixels = read(arguments.release / "images" / f"{row['image_name']}.png").pixels
            width = round(pixels.shape[1] * arguments.height / pixels.shape[0])
            how = cv2.INTER_AREA if arguments.height < pixels.shape[0] else cv2.INTER_CUBIC
            batch.append(cv2.resize(pixels, (width, arguments.height), interpolation=how))
        results += scorer.stream(batch)
    for name, values in (("the model", np.array([r.score for r in results])), ("the height alone", heights)):
        found, bounds = metrics.correlations(values, mos), metrics.bootstrap_ci(values, mos)["srcc"]
        print(f"{name}: SRCC {found.srcc:.3f} [{bounds[0]:.3f}, {bounds[1]:.3f}], PLCC {found.plcc:.3f}, n {found.n}")
    if scorer.config.opinions:
        print_sureness(rows, results, arguments.release / "ratings.csv")


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
