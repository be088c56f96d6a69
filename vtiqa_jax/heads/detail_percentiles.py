"""How much detail photos show as cameras made them: what the detail of a large photo is compared with."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vtiqa_jax.errors import UserError
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.photos.metadata import is_as_taken
from vtiqa_jax.results.interpreter import LARGE
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.scoring.scorer import Scorer

LEAST = 300
"""Photos: of fewer a percentile would rest on two or three."""


def check_compared(photos: Sequence[Path], learnt: Sequence[Path]) -> None:
    """Checks that the detail of photos can be compared with that of others.

    Args:
        photos: see `with_detail_percentiles`.
        learnt: those that the heads learn from.

    Raises:
        UserError: they are too few, or one of them is learnt from.
    """
    if len(photos) < LEAST:
        raise UserError(f"detail is compared with that of at least {LEAST} photos, not of {len(photos)}")
    if both := {path.resolve() for path in photos} & {path.resolve() for path in learnt}:
        raise UserError(f"{min(both)} is among --photos, too; compare with photos that taught nothing")


def with_detail_percentiles(model: Checkpoint, photos: Sequence[Path]) -> tuple[Checkpoint, list[str]]:
    """Returns the same model with the detail of photos like these, in the place of what it may have.

    Args:
        model: with detail.
        photos: JPEGs of `LARGE` pixels and more as cameras made them, that trained no head.

    Returns:
        The model, and a line for each photo that does not count.

    Raises:
        UserError: fewer than `LEAST` photos count.
    """
    assert model.scale is not None and model.config.native is not None
    scorer = Scorer(model.config, model.params, model.scale)
    results = tqdm(scorer.stream(photos), "photos to compare with", len(photos), unit="photo", disable=None)
    detail, left_out = [], []
    for path, result in zip(photos, results, strict=True):
        if why := _say_why_not(path, result):
            left_out.append(f"{path}: {why}")
        else:
            detail.append(result.detail)
    if len(detail) < LEAST:
        first = f"; the first that does not count: {left_out[0]}" if left_out else ""
        raise UserError(f"detail is compared with that of at least {LEAST} photos, not of {len(detail)}{first}")
    known = {"percentiles": np.percentile(detail, range(101)).tolist(), "photos": len(detail)}
    return dataclasses.replace(model, provenance=model.provenance | {"detail": known}), left_out


def _say_why_not(path: Path, result: ScoreResult) -> str | None:
    """Says why a photo does not count; None of one that does."""
    if result.error or result.height is None or result.width is None:
        return result.error
    if result.height * result.width < LARGE:
        return f"it has less than {LARGE / 1e6:g} megapixels"
    if not is_as_taken(path.read_bytes(), (result.height, result.width)):
        return "its EXIF data do not say that a camera made it in this size"
    return result.warning if result.detail is None else None
