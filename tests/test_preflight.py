"""What is refused, and what a person is told, before a training begins."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.conftest import Command
from vtiqa_jax import __main__ as program
from vtiqa_jax import sharding
from vtiqa_jax.commands import train as train_commands
from vtiqa_jax.data import distorted, loader
from vtiqa_jax.data.image_cache import ImageCache
from vtiqa_jax.data.loader import ImageStore
from vtiqa_jax.data.manifest import ImageFolder, Manifest
from vtiqa_jax.data.splits import FEWEST_TO_SELECT, Split
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import checkpoint, compute_dtype
from vtiqa_jax.models.checkpoint import Checkpoint, LabelScale
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.vtiqa import ModelConfig
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
        for recipe, kept in ((FinetuneRecipe(), "the last epoch is kept"), (PublishedRecipe(), "all the same")):
            said = told(split, start, recipe=recipe)
            assert bool(said) is few
            assert not few or (kept in said and "--val-fraction 0 trains on them too" in said and "\n" not in said)
    paper = Split(np.arange(50), NONE, np.arange(50, 54), select_on_test=True)
    assert not paper.too_few_to_select and len(FinetuneRecipe().selection(paper)) == 4
    assert re.search(r"^2 validation .* off by about 1\.00", told(split_of(2), start))


def test_the_error_of_a_correlation_is_what_is_told(start: Checkpoint, rng: np.random.Generator) -> None:
    count = FEWEST_TO_SELECT - 1
    one, other = rng.standard_normal((2, 4000, count))
    seen = np.std([np.corrcoef(x, y)[0, 1] for x, y in zip(one, other, strict=True)])
    said = re.search(r"off by about ([\d.]+)", told(split_of(count), start))
    assert said and float(said[1]) == pytest.approx(seen, rel=0.05)


def test_a_kept_head_is_proposed_where_it_can_be_kept(start: Checkpoint) -> None:
    few, many = split_of(0, preflight.FEW_PHOTOS), split_of(0, preflight.FEW_PHOTOS + 1)
    backbone = dataclasses.replace(start, scale=None)
    other = dataclasses.replace(start, config=start.config.replace(depth=1))
    assert "300 photos are few for a new head; --keep-head begins with that of --init default" in told(
        few, start, start
    )
    for split, now, before, keep in (
        (many, start, start, False), (few, start, None, False), (few, start, backbone, False),
        (few, other, start, False), (few, start, start, True),
    ):  # fmt: skip
        assert told(split, now, before, keep_head=keep) == ""


def test_a_slow_type_is_told_of(start: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute_dtype, "_cpuinfo", lambda: "flags : avx2\n")
    assert "bfloat16 is slower" in told(split_of(0), start, recipe=FinetuneRecipe(compute_dtype="bfloat16"))
    assert told(split_of(0), start, recipe=FinetuneRecipe()) == ""


def test_what_is_reserved_is_what_batches_have(config: ModelConfig) -> None:
    """Made by those who make them: stored photos, features, chains, padding."""
    pixels = np.zeros((16, 2, 2, 3), np.uint8)
    mesh, rows = sharding.data_mesh(), [np.arange(8)]
    stores = (
        ImageStore(ImageCache(pixels, pixels), mesh),
        FeatureStore(np.zeros((16, 2, 3), np.float32), mesh, config),
    )
    columns = {"labels": np.zeros(16, np.float32)} | distorted.chain_columns(np.arange(10).reshape(2, 5), 16)
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


# ---- what the commands pass on ----


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What a command would train on: photos, scale, partial."""
    calls: list[tuple[Any, ...]] = []

    def train_splits(photos: Manifest, make_split: Any, scale: LabelScale, *_: Any, partial: bool = False) -> None:
        calls.append((photos, make_split(0), scale, partial))

    monkeypatch.setattr(train_commands, "train_splits", train_splits)
    return calls


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two folders of photos of one's own; in `dmos` the scores fall."""
    for name, sign in (("mos", 1), ("dmos", -1)):
        (tmp_path / name).mkdir()
        rows = ["image,mos"]
        for row in range(30):
            (tmp_path / name / f"{row}.png").write_bytes(b"x")
            rows.append(f"{row}.png,{50 + sign * row}")
        (tmp_path / name / "scores.csv").write_text("\n".join(rows))
    return tmp_path


