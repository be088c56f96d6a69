"""The way from a model's numbers to results, whatever computed the numbers."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from vtiqa_jax.errors import UserError
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.faults import NATIVE_FAULTS
from vtiqa_jax.models.percentiles import DETAIL, SCORES, read_percentiles
from vtiqa_jax.results.reasons import WORDS, Fault, name_faults
from vtiqa_jax.results.results import ScoreResult

NO_STRUCTURE = "nothing in it has structure: it cannot be judged at 100 %"
"""The warning beside a photo of fog, sky or a white wall alone."""
LARGE = 4e6
"""Pixels of the smallest photo whose detail is compared with that of cameras' photos: most smaller ones were shrunk,
and are sharper."""
NO_PHOTOGRAPH = "it does not look like a photograph: its score means little"
"""The warning beside a screenshot, a plot, a page or a drawing."""


@dataclasses.dataclass(frozen=True, eq=False)
class Interpreter:
    """What a model's numbers mean."""

    config: ModelConfig
    scale: LabelScale
    percentiles: Float[np.ndarray, " 101"] | None
    """Percentiles of the scores of training photos; None where they are not known."""
    thresholds: Mapping[str, float]
    """Strength from which each fault is named."""
    detail_percentiles: Float[np.ndarray, " 101"] | None = None
    """Percentiles of the detail of large photos as cameras made them; None where they are not known."""

    @classmethod
    def of(
        cls, config: ModelConfig, scale: LabelScale, provenance: Mapping[str, Any], thresholds: Mapping[str, float]
    ) -> "Interpreter":
        """Takes the percentiles from what the model was made from, where that says them.

        Raises:
            UserError: they are damaged.
        """
        scores, detail = (read_percentiles(provenance, place) for place in (SCORES, DETAIL))
        return cls(config, scale, scores, thresholds, detail if config.native else None)

    @property
    def unknown(self) -> frozenset[str]:
        """Fields of `ScoreResult` that the model never fills."""
        missing = {
            "detail": self.config.native is None,
            "holds": self.config.native is None,
            "faults": not self.config.reasons,
            "reasons": not self.config.reasons,
            "percentile": self.percentiles is None,
            "detail_percentile": self.detail_percentiles is None,
            "low": not self.config.intervals,
            "high": not self.config.intervals,
            "opinion_spread": not self.config.opinions,
        }
        return frozenset(name for name, is_missing in missing.items() if is_missing)

    def percentile(self, scores: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Returns the share of training photos that a photo of this score is better than, in percent.

        Raises:
            UserError: the model does not say how training photos score.
        """
        if self.percentiles is None:
            raise UserError("this model does not hold the scores of its training photos")
        return self._share_below(scores, self.percentiles)

    def _share_below(
        self, numbers: Float[np.ndarray, " n"], percentiles: Float[np.ndarray, " 101"]
    ) -> Float[np.ndarray, " n"]:
        below = np.interp(numbers, percentiles, np.arange(101.0))
        return below if self.scale.higher_is_better else 100 - below

    def with_size(self, result: ScoreResult, height: int, width: int) -> ScoreResult:
        """Returns the result of a photo of this size, in pixels; with `detail_percentile` if it is a large photo."""
        share = None
        if (
            self.detail_percentiles is not None
            and result.detail is not None
            and height * width >= LARGE
            and NO_PHOTOGRAPH not in (result.warning or "")
        ):
            share = float(self._share_below(np.array([result.detail]), self.detail_percentiles)[0])
        return dataclasses.replace(result, height=height, width=width, detail_percentile=share)

    def results(self, judgements: Mapping[str, Any]) -> Iterator[ScoreResult]:
        """Yields what was found out about each photo of a batch.

        Args:
            judgements: arrays [photos, ...] by the names of the arguments of `result`.
        """
        columns = {name: np.asarray(values).tolist() for name, values in judgements.items()}
        for row in zip(*columns.values(), strict=True):
            yield self.result(**dict(zip(columns, row, strict=True)))

    def result(
        self,
        score: float,
        mosaic_scores: Sequence[float] = (),
        detail: float = math.nan,
        holds: float = math.nan,
        novelty: float = -math.inf,
        strengths: Sequence[float] = (),
        probabilities: Sequence[float] = (),
        low: float | None = None,
        high: float | None = None,
        deviation: float | None = None,
        opinion_spread: float | None = None,
    ) -> ScoreResult:
        """Returns what the numbers of one photo say.

        Args:
            score: on the scale.
            mosaic_scores: scores by drawn mosaics.
            detail: on the scale; NaN where nothing has structure.
            holds: percent; NaN where nothing has structure.
            novelty: above 0 of what is no photograph.
            strengths: of `FAULTS`.
            probabilities: of `FAULTS`.
            low: see `ScoreResult`, like all that follows.
            high: on the scale.
            deviation: on the scale.
            opinion_spread: on the scale.
        """
        sureness = [number for number in (low, high, deviation, opinion_spread) if number is not None]
        if not np.isfinite([score, *mosaic_scores, *strengths, *sureness]).all() or math.isinf(holds):
            return ScoreResult(None, None, "its score is not a finite number; the weights may be damaged")
        faults = [Fault(*values) for values in zip(WORDS, strengths, probabilities, strict=False)]
        if math.isnan(detail):  # nothing in it could be sharp or noisy
            faults = [fault for fault in faults if fault.name not in NATIVE_FAULTS]
        share, out_of_range = None, None
        if self.percentiles is not None:
            share = float(self.percentile(np.array([score]))[0])
            above = "above" if score > self.percentiles[-1] else None
            out_of_range = "below" if score < self.percentiles[0] else above
        return ScoreResult(
            image=None,
            score=score,
            percentile=share,
            out_of_range=out_of_range,
            mean=float(np.mean(mosaic_scores)) if mosaic_scores else None,
            spread=float(np.std(mosaic_scores, ddof=1)) if mosaic_scores else None,
            mosaic_scores=tuple(mosaic_scores),
            detail=None if math.isnan(detail) else detail,
            holds=None if math.isnan(holds) else holds,
            faults=() if novelty > 0 else name_faults(faults, self.thresholds),
            warning=NO_PHOTOGRAPH if novelty > 0 else None,
            low=low,
            high=high,
            deviation=deviation,
            opinion_spread=opinion_spread,
        ).warned(NO_STRUCTURE if self.config.native and math.isnan(detail) else None)
