"""Reasons for a model: the head that finds faults, from where they are named, and how probable they are."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from vtiqa_jax.data.judged import JudgedPhotos
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.evaluation.scorer import Scorer
from vtiqa_jax.heads.alarms import fit_probabilities, fit_thresholds
from vtiqa_jax.heads.reasons import fit_reasons
from vtiqa_jax.heads.seen import Seen, SeenCache
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.reasons import FAULTS, LEVELS

LARGE_VERSIONS, SCORED_VERSIONS = 10, 6
"""Of each photo: of those as cameras made them, and of those with opinions."""
MOST_PLANTED, MOST_GOOD = 500, 1000
"""Photos with opinions into which faults are planted, and those in which nothing should be named."""
CLEAN, GOOD = 0.5, 2 / 3
"""Shares of the photos with opinions that are worse than those into which faults are planted, and than good ones."""
LEAST_GOOD = 100
PLAIN = (LEVELS[0] + LEVELS[1]) / 2
"""Mean strength from which a fault is plain to those who judge by eye."""


def measure_strengths(model: Checkpoint, photos: Iterable[Any]) -> Float[np.ndarray, "photos faults"]:
    """Finds how strong the faults of photos are.

    Args:
        model: with reasons.
        photos: see `Scorer.stream`; those that cannot be read have NaN.
    """
    assert model.scale is not None
    scorer = Scorer(model.config, model.params, model.scale)
    nothing = [np.nan] * len(FAULTS)
    results = tqdm(scorer.stream(photos), "photos whose faults are measured", unit="photo", disable=None)
    rows = [[fault.strength for fault in result.faults] or nothing for result in results]
    return np.array(rows, np.float64).reshape(-1, len(FAULTS))


def choose_scored(
    opinions: Float[np.ndarray, " photos"], seed: int
) -> tuple[Int[np.ndarray, " planted"], Int[np.ndarray, " good"]]:
    """Draws which photos faults are planted into, and which other ones are good.

    Args:
        opinions: mean ones, the higher the better.
        seed: of the draw.
    """
    order = np.random.default_rng(seed).permutation(len(opinions))
    clean, good = np.quantile(opinions, [CLEAN, GOOD])
    planted = order[opinions[order] > clean][:MOST_PLANTED]
    others = order[~np.isin(order, planted)]
    return np.sort(planted), np.sort(others[opinions[others] > good][:MOST_GOOD])


def collect_seen(cache: SeenCache, photos: Iterable[tuple[str, bytes, int]], count: int) -> tuple[Seen, list[str]]:
    """Collects what a model sees of versions of photos.

    Args:
        cache: keeps it.
        photos: their files' names and bytes, and how many versions are made of each.
        count: of photos.

    Returns:
        What it sees, and a line for each photo that was left out.

    Raises:
        UserError: no photo can be used.
    """
    found, left_out = [], []
    for name, data, versions in tqdm(photos, "photos with planted faults", total=count, unit="photo", disable=None):
        try:
            found.append(cache.read(name, data, versions))
        except ImageError as error:
            left_out.append(f"{name}: {error}")
    if not found:
        raise UserError(
            f"no photo can be used to learn faults from; the first: {left_out[0] if left_out else 'none given'}"
        )
    return Seen.concatenate(found), left_out


def build_reasons(
    model: Checkpoint, photos: Sequence[Path], scored: Manifest, judged: JudgedPhotos | None, cache: Path, seed: int = 0
) -> tuple[Checkpoint, list[str]]:
    """Makes the head that names faults.

    Args:
        model: a VT-IQA with detail; reasons that it has are made anew.
        photos: good ones, as cameras made them.
        scored: photos with opinions; faults are planted into the better ones.
        judged: photos judged by eye, by which probabilities are fitted; without them they are those of planted faults.
        cache: a folder for what takes long.
        seed: of all draws.

    Returns:
        The model with reasons, and a line for each photo that was left out.

    Raises:
        UserError: there are too few good photos.
    """
    assert model.scale is not None
    opinions = scored.mos if model.scale.higher_is_better else -scored.mos
    planted, good = choose_scored(opinions, seed)
    if len(good) < LEAST_GOOD:
        raise UserError(f"reasons need at least {LEAST_GOOD} more good photos among the scored ones, not {len(good)}")

    def files() -> Iterator[tuple[str, bytes, int]]:
        for path in photos:
            yield str(path), path.read_bytes(), LARGE_VERSIONS
        for row in planted:
            yield scored.names[row], scored.images.read(scored.names[row]), SCORED_VERSIONS

    seen, left_out = collect_seen(SeenCache(cache, model), files(), len(photos) + len(planted))
    config = model.config.replace(reasons=True)
    made = dataclasses.replace(model, config=config, params=model.params | fit_reasons(seen, seed))
    strengths = measure_strengths(made, (scored.images.read(scored.names[row]) for row in good))
    thresholds = fit_thresholds(strengths[~np.isnan(strengths).any(1)])
    made = dataclasses.replace(made, params=made.params | {"reasons.thresholds": thresholds})
    if judged is None:
        return made, left_out
    strengths = measure_strengths(made, judged.paths)
    known = ~np.isnan(strengths).any(1)
    curve = fit_probabilities(strengths[known], judged.strengths[known] >= PLAIN, judged.weights[known])
    return dataclasses.replace(made, params=made.params | {"reasons.curve": curve}), left_out