def test_dmos_of_ones_own(folder: Path, asked: list[tuple[Any, ...]], command: Command) -> None:
    given = ("manifest", "--scores", folder / "dmos" / "scores.csv", "--images", folder / "dmos")
    assert command(program.main, "train", *given)[0] == 0
    assert command(program.main, "train", *given, "--lower-is-better")[0] == 0
    (_, _, higher, _), (photos, _, lower, _) = asked
    assert (higher.higher_is_better, lower.higher_is_better) == (True, False)
    assert (lower.low, lower.high) == (21, 50)
    np.testing.assert_array_equal(photos.mos, 50 - np.arange(30))


def test_dmos_joined_with_mos(folder: Path, asked: list[tuple[Any, ...]], command: Command) -> None:
    given = ("datasets", "mos,dmos", "--releases", folder)
    assert command(program.main, "train", *given, "--lower-is-better", "dmos")[0] == 0
    ((photos, split, scale, _),) = asked
    assert scale.higher_is_better
    mos = {name: photos.mos[row] for row, name in enumerate(photos.names)}
    for name in ("mos", "dmos"):  # the photos are equally good in both
        ordered = [mos[f"{name}/{row}.png"] for row in range(30)]
        assert ordered == sorted(ordered)
        rows = [row for row in split.train if photos.groups[row] == name]
        assert photos.mos[rows].mean() == pytest.approx(0, abs=1e-6)
    for wrong in ("elsewhere", "koniq10k"):
        status, _, error = command(program.main, "train", *given, "--lower-is-better", wrong)
        assert (status, error.count("\n")) == (2, 1)
        assert f"--lower-is-better takes folders of one's own among the data sets, not {wrong!r}" in error


def test_a_part_of_ones_own_photos(folder: Path, asked: list[tuple[Any, ...]], command: Command) -> None:
    for row in range(2):
        (folder / "mos" / f"{row}.png").unlink()
    alone = ("manifest", "--scores", folder / "mos" / "scores.csv", "--images", folder / "mos")
    for given in (alone, ("datasets", "mos,dmos", "--releases", folder)):
        status, _, error = command(program.main, "train", *given, "--workdir", folder / "run")
        assert (status, error.count("\n"), asked) == (2, 1, [])
        assert "2 of 30 photos are not there: line 2: " in error and "leave them out with --partial" in error
        status, said, _ = command(program.main, "train", *given, "--workdir", folder / "run", "--partial")
        assert status == 0 and said.count("2 of 30 photos are not there") == 1
        photos, _, _, partial = asked.pop()
        assert partial and len(photos.names) == (28 if given == alone else 58)


def test_eval_knows_scores_of_which_lower_ones_are_better(
    tmp_path: Path, config: ModelConfig, weights: Params, rng: np.random.Generator, command: Command
) -> None:
    rows = ["image,mos"]
    for row in range(8):
        cv2.imwrite(str(tmp_path / f"{row}.png"), rng.integers(0, 256, (40, 40, 3), np.uint8))
        rows.append(f"{row}.png,{row}")
    (tmp_path / "s.csv").write_text("\n".join([*rows, "gone.png,3"]))
    found = {}
    for name, better in (("mos", True), ("dmos", False)):
        made = Checkpoint(config, weights, LabelScale("test", 0.0, 8.0, better), {})
        checkpoint.save(tmp_path / name, made)
        for flag in ((), ("--lower-is-better",)):
            given = ("--scores", tmp_path / "s.csv", "--images", tmp_path, "--checkpoint", tmp_path / name)
            status, said, error = command(
                program.main, "eval", "manifest", *given, "--out", tmp_path / "out", "--partial", *flag
            )
            assert status == 0, error
            assert "1 of 9 photos are not there" in said
            found[name, bool(flag)] = json.loads((tmp_path / "out" / "result.json").read_text())
    plain = found["mos", False]
    for figure in ("plcc", "srcc", "krcc"):
        assert found["mos", True][figure] == pytest.approx(-plain[figure])
        # A model that was trained so has the CSV's direction already.
        assert found["dmos", True][figure] == found["dmos", False][figure] == pytest.approx(plain[figure])
    assert found["mos", True]["rmse"] is None and found["dmos", True]["rmse"] == plain["rmse"]
