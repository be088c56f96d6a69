"""What `vtiqa score` says on standard output: a line for each photo, or a summary of many."""

import io
import sys
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from vtiqa_jax.evaluation.columns import score_columns
from vtiqa_jax.evaluation.results import ScoreResult
from vtiqa_jax.evaluation.scorer import Scorer
from vtiqa_jax.evaluation.spread import Spread

LONG = 20
"""More photos than these have a summary instead of lines, on a terminal."""
SHOWN = 5
"""Photos of each kind in a summary."""


def print_any_name() -> None:
    """Lets names of files through to standard output that are no UTF-8."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")


class Display:
    """Prints results as they come, or their summary at the end, or nothing."""

    def __init__(self, model: Scorer, count: int, spread: Spread | None, *, silent: bool) -> None:
        """Prints the line above the results.

        Args:
            model: what scores.
            count: photos there are.
            spread: mosaics that are drawn.
            silent: print nothing.
        """
        self._model = model
        self._columns = [
            column
            for column in score_columns(spread=spread is not None)
            if column.shown and (column.name != "percentile" or model.percentiles is not None)
        ]
        self._has_summary = not silent and sys.stdout.isatty() and count > LONG
        self._has_lines = not silent and not self._has_summary
        if self._has_lines:
            print("".join([f"score ({model.scale})", *(column.heading for column in self._columns[1:]), "  image"]))

    def line(self, result: ScoreResult) -> str:
        """A photo's line."""
        score, *others = [column.show(result) for column in self._columns]
        shown = "failed".rjust(len(score)) if result.score is None else score
        return f"{shown}{''.join(others)}  {result.image}{f': {result.remarks}' if result.remarks else ''}"

    def add(self, result: ScoreResult) -> None:
        """Prints a photo's line, above the progress bar."""
        if self._has_lines:
            tqdm.write(self.line(result), file=sys.stdout)

    def finish(self, results: Sequence[ScoreResult]) -> None:
        """Prints the summary."""
        if not self._has_summary:
            return
        failed = [result for result in results if result.score is None]
        scored = [(result.score, result) for result in results if result.score is not None]
        scored.sort(key=lambda pair: pair[0], reverse=self._model.scale.higher_is_better)
        print(f"{len(results)} photos, {len(failed)} failed; {self._model.scale}")
        parts: dict[str, list[ScoreResult]] = {}
        if scored:
            scores = np.array([score for score, _ in scored])
            print(f"mean {scores.mean():.4f}, median {np.median(scores):.4f}, standard deviation {scores.std():.4f}")
            out_of_range = sum(result.out_of_range is not None for _, result in scored)
            if out_of_range:
                print(f"{out_of_range} below or above the scores of all training photos")
            parts = {"best": [r for _, r in scored[:SHOWN]], "worst": [r for _, r in scored[: -SHOWN - 1 : -1]]}
        for name, shown in (parts | {"failed": failed[:SHOWN]}).items():
            if shown:
                print(f"\n{name}:")
                print("\n".join(map(self.line, shown)))
        if len(failed) > SHOWN:
            print(f"and {len(failed) - SHOWN} more; --out FILE.csv has the reasons of all")
