"""Pictures of another kind with human scores: frames of videos, compressed and shrunk, rated in a laboratory.

    python experiments/image_quality_test.py --release image_quality_test/test_1 [--checkpoint default]

The release is github.com/Telecommunication-Telemedia-Assessment/image_quality_test. Its raters saw every frame on the
whole screen, so all are brought to one height first; their own height alone would predict the MOS.
"""

import csv
import dataclasses
from pathlib import Path

import cv2
import numpy as np
import tyro

import vtiqa_jax
from vtiqa_jax.evaluation import metrics
from vtiqa_jax.photos.decode import read


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to measure."""

    release: Path
    """The folder with `mos_ci.csv` and `images`."""
    checkpoint: str = "default"
    height: int = 1080
    """That all are brought to, pixels."""


def main(arguments: Arguments) -> None:
    """Prints the correlations, of the model and of the height alone."""
    with (arguments.release / "mos_ci.csv").open(newline="") as file:
        rows = [
            row for row in csv.DictReader(file) if (arguments.release / "images" / f"{row['image_name']}.png").is_file()
        ]
    if len(rows) < 3:
        raise SystemExit(f"{arguments.release} holds {len(rows)} of the pictures that mos_ci.csv lists")
    mos = np.array([float(row["mos"]) for row in rows])
    heights = np.array([float(row["image_name"].rsplit("_", 1)[1]) for row in rows])
    scorer, scores = vtiqa_jax.load(arguments.checkpoint), []
    for start in range(0, len(rows), 4):
        batch = []
        for row in rows[start : start + 4]:
            pixels = read(arguments.release / "images" / f"{row['image_name']}.png").pixels
            width = round(pixels.shape[1] * arguments.height / pixels.shape[0])
            how = cv2.INTER_AREA if arguments.height < pixels.shape[0] else cv2.INTER_CUBIC
            batch.append(cv2.resize(pixels, (width, arguments.height), interpolation=how))
        scores.append(scorer.score(batch))
    for name, values in (("the model", np.concatenate(scores)), ("the height alone", heights)):
        found, bounds = metrics.correlations(values, mos), metrics.bootstrap_ci(values, mos)["srcc"]
        print(f"{name}: SRCC {found.srcc:.3f} [{bounds[0]:.3f}, {bounds[1]:.3f}], PLCC {found.plcc:.3f}, n {found.n}")


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
