"""Fits a taste to a person's marks, and says what it is worth."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from vtiqa_jax.choosing.fingerprints import group_similar
from vtiqa_jax.errors import UserError
from vtiqa_jax.gallery.looks import LOOKS
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models.adapt import without_intervals
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.params import Params
from vtiqa_jax.tuning.held_out import MIN_SCENES, Verdict, hold_out
from vtiqa_jax.tuning.kept import SeenPhoto
from vtiqa_jax.tuning.marks import Marks
from vtiqa_jax.tuning.opinions import Opinions, Standard
from vtiqa_jax.tuning.ridge import fit_ridge

LEAST = 10
"""Opinions. Fewer say nothing that could be told from chance."""
MOST = 1000
"""Opinions that are worth their time, which grows with their cube."""
MIN_SLOPE = 0.05
"""Least slope of the score, in standard deviations of both: a taste may outweigh the score, and never turns it
round."""
TINY = float(np.finfo(np.float32).eps)
"""Deviations below it are none."""
NOTABLE = 0.3
"""Correlation from which it is said what a taste goes with."""


@dataclasses.dataclass(frozen=True)
class Learnt:
    """Liking as slope * score + features @ direction + intercept, and what that is worth."""

    slope: float
    intercept: float
    direction: Float[np.ndarray, " both"]
    verdict: Verdict


@dataclasses.dataclass(frozen=True)
class Tuned:
    """A taste, and what it is worth."""

    params: Params
    """Parameters of `models.taste.Taste`."""
    opinions: int
    """Number of opinions that it was learnt from."""
    verdict: Verdict
    goes_with: Mapping[str, float]
    """Looks of `gallery.looks` that the taste correlates with among the marked photos, the strongest first."""


def read_scores(model: Checkpoint, features: Float[np.ndarray, "photos both"]) -> Float[np.ndarray, " photos"]:
    """Scores photos by their features, before the ends of the scale bend scores."""
    params = {name: jnp.asarray(array) for name, array in model.params.items()}
    head = parameters.merge_head(model.config, params)
    return np.asarray(jax.jit(head)(jnp.asarray(features, jnp.float32)), np.float64)


def find_scenes(fingerprints: Float[np.ndarray, "photos side side"]) -> Int[np.ndarray, " photos"]:
    """Numbers scenes: shots of one scene have one number, from 0."""
    groups = group_similar(fingerprints)
    alone = groups < 0
    groups[alone] = groups.max(initial=-1) + 1 + np.arange(np.count_nonzero(alone))
    return groups


def tune(model: Checkpoint, marks: Marks, seen: Mapping[Path, SeenPhoto], seed: int = 0) -> Tuned:
    """Fits a taste.

    Args:
        model: a VT-IQA that scores, without a taste.
        marks: a person's, at most `MOST`.
        seen: of all photos that are marked.
        seed: draws what is held out.

    Raises:
        UserError: the marks are too few, all alike, or of too few scenes.
    """
    assert model.scale is not None
    rng, photos = np.random.default_rng(seed), marks.photos
    opinions = Opinions.collect(marks, {photo: number for number, photo in enumerate(photos)})
    if marks.count >= LEAST and not len(opinions):
        raise UserError("all marks are alike, so there is nothing to learn; mark photos that you like less, too")
    if len(opinions) < LEAST:
        raise UserError(
            f"tuning needs at least {LEAST} marks that differ, not {len(opinions)}; mark 100 photos or more"
        )
    scenes = find_scenes(np.stack([seen[photo].fingerprint for photo in photos]))
    if scenes.max() + 1 < MIN_SCENES:
        raise UserError(
            f"the marked photos show only {scenes.max() + 1} scenes, too few to hold some out;"
            f" mark photos of at least {MIN_SCENES}"
        )
    features = np.stack([seen[photo].features for photo in photos])
    sign = 1.0 if model.scale.higher_is_better else -1.0
    learnt = learn(opinions, features, sign * read_scores(model, features), scenes, rng)
    params = {
        "taste.slope": learnt.slope,
        "taste.intercept": sign * learnt.intercept,
        "taste.direction": sign * learnt.direction,
    }
    return Tuned(
        {name: np.asarray(value, np.float32) for name, value in params.items()},
        len(opinions),
        learnt.verdict,
        describe(features @ learnt.direction, np.stack([seen[photo].looks for photo in photos])),
    )


def learn(
    opinions: Opinions,
    features: Float[np.ndarray, "photos both"],
    scores: Float[np.ndarray, " photos"],
    scenes: Int[np.ndarray, " photos"],
    rng: np.random.Generator,
) -> Learnt:
    """Learns a taste from opinions, and measures it on held-out ones.

    Args:
        opinions: of photos.
        features: of all of them.
        scores: the same, more is better.
        scenes: of each, see `find_scenes`.
        rng: draws what is held out.
    """
    features = features.astype(np.float64)
    standard = Standard.of(features)
    rows = opinions.apply(standard.apply(features))
    kernel = rows @ rows.T
    verdict = hold_out(opinions, kernel, scores, scenes, rng)
    fitted = fit_ridge(kernel, opinions.columns(scores), opinions.targets[:, None])
    direction = standard.precision * (rows.T @ fitted.dual[:, 0])
    slope = max(float(fitted.fixed[0, 0]), MIN_SLOPE / max(float(scores.std()), TINY))
    liking = slope * scores + features @ direction
    size = float(scores.std()) / max(float(liking.std()), TINY)  # scores differ as much as before
    intercept = float(scores.mean() - size * liking.mean())
    return Learnt(size * slope, intercept, size * direction, verdict)


def describe(taste: Float[np.ndarray, " photos"], looks: Float[np.ndarray, "photos looks"]) -> dict[str, float]:
    """Returns what of `LOOKS` a taste goes with, by its correlation."""
    if not taste.std():
        return {}
    varied = [(name, column) for name, column in zip(LOOKS, looks.T, strict=True) if column.std()]
    correlations = {name: float(np.corrcoef(taste, column)[0, 1]) for name, column in varied}
    notable = sorted(
        (name for name, value in correlations.items() if abs(value) >= NOTABLE),
        key=lambda name: -abs(correlations[name]),
    )
    return {name: correlations[name] for name in notable}


def with_taste(model: Checkpoint, tuned: Tuned) -> Checkpoint:
    """Returns the model with a taste.

    What it says of people's opinions is left out: intervals, and the share of training photos that score worse.

    Args:
        model: that the taste was fitted for.
        tuned: see `tune`.
    """
    bare = without_intervals(model)
    trained = {name: value for name, value in model.provenance.get("trained", {}).items() if name != "percentiles"}
    verdict = {name: round(value, 4) for name, value in dataclasses.asdict(tuned.verdict).items()}
    provenance = model.provenance | {"trained": trained, "tuned": {"marks": tuned.opinions} | verdict}
    return dataclasses.replace(
        bare,
        config=bare.config.replace(taste=True),
        params=bare.params | tuned.params,
        provenance=provenance,
    )
