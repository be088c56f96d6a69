"""FiftyOne: `pip install fiftyone`, and `pytest -n 0 -W default tests/adapters/voxel51.py`."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# FiftyOne reads them when it is imported: a data base of these tests alone, of whatever version of MongoDB there is.
os.environ["FIFTYONE_DATABASE_DIR"] = tempfile.mkdtemp()
os.environ["FIFTYONE_DATABASE_VALIDATION"] = "false"
os.environ["FIFTYONE_DO_NOT_TRACK"] = "true"

import fiftyone as fo

import vtiqa_jax
from tests.adapters.conftest import Compare, Snippet
from vtiqa_jax.adapters import voxel51
from vtiqa_jax.adapters.scoring import COLUMNS_BY_NAME
from vtiqa_jax.adapters.voxel51 import score_samples
from vtiqa_jax.results.results import ScoreResult


@pytest.fixture
def dataset(photos: list[Path]) -> Iterator[fo.Dataset]:
    """The photos, with a field `score` of their owner's."""
    made = fo.Dataset()
    made.add_samples([fo.Sample(filepath=str(path), score=0.5) for path in photos])
    yield made
    made.delete()


class FailsAt:
    """A scorer that is stopped at its third photo."""

    def stream(self, photos: list[str]) -> Iterator[ScoreResult]:
        yield ScoreResult(photos[0], 1.0)
        yield ScoreResult(photos[1], 2.0)
        raise KeyboardInterrupt


def test_each_sample_has_what_vtiqa_says_of_it(dataset: fo.Dataset, photos: list[Path], compare: Compare) -> None:
    score_samples(dataset)
    for photo, sample in zip(photos, dataset, strict=True):
        compare(photo, {name: sample[name] for name in sample.field_names})
    assert dataset.values("score") == [0.5] * len(photos)


def test_twice_is_once(dataset: fo.Dataset) -> None:
    score_samples(dataset)
    once = {name: dataset.values(name) for name in COLUMNS_BY_NAME}
    score_samples(dataset)
    assert {name: dataset.values(name) for name in COLUMNS_BY_NAME} == once


def test_a_view_scores_its_own_samples(dataset: fo.Dataset, scored: dict[Path, ScoreResult]) -> None:
    score_samples(dataset[1:3])
    found = [round(score, 3) if score else None for score in dataset.values("vtiqa_score")]
    expected = [result.score for result in scored.values()][1:3]
    assert found == [None, *(round(score, 3) for score in expected if score), *[None] * (len(dataset) - 3)]


def test_no_samples_get_fields_with_their_types() -> None:
    empty = fo.Dataset()
    score_samples(empty)
    assert COLUMNS_BY_NAME.keys() <= empty.get_field_schema().keys()
    assert isinstance(empty.get_field("vtiqa_error"), fo.StringField)
    assert isinstance(empty.get_field("vtiqa_score"), fo.FloatField)
    empty.delete()


def test_what_was_scored_before_a_stop_stays(dataset: fo.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voxel51, "SAVED_TOGETHER", 2)
    with pytest.raises(KeyboardInterrupt):
        score_samples(dataset, FailsAt())
    assert dataset.values("vtiqa_score")[:3] == [1.0, 2.0, None]


def test_the_document_runs(
    snippet: Snippet, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for photo in photos[:-1]:
        shutil.copy(photo, tmp_path / "photos")
    named: dict[str, Any] = {"vtiqa_jax": vtiqa_jax}
    exec(snippet("score_samples"), named)
    dataset = named["dataset"]
    assert named["worst"].values("vtiqa_score") == sorted(filter(None, dataset.values("vtiqa_score")))
    left = dataset.exists("vtiqa_width", False).exists("vtiqa_error", False)
    assert len(left) == 0
    dataset.delete()
