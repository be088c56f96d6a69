"""Hugging Face datasets: `pip install datasets`, and `pytest -n 0 -W default tests/adapters/hugging_face.py`."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets.fingerprint import Hasher

from tests.adapters.conftest import Compare, Snippet
from vtiqa_jax.adapters.hugging_face import ScorePhotos
from vtiqa_jax.errors import UserError

PROGRAM = """
import sys, datasets, multiprocess, vtiqa_jax
from vtiqa_jax.adapters.hugging_face import ScorePhotos

if __name__ == "__main__":
    how, *photos = sys.argv[1:]
    if how != "fork":
        vtiqa_jax.load().score(photos[0])
    if how == "spawn":
        multiprocess.set_start_method("spawn")
    rows = datasets.Dataset.from_dict({"image": photos})
    scored = rows.map(ScorePhotos(), batched=True, num_proc=2, load_from_cache_file=False)
    print(*scored["vtiqa_score"])
"""


@pytest.fixture(params=["paths", "files", "bytes"])
def rows(request: pytest.FixtureRequest, photos: list[Path]) -> datasets.Dataset:
    """The photos as strings, as a feature `Image`, and as one that holds the files, beside a column `score`."""
    images: list[Any] = list(map(str, photos))
    if request.param == "bytes":
        images = [{"bytes": path.read_bytes() if path.exists() else None, "path": str(path)} for path in photos]
    kind = datasets.Value("string") if request.param == "paths" else datasets.Image()
    features = datasets.Features({"image": kind, "score": datasets.ClassLabel(names=["good", "bad"])})
    return datasets.Dataset.from_dict({"image": images, "score": [0] * len(images)}, features)


def test_each_photo_has_what_vtiqa_says_of_it(rows: datasets.Dataset, photos: list[Path], compare: Compare) -> None:
    scored = rows.map(ScorePhotos("image"), batched=True)
    for photo, row in zip(photos, scored.remove_columns("image"), strict=True):
        compare(photo, row)
    assert {name: scored.features[name] for name in rows.features} == rows.features
    assert scored["score"] == rows["score"]


def test_twice_is_once(photos: list[Path]) -> None:
    rows = datasets.Dataset.from_dict({"image": list(map(str, photos[:2]))})
    once = rows.map(ScorePhotos(), batched=True)
    twice = once.map(ScorePhotos(), batched=True)
    assert twice.features == once.features
    assert twice.to_list() == once.to_list()


def test_a_column_that_begins_with_nothing_has_its_type(photos: list[Path]) -> None:
    """`datasets` takes a column's type from the first rows that are written: none of them has an error."""
    rows = datasets.Dataset.from_dict({"image": [str(photos[0])] * 4 + [str(photos[-1])]})
    scored = rows.map(ScorePhotos(), batched=True, batch_size=2, writer_batch_size=2)
    assert scored["vtiqa_error"][:] == [None] * 4 + ["No such file or directory"]
    late = datasets.Dataset.from_dict({"image": [str(photos[-1])] * 4 + [str(photos[0])]})
    scores = late.map(ScorePhotos(), batched=True, batch_size=2, writer_batch_size=2)["vtiqa_score"][:]
    assert scores[:4] == [None] * 4
    assert isinstance(scores[4], float)


def test_no_rows_are_no_mistake() -> None:
    empty = datasets.Dataset.from_dict({"image": []}, datasets.Features({"image": datasets.Image()}))
    assert len(empty.map(ScorePhotos(), batched=True)) == 0


def test_a_stream_is_scored_in_arrows_format(photos: list[Path], compare: Compare) -> None:
    rows = datasets.Dataset.from_dict({"image": list(map(str, photos[:3]))}).cast_column("image", datasets.Image())
    stream = rows.to_iterable_dataset()
    scored = list(stream.with_format("arrow").map(ScorePhotos(), batched=True).with_format(None))
    for photo, row in zip(photos[:3], scored, strict=True):
        compare(photo, row)
    with pytest.raises(UserError, match="with_format"):
        list(stream.map(ScorePhotos(), batched=True))


def test_a_wrong_column_is_named(photos: list[Path]) -> None:
    rows = datasets.Dataset.from_dict({"picture": [str(photos[0])]})
    with pytest.raises(UserError, match="no column 'image'; there are picture"):
        rows.map(ScorePhotos(), batched=True)


def test_results_are_kept_by_the_version_and_not_by_what_was_loaded(
    photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    score = ScorePhotos()
    before = Hasher.hash(score)
    datasets.Dataset.from_dict({"image": [str(photos[0])]}).map(score, batched=True, load_from_cache_file=False)
    assert Hasher.hash(score) == before
    assert Hasher.hash(ScorePhotos(model="checkpoints/koniq")) != before
    monkeypatch.setattr("vtiqa_jax.adapters.hugging_face.version", lambda _: "999")
    assert Hasher.hash(ScorePhotos()) != before


@pytest.mark.parametrize("how", ["fork", "spawn", "fork after JAX"])
def test_two_processes_score_or_say_why_not(how: str, photos: list[Path], tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), how, *map(str, photos[:4])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if how == "fork after JAX":
        assert "a fork of one in which JAX has computed" in done.stderr
    else:
        assert len(list(map(float, done.stdout.split()))) == 4, done.stderr


def test_the_document_runs(
    snippet: Snippet, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    shutil.copy(photos[0], tmp_path / "photos")
    named: dict[str, Any] = {}
    exec(snippet("ScorePhotos"), named)
    assert named["scored"][0]["vtiqa_score"] > 1
