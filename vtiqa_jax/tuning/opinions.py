"""Marks as linear equations: what a person's liking of photos, or the difference of two, is said to be."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from vtiqa_jax.tuning.marks import Marks

MIN_DEVIATION = 0.05
"""Least deviation, as a share of the median: features that hardly vary among the photos have no larger weight than
this."""
NO_OTHER = -1

PerPhoto = Float[np.ndarray, "photos *more"]
PerOpinion = Float[np.ndarray, "opinions *more"]


@dataclasses.dataclass(frozen=True)
class Opinions:
    """A row for each opinion: of a photo, or that one photo is better than another."""

    first: Int[np.ndarray, " opinions"]
    """The photo, or the better one, by its number."""
    second: Int[np.ndarray, " opinions"]
    """The worse one; `NO_OTHER` where one photo alone was rated."""
    kinds: Int[np.ndarray, " opinions"]
    """Ratings of one kind can be compared: the number of the kind."""
    targets: Float[np.ndarray, " opinions"]
    """Ratings in standard deviations of their kind, so that kinds can be mixed; 1 for a pair."""

    @classmethod
    def collect(cls, marks: Marks, numbers: Mapping[Path, int]) -> "Opinions":
        """Makes rows of marks. Ratings of a kind that are all equal say nothing, and are left out.

        Args:
            marks: a person's.
            numbers: of all their photos.
        """
        rows: list[tuple[int, int, int, float]] = []
        for kind, rated in enumerate(marks.ratings.values()):
            values = np.array([*rated.values()])
            if len(values) and (deviation := values.std()) > 0:
                targets = (values - values.mean()) / deviation
                rows += [(numbers[photo], NO_OTHER, kind, target) for photo, target in zip(rated, targets, strict=True)]
        rows += [(numbers[better], numbers[worse], len(marks.ratings), 1.0) for better, worse in marks.pairs]
        columns = zip(*rows, strict=True) if rows else ((), (), (), ())
        first, second, kinds, targets = map(np.array, columns)
        return cls(first.astype(int), second.astype(int), kinds.astype(int), targets.astype(float))

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def is_pair(self) -> np.ndarray:
        """The mask of the rows that compare two photos."""
        return self.second != NO_OTHER

    def apply(self, values: PerPhoto) -> PerOpinion:
        """Makes what is known of photos what is known of opinions: itself, or the difference of two photos."""
        per_opinion = values[self.first]
        per_opinion[self.is_pair] -= values[self.second[self.is_pair]]
        return per_opinion

    def columns(self, scores: Float[np.ndarray, " photos"]) -> Float[np.ndarray, "opinions columns"]:
        """Makes what is not shrunk: the score, and an intercept for each kind of ratings."""
        kinds = np.unique(self.kinds[~self.is_pair])
        return np.column_stack([self.apply(scores), self.kinds[:, None] == kinds]).astype(float)


@dataclasses.dataclass(frozen=True)
class Standard:
    """Features brought to one size by what they are among a person's photos."""

    mean: Float[np.ndarray, " features"]
    precision: Float[np.ndarray, " features"]
    """Makes vectors of about length 1."""

    @classmethod
    def of(cls, features: Float[np.ndarray, "photos features"]) -> "Standard":
        """Measures photos' features."""
        deviations = features.std(0)
        floor = max(MIN_DEVIATION * float(np.median(deviations)), np.finfo(np.float32).eps)
        return cls(features.mean(0), 1 / (np.maximum(deviations, floor) * np.sqrt(features.shape[1])))

    def apply(self, features: Float[np.ndarray, "photos features"]) -> Float[np.ndarray, "photos features"]:
        """Brings features to one size."""
        return (features - self.mean) * self.precision
