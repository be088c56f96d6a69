"""Compares a model's reasons with those of a careful photographer, on photos chosen to deceive programs.

For example:

    vtiqa score TRAPS --out traps.csv
    python experiments/traps.py --index TRAPS/index.csv --scores traps.csv

index.csv has the columns `file`, `kind`, `faults` (those that a careful photographer names) and `wrong` (those that it
would be wrong to name), with `;` between faults. A fault in neither column is open and does not count. If the scores
have the column `reasons`, precision and recall of each fault follow.
"""

import csv
import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from cyclopts import Parameter

from vtiqa_jax import cli

FAULTS = {
    "defocus": "out of focus", "motion": "motion blur", "luminance_noise": "luminance noise",
    "chroma_noise": "colour noise", "compression": "compression", "enlarged": "enlarged", "too_dark": "too dark",
    "clipped_highlights": "clipped highlights", "low_contrast": "low contrast", "colour_cast": "colour cast",
}  # fmt: skip
"""Faults as index.csv names them, and the words that tell them in a reason of any strength."""
SEEN_CLOSE = {"defocus", "motion", "luminance_noise", "chroma_noise", "compression", "enlarged"}
"""Those that `holds` should show."""
LOW, HIGH = 40.0, 80.0
"""Percent: a photo that holds at less is called bad by `holds`, one that holds at more good."""

Row = Mapping[str, str]


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    index: Path
    """CSV of the photos."""
    scores: Path
    """CSV that `vtiqa score --out` wrote."""


def read(path: Path, column: str) -> dict[str, Row]:
    """Reads a CSV; rows by the name of the file that a column holds."""
    with path.open(newline="") as file:
        return {Path(row[column]).name: row for row in csv.DictReader(file)}


def split(names: str) -> set[str]:
    """Returns the names between semicolons."""
    return {name.strip() for name in names.split(";")} - {""}


def named(reasons: str) -> set[str]:
    """Returns the faults that reasons tell."""
    return {fault for fault, words in FAULTS.items() if any(words in reason for reason in split(reasons))}


def tell_kinds(traps: Sequence[tuple[Row, Row]]) -> None:
    """Prints medians by kind of trap, the lowest in brackets, and the photos with a warning or beyond the scale."""
    kinds: dict[str, list[Row]] = defaultdict(list)
    for trap, scores in traps:
        kinds[trap["kind"]].append(scores)
    print("| kind | n | `detail` | `holds`, % | `score` | warnings |\n|---|---|---|---|---|---|")
    for kind, rows in sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0])):
        cells = []
        for column, decimals in (("detail", 2), ("holds", 0), ("score", 2)):
            values = [float(row[column]) for row in rows if row[column]]
            cells.append(f"{np.median(values):.{decimals}f} [{min(values):.{decimals}f}]" if values else "none")
        marked = sum(bool(row["warning"] or row["out_of_range"]) for row in rows)
        print(f"| {kind} | {len(rows)} | {' | '.join(cells)} | {marked} |")


def tell_scale(traps: Sequence[tuple[Row, Row]]) -> None:
    """Prints the traps whose `holds` contradicts what a photographer sees at 1:1."""
    scales = [
        (trap["file"], bool(split(trap["faults"]) & SEEN_CLOSE), float(row["holds"] or "nan")) for trap, row in traps
    ]
    sound = [(file, holds) for file, is_faulty, holds in scales if not is_faulty]
    faulty = [(file, holds) for file, is_faulty, holds in scales if is_faulty]
    low = [f"{file} {holds:.0f}" for file, holds in sound if holds < LOW]
    high = [f"{file} {holds:.0f}" for file, holds in faulty if holds > HIGH]
    print(f"\nholds at less than {LOW:.0f} % without a fault at 1:1: {len(low)} of {len(sound)}: {', '.join(low)}")
    print(f"holds at more than {HIGH:.0f} % with one: {len(high)} of {len(faulty)}: {', '.join(high)}")


def tell_faults(traps: Sequence[tuple[Row, Row]]) -> None:
    """Prints how often each fault is named rightly and wrongly, and then every photo with a wrong reason."""
    found = [(trap["file"], split(trap["faults"]), split(trap["wrong"]), named(row["reasons"])) for trap, row in traps]
    print("\n| fault | recall | named where it is wrong | precision |\n|---|---|---|---|")
    for fault in FAULTS:
        faulty = [fault in said for _, faults, _, said in found if fault in faults]
        wrong = [fault in said for _, _, wrong, said in found if fault in wrong]
        right, told = sum(faulty), sum(faulty) + sum(wrong)
        print(f"| {fault} | {right} of {len(faulty)} | {sum(wrong)} of {len(wrong)} | {right} of {told} |")
    told = [(file, wrong & said) for file, _, wrong, said in found if wrong & said]
    print(f"\na wrong reason at {len(told)} of {len(found)} photos")
    for file, faults in told:
        print(f"  {file}: {', '.join(sorted(faults))}")


def main(arguments: Arguments) -> None:
    """Prints the tables."""
    scores = read(arguments.scores, "image")
    traps = [(row, scores[file]) for file, row in read(arguments.index, "file").items()]
    unknown = {name for trap, _ in traps for name in split(trap["faults"]) | split(trap["wrong"])} - set(FAULTS)
    if unknown:
        raise SystemExit(f"{arguments.index} names {', '.join(sorted(unknown))}; faults are {', '.join(FAULTS)}")
    tell_kinds(traps)
    tell_scale(traps)
    if all("reasons" in row for _, row in traps):
        tell_faults(traps)


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
