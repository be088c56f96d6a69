"""How much detail photos show as cameras made them: what the detail of a large photo is compared with."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.photos import headers
from vtiqa_jax.photos.metadata import is_as_taken
from vtiqa_jax.results.interpreter import LARGE, NO_PHOTOGRAPH
from vtiqa_jax.scoring.scorer import Scorer

LEAST = 300
"""Photos: of fewer a percentile would rest on two or three."""


def choose_compared(photos: Sequence[Path], learnt: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Chooses the photos whose detail that of others can be compared with, by their headers.

    Args:
        photos: any.
        learnt: those that the heads learn from.

    Returns:
        JPEGs of `LARGE` pixels and more as cameras made them, and a line for each other photo.

    Raises:
        UserError: they are fewer than `LEAST`, or one of the photos is learnt from.
    """
    if both := {path.resolve() for path in photos} & {path.resolve() for path in learnt}:
        raise UserError(f"{min(both)} is among --photos, too; compare with photos that taught nothing")
    whys = [_say_why_not(path) for path in photos]
    chosen = [path for path, why in zip(photos, whys, strict=True) if why is None]
    left_out = [f"{path}: {why}" for path, why in zip(photos, whys, strict=True) if why is not None]
    if len(chosen) < LEAST:
        first = f"; the first that does not count: {left_out[0]}" if left_out else ""
        raise UserError(f"detail is compared with that of at least {LEAST} photos, not of {len(chosen)}{first}")
    return chosen, left_out


def _say_why_not(path: Path) -> str | None:
    """Says why a photo does not count; None of one that does."""
    try:
        data = path.read_bytes()
        if (kind := headers.find_format(data)) is None:
            return "it cannot be read"
        width, height = headers.read_size(data, kind)
    except (OSError, ImageError):
        return "it cannot be read"
    if height * width < LARGE:
        return f"it has less than {LARGE / 1e6:g} megapixels"
    if not is_as_taken(data, (height, width)):
        return "its EXIF data do not say that a camera made it in this size"
    return None


def with_detail_percentiles(model: Checkpoint, photos: Sequence[Path]) -> tuple[Checkpoint, list[str]]:
    """Returns the same model with the detail of photos like these, in the place of what it may have.

    Args:
        model: with detail.
        photos: of `choose_compared`.

    Returns:
        The model, as it was where fewer than `LEAST` have detail; and a line for each photo that has none.
    """
    assert model.scale is not None and model.config.native is not None
    scorer = Scorer(model.config, model.params, model.scale)
    results = tqdm(scorer.stream(photos), "photos to compare with", len(photos), unit="photo", disable=None)
    detail, left_out = [], []
    for path, result in zip(photos, results, strict=True):
        if result.detail is None or NO_PHOTOGRAPH in (result.warning or ""):
            left_out.append(f"{path}: {result.remarks}")
        else:
            detail.append(result.detail)
    if len(detail) < LEAST:
        return model, [*left_out, f"detail is compared with nothing: {len(detail)} of {len(photos)} photos have it"]
    known = {"percentiles": np.percentile(detail, range(101)).tolist(), "photos": len(detail)}
    return dataclasses.replace(model, provenance=model.provenance | {"detail": known}), left_out
