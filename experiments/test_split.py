"""A model on BIQ2021's official test split, and on it without the near-duplicates of training photos.

    python experiments/test_split.py --release biq2021 --predictions runs/head/predictions.csv \\
        --features runs/head/images/features/NAME

`predictions.csv` is what a training by the official protocol leaves, or `vtiqa eval` on the test photos.
Near-duplicates are those of `experiments/heads.py`. Intervals are 95 %, by bootstrap over photos.
"""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import tyro
from heads import near_duplicates

from vtiqa_jax.data import datasets
from vtiqa_jax.evaluation import metrics


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to measure."""

    release: Path
    """BIQ2021 as it is distributed."""
    predictions: Path
    features: Path
    width: int = 384
    """Of a class token."""


def main(arguments: Arguments) -> None:
    """Prints the table."""
    found = datasets.read("biq2021", arguments.release)
    photos, official = found.photos, np.array(found.official)
    with arguments.predictions.open(newline="") as file:
        scores = {row["image"]: float(row["score"]) for row in csv.DictReader(file)}
    values = np.concatenate([np.load(file) for file in sorted(arguments.features.glob("*.npy"))])
    groups = near_duplicates(values[: len(photos.names), 0, -arguments.width :])
    test = np.flatnonzero(official == "test")
    alone = test[~np.isin(groups[test], groups[official == "train"])]
    subset_means = {
        name: photos.mos[(official == "train") & (np.array(photos.groups) == name)].mean()
        for name in set(photos.groups)
    }
    print("| test photos | n | SRCC | PLCC | its subset's mean alone |\n|---|---|---|---|---|")
    for title, rows in (("all", test), ("without near-duplicates in training", alone)):
        for subset in ("", *sorted(set(photos.groups))):
            chosen = [row for row in rows if subset in ("", photos.groups[row])]
            mine, mos = np.array([scores[photos.names[row]] for row in chosen]), photos.mos[chosen]
            total, bounds = metrics.correlations(mine, mos), metrics.bootstrap_ci(mine, mos)
            guess = metrics.correlations(np.array([subset_means[photos.groups[row]] for row in chosen]), mos).srcc
            cells = [
                f"{getattr(total, name):.3f} [{bounds[name][0]:.3f}, {bounds[name][1]:.3f}]"
                for name in ("srcc", "plcc")
            ]
            print(f"| {title}{f', {subset}' if subset else ''} | {len(chosen)} | {' | '.join(cells)} | {guess:.3f} |")


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
