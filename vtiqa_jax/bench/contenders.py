"""Contenders that are compared with people: a model, or any command that prints scores."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vtiqa_jax.bench.outside import score_by_command
from vtiqa_jax.bench.parts import Training, list_trainings
from vtiqa_jax.data import datasets
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.scoring.scorer import Scorer

Cached = Callable[[Path], ScoreResult | None]
"""A photo's result, if it is known from an interrupted run."""


@dataclasses.dataclass(frozen=True)
class Contender:
    """What scores photos."""

    name: str
    """For people."""
    identity: dict[str, Any]
    """Its identity, as JSON to post."""
    settings: dict[str, Any]
    """All that its scores depend on but the photos, as JSON."""
    trainings: list[Training]
    higher_is_better: bool
    has_common_scale: bool
    """Whether its scores are on the scale from 1 to 5 that all data sets have in common."""
    score: Callable[[Sequence[Path], Cached], Iterator[ScoreResult]]
    """Yields the result of each photo, in any order."""


def model_contender(checkpoint: str, batch_size: int | None = None) -> Contender:
    """Makes a contender of a model of this package.

    Args:
        checkpoint: its folder, or "default".
        batch_size: see `Scorer.stream`.
    """
    model = Scorer.load(checkpoint)
    scale, trainings = model.scale, list_trainings(model.provenance)
    return Contender(
        name=f"{checkpoint}: {scale}",
        identity={
            "model": "the packaged model" if checkpoint == "default" else Path(checkpoint).name,
            "fingerprint": model.fingerprint,
            "scale": vars(scale),
            "trained_on": sorted({title for training in trainings for title in training.titles}),
            "device": model.mesh.devices.flat[0].device_kind,
        },
        settings=model.settings(),
        trainings=trainings,
        higher_is_better=scale.higher_is_better,
        has_common_scale=(scale.low, scale.high, scale.higher_is_better) == (1.0, 5.0, True),
        score=lambda photos, cached: model.stream(photos, batch_size=batch_size, cached=cached),
    )


def command_contender(command: str, trained_on: Sequence[str] = (), *, lower_is_better: bool = False) -> Contender:
    """Makes a contender of any command.

    Args:
        command: see `score_by_command`.
        trained_on: names of the data sets that its model was trained on: where they have an official split, by it.
        lower_is_better: of its scores lower ones are better.

    Raises:
        UserError: there is no such data set.
    """
    titles = [datasets.dataset_info(name).title for name in trained_on]

    def score(photos: Sequence[Path], cached: Cached) -> Iterator[ScoreResult]:
        wanted: list[Path] = []
        for photo in photos:
            if (result := cached(photo)) is not None:
                yield result
            else:
                wanted.append(photo)
        if wanted:
            yield from score_by_command(command, wanted, are_left=len(wanted) < len(photos))

    return Contender(
        name=command,
        identity={"command": command, "lower_is_better": lower_is_better, "trained_on": sorted(titles)},
        settings={"command": command},
        trainings=[Training(tuple(titles), "official", None)] if titles else [],
        higher_is_better=not lower_is_better,
        has_common_scale=False,
        score=score,
    )
