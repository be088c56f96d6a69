"""Data-Juicer: `pip install py-data-juicer aiohttp`, and `pytest -n 0 -W default tests/adapters/juicer.py`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from data_juicer.core.data import NestedDataset
from data_juicer.utils.constant import Fields

from tests.adapters.conftest import Compare, Snippet
from vtiqa_jax.adapters.juicer import MISSING, VtiqaFilter
from vtiqa_jax.adapters.scoring import COLUMNS_BY_NAME
from vtiqa_jax.results.results import ScoreResult


def _scored(samples: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    """The statistics of samples, without processes."""
    batch = {name: [sample.get(name) for sample in samples] for name in samples[0]}
    batch[Fields.stats] = [{} for _ in samples]
    return VtiqaFilter(**options).compute_stats_batched(batch)[Fields.stats]


def _row(stats: dict[str, Any], number: int) -> dict[str, Any]:
    """The columns of one of a sample's photos."""
    return {name: values[number].item() for name, values in stats.items()}


def test_each_photo_has_what_vtiqa_says_of_it(photos: list[Path], compare: Compare) -> None:
    paths = list(map(str, photos))
    samples = [{"images": paths[:1]}, {"images": []}, {"images": paths[1:]}]
    alone, none, rest = _scored(samples)
    compare(photos[0], _row(alone, 0), MISSING)
    for number, photo in enumerate(photos[1:]):
        compare(photo, _row(rest, number), MISSING)
    assert none.keys() == COLUMNS_BY_NAME.keys()
    assert not any(map(len, none.values()))


def test_a_samples_bytes_count_and_not_its_paths(photos: list[Path], compare: Compare) -> None:
    data = [photo.read_bytes() for photo in photos[:2]]
    (stats,) = _scored([{"images": ["elsewhere.jpg", "elsewhere.png"], "image_bytes": data}])
    for number in range(2):
        compare(photos[number], _row(stats, number), MISSING)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"min_score": 3.0}, {"good", "both", "none"}),
        ({"min_score": 3.0, "any_or_all": "all"}, {"good", "none"}),
        ({"max_score": 3.0}, {"bad", "both", "none"}),
        ({"min_score": 3.0, "reversed_range": True}, {"bad", "both", "none"}),
        ({}, {"good", "bad", "both", "none"}),
    ],
)
def test_what_is_kept(options: dict[str, Any], kept: set[str]) -> None:
    """A photo without a score, NaN or None as it was written, is none to keep, whatever the range."""
    scores = {"good": [4.0], "bad": [2.0], "both": [4.0, 2.0], "none": [], "broken": [None], "nan": [float("nan")]}
    operator = VtiqaFilter(**options)
    assert {
        name for name, found in scores.items() if operator.process_single({Fields.stats: {"vtiqa_score": found}})
    } == kept


def test_a_wrong_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="'most'"):
        VtiqaFilter(any_or_all="most")


def test_statistics_that_are_there_stay_and_scoring_again_replaces_ours(photos: list[Path]) -> None:
    """The other's statistics give the column its type; of the first rows none has an error."""
    paths = list(map(str, photos))
    images = [paths[:1], paths[1:2], paths[2:3], [paths[0], paths[-1]]]
    rows = NestedDataset.from_list([{"images": some, Fields.stats: {"other": 1.0}} for some in images])
    once = rows.process([VtiqaFilter(num_proc=1, batch_size=2)])
    twice = once.process([VtiqaFilter(num_proc=1, batch_size=2)])
    assert [stats["other"] for stats in twice[Fields.stats]] == [1.0] * 4
    errors = [stats["vtiqa_error"] for stats in once[Fields.stats]]
    assert errors == [[""], [""], [""], ["", "No such file or directory"]]
    assert str(twice[Fields.stats][:]) == str(once[Fields.stats][:])  # NaN is not equal to itself


def test_no_samples_are_no_mistake() -> None:
    rows = NestedDataset.from_dict({"images": []})
    assert len(rows.process([VtiqaFilter(num_proc=1)])) == 0


def test_the_documents_recipe_runs_in_two_processes(
    snippet: Snippet, photos: list[Path], scored: dict[Path, ScoreResult], tmp_path: Path
) -> None:
    (tmp_path / "vtiqa_operator.py").write_text(snippet("import VtiqaFilter"))
    lowest = sorted(result.score for result in scored.values() if result.score is not None)[3] - 1e-3
    recipe = snippet("process:").replace("np: 1", "np: 2").replace("min_score: 3", f"min_score: {lowest}")
    (tmp_path / "recipe.yaml").write_text(recipe)
    samples = [{"text": photo.name, "images": [str(photo)]} for photo in photos]
    (tmp_path / "photos.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    command = [Path(sys.executable).with_name("dj-process"), "--config", "recipe.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    kept = {json.loads(line)["text"] for line in (tmp_path / "kept.jsonl").read_text().splitlines()}
    assert kept == {path.name for path, result in scored.items() if result.score is not None and result.score > lowest}
