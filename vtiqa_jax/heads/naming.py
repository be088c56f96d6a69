"""Reasons for a model: the head that finds faults, from where they are named, and how probable they are."""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32, Int
from tqdm import tqdm

from vtiqa_jax.data import images
from vtiqa_jax.data.judged import JudgedPhotos
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.heads.alarms import fit_probabilities, fit_thresholds, raise_thresholds
from vtiqa_jax.heads.lessons import ByEye, Lessons, collect_lessons
from vtiqa_jax.heads.reasons import fit_reasons
from vtiqa_jax.heads.seen import Seen, SeenCache
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models.adapt import without_novelty
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.faults import FAULTS
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.reasons import LEVELS
from vtiqa_jax.models.vtiqa import VTIQA
from vtiqa_jax.photos.resize import Rgb
from vtiqa_jax.scoring.scorer import Scorer

MOST_PLANTED, MOST_GOOD = 500, 1000
"""Photos with opinions into which faults are planted, and those in which nothing should be named."""
CLEAN, GOOD = 0.5, 2 / 3
"""Shares of the photos with opinions that are worse than those into which faults are planted, and than good ones."""
FOLDS = 3
"""Heads that each learn from all but one part of the photos judged by eye, and are asked about that part."""
NO_STRENGTH = -99.0
"""Below all strengths: of a fault that somebody saw, which is no false alarm."""
PLAIN = (LEVELS[0] + LEVELS[1]) / 2
"""Mean strength from which a fault is plain to those who judge by eye."""


def measure_strengths(model: Checkpoint, photos: Iterable[Any]) -> Float[np.ndarray, "photos faults"]:
    """Finds how strong the faults of photos are.

    Args:
        model: with reasons.
        photos: see `Scorer.stream`; those that cannot be read, or show no structure, have NaN.
    """
    model = without_novelty(model)  # of what does not look like a photograph no fault is told
    assert model.scale is not None
    scorer = Scorer(model.config, model.params, model.scale)
    results = tqdm(scorer.stream(photos), "photos whose faults are measured", unit="photo", disable=None)
    told = [{fault.name: fault.strength for fault in result.faults} for result in results]
    return np.array([[found.get(fault, np.nan) for fault in FAULTS] for found in told]).reshape(-1, len(FAULTS))


def find_strengths(model: Checkpoint, seen: Seen) -> Float[np.ndarray, "photos faults"]:
    """Finds how strong faults are in what was seen."""
    vtiqa = parameters.merge_params(parameters.abstract_model(model.config)[0], jax.tree.map(jnp.asarray, model.params))
    assert isinstance(vtiqa, VTIQA) and vtiqa.reasons is not None
    summaries = vtiqa.reasons.see_places(jnp.asarray(seen.tokens, jnp.float32), jnp.asarray(seen.structure))
    return np.asarray(vtiqa.reasons(summaries, jnp.asarray(seen.screen), jnp.asarray(seen.tones))[0])


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
    better = order[opinions[order] > clean]
    planted = better[: min(MOST_PLANTED, len(better) // 2)]
    others = order[~np.isin(order, planted)]
    return np.sort(planted), np.sort(others[opinions[others] > good][:MOST_GOOD])


def _decode_all(photos: Manifest) -> Iterator[Rgb]:
    """Yields the pixels of those photos that can be read."""
    for name in photos.names:
        with contextlib.suppress(ImageError):
            yield images.decode(photos.images.read(name), name)


def deal(sources: Int[np.ndarray, " photos"], seed: int) -> Int[np.ndarray, " photos"]:
    """Deals photos into folds of about one size, all of one source into the same.

    Args:
        sources: a number for each.
        seed: of the order in which sources of one size are dealt.

    Returns:
        The fold of each photo.
    """
    counts = np.bincount(sources)
    order = np.random.default_rng(seed).permutation(len(counts))
    sizes, fold = np.zeros(FOLDS, int), np.empty(len(counts), int)
    for source in order[np.argsort(-counts[order], kind="stable")]:
        fold[source] = sizes.argmin()
        sizes[fold[source]] += counts[source]
    return fold[sources]


def cross_fit(model: Checkpoint, lessons: Lessons, by_eye: ByEye, seed: int) -> Float32[np.ndarray, "photos faults"]:
    """Finds how strong the faults of photos judged by eye are, each by a head that learnt nothing from its source.

    Args:
        model: without reasons.
        lessons: of all photos.
        by_eye: the photos.
        seed: of all draws.
    """
    count = len(by_eye.weights)
    fold = deal(by_eye.sources, seed)
    strengths = np.empty((count, len(FAULTS)), np.float32)
    for number in range(FOLDS):
        asked = np.flatnonzero(fold == number)
        if len(asked):
            made = with_head(model, fit_reasons(lessons.seen, lessons.rows(asked), seed))
            strengths[asked] = find_strengths(made, by_eye.seen.take(asked))
    return strengths


def with_head(model: Checkpoint, params: Params) -> Checkpoint:
    """Returns the model with a head of reasons."""
    return dataclasses.replace(model, config=model.config.replace(reasons=True), params=model.params | params)


def build_reasons(
    model: Checkpoint, photos: Sequence[Path], scored: Manifest, judged: JudgedPhotos | None, cache: Path, seed: int = 0
) -> tuple[Checkpoint, list[str]]:
    """Makes the head that names faults.

    Args:
        model: a VT-IQA with detail; reasons that it has are made anew.
        photos: as cameras made them. Those that nobody judged by eye should have no faults.
        scored: photos with opinions; faults are planted into the better ones.
        judged: photos judged by eye; some of `photos` may be among them. Without them the head knows planted faults
            alone.
        cache: a folder for what takes long.
        seed: of all draws.

    Returns:
        The model with reasons, and a line for each photo that was left out.

    Raises:
        UserError: no photo can be used, or no good scored one.
    """
    assert model.scale is not None
    planted, good = choose_scored(scored.mos if model.scale.higher_is_better else -scored.mos, seed)
    lessons, by_eye, left_out = collect_lessons(SeenCache(cache, model), photos, scored.select(planted), judged)
    made = with_head(model, fit_reasons(lessons.seen, lessons.rows(), seed))
    strengths = measure_strengths(made, _decode_all(scored.select(good)))
    if not len(strengths := strengths[~np.isnan(strengths).any(1)]):
        raise UserError("none of the good scored photos can be read: from where faults are named is not known")
    thresholds = fit_thresholds(strengths)
    fitted: Params = {}
    if by_eye:
        strengths, seen = cross_fit(model, lessons, by_eye, seed), by_eye.seen.strengths
        fitted["reasons.curve"] = fit_probabilities(strengths, seen >= PLAIN, by_eye.weights)
        if by_eye.is_large.any():  # whatever nobody saw in large photos is named wrongly there
            wrong = np.where(seen > 0, NO_STRENGTH, strengths)
            thresholds = raise_thresholds(thresholds, wrong[by_eye.is_large])
    fitted["reasons.thresholds"] = thresholds
    return dataclasses.replace(made, params=made.params | fitted), left_out
