"""`vtiqa compare`: which of two photos is better, and how sure the model is."""

import dataclasses
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

import vtiqa_jax
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.photos.stderr import quiet_decoders
from vtiqa_jax.results.lines import say_why
from vtiqa_jax.results.preference import probability_preferred
from vtiqa_jax.results.reasons import say_reasons
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.results.words import say_detail, say_interval
from vtiqa_jax.scoring.mosaic_sampling import MosaicSampling, probability_above
from vtiqa_jax.terminal import visible

WORDS = ((0.99, "almost certainly"), (0.9, "very likely"), (0.75, "likely"), (0.6, "perhaps"))
"""Words, and the least probability of each."""
MOSAICS = 16
"""Number of mosaics that score photos if nothing else says how sure a score is."""
ALIKE = 0.0125
"""Share of the label scale: photos whose numbers differ by less are alike, by .05 on a scale from 1 to 5."""

LEVELS_APART = 0.5
"""Between the strengths of a fault that one of two photos has more of."""


def compare(
    a: Path,
    b: Path,
    /,
    *,
    checkpoint: Annotated[str, Parameter(metavar="DIR")] = "default",
    mosaic_samples: Annotated[int | None, Parameter(name=("--mosaic-samples", "--spread"))] = None,
    seed: int = 0,
    compute_dtype: ComputeDtype = "float32",
) -> None:
    """Says which of two photos is better, and how probable it is that people's mean opinion agrees.

    Example: vtiqa compare a.jpg b.jpg

    It also says which photo shows more at 100 %, and which faults each one has or, if none is named, the most
    probable one. A model that cannot tell how far people
    are from its scores says how sure it is itself. What a score means: docs/meaning.md

    Args:
        a: First photo.
        b: Second photo.
        checkpoint: Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model.
        mosaic_samples: Number of sampled mosaics, the same ones for both photos, that show how often the model itself
            keeps their order. When not given, 16 for a model that cannot tell how far people are from its scores, and
            none for others.
        seed: Seed of the sampled mosaics.
        compute_dtype: Type of the model's products. bfloat16 is faster on hardware that multiplies it, and less exact.
    """
    model = vtiqa_jax.load(checkpoint, compute_dtype=compute_dtype)
    if mosaic_samples is None and not model.config.intervals:
        mosaic_samples = MOSAICS
    sampling = None if mosaic_samples is None else MosaicSampling(mosaic_samples, seed)
    with quiet_decoders():
        results = list(model.stream([a, b], sampling=sampling))
    for result in results:
        if result.error:
            raise UserError(f"{result.image}: {result.error}")
    results = [dataclasses.replace(result, image=visible(result.image)) for result in results]
    drawn = f"; mean ± standard deviation over {mosaic_samples} mosaics, the same for both" if sampling else ""
    print(f"{model.scale}{drawn}")
    for result in results:
        interval, said = say_interval(result), "; ".join(filter(None, [say_why(result), say_detail(result)]))
        score = f"{result.mean:.4f} ± {result.spread:.4f}" if sampling else f"{result.score:.4f}"
        people = f" (people say {interval})" if interval else ""
        print(f"{score}{people}  {result.image}{f': {said}' if said else ''}")
        if result.warning:
            print(f"  {result.warning}")
    first, second = results
    verdict = []
    if model.config.intervals:
        verdict.append(say_preferred(first, second, model.scale))
    if sampling:
        verdict += say_which(first, second, model.scale)
    print(*verdict, *say_detailed(first, second, model.scale), *say_worse(first, second), sep="\n")


def say_preferred(a: ScoreResult, b: ScoreResult, scale: LabelScale) -> str:
    """Says which photo people's mean opinion prefers, and how probable that is."""
    preferred = probability_preferred(a, b, scale)
    winner, loser, sure = (a, b, preferred) if preferred >= 0.5 else (b, a, 1 - preferred)
    word = next((word for least, word in WORDS if sure >= least), None)
    if word is None:
        return (
            f"Either may be better: the mean opinion of thirty people prefers {winner.image} in {100 * sure:.0f} % of"
            " such pairs."
        )
    percent = f"{100 * sure:.0f}" if sure < 0.99 else "more than 99"  # what was observed allows no further digit
    return (
        f"{winner.image} is {word} better than {loser.image}: in {percent} % of such pairs the mean opinion of thirty"
        " people prefers it."
    )


def say_which(a: ScoreResult, b: ScoreResult, scale: LabelScale) -> list[str]:
    """Says which photo has the better score, and how sure that is, by the scores of the same mosaics."""
    difference = np.subtract(a.mosaic_scores, b.mosaic_scores)
    better = probability_above(difference if scale.higher_is_better else -difference)
    winner, loser, sure = (a, b, better) if better >= 0.5 else (b, a, 1 - better)
    apart = f"{abs(difference.mean()):.4f} ± {difference.std(ddof=1):.4f}"
    word = next((word for least, word in WORDS if sure >= least), None)
    if word is None:
        return [f"They are as good as each other: {apart} apart, and other mosaics may put either of them first."]
    percent = "More than 99.9" if sure > 0.999 else f"{100 * sure:.1f}"
    return [
        f"{winner.image} is {word} better than {loser.image}, by {apart}.",
        f"{percent} % of other mosaics would give the same order. This number does not say how far people agree.",
    ]


def say_detailed(a: ScoreResult, b: ScoreResult, scale: LabelScale) -> list[str]:
    """Says which photo shows more at 100 %, and which comes first by both numbers; nothing where one has no detail."""
    if a.detail is None or b.detail is None or a.rank is None or b.rank is None:
        return []
    sign = 1 if scale.higher_is_better else -1
    least = ALIKE * (scale.high - scale.low)

    def better(first: float, second: float) -> ScoreResult | None:
        return None if abs(first - second) < least else a if sign * first > sign * second else b

    sharper, whole = better(a.detail, b.detail), better(a.rank, b.rank)
    if sharper is None:
        at_full_size = "At 100 % they are alike"
    else:
        at_full_size = f"{sharper.image} has more detail at 100 %, by {abs(a.detail - b.detail):.2f}"
    if whole is None:
        return [f"{at_full_size}; with score and detail together they are as good as each other."]
    but = "is better with the score, too" if whole is sharper else "is better with score and detail together"
    return [f"{at_full_size}; {whole.image} {but}."]


def say_worse(a: ScoreResult, b: ScoreResult) -> list[str]:
    """Says what is worse in each of two photos than in the other: named faults that the other one has less of."""
    lines = []
    for photo, other in ((a, b), (b, a)):
        less = {fault.name: fault.strength for fault in other.faults}
        worse = [fault for fault in photo.reasons if fault.strength - less.get(fault.name, np.inf) >= LEVELS_APART]
        lines += [f"Worse in {photo.image}: {say_reasons(worse)}."] if worse else []
    return lines
