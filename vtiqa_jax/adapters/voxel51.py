"""Quality as fields of FiftyOne's samples."""

from typing import Any

import fiftyone as fo

import vtiqa_jax
from vtiqa_jax.adapters.scoring import COLUMNS_BY_NAME
from vtiqa_jax.results.results import ScoreResult

FIELDS = {str: fo.StringField, float: fo.FloatField, int: fo.IntField}
SAVED_TOGETHER = 500
"""Samples; what was saved stays when a run is stopped."""


def score_samples(samples: Any, scorer: Any = None) -> None:
    """Scores the photos of samples, and keeps what was found in fields named `vtiqa_...`.

    Fields that are there already are overwritten. A photo that cannot be read has its reason in `vtiqa_error`.

    Args:
        samples: a `fiftyone.Dataset` or a view.
        scorer: of `vtiqa_jax.load`; the packaged model when not given.

    Raises:
        UserError: the packaged model cannot be loaded.
    """
    dataset = fo.load_dataset(samples.view().dataset_name)
    for name, column in COLUMNS_BY_NAME.items():
        dataset.add_sample_field(name, FIELDS[column.type])
    ids, paths = samples.values(["id", "filepath"])
    found: dict[str, ScoreResult] = {}
    with fo.ProgressBar(total=len(ids)) as progress:
        for sample, result in zip(ids, progress((scorer or vtiqa_jax.load()).stream(paths)), strict=True):
            found[sample] = result
            if len(found) == SAVED_TOGETHER or sample == ids[-1]:
                for name, column in COLUMNS_BY_NAME.items():
                    samples.set_values(name, {key: column.value(found[key]) for key in found}, key_field="id")
                found.clear()
