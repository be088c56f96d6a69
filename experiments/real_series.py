"""Measures how often each number falls from one photo of a series to the next, worse one.

For example:

    vtiqa score SERIES --out series.csv
    python experiments/real_series.py --index SERIES/index.csv --scores series.csv

A series shows one scene, and physics orders its photos. index.csv has the columns `series`, `file` (a path within
SERIES), `kind` and `value`. Within a series, a photo with a higher value is worse. A photo without a value is left out.
"""

import csv
import dataclasses
import itertools
from collections import defaultdict
from pathlib import Path

from cyclopts import Parameter

from vtiqa_jax import cli

NUMBERS = ("detail", "score", "rank")


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    index: Path
    """CSV of the series."""
    scores: Path
    """CSV that `vtiqa score --out` wrote."""


def main(arguments: Arguments) -> None:
    """Prints the shares by kind of series."""
    with arguments.scores.open(newline="") as file:
        scores = {Path(row["image"]): row for row in csv.DictReader(file)}
    series: dict[tuple[str, str], list[tuple[float, Path]]] = defaultdict(list)
    with arguments.index.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["value"]:
                series[row["kind"], row["series"]].append((float(row["value"]), arguments.index.parent / row["file"]))
    falls: dict[str, list[list[list[bool]]]] = defaultdict(list)
    for (kind, _), photos in series.items():
        steps = itertools.pairwise(scores[file] for _, file in sorted(photos))
        falls[kind].append(
            [[float(better[name] or 0) > float(worse[name] or 0) for name in NUMBERS] for better, worse in steps]
        )
    print(f"| kind | series | steps | {' | '.join(f'`{name}` falls' for name in NUMBERS)} |\n{'|---' * 6}|")
    for kind, found in falls.items():
        steps = list(itertools.chain.from_iterable(found))
        shares = [f"{sum(right) / len(steps):.2f}" for right in zip(*steps, strict=True)]
        print(f"| {kind} | {len(found)} | {len(steps)} | {' | '.join(shares)} |")


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
