"""The result of scoring a photo."""

import dataclasses
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float

from vtiqa_jax.errors import ImageError
from vtiqa_jax.photos.capture import Capture
from vtiqa_jax.results.rank import rank_photo
from vtiqa_jax.results.reasons import Fault

OUT_OF_RANGE = {"below": "below the scores of all training photos", "above": "above the scores of all training photos"}


@dataclasses.dataclass(frozen=True)
class ScoreResult:
    """One photo's score, on the model's label scale, or why there is none. `columns.COLUMNS` says what outputs show."""

    image: Any
    score: float | None
    error: str | None = None
    """Why there is no score."""
    percentile: float | None = None
    """See `Scorer.percentile`; None where that is not known."""
    out_of_range: str | None = None
    """"below" or "above" for a score beyond those of all training photos."""
    mean: float | None = None
    """Mean of the scores by sampled mosaics; None when none were asked for."""
    spread: float | None = None
    """The standard deviation of the scores by sampled mosaics."""
    mosaic_scores: tuple[float, ...] = ()
    """The scores by sampled mosaics."""
    detail: float | None = None
    """Quality of what the photo shows at 100 %, on the score's scale; None where it has no structure, or the model no
    detail."""
    holds: float | None = None
    """The largest scale at which the photo is sharp, clean and real, percent: 50 is half its width and height."""
    faults: tuple[Fault, ...] = ()
    """All faults, with their strengths; none by a model without reasons, or of what is no photograph."""
    width: int | None = None
    """Width of the photo as it is looked at, in pixels; None where it could not be read."""
    height: int | None = None
    """Like `width`."""
    inspected: Any = None
    """Return value of `inspect` of `Scorer.stream`."""
    warning: str | None = None
    """Defect of the file of a photo that was scored nevertheless, or doubt about judging it."""
    low: float | None = None
    """Nine times in ten the mean of thirty people is between this and `high`; None where the model does not say."""
    high: float | None = None
    """See `low`."""
    deviation: float | None = None
    """The standard deviation of their mean around the score, wherever the scale ends."""
    opinion_spread: float | None = None
    """The standard deviation of single people's opinions."""
    detail_percentile: float | None = None
    """Share of large photos as cameras made them that show less detail, percent; None of a photo that is not large, or
    where that is not known."""
    capture: Capture | None = None
    """Time and settings of the exposure, as its file tells them; None of a photo that could not be read."""
    sketch: bytes | None = dataclasses.field(default=None, repr=False)
    """Sketch by which stacks are found, see `photos.sketch`."""
    stack: int | None = None
    """The number of its stack, see `choosing.stacks`; None of a photo like no other."""
    stack_kind: str | None = None
    """Kind of its stack."""
    best: bool | None = None
    """Whether it is one to keep; None where that was not asked."""

    def warned(self, warning: str | None) -> "ScoreResult":
        """Returns the result with one more warning, if there is one."""
        return dataclasses.replace(self, warning="; ".join(filter(None, [warning, self.warning])) or None)

    @property
    def rank(self) -> float | None:
        """By which photos are ordered, see `rank.rank_photo`."""
        return None if self.score is None else rank_photo(self.score, self.detail)

    @property
    def reasons(self) -> tuple[Fault, ...]:
        """The faults that are named, the strongest first; see `Scorer` for how often they are named wrongly."""
        named = (fault for fault in self.faults if fault.is_named)
        return tuple(sorted(named, key=lambda fault: -fault.strength))

    @property
    def remarks(self) -> str:
        """What there is to say of the photo beside its numbers."""
        return self.error or "; ".join(filter(None, [OUT_OF_RANGE.get(self.out_of_range or ""), self.warning]))


def name_photo(photo: Any, position: int) -> str:
    """Returns what a photo is called in messages."""
    return str(photo) if isinstance(photo, str | os.PathLike) else f"photo {position}"


def collect_scores(results: Iterable[ScoreResult]) -> Float[np.ndarray, " n"]:
    """Returns the scores of photos, float32.

    Raises:
        ImageError: names the first photo that has none.
    """
    scores = []
    for position, result in enumerate(results):
        if result.score is None:
            raise ImageError(f"{name_photo(result.image, position)}: {result.error}")
        scores.append(result.score)
    return np.array(scores, np.float32)
