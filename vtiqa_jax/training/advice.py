"""Advice after a training: whether it helped, and what its model does not have."""

import math
from collections.abc import Iterator
from typing import Any

from vtiqa_jax.models.checkpoint import Checkpoint


def advise(result: dict[str, Any], before: Checkpoint | None) -> Iterator[str]:
    """Yields what a person should know after a run, a line each.

    Args:
        result: of `train`.
        before: the model that the training started from, as it was.
    """
    if "before" in result:
        yield from _compare(result["srcc"] or 0.0, result["before"]["srcc"] or 0.0, result["n"], result["identity"])
    if before is not None and (before.config.native is not None or before.config.intervals):
        yield "this model gives scores only; `vtiqa heads` makes detail, reasons and intervals for it (docs/heads.md)"


def _compare(now: float, earlier: float, count: int, identity: dict[str, Any]) -> Iterator[str]:
    """Says that the SRCC fell, unless it fell by less than its own standard error."""
    if now >= earlier:
        return
    if earlier - now < (1 - now**2) / math.sqrt(max(1, count - 1)):
        yield f"{count} test photos cannot tell whether the model was better before training"
        return
    options = {"--recipe.freeze-backbone": "recipe.freeze_backbone", "--keep-head": "keep head"}
    untried = [option for option, name in options.items() if identity.get(name) is False]
    yield (
        f"the model had a higher SRCC before training: keep that one, or try {', '.join(untried)}"
        f"{' or ' if untried else ''}more photos"
    )
