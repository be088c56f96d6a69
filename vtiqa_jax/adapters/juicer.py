"""A filter of Data-Juicer that keeps samples by the quality of their photos."""

import math
from typing import Any

import numpy as np
from data_juicer.ops.base_op import OPERATORS, UNFORKABLE, Filter
from data_juicer.utils.constant import Fields

import vtiqa_jax
from vtiqa_jax.adapters.scoring import COLUMNS_BY_NAME, load_scorer
from vtiqa_jax.photos.decode import PhotoFile
from vtiqa_jax.results.columns import Column
from vtiqa_jax.results.results import ScoreResult

NAME = "vtiqa_filter"
MISSING = {str: "", float: math.nan, int: 0}
"""Instead of nothing: the type of a column is that of its first rows, which may have nothing in it."""


@UNFORKABLE.register_module(NAME)
@OPERATORS.register_module(NAME)
class VtiqaFilter(Filter):
    """Keeps samples whose photos score between two numbers; their statistics have all that is said of each photo."""

    _batched_op = True

    def __init__(
        self,
        model: str = "default",
        min_score: float = -math.inf,
        max_score: float = math.inf,
        any_or_all: str = "any",
        **options: Any,
    ) -> None:
        """Loads nothing yet: each process that scores does.

        Args:
            model: see `vtiqa_jax.load`.
            min_score: the lowest score to keep, on the model's scale.
            max_score: the highest.
            any_or_all: whether a sample of several photos needs one in that range, or all.
            options: Data-Juicer's own, of every filter.

        Raises:
            ValueError: `any_or_all` is neither.
        """
        super().__init__(**options)
        if any_or_all not in ("any", "all"):
            raise ValueError(f'any_or_all is "any" or "all", not {any_or_all!r}')
        self.model, self.min_score, self.max_score, self.any_or_all = model, min_score, max_score, any_or_all

    def compute_stats_batched(self, samples: Any, context: bool = False) -> Any:
        """Scores all photos of some samples together. One that cannot be read has its reason in `vtiqa_error`."""
        stats = samples[Fields.stats]
        paths = [photos or [] for photos in samples[self.image_key]] if self.image_key in samples else [[]] * len(stats)
        files = samples[self.image_bytes_key] if self.image_bytes_key in samples else [None] * len(stats)
        photos = [photo for names, data in zip(paths, files, strict=True) for photo in _open(names, data)]
        results = iter(load_scorer(vtiqa_jax.load, self.model).stream(photos))
        for stat, names in zip(stats, paths, strict=True):
            found = [next(results) for _ in names]
            for name, column in COLUMNS_BY_NAME.items():
                stat[name] = np.array([_value(column, result) for result in found], column.type)
        return samples

    def process_single(self, sample: Any) -> bool:
        """Returns whether to keep a sample. One without photos is kept, one with a photo without a score is not."""
        kept = [self._keeps(score) for score in sample[Fields.stats]["vtiqa_score"]]
        return not kept or (any(kept) if self.any_or_all == "any" else all(kept))

    def _keeps(self, score: float | None) -> bool:
        if score is None or math.isnan(score):  # None once it was written
            return False
        return self.get_keep_boolean(score, self.min_score, self.max_score)


def _open(paths: list[str], files: list[bytes] | None) -> list[Any]:
    """Returns photos as `Scorer.stream` takes them: of the files' bytes, where the sample holds them."""
    if files and len(files) == len(paths):
        return [PhotoFile(data, path) for data, path in zip(files, paths, strict=True)]
    return paths


def _value(column: Column, result: ScoreResult) -> Any:
    value = column.value(result)
    return MISSING[column.type] if value is None else value
