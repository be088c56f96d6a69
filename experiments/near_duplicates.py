"""Which photos show the same scene? Groups of near-duplicates, as a column of the CSV that `--scene-column` takes.

    python experiments/near_duplicates.py --tokens tokens.npy --scores scores.csv --out scenes.csv

Photos are clustered by the class tokens of the last block (of the centre crop, `experiments/class_tokens.py`), less
their mean over all photos: average linkage, cut where the mean cosine between clusters falls below the given one.
Exposure series of one scene are found; look at the groups before you rely on them.
"""

import csv
import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
from cyclopts import Parameter
from scipy.cluster.hierarchy import fcluster, linkage

from vtiqa_jax import cli


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to group."""

    tokens: Path
    scores: Path
    out: Path
    cosine: float = 0.7


def main(arguments: Arguments) -> None:
    """Writes the CSV with the column `scene` and prints how many groups of which size there are."""
    tokens = np.load(arguments.tokens, mmap_mode="r")[0, :, -1].astype(np.float32)
    tokens -= tokens.mean(0)  # what all photos share would make them all alike
    scenes = fcluster(linkage(tokens, "average", "cosine"), 1 - arguments.cosine, "distance")
    with arguments.scores.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with arguments.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "scene"])
        writer.writeheader()
        writer.writerows(row | {"scene": str(scene)} for row, scene in zip(rows, scenes, strict=True))
    sizes = Counter(Counter(scenes.tolist()).values())
    print(f"{len(rows)} photos in {len(set(scenes))} scenes; scenes by size: {dict(sorted(sizes.items()))}")


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
