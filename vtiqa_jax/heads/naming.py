"""Reasons for a model: the head that finds faults, from where they are named, and how probable they are."""

import contextlib
import dataclasses
import functools
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from vtiqa_jax.data.judged import JudgedPhotos
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.evaluation.scorer import Scorer
from vtiqa_jax.heads.alarms import fit_probabilities, fit_thresholds
from vtiqa_jax.heads.faulty import Faulty, make_faulty
from vtiqa_jax.heads.reasons import fit_reasons
from vtiqa_jax.heads.seen import Seen, SeenCache
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models.adapt import without_novelty
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.reasons import FAULTS, LEVELS
from vtiqa_jax.models.vtiqa import VTIQA
from vtiqa_jax.photos.decode import decode
from vtiqa_jax.photos.resize import Rgb

LARGE_VERSIONS, SCORED_VERSIONS = 10, 6
"""Of each photo: of those as cameras made them, and of those with opinions."""
WHOLE_TIMES = 3
"""How often a large photo counts as it is, without any fault, beside its versions: these are parts, whose pixels are
looked at more closely than those of the whole."""
MOST_PLANTED, MOST_GOOD = 500, 1000
"""Photos with opinions into which faults are planted, and those in which nothing should be named."""
CLEAN, GOOD = 0.5, 2 / 3
"""Shares of the photos with opinions that are worse than those into which faults are planted, and than good ones."""
ASKED = 0.3
"""Share of the photos judged by eye that the head does not learn from: probabilities are fitted to them."""
JUDGED_TIMES = 4
"""How often a photo judged by eye counts beside a version with planted faults."""
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


def _as_it_is(name: str, data: bytes) -> Iterator[Faulty]:
    yield Faulty(decode(name, data).pixels, np.zeros(len(FAULTS), np.float32))


def _see_whole(cache: SeenCache, name: str, data: bytes) -> Seen:
    return cache.read(data, "as it is", lambda: _as_it_is(name, data))


def _decode_all(photos: Manifest) -> Iterator[Rgb]:
    """Yields the pixels of those photos that can be read."""
    for name in photos.names:
        with contextlib.suppress(ImageError):
            yield decode(name, photos.images.read(name)).pixels


def _read_all(
    photos: Iterable[tuple[str, bytes]], read: Callable[[str, bytes], Seen], what: str, count: int
) -> tuple[list[Seen | None], list[str]]:
    """Reads photos; of those that cannot be used there is nothing but a line that says why."""
    found: list[Seen | None] = []
    left_out: list[str] = []
    for name, data in tqdm(photos, what, total=count, unit="photo", disable=None):
        try:
            found.append(read(name, data))
        except ImageError as error:
            found.append(None)
            left_out.append(f"{name}: {error}")
    return found, left_out


def see_planted(cache: SeenCache, photos: Sequence[Path], scored: Manifest) -> tuple[Seen, list[str]]:
    """Plants faults into photos, and collects what a model sees of them.

    Args:
        cache: keeps it.
        photos: good ones, as cameras made them.
        scored: good ones with opinions.

    Returns:
        What it sees, and a line for each photo that was left out.

    Raises:
        UserError: no photo can be used.
    """

    def read(count: int) -> Callable[[str, bytes], Seen]:
        def planted(name: str, data: bytes) -> Seen:
            return cache.read(data, f"{count}", lambda: make_faulty(decode(name, data).pixels, count, zlib.crc32(data)))

        return planted

    def large() -> Iterator[tuple[str, bytes]]:
        return ((str(path), path.read_bytes()) for path in photos)

    small = ((name, scored.images.read(name)) for name in scored.names)
    found, left_out = _read_all(large(), read(LARGE_VERSIONS), "faults planted into photos", len(photos))
    more, and_left_out = _read_all(small, read(SCORED_VERSIONS), "into scored photos", len(scored.names))
    whole, _ = _read_all(large(), functools.partial(_see_whole, cache), "photos as they are", len(photos))
    seen = [part for part in [*found, *more, *whole * WHOLE_TIMES] if part]
    if not seen:
        raise UserError(f"no photo can be used to learn faults from; the first: {[*left_out, *and_left_out][0]}")
    return Seen.concatenate(seen), left_out + and_left_out


def see_judged(cache: SeenCache, judged: JudgedPhotos) -> tuple[Seen, Float[np.ndarray, " photos"], list[str]]:
    """Collects what a model sees of photos judged by eye.

    Returns:
        What it sees, with the faults that people saw; the weights of these photos; and a line for each that was left
        out.

    Raises:
        UserError: no photo can be used.
    """
    files = ((str(path), path.read_bytes()) for path in judged.paths)
    found, left_out = _read_all(files, functools.partial(_see_whole, cache), "photos judged by eye", len(judged.paths))
    known = np.array([part is not None for part in found])
    if not known.any():
        raise UserError(f"no photo judged by eye can be used; the first: {left_out[0]}")
    seen = Seen.concatenate([part for part in found if part])
    strengths = judged.strengths[known].astype(np.float32)
    return dataclasses.replace(seen, strengths=strengths), judged.weights[known], left_out


def build_reasons(
    model: Checkpoint, photos: Sequence[Path], scored: Manifest, judged: JudgedPhotos | None, cache: Path, seed: int = 0
) -> tuple[Checkpoint, list[str]]:
    """Makes the head that names faults.

    Args:
        model: a VT-IQA with detail; reasons that it has are made anew.
        photos: good ones, as cameras made them.
        scored: photos with opinions; faults are planted into the better ones.
        judged: photos judged by eye. The head learns from most of them; by the others probabilities are fitted. Without
            them the head knows planted faults alone.
        cache: a folder for what takes long.
        seed: of all draws.

    Returns:
        The model with reasons, and a line for each photo that was left out.

    Raises:
        UserError: no photo can be used, or no good scored one.
    """
    assert model.scale is not None
    planted, good = choose_scored(scored.mos if model.scale.higher_is_better else -scored.mos, seed)
    store = SeenCache(cache, model)
    seen, left_out = see_planted(store, photos, scored.select(planted))
    asked: tuple[Seen, Float[np.ndarray, " photos"]] | None = None
    if judged is not None:
        by_eye, weights, more = see_judged(store, judged)
        left_out += more
        is_asked = np.random.default_rng(seed).permutation(len(weights)) < ASKED * len(weights)
        asked = by_eye.take(np.flatnonzero(is_asked)), weights[is_asked]
        seen = Seen.concatenate([seen, *[by_eye.take(np.flatnonzero(~is_asked))] * JUDGED_TIMES])
    params = model.params | fit_reasons(seen, seed)
    made = dataclasses.replace(model, config=model.config.replace(reasons=True), params=params)
    strengths = measure_strengths(made, _decode_all(scored.select(good)))
    if not len(strengths := strengths[~np.isnan(strengths).any(1)]):
        raise UserError("none of the good scored photos can be read: from where faults are named is not known")
    fitted = {"reasons.thresholds": fit_thresholds(strengths)}
    if asked:
        by_eye, weights = asked
        fitted["reasons.curve"] = fit_probabilities(find_strengths(made, by_eye), by_eye.strengths >= PLAIN, weights)
    return dataclasses.replace(made, params=made.params | fitted), left_out
