"""Compares a model's reasons with the faults that two judges saw, in photos that did not teach the model.

For example:

    python experiments/judged_photos.py a.csv b.csv --images DIR [--opinions opinions.csv] [--checkpoint default]

Both tables are of the same photos, each by one judge. They have the column image and a column of strengths from 0 to 3
for each fault (`vtiqa_jax/data/judged.py`). A fault is plain if the mean of both is at least 1.5, and seen if one of
them saw it. With `--opinions` (columns image and mos) the opinions of photos with and without each reason are printed.
"""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import scipy.stats
from cyclopts import Parameter
from jaxtyping import Bool, Float

import vtiqa_jax
from vtiqa_jax import cli
from vtiqa_jax.data.judged import read_judged
from vtiqa_jax.data.manifest import read_csv
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.faults import FAULTS
from vtiqa_jax.results.reasons import Fault

PLAIN = 1.5
BINS = (0, 0.02, 0.1, 0.3, 0.6, 1.0)


@Parameter(name="*")
@dataclasses.dataclass
class Arguments:
    """Options."""

    first: Path
    """CSV of the first judge."""
    second: Path
    """CSV of the second judge."""
    images: Path
    """Folder of the photos."""
    opinions: Path | None = None
    """CSV with the columns image and mos."""
    checkpoint: str = "default"
    """Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model."""


def agreement(first: Bool[np.ndarray, " photos"], second: Bool[np.ndarray, " photos"]) -> float:
    """Computes Cohen's kappa."""
    expected = first.mean() * second.mean() + (1 - first.mean()) * (1 - second.mean())
    return float(((first == second).mean() - expected) / (1 - expected)) if expected < 1 else 1.0


def share(found: Bool[np.ndarray, " photos"], weights: Float[np.ndarray, " photos"]) -> str:
    """Says a share with its 95 % interval, by the number of photos that the weights are worth."""
    if not len(found):
        return "none"
    size = weights.sum() ** 2 / (weights**2).sum()
    mean = float((found * weights).sum() / weights.sum())
    low, high = scipy.stats.binomtest(round(mean * size), max(1, round(size))).proportion_ci(method="wilson")
    return f"{mean:.2f} ({low:.2f} to {high:.2f})"


def main(arguments: Arguments) -> None:
    """Prints the tables."""
    tables = [read_judged(table, arguments.images) for table in (arguments.first, arguments.second)]
    if tables[0].paths != tables[1].paths:
        raise UserError(f"{arguments.first} and {arguments.second} are not of the same photos in the same order")
    judges, weights = np.stack([table.strengths for table in tables]), tables[0].weights
    mean, seen = judges.mean(0), judges.max(0) > 0
    model = vtiqa_jax.load(arguments.checkpoint)
    results = list(model.stream(list(tables[0].paths)))
    reasons = [{reason.name: reason.strength for reason in result.reasons} for result in results]
    strengths = np.array([[found.get(fault, -np.inf) for fault in FAULTS] for found in reasons])
    named, shown = strengths > -np.inf, strengths >= PLAIN
    # Of a photo without structure not all faults are told: it has none of the others.
    told = [{fault.name: fault for fault in result.faults} for result in results]
    none = Fault("", -np.inf, 0)
    probability = np.array([[found.get(fault, none).probability for fault in FAULTS] for found in told])
    strength = np.array([[found.get(fault, none).strength for fault in FAULTS] for found in told])
    even = np.ones(len(weights))
    titles = "fault", "kappa seen, plain", "plain, seen", "AUC", "named: seen", "named plain: plain", "recall of plain"
    print("| " + " | ".join(titles) + " |")
    print("|---|---|---|---|---|---|---|")
    for number, fault in enumerate(FAULTS):
        plain, any_judge = mean[:, number] >= PLAIN, seen[:, number]
        kappas = [agreement(*(judges[:, :, number] >= level)) for level in (1, 2)]
        area = np.mean(strength[plain, number][:, None] > strength[~any_judge, number]) if plain.any() else np.nan
        here, loud = named[:, number], shown[:, number]
        print(
            f"| {fault} | {kappas[0]:.2f}, {kappas[1]:.2f} | {plain.sum()}, {any_judge.sum()} | {area:.3f} |"
            f" {here.sum()}: {share(any_judge[here], even[here])} | {loud.sum()}: {share(plain[loud], even[loud])} |"
            f" {share(here[plain], even[plain])} |"
        )
    wrong, faultless = (named & ~seen).any(1), ~(mean >= PLAIN).any(1)
    print(f"\n{named.any(1).sum()} of {len(named)} photos have a reason, {(named & shown).any(1).sum()} a plain one;")
    print(f"a reason that nobody saw: {share(wrong, np.ones(len(wrong)))}, n {wrong.sum()}")
    print(f"of {faultless.sum()} without a plain fault {named[faultless].any(1).sum()} have one")
    print("\nprobabilities, all faults together, each photo by its weight: said, and plain to the judges")
    flat, plain = probability.ravel(), (mean >= PLAIN).ravel()
    each = np.repeat(weights, len(FAULTS))
    for low, high in itertools.pairwise(BINS):
        inside = (flat >= low) & (flat < high)
        if inside.any():
            said = (flat * each)[inside].sum() / each[inside].sum()
            print(f"  {low:.2f} to {high:.2f}: {said:.3f} said, {share(plain[inside], each[inside])}, n {inside.sum()}")
    if arguments.opinions:
        listed = read_csv(arguments.opinions, arguments.images, partial=True)
        opinions = dict(zip(listed.names, listed.mos, strict=True))
        mos = np.array([opinions.get(path.name, np.nan) for path in tables[0].paths])
        print("\nmean opinion with each reason, and without")
        for number, fault in enumerate(FAULTS):
            here = named[:, number]
            print(f"  {fault}: {np.nanmean(mos[here]) if here.any() else np.nan:.2f}, {np.nanmean(mos[~here]):.2f}")


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
