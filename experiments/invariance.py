"""Measures which changes of a photo move its score.

For example:

    python experiments/invariance.py --release biq2021 [--checkpoint default]

The photos are drawn by a seed from BIQ2021's official test split. First, each of `--count` photos is mirrored, turned,
resized, and damaged in ways that show only in a large print. The table has the mean change of the score and the mean
absolute change, beside the standard deviation of the scores. Then, on `--compared` photos, it shows whether averages
over the mirrored photo and over sampled mosaics agree better with people, and how often people agree with the order of
two scores.
"""

import dataclasses
import datetime
import itertools
from collections.abc import Callable
from pathlib import Path

import cv2
import jax
import numpy as np
from cyclopts import Parameter

import vtiqa_jax
from vtiqa_jax import cli
from vtiqa_jax.data import datasets
from vtiqa_jax.data.manifest import ImageFolder
from vtiqa_jax.evaluation import metrics
from vtiqa_jax.photos.decode import Rgb, read
from vtiqa_jax.scoring.mosaic_sampling import MosaicSampling
from vtiqa_jax.scoring.scorer import Scorer

LARGE = 4096
"""Side of a large photo, pixels: 17 megapixels."""


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    release: Path
    """Folder of BIQ2021 as it is distributed."""
    checkpoint: str = "default"
    """Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model."""
    count: int = 100
    """Number of photos to change."""
    compared: int = 500
    """Number of photos for the averages."""
    mosaics: int = 8
    """Number of sampled mosaics."""
    seed: int = 0
    """Seed of all draws."""


def _resized(scale: float) -> Callable[[Rgb], Rgb]:
    def resize(pixels: Rgb) -> Rgb:
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=how)

    return resize


def _enlarged(pixels: Rgb) -> Rgb:
    return cv2.resize(pixels, (LARGE, LARGE), interpolation=cv2.INTER_CUBIC)


def _noisy(pixels: Rgb) -> Rgb:
    noise = np.random.default_rng(0).standard_normal((LARGE, LARGE, 1), np.float32)
    return np.clip(_enlarged(pixels) + 20 * noise, 0, 255).astype(np.uint8)


CHANGES: dict[str, Callable[[Rgb], Rgb]] = {
    "mirrored": lambda pixels: np.ascontiguousarray(pixels[:, ::-1]),
    "turned by 90 degrees": lambda pixels: np.ascontiguousarray(np.rot90(pixels)),
    "upside down": lambda pixels: np.ascontiguousarray(pixels[::-1, ::-1]),
    "half size": _resized(0.5),
    "enlarged 2x": _resized(2),
    "enlarged 4x": _resized(4),
    f"enlarged to {LARGE} px": _enlarged,
    "the same, Gaussian blur of 3 px": lambda pixels: cv2.GaussianBlur(_enlarged(pixels), (0, 0), 3),
    "the same, noise of 20 levels": _noisy,
}


def _scores(
    scorer: Scorer, paths: list[Path], change: Callable[[Rgb], Rgb], sampling: MosaicSampling | None = None
) -> np.ndarray:
    """Scores [photos, 1 + mosaics], four photos in memory at a time."""
    rows = []
    for start in range(0, len(paths), 4):
        photos = [change(read(path).pixels) for path in paths[start : start + 4]]
        rows += [
            [result.score, *result.mosaic_scores] for result in scorer.stream(photos, batch_size=4, sampling=sampling)
        ]
    return np.array(rows, float)


def main(arguments: Arguments) -> None:
    """Prints the tables, as Markdown."""
    found = datasets.read("biq2021", arguments.release)
    test = np.flatnonzero(np.asarray(found.official) == "test")
    rows = np.random.default_rng(arguments.seed).permutation(test)[: arguments.compared]
    photos = found.on_common_scale()
    assert isinstance(photos.images, ImageFolder)
    paths, mos = [photos.images.path(photos.names[row]) for row in rows], photos.mos[rows]
    scorer, sampling = vtiqa_jax.load(arguments.checkpoint), MosaicSampling(arguments.mosaics, arguments.seed)
    device = jax.devices()[0]
    print(f"{arguments.checkpoint}, {device.device_kind} ({device.platform}), {datetime.date.today()}")

    few = paths[: arguments.count]
    plain = _scores(scorer, few, lambda pixels: pixels)[:, 0]
    print(f"\n{len(few)} photos, scores with a standard deviation of {plain.std():.3f}\n")
    print("| | mean change | mean absolute change |\n|---|---|---|")
    for name, change in CHANGES.items():
        difference = _scores(scorer, few, change)[:, 0] - plain
        print(f"| {name} | {difference.mean():+.3f} | {np.abs(difference).mean():.3f} |", flush=True)

    drawn = _scores(scorer, paths, lambda pixels: pixels, sampling)
    mirrored = _scores(scorer, paths, CHANGES["mirrored"])[:, 0]
    scores, deviations = drawn[:, 0], drawn[:, 1:].std(1, ddof=1)
    quartiles = np.percentile(deviations, [25, 50, 75])
    print(f"\n{len(paths)} photos: spread over {arguments.mosaics} mosaics {quartiles[1]:.3f}", end=" ")
    print(f"({quartiles[0]:.3f} to {quartiles[2]:.3f}, median and quartiles)\n")
    print("| score | SRCC | PLCC | RMSE |\n|---|---|---|---|")
    averages = {
        "one mosaic": scores,
        "mean with the mirrored photo": (scores + mirrored) / 2,
        f"mean of {arguments.mosaics} drawn mosaics": drawn[:, 1:].mean(1),
    }
    for name, values in averages.items():
        row = metrics.correlations(values, mos)
        print(f"| {name} | {row.srcc:.3f} | {row.plcc:.3f} | {row.rmse:.3f} |")
    low, high = metrics.bootstrap_ci(scores, mos)["srcc"]
    print(f"\n95 % interval of the first SRCC: {low:.3f} to {high:.3f}\n")

    first, second = np.triu_indices(len(paths), 1)
    apart = np.abs(scores[first] - scores[second])
    agree = (scores[first] - scores[second]) * (mos[first] - mos[second]) > 0
    print("| scores differ by | pairs | people agree |\n|---|---|---|")
    steps = (0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, np.inf)
    for near, far in itertools.pairwise(steps):
        here = (near <= apart) & (apart < far)
        if here.any():
            print(f"| {near:g} to {far:g} | {here.sum()} | {agree[here].mean():.2f} |")


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
