"""Finds how far single opinions are apart, by matching BIQ2021's first table with its release.

For example:

    git -C BIQ2021 show f356f1a:BIQ2021.xlsx > early.xlsx
    python experiments/early_opinions.py --release biq2021 --table early.xlsx --out early.csv

The first table has other names, an earlier rating and another scale, so opinions cannot match the photos. But its
photos stand in the order of the release, from which some are missing and into which some were put. A hidden Markov
model over the shift between the two orders finds the match (forward-backward); certain matches are written. As a proof,
the tables are aligned by the even rows alone: the opinions of the odd rows then correlate, and those of neighbouring
photos do not.
"""

import csv
import dataclasses
import re
from pathlib import Path

import numpy as np
import scipy.stats
from cyclopts import Parameter

from vtiqa_jax import cli
from vtiqa_jax.data import datasets
from vtiqa_jax.data.datasets import tables

SHIFTS = np.arange(-1600, 2001)
AGREEMENT = 0.5
"""Correlation of both ratings of a photo, once the course of a hundred photos around it is taken out."""
COURSE = 101
OUTLIERS = 0.15
"""Photos that have nothing to do with those in their place."""
CHANGE = 0.01
"""Probability that the shift changes from one photo to the next."""
NEARBY = 20
SURE = 0.99
SLOPE = 0.8
"""Slope of the early scale on the release's, within ss01 and ss03 (.78 and .83; ss02's opinions hardly differ)."""


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    release: Path
    """Folder of BIQ2021 as it is distributed."""
    table: Path
    """First table, BIQ2021.xlsx."""
    out: Path
    """CSV for the photos with their deviations."""


def take_course_out(opinions: np.ndarray) -> np.ndarray:
    """Returns normal scores of ranks, less their moving mean."""
    normal = scipy.stats.norm.ppf((scipy.stats.rankdata(opinions) - 0.5) / len(opinions))
    padded = np.pad(normal, COURSE // 2, mode="reflect")
    rest = normal - np.convolve(padded, np.full(COURSE, 1 / COURSE), "valid")
    return (rest - rest.mean()) / rest.std()


def align(early: np.ndarray, late: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds the most probable place in `late` of each row of `early`, by the `used` rows alone, and its probability."""
    count = len(early)
    padded = np.concatenate([np.full(-SHIFTS[0], np.nan), late, np.full(SHIFTS[-1], np.nan)])
    likely = np.empty((count, len(SHIFTS)), np.float32)
    for row in range(count):
        there = padded[row : row + len(SHIFTS)]
        apart = np.square(early[row] - AGREEMENT * there) / (1 - AGREEMENT**2) - early[row] ** 2
        ratio = np.exp(-0.5 * apart) / np.sqrt(1 - AGREEMENT**2) if used[row] else np.ones_like(there)
        likely[row] = np.where(np.isnan(there), 1e-3, OUTLIERS + (1 - OUTLIERS) * ratio)
    near = np.ones(2 * NEARBY + 1)
    near[NEARBY] = 0
    near[NEARBY - 5 : NEARBY] *= 3  # rather a photo that the release has no more
    near /= near.sum()

    def move(chances: np.ndarray) -> np.ndarray:
        elsewhere = 0.8 * np.convolve(chances, near, "same") + 0.2 * chances.sum() / len(SHIFTS)
        return (1 - CHANGE) * chances + CHANGE * elsewhere

    forward, chances = np.empty_like(likely), np.full(len(SHIFTS), 1 / len(SHIFTS))
    for row in range(count):
        chances = move(chances) * likely[row]
        chances /= chances.sum()
        forward[row] = chances
    places, sure, backward = np.empty(count, int), np.empty(count), np.ones(len(SHIFTS))
    for row in range(count - 1, -1, -1):
        both = forward[row] * backward
        places[row], sure[row] = row + SHIFTS[both.argmax()], both.max() / both.sum()
        backward = move(backward * likely[row])
        backward /= backward.max()
    return places, sure


def main(arguments: Arguments) -> None:
    """Prints the proof and writes the photos with their deviations, on the release's scale from 1 to 5."""
    dataset = datasets.read("biq2021", arguments.release)
    photos = dataset.on_common_scale()
    numbers = [int(re.findall(r"\((\d+)\)", name)[0]) for name in photos.names]
    order = np.lexsort((numbers, photos.groups))
    late = photos.mos[order]
    rows = tables.read_excel(arguments.table, None, ("Images", "MOS", "StandardDeviation"))
    opinions, deviations = (np.array([float(row[name]) for row in rows]) for name in ("MOS", "StandardDeviation"))
    sizes = np.quantile(deviations, [0.01, 0.25, 0.5, 0.75, 0.9, 0.95]) / np.sqrt(np.square(deviations).mean())
    print("quantiles of deviations by their root mean square", sizes.round(3))
    print("of two normal opinions", np.sqrt(scipy.stats.chi2.ppf([0.01, 0.25, 0.5, 0.75, 0.9, 0.95], 1)).round(3))
    first, second = take_course_out(opinions), take_course_out(late)
    even = np.arange(len(first)) % 2 == 0
    for name, used in (("even", even), ("odd", ~even)):
        places, sure = align(first, second, used)
        held_out = np.flatnonzero(~used & (sure > SURE) & (places >= 0) & (places + 7 < len(late)))
        found = [np.corrcoef(first[held_out], second[places[held_out] + beside])[0, 1] for beside in (0, 1, 7)]
        print(f"by {name} rows: {len(held_out)} others correlate by {found[0]:.3f}, beside them {found[1:]}")
    places, sure = align(first, second, np.ones(len(first), bool))
    official = np.array(dataset.official)[order]
    with arguments.out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "mos", "std"])
        known = np.flatnonzero((sure > SURE) & (places >= 0) & (places < len(late)))
        print(f"{len(known)} of {len(rows)} rows matched")
        for row in known[official[places[known]] == "train"]:  # the test split stays a check
            place = places[row]
            spread = 4 * deviations[row] / SLOPE
            writer.writerow([photos.names[order[place]], f"{late[place]:.4f}", f"{spread:.5f}"])


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
