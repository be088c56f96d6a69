"""What `vtiqa score` says on standard output: a line for each photo, or a summary of many."""

import sys
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from vtiqa_jax.evaluation.results import ScoreResult
from vtiqa_jax.evaluation.scorer import Scorer
from vtiqa_jax.evaluation.spread import Spread

LONG = 20
"""More photos than these have a summary instead of lines, on a terminal."""
SHOWN = 5
"""Photos of each kind in a summary."""
OUTSIDE = {"below": "below the scores of all training photos", "above": "above the scores of all training photos"}


def remarks(result: ScoreResult) -> str:
    """What there is to say of a photo beside its numbers."""
    return result.error or "; ".join(filter(None, [OUTSIDE.get(result.outside or ""), result.warning]))


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
        self._model, self._spread = model, spread
        self._has_summary = not silent and sys.stdout.isatty() and count > LONG
        self._has_lines = not silent and not self._has_summary
        if self._has_lines:
            drawn = f"  mean ± spread of {spread.draws} mosaics" if spread else ""
            print(f"score ({model.scale}){drawn}{'' if model.percentiles is None else '  better than'}  image")

    def line(self, result: ScoreResult) -> str:
        """A photo's line."""
        shown = "    failed" if result.score is None else f"{result.score:10.4f}"
        if self._spread:
            shown += " " * 19 if result.mean is None else f"{result.mean:10.4f} ± {result.spread:.4f}"
        if self._model.percentiles is not None:
            shown += " " * 7 if result.percentile is None else f"{result.percentile:5.0f} %"
        said = remarks(result)
        return f"{shown}  {result.image}{f': {said}' if said else ''}"

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
            outside = sum(result.outside is not None for _, result in scored)
            if outside:
                print(f"{outside} below or above the scores of all training photos")
            parts = {"best": [r for _, r in scored[:SHOWN]], "worst": [r for _, r in scored[: -SHOWN - 1 : -1]]}
        for name, shown in (parts | {"failed": failed[:SHOWN]}).items():
            if shown:
                print(f"\n{name}:")
                print("\n".join(map(self.line, shown)))
        if len(failed) > SHOWN:
            print(f"and {len(failed) - SHOWN} more; --out FILE.csv has the reasons of all")
