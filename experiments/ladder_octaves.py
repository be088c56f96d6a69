"""Measures how many octaves each step of the native ladders costs.

For example:

    python experiments/ladder_octaves.py --release biq2021 [--count 40]

Photos of BIQ2021's training split with high opinions are damaged at their own 512 px by every step of
`data/native_ladders.py`, and enlarged. The octaves of a step are those of the enlargement that lowers the mean score as
much. The numbers in the module are rounded from these, and are not below what shows at 100 %.
"""

import dataclasses
from pathlib import Path

import numpy as np
from cyclopts import Parameter

import vtiqa_jax
from vtiqa_jax import cli
from vtiqa_jax.data import datasets
from vtiqa_jax.data.native_ladders import FACTORS, FILTERS, LADDERS, climb
from vtiqa_jax.photos.decode import decode


@Parameter(name="*")
@dataclasses.dataclass
class Arguments:
    """Options."""

    release: Path
    """Folder of BIQ2021 as it is distributed."""
    count: int = 40
    """Number of photos."""
    checkpoint: str = "default"
    """Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model."""


def main(arguments: Arguments) -> None:
    """Prints a line for each ladder."""
    model = vtiqa_jax.load(arguments.checkpoint)
    dataset = datasets.read("biq2021", arguments.release)
    training = np.flatnonzero(np.array(dataset.official) == "train")
    good = training[np.argsort(-dataset.photos.mos[training])][200 : 200 + 70 * arguments.count : 70]
    names = [dataset.photos.names[row] for row in good]
    photos = [decode(name, dataset.photos.images.read(name)).pixels for name in names]

    def mean_falls(versions: list[np.ndarray]) -> np.ndarray:
        """Computes the mean falls of the score from the first version of each photo; its versions stand together."""
        scores = model.score(versions).reshape(len(photos), -1)
        return (scores[:, :1] - scores).mean(0)

    enlarged = []
    for number, photo in enumerate(photos):
        height, width, _ = photo.shape
        enlarge = FILTERS[[name for name in FILTERS if name != "nearest"][number % (len(FILTERS) - 1)]]
        smaller = (FILTERS["hamming"](photo, (round(width / f), round(height / f))) for f in FACTORS)
        enlarged += [enlarge(small, (width, height)) for small in smaller]
    falls = np.maximum.accumulate(mean_falls(enlarged))
    print("enlarged", dict(zip(FACTORS, falls.round(2).tolist(), strict=True)))
    for name, ladder in LADDERS.items():
        versions = [pixels for seed, photo in enumerate(photos) for _, pixels in climb(ladder, photo, seed)]
        octaves = np.interp(np.maximum.accumulate(mean_falls(versions)), falls, np.log2(FACTORS))
        print(name, dict(zip(ladder.amounts, octaves.round(2).tolist(), strict=True)), "used:", ladder.octaves)


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
