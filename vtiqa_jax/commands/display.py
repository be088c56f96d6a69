"""Standard output of `vtiqa score`: a line for each photo, in an order, or a summary of many."""

import sys
from collections.abc import Sequence
from typing import Literal

import numpy as np
from tqdm import tqdm

from vtiqa_jax.choosing.stacks import Stack, say_stack, say_stacks
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.results.lines import lacks_reason, say_faults, say_heading, say_line, shown_columns
from vtiqa_jax.results.rank import DETAIL_WEIGHT
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.scoring.mosaic_sampling import MosaicSampling
from vtiqa_jax.scoring.scorer import Scorer

LONG = 20
"""More photos than these have a summary instead of lines, on a terminal."""
SHOWN = 5
"""Photos of each kind in a summary."""
FEW = 3
"""So many photos, at most, have all their faults printed."""
Order = Literal["best", "worst", "name", "given"]
"""Best or worst first, by name, or as given and found."""


def sort_results(results: Sequence[ScoreResult], order: Order, scale: LabelScale) -> list[ScoreResult]:
    """Sorts results; by rank, those without one come last."""
    if order == "given":
        return list(results)
    if order == "name":
        return sorted(results, key=lambda result: str(result.image))
    sign = 1 if scale.higher_is_better == (order == "worst") else -1
    return sorted(results, key=lambda result: (result.rank is None, sign * (result.rank or 0)))


def _say_order(results: Sequence[ScoreResult]) -> str:
    """Says by what results are sorted, where that is not the score alone."""
    by_rank = len(results) > 1 and any(result.detail is not None for result in results)
    return f" (by rank: the score, and detail for {DETAIL_WEIGHT:.0%})".replace("%", " %") if by_rank else ""


class Display:
    """Prints results as they come or, sorted, when all are there; on a terminal a summary of many."""

    def __init__(
        self,
        model: Scorer,
        sampling: MosaicSampling | None,
        *,
        order: Order | None = None,
        chosen: bool = False,
        silent: bool = False,
        alone: bool = False,
        kept: bool = False,
        faults: bool = False,
    ) -> None:
        """Prints the heading, if lines are to follow at once.

        Args:
            model: what scores.
            sampling: mosaics that are drawn.
            order: of the lines; when not given, the best first on a terminal, and else as results come.
            chosen: print lines of chosen photos only, when all results are there.
            silent: print nothing.
            alone: a single photo is scored.
            kept: all results are also written to a file or a page, so a summary need not say how to see them.
            faults: print below each photo how probable each of its faults is.
        """
        self._model, self._silent, self._alone, self._kept, self._faults = model, silent, alone, kept, faults
        self._columns = shown_columns(model.unknown, mosaics=sampling is not None)
        self._is_terminal = sys.stdout.isatty()
        self._summarizes = self._is_terminal and order is None
        self._order: Order = order or ("best" if self._is_terminal else "given")
        self._is_live = not silent and not chosen and self._order == "given"
        if self._is_live:
            print(self._heading())

    def _heading(self) -> str:
        return say_heading(self._columns, self._model.scale)

    def line(self, result: ScoreResult) -> str:
        """Returns a photo's line, with those of its faults below if they were asked for."""
        line = say_line(result, self._columns, say_stack(result), alone=self._alone)
        return "\n    ".join([line, *(say_faults(result) if self._faults else [])])

    def add(self, result: ScoreResult) -> None:
        """Prints a photo's line, above the progress bar, if lines are printed as results come."""
        if self._is_live:
            tqdm.write(self.line(result), file=sys.stdout)

    def finish(self, results: Sequence[ScoreResult], stacks: Sequence[Stack] = ()) -> None:
        """Prints what is printed when all results are there, and how many stacks there are.

        Args:
            results: of all photos, or of the chosen ones.
            stacks: of all photos.
        """
        if self._silent or self._is_live:
            return
        if results:
            self._print_results(results)
        if stacks:
            print(f"\nstacks: {say_stacks(stacks)}")

    def _print_results(self, results: Sequence[ScoreResult]) -> None:
        ordered = sort_results(results, self._order, self._model.scale)
        scored = [result for result in ordered if result.score is not None]
        failed = [result for result in ordered if result.score is None]
        if self._summarizes and len(ordered) > LONG:
            self._summarize(scored, failed)
            return
        if self._order in ("best", "worst") and (by := _say_order(scored)):
            print(f"the {self._order} first{by}:")
        print(self._heading())
        print("\n".join(map(self.line, scored)))
        if failed:
            print("\nfailed:\n" + "\n".join(map(self.line, failed)))
        if self._alone and self._is_terminal and any(lacks_reason(result, self._model.scale) for result in scored):
            print("where it is bad: vtiqa explain; what a better photo has: vtiqa compare")

    def _summarize(self, scored: Sequence[ScoreResult], failed: Sequence[ScoreResult]) -> None:
        failures = f", {len(failed)} failed" if failed else ""
        print(f"{len(scored) + len(failed)} photos{failures}; {self._model.scale}")
        parts: dict[str, Sequence[ScoreResult]] = {}
        if scored:
            scores = np.array([result.score for result in scored])
            print(f"mean {scores.mean():.4f}, median {np.median(scores):.4f}, standard deviation {scores.std():.4f}")
            out_of_range = sum(result.out_of_range is not None for result in scored)
            if out_of_range:
                print(f"{out_of_range} below or above the scores of all training photos")
            parts = {"best": scored[:SHOWN], "worst": scored[: -SHOWN - 1 : -1]}
        for name, shown in (parts | {"failed": failed[:SHOWN]}).items():
            if shown:
                print(f"\n{name}{_say_order(scored) if name == 'best' else ''}:")
                print("\n".join([*([self._heading()] if name == "best" else []), *map(self.line, shown)]))
            if name == "worst" and not self._kept:
                print("all of them: --out FILE.csv, --report FOLDER, or through a pipe")
        if len(failed) > SHOWN:
            print(f"and {len(failed) - SHOWN} more{'' if self._kept else '; --out FILE.csv has the reasons of all'}")
