"""One data set's figures, beside those of what needs no model."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from vtiqa_jax.bench import baselines
from vtiqa_jax.bench.contenders import Contender
from vtiqa_jax.bench.parts import TestPart
from vtiqa_jax.errors import UserError
from vtiqa_jax.evaluation import metrics
from vtiqa_jax.results.results import ScoreResult

Row = dict[str, Any]
"""JSON."""


def compare(contender: Contender, part: TestPart, results: Mapping[Path, ScoreResult]) -> Row:
    """Computes the figures of one data set.

    Args:
        contender: what scored.
        part: the photos.
        results: of all of them.

    Raises:
        UserError: fewer than two photos have a score.
    """
    photos, info = part.photos, part.dataset.info
    kept = np.array([results[photo].score is not None for photo in photos])
    scored = [photo for photo, is_kept in zip(photos, kept, strict=True) if is_kept]
    if len(scored) < 2:
        raise UserError(f"{info.title}: {len(scored)} of {len(photos)} photos have a score, but a correlation needs 2")
    scores = np.array([results[photo].score for photo in scored], np.float64)
    tested = part.dataset.on_common_scale().select(part.rows[kept])
    figures = metrics.compare(scores if contender.higher_is_better else -scores, tested.mos, tested.scenes)
    if not contender.has_common_scale:
        figures |= {name: None for name, metric in metrics.METRICS.items() if metric.in_mos}
    return {
        "title": info.title,
        "part": part.name,
        "complete": part.dataset.complete and len(part.dataset.photos.names) >= info.count,
        "trained_on": part.is_trained_on,
        "may_have_seen": part.has_leak,
        "failed": len(photos) - len(scored),
        "sha256": hash_photos(scored, tested.mos),
        **figures,
        "baselines": _compare_baselines(scored, tested.mos, tested.groups),
    }


def _compare_baselines(
    photos: Sequence[Path], mos: Float[np.ndarray, " n"], groups: Sequence[str]
) -> dict[str, float | None]:
    """Computes the SRCC of each of `baselines.BASELINES`; None where there is none."""
    measures = baselines.measure_all(photos)
    found = list(tqdm(measures, "measuring", len(photos), unit="photo", disable=None, leave=False))
    columns = {name: np.array([getattr(one, name) for one in found]) for name in baselines.MEASURED}
    columns["subset"] = baselines.subset_means(groups, mos) if groups else np.full(len(mos), np.nan)
    values = {name: metrics.correlations_if_any(columns[name], mos).srcc for name in baselines.BASELINES}
    return {name: float(value) if np.isfinite(value) else None for name, value in values.items()}


def hash_photos(photos: Sequence[Path], mos: Float[np.ndarray, " n"]) -> str:
    """Hashes photos, by the names and sizes of their files, and of their MOS: two rows of the same hash compare."""
    lines = [
        f"{photo.name.casefold()} {photo.stat().st_size} {score:.4f}" for photo, score in zip(photos, mos, strict=True)
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
