"""What is refused, and what a person is told, before a training begins."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vtiqa_jax import sharding
from vtiqa_jax.data import distorted, loader
from vtiqa_jax.data.image_cache import ImageCache
from vtiqa_jax.data.loader import ImageStore
from vtiqa_jax.data.manifest import ImageFolder, Manifest
from vtiqa_jax.data.splits import FEWEST_TO_SELECT, Split
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import compute_dtype
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.params import Params
from vtiqa_jax.training import preflight
from vtiqa_jax.training.features import FeatureStore
from vtiqa_jax.training.finetune import FinetuneRecipe
from vtiqa_jax.training.options import TrainOptions
from vtiqa_jax.training.published import PublishedRecipe
from vtiqa_jax.training.run_checkpointer import SavedState

NONE = np.empty(0, np.int64)


def split_of(val: int, train: int = 1000) -> Split:
    return Split(np.arange(train), np.arange(train, train + val), NONE)


def told(split: Split, start: Checkpoint, before: Checkpoint | None = None, **changes: Any) -> str:
    return "\n".join(preflight.notes(split, start, before, TrainOptions(**changes), "x", "1"))


@pytest.fixture
def start(config: ModelConfig, weights: Params, scale: LabelScale) -> Checkpoint:
    return Checkpoint(config, weights, scale, {})


def test_a_few_validation_photos_select_nothing(start: Checkpoint) -> None:
    """But in the recipe that cannot do without, and where the test photos select as the authors' did."""
    for count, few in ((0, False), (2, True), (FEWEST_TO_SELECT - 1, True), (FEWEST_TO_SELECT, False)):
        split = split_of(count)
        assert split.too_few_to_select is few
        assert len(FinetuneRecipe().selection(split)) == (0 if few else count)
        assert len(PublishedRecipe().selection(split)) == count
        for recipe, kept in (
            (FinetuneRecipe(), "so the last epoch is kept"),
            (PublishedRecipe(), "but this recipe does"),
        ):
            said = told(split, start, recipe=recipe)
            assert bool(said) is few
            assert not few or (kept in said and "--val-fraction 0 trains on them as well" in said and "\n" not in said)
    paper = Split(np.arange(50), NONE, np.arange(50, 54), select_on_test=True)
    assert not paper.too_few_to_select and len(FinetuneRecipe().selection(paper)) == 4
    said = "2 validation photos are too few to choose the best epoch (20 are needed), so the last epoch is kept. "
    assert told(split_of(2), start).startswith(said)


def test_a_kept_head_is_proposed_where_it_can_be_kept(start: Checkpoint) -> None:
    few, many = split_of(0, preflight.FEW_PHOTOS), split_of(0, preflight.FEW_PHOTOS + 1)
    backbone = dataclasses.replace(start, scale=None)
    other = dataclasses.replace(start, config=start.config.replace(depth=1))
    said = "300 photos are few for a head that starts from nothing; with --keep-head it starts from that of "
    assert told(few, start, start) == f"{said}the packaged model."
    assert told(few, start, start, checkpoint="runs/head/checkpoint") == f"{said}runs/head/checkpoint."
    for split, now, before, keep in (
        (many, start, start, False), (few, start, None, False), (few, start, backbone, False),
        (few, other, start, False), (few, start, start, True),
    ):  # fmt: skip
        assert told(split, now, before, keep_head=keep) == ""


def test_a_slow_type_is_told_of(start: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute_dtype, "_cpuinfo", lambda: "flags : avx2\n")
    assert "bfloat16 is slower" in told(split_of(0), start, recipe=FinetuneRecipe(compute_dtype="bfloat16"))
    assert told(split_of(0), start, recipe=FinetuneRecipe()) == ""


def test_what_is_reserved_is_what_batches_have() -> None:
    """Made by those who make them: stored photos, features, ladders, padding."""
    pixels = np.zeros((16, 2, 2, 3), np.uint8)
    mesh, rows = sharding.data_mesh(), [np.arange(8)]
    stores = (
        ImageStore(ImageCache(pixels, pixels), mesh),
        FeatureStore(np.zeros((16, 2, 3), np.float32), mesh),
    )
    columns = {"labels": np.zeros(16, np.float32)} | distorted.ladder_columns(np.arange(10).reshape(2, 5), 16)
    produced = {name for store in stores for name in next(loader.load_batches(store, columns, rows, 8))}
    assert produced == preflight.RESERVED
    for name in produced:
        photos = Manifest(("a", "b"), np.zeros(2, np.float32), ImageFolder(Path()), targets={name: np.zeros(2, "f4")})
        with pytest.raises(UserError, match=f"a target column cannot be called {name}: batches have one"):
            preflight.check_targets(photos)
    preflight.check_targets(dataclasses.replace(photos, targets={"std": np.zeros(2, np.float32)}))


def test_photos_are_taken_out_of_every_part() -> None:
    split = Split(np.arange(6), np.arange(6, 9), np.arange(9, 13), note="kept")
    less = split.without([0, 7, 12, 99])
    assert [part.tolist() for part in (less.train, less.val, less.test)] == [[1, 2, 3, 4, 5], [6, 8], [9, 10, 11]]
    assert less.note == "kept"
    for rows in ([0, 1, 2, 3, 4], [6, 7], [9, 10, 11], range(13)):
        with pytest.raises(UserError, match=r"are left to (train|val|test), and a correlation needs 2"):
            split.without(list(rows))
    assert len(Split(np.arange(6), NONE, NONE).without([0]).test) == 0


def test_a_run_goes_on_with_the_photos_it_began_with() -> None:
    saved = SavedState(4, {"left out": ["a.jpg"]}, [])
    preflight.check_left_out(saved, ["a.jpg"])
    preflight.check_left_out(SavedState(4, {}, []), [])  # of before there were any
    for nothing in (None, SavedState(-1, {}, [])):
        preflight.check_left_out(nothing, ["a.jpg"])
    with pytest.raises(UserError, match=r"began with other photos: b\.jpg can no longer be read"):
        preflight.check_left_out(saved, ["a.jpg", "b.jpg"])
    with pytest.raises(UserError, match=r"began with other photos: a\.jpg could not then, and can now be read"):
        preflight.check_left_out(saved, [])
