"""What helps when the backbone is fine-tuned? Each variant trained by `train.py` with several seeds, in one table.

    python experiments/fine_tuning.py --scores scores.csv --images photos --init checkpoints/vit --out runs/fine-tuning

The first 80 % of the CSV's rows train, the last 20 % test; the last epoch is kept. Each variant changes one thing of
the first. The table gives test SRCC, in total and as the mean of the groups: mean and spread (largest minus smallest)
over seeds. Stopped and started again it goes on where it was. Meant for a GPU: there --epochs 20, on a CPU less.
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import tyro

TRAIN = Path(__file__).parents[1] / "train.py"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to measure."""

    scores: Path
    images: Path
    init: Path
    out: Path
    group_column: str = "subset"
    seeds: int = 3
    epochs: int = 20
    only: tuple[str, ...] = ()
    """Variants to train; all when not given."""


BASE = {"readout-blocks": "4 6 8", "recipe.peak-lr": "1e-4"}
VARIANTS: dict[str, dict[str, str]] = {
    "base": {},
    "block 8 alone": {"readout-blocks": "8"},
    "blocks 6, 8, 10, 12": {"readout-blocks": "6 8 10 12"},
    "all 12 blocks, the last alone": {"readout-blocks": "12"},
    "4 blocks frozen": {"recipe.freeze-blocks": "4"},
    "peak rate 3e-5": {"recipe.peak-lr": "3e-5"},
    "peak rate 3e-4": {"recipe.peak-lr": "3e-4"},
    "no layer decay": {"recipe.layer-decay": "1.0"},
    "L1 alone": {"recipe.plcc-weight": "0"},
    "drop path .1": {"recipe.drop-path": "0.1"},
    "average .999": {"recipe.ema": "0.999"},
    "1 mosaic": {"eval-mosaics": "1"},
}


def trained(arguments: Arguments, name: str, seed: int) -> dict:
    """The result of one run, trained unless it is there already."""
    workdir = arguments.out / f"{name.replace(' ', '-').replace(',', '')}-{seed}"
    options = BASE | VARIANTS[name] | {"recipe.seed": str(seed), "recipe.epochs": str(arguments.epochs)}
    command = [
        *(sys.executable, str(TRAIN), "manifest", "--scores", str(arguments.scores), "--images", str(arguments.images)),
        *("--init", str(arguments.init), "--in-order", "--val-fraction", "0", "--workdir", str(workdir)),
        *("--image-cache", str(arguments.out / "images"), "--group-column", arguments.group_column),
        *(word for option, value in options.items() for word in (f"--{option}", *value.split())),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)  # it has said why
    return json.loads((workdir / "result.json").read_text())


def main(arguments: Arguments) -> None:
    """Prints the table, row by row, and writes it as table.md beside the runs."""
    lines: list[str] = []

    def write(line: str) -> None:
        lines.append(line)
        print(line, flush=True)
        (arguments.out / "table.md").write_text("\n".join(lines) + "\n")

    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.only or VARIANTS:
        results = [trained(arguments, name, seed) for seed in range(arguments.seeds)]
        groups = sorted(results[0]["within"])
        if not lines:
            write(f"| variant | SRCC | spread | mean of groups | spread | {' | '.join(groups)} | PLCC |")
            write("|---" * (6 + len(groups)) + "|")
        columns = [
            [r["srcc"], r["within_mean_srcc"], *(r["within"][g]["srcc"] for g in groups), r["plcc"]] for r in results
        ]
        mean, spread = np.mean(columns, 0), np.ptp(columns, 0)
        each = [
            f"{mean[0]:.4f}",
            f"{spread[0]:.4f}",
            f"{mean[1]:.4f}",
            f"{spread[1]:.4f}",
            *(f"{m:.3f}" for m in mean[2:]),
        ]
        write(f"| {name} | {' | '.join(each)} |")


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
