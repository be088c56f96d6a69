"""A run that is stopped anywhere, by anything, ends with the bits of one that never was."""

import errno
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from vtiqa_jax import atomic
from vtiqa_jax.data import loader
from vtiqa_jax.data.batches import epoch_batches
from vtiqa_jax.data.manifest import ImageFolder, Manifest
from vtiqa_jax.data.splits import Split
from vtiqa_jax.errors import Terminated, UserError
from vtiqa_jax.evaluation import metrics
from vtiqa_jax.models import checkpoint, compute_dtype, params
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig, tiny_config
from vtiqa_jax.results.interpreter import Interpreter
from vtiqa_jax.scoring.scorer import Scorer
from vtiqa_jax.train import train
from vtiqa_jax.training import features, run_checkpointer
from vtiqa_jax.training.finetune import FinetuneRecipe
from vtiqa_jax.training.logger import MetricLogger
from vtiqa_jax.training.options import MachineOptions, TrainOptions
from vtiqa_jax.training.preflight import leakage_warning
from vtiqa_jax.training.published import PublishedRecipe
from vtiqa_jax.training.recipe import ScheduleState
from vtiqa_jax.training.run_checkpointer import RunCheckpointer

pytestmark = pytest.mark.usefixtures("usual_promotion")

REPOSITORY = Path(__file__).parents[1]
FINETUNE = FinetuneRecipe(
    epochs=3, batch_size=6, ema=0.5, drop_path=0.1, compute_dtype="float32", ladders=3, ladders_per_batch=2
)
HEAD = replace(FINETUNE, freeze_backbone=True, drop_path=0.0)
PUBLISHED = PublishedRecipe(batch_size=6, max_epochs=13)
COUNT, TRAINED = 38, 18  # 3 batches an epoch, and as many photos as it takes to select one
NAMES = tuple(f"photo{row:02}.png" for row in range(COUNT))
TIMES = {"seconds", "photos_per_second"}
NONE = np.empty(0, np.int64)


@dataclass
class Bench:
    """A small run in a folder."""

    photos: Manifest
    start: Checkpoint
    folder: Path
    cache: Path
    plots: bool = False
    split: Split | None = None
    """All photos that are not trained on validate when not given."""

    def __call__(
        self, recipe: FinetuneRecipe | PublishedRecipe, mos: np.ndarray | None = None, **options_of_train: Any
    ) -> dict[str, Any]:
        """Runs to the end, or goes on; the result."""
        photos = self.photos if mos is None else replace(self.photos, mos=mos)
        split = self.split or Split(np.arange(TRAINED), np.arange(TRAINED, COUNT), NONE)
        machine = MachineOptions(image_cache=self.cache, save_every=2, log_every=2, plots=self.plots)
        options = TrainOptions(workdir=self.folder, recipe=recipe, machine=machine)
        scale = LabelScale("test", 1.0, 5.0)
        self.folder.mkdir(exist_ok=True)
        return train(photos, split, scale, self.start, options, self.folder, {}, **options_of_train)

    def states(self) -> list[Path]:
        return sorted((self.folder / "states").glob("[0-9]*"), key=lambda path: int(path.name))

    def stopped(self, monkeypatch: pytest.MonkeyPatch, at: int, recipe: Any = FINETUNE) -> None:
        """Runs until SIGTERM comes while the batch number `at` is loaded."""
        with monkeypatch.context() as patch:
            breaking(patch, at, lambda: os.kill(os.getpid(), signal.SIGTERM))
            with pytest.raises(Terminated, match="and saved; the same command continues"):
                self(recipe)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(1)
    for name in NAMES:
        cv2.imwrite(str(folder / name), rng.integers(0, 256, (96, 96, 3), np.uint8))
    return Manifest(NAMES, np.linspace(1, 5, COUNT).astype(np.float32), ImageFolder(folder))


@pytest.fixture(scope="module")
def start(config: ModelConfig) -> Checkpoint:
    backbone = {k: v for k, v in params.init_params(config, 3).items() if params.param_group(k)[0] != "head"}
    return Checkpoint(config, backbone, None, {})


@pytest.fixture
def bench(photos: Manifest, start: Checkpoint, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(photos, start, tmp_path / "run", tmp_path_factory.getbasetemp() / "image-cache")


Uninterrupted = Callable[[FinetuneRecipe | PublishedRecipe], Path]


@pytest.fixture(scope="module")
def uninterrupted(photos: Manifest, start: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    """Runs a recipe without a break, once for all tests; the run's folder."""

    @functools.cache
    def folder(recipe: FinetuneRecipe | PublishedRecipe) -> Path:
        bench = Bench(
            photos, start, tmp_path_factory.mktemp("straight"), tmp_path_factory.getbasetemp() / "image-cache"
        )
        bench(recipe)
        return bench.folder

    return folder


def assert_same(found: Path, wanted: Path) -> None:
    models = [checkpoint.load(folder / "checkpoint").params for folder in (found, wanted)]
    assert models[0].keys() == models[1].keys()
    for name, array in models[1].items():
        np.testing.assert_array_equal(models[0][name], array, err_msg=name)
    assert lasting(found) == lasting(wanted)


def lasting(folder: Path) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key not in TIMES} for entry in entries]


def breaking(monkeypatch: pytest.MonkeyPatch, at: int, deed: Callable[[], None]) -> None:
    """Does `deed` when the batch number `at` of the process is loaded."""
    real, loaded = loader.load_batches, [0]

    def load_batches(*arguments: Any) -> Any:
        for batch in real(*arguments):
            loaded[0] += 1
            if loaded[0] == at:
                deed()
            yield batch

    monkeypatch.setattr(loader, "load_batches", load_batches)


@pytest.mark.parametrize(
    ("at", "recipe"),
    [
        pytest.param(6, FINETUNE, id="6-finetune"),
        *(
            pytest.param(at, recipe, marks=pytest.mark.slow, id=f"{at}-{kind}")
            for at, recipe, kind in [
                (8, FINETUNE, "finetune"),
                (8, HEAD, "head"),
                (1, PUBLISHED, "published"),
                (8, PUBLISHED, "published"),
            ]
        ),
    ],
)
def test_after_sigterm_the_same_bits(
    bench: Bench, uninterrupted: Uninterrupted, recipe: Any, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.stopped(monkeypatch, at, recipe)
    assert bench.states()[-1].name == str(at)
    bench(recipe)
    assert_same(bench.folder, uninterrupted(recipe))
    assert not (bench.folder / "states").exists()


@pytest.mark.slow
def test_the_best_epochs_model_is_kept(bench: Bench) -> None:
    """And not the last one's: the learning rate is far too high."""
    bench(replace(FINETUNE, epochs=4, peak_lr=0.05, head_lr=0.2, ema=0.0, seed=2))
    history = [json.loads(line) for line in (bench.folder / "metrics.jsonl").read_text().splitlines()]
    epochs = [entry["srcc"] for entry in history if "srcc" in entry]
    best = max(epoch for epoch in epochs if epoch is not None)
    assert epochs[-1] is None or epochs[-1] < best - 0.05
    scorer = Scorer.load(bench.folder / "checkpoint")
    rows = range(TRAINED, COUNT)
    scores = scorer.score([bench.photos.images.path(NAMES[row]) for row in rows])  # type: ignore[attr-defined]
    assert metrics.correlations(scores, bench.photos.mos[TRAINED:]).srcc == pytest.approx(best, abs=1e-4)
    # What a score is compared with: how the training photos score with this model.
    known = scorer.score([bench.photos.images.path(name) for name in NAMES[:TRAINED]])  # type: ignore[attr-defined]
    np.testing.assert_allclose(scorer.percentiles, np.percentile(known, range(101)), atol=1e-4)
    shares = scorer.percentile(np.array([known.min() - 1, np.median(known), known.max() + 1]))
    np.testing.assert_allclose(shares, [0, 50, 100], atol=0.1)
    lower = Interpreter(scorer.config, replace(scorer.scale, higher_is_better=False), scorer.percentiles, {})
    np.testing.assert_allclose(lower.percentile(known[:1]), 100 - np.interp(known[:1], scorer.percentiles, range(101)))
    with pytest.raises(UserError, match="does not hold the scores of its training photos"):
        replace(lower, percentiles=None).percentile(known)


@pytest.mark.slow
@pytest.mark.parametrize("mosaics", [1, 3])
def test_a_head_alone_learns_from_what_the_model_sees(bench: Bench, mosaics: int) -> None:
    """The scores during such a training, from features, are those of the model that it leaves."""
    start = replace(bench.start, config=bench.start.config.replace(eval_mosaics=mosaics))
    bench = replace(bench, start=start)
    bench(replace(HEAD, epochs=6, head_lr=0.02))
    history = [json.loads(line) for line in (bench.folder / "metrics.jsonl").read_text().splitlines()]
    assert history[0]["ranking"] > 0
    trained = checkpoint.load(bench.folder / "checkpoint")
    for name, array in bench.start.params.items():
        np.testing.assert_array_equal(trained.params[name], array)
    paths = [bench.photos.images.path(NAMES[row]) for row in range(TRAINED, COUNT)]  # type: ignore[attr-defined]
    scores = Scorer.load(bench.folder / "checkpoint").score(paths)
    found = metrics.correlations(scores, bench.photos.mos[TRAINED:])
    selected = next(entry for entry in reversed(history) if entry.get("note") == "best")
    assert found.plcc == pytest.approx(selected["plcc"], abs=1e-4)


@pytest.mark.slow
def test_sigterm_while_features_are_computed_loses_none_of_them(
    bench: Bench, uninterrupted: Uninterrupted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "CHUNK", 8)
    # A recipe of its own: other tests' straight run computes features in larger batches, which round otherwise.
    recipe = replace(HEAD, seed=1)
    real, files = atomic.atomic_replace, []

    def replace_and_stop(path: Path) -> Any:
        if path.suffix == ".npy":
            files.append(path)
            if len(files) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "atomic_replace", replace_and_stop)
        with pytest.raises(Terminated, match="while features were computed; the same command continues"):
            bench(recipe)
    assert sorted(path.name for path in files[0].parent.iterdir()) == ["0000000.npy", "0000008.npy"]
    files[1].write_bytes(files[1].read_bytes()[:200])  # as after a power cut
    bench(recipe)
    assert_same(bench.folder, uninterrupted(recipe))


def test_a_few_validation_photos_change_no_bit(bench: Bench) -> None:
    """The model is the last epoch's, as if they were not there; an epoch selected by them would be another one's."""
    recipe = replace(HEAD, head_lr=0.2)
    found = []
    for count in (4, 0):
        split = Split(np.arange(TRAINED), np.arange(TRAINED, TRAINED + count), np.arange(COUNT - 4, COUNT))
        run = replace(bench, split=split, folder=bench.folder.with_name(f"val{count}"))
        result = run(recipe)
        assert result["selected_on"] is None
        assert all(entry.get("srcc") is None and not entry.get("note") for entry in lasting(run.folder))
        found.append(run.folder)
    assert_same(*found)


def test_a_run_keeps_the_type_it_began_with(
    bench: Bench, uninterrupted: Uninterrupted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on a machine on which another one is faster, and when it is finished."""
    open_recipe = replace(HEAD, compute_dtype="auto")
    monkeypatch.setattr(compute_dtype, "_cpuinfo", lambda: "flags : avx2\n")
    bench.stopped(monkeypatch, 2, open_recipe)
    monkeypatch.setattr(compute_dtype, "_cpuinfo", lambda: "flags : avx512_bf16\n")
    result = bench(open_recipe)
    assert result["identity"]["recipe.compute_dtype"] == "float32"
    assert_same(bench.folder, uninterrupted(HEAD))
    assert bench(open_recipe) == bench(HEAD) == result
    with pytest.raises(UserError, match=r"another run, which differs in --recipe.compute-dtype; "):
        bench(replace(HEAD, compute_dtype="bfloat16"))


def test_broken_photos_are_left_out_of_every_part(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the split had never had them; stopped and gone on with, too."""
    folder = tmp_path / "photos"
    shutil.copytree(bench.photos.images.folder, folder)  # type: ignore[attr-defined]
    photos = replace(bench.photos, images=ImageFolder(folder))
    rows = np.arange(COUNT)
    split = Split(rows[:10], rows[10:34], rows[34:])
    broken = [3, 20, 36]
    without = replace(bench, photos=photos, split=split.without(broken), cache=tmp_path / "whole")
    without = replace(without, folder=tmp_path / "without")
    without(HEAD)
    for row in broken:
        (folder / NAMES[row]).write_bytes(b"no picture")
    bench = replace(bench, photos=photos, split=split, cache=tmp_path / "cache")
    with pytest.raises(UserError, match=r"3 of \d+ photos cannot be read"):
        bench(HEAD)
    with monkeypatch.context() as patch:
        breaking(patch, 3, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Terminated):
            bench(HEAD, partial=True)
    result = bench(HEAD, partial=True)
    assert (result["left_out"], result["n"]) == (3, 3)
    assert_same(bench.folder, without.folder)
    assert (bench.folder / "predictions.csv").read_text() == (without.folder / "predictions.csv").read_text()


def test_a_start_that_has_seen_the_photos_is_told_of() -> None:
    start = Checkpoint(tiny_config(), {}, None, {"trained": {"data": "X", "split sha256": "1"}})
    later = replace(start, provenance={"trained": {"data": "Y", "split sha256": "2", "started from": start.provenance}})
    assert leakage_warning(start, "X", "1") == leakage_warning(later, "Y", "2") == ""
    for seen in (start, later):
        assert "has seen photos of X" in leakage_warning(seen, "X", "2")


@pytest.mark.slow
def test_after_a_crash_the_same_bits_and_the_right_words(
    bench: Bench, uninterrupted: Uninterrupted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash() -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        breaking(patch, 9, crash)  # the last batch of epoch 3; states are saved after steps 2, 3, 4, 6, 8
        with pytest.raises(RuntimeError):
            bench(FINETUNE)
    capsys.readouterr()
    bench(FINETUNE)
    assert_same(bench.folder, uninterrupted(FINETUNE))
    assert "going on after step 8, in epoch 3" in capsys.readouterr().out
    entries = lasting(bench.folder)
    assert [entry["epoch"] for entry in entries if "srcc" in entry] == [1, 2, 3]
    assert [entry["step"] for entry in entries if "srcc" not in entry] == [2, 4, 8]
    assert {"step", "loss", "l1", "batch_plcc", "grad_norm", "lr"} <= entries[0].keys()


def test_a_damaged_state_is_passed_over(
    bench: Bench, uninterrupted: Uninterrupted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.stopped(monkeypatch, 7)
    *_, before, newest = bench.states()
    largest = max((file for file in newest.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    bench(FINETUNE)
    assert_same(bench.folder, uninterrupted(FINETUNE))
    said = capsys.readouterr().out
    assert f"{newest} is damaged and passed over: a file is missing, cut off or changed" in said
    assert f"going on after step {before.name}" in said


@pytest.mark.slow
def test_without_a_whole_state_it_starts_anew_and_says_so(
    bench: Bench, uninterrupted: Uninterrupted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.stopped(monkeypatch, 7)
    for state in bench.states():
        (state / checkpoint.HASHES).unlink()
    # The first state of the new beginning is kept, though the damaged ones were of later steps.
    bench.stopped(monkeypatch, 2)
    assert "no whole state of the run is left: starting anew" in capsys.readouterr().out
    assert [state.name for state in bench.states()] == ["2"]
    bench(FINETUNE)
    assert_same(bench.folder, uninterrupted(FINETUNE))
    assert "going on after step 2" in capsys.readouterr().out


@pytest.mark.slow
def test_a_full_disk_stops_in_one_line_and_loses_nothing(
    bench: Bench, uninterrupted: Uninterrupted, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saved = ocp.training.Checkpointer.save_async, [0]

    def full(*arguments: Any, **options: Any) -> Any:
        saved[0] += 1
        if saved[0] == 4:
            raise OSError(28, "No space left on device")
        return save(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(ocp.training.Checkpointer, "save_async", full)
        with pytest.raises((UserError, OSError), match="No space left"):
            bench(FINETUNE)
    assert [state.name for state in bench.states()] == ["3", "4"]
    bench(FINETUNE)
    assert_same(bench.folder, uninterrupted(FINETUNE))


@pytest.mark.slow
def test_only_the_newest_states_are_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.stopped(monkeypatch, 8)
    assert [state.name for state in bench.states()] == ["6", "8"]


def test_a_run_with_other_settings_is_not_gone_on_with(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.stopped(monkeypatch, 2)
    with pytest.raises(UserError, match=r"holds another run, which differs in --recipe.seed; name another"):
        bench(replace(FINETUNE, seed=1))


def test_a_loss_that_is_no_number_names_the_photos(bench: Bench) -> None:
    mos = np.linspace(1, 5, COUNT).astype(np.float32)
    mos[7] = np.inf
    with pytest.raises(UserError) as raised:
        bench(PUBLISHED, mos)
    first = epoch_batches(np.arange(TRAINED), 6, 0, 0)
    index = next(i for i, rows in enumerate(first) if 7 in rows)
    said = str(raised.value)
    assert f"in epoch 1, batch {index + 1}, on" in said
    listed = (bench.folder / "failed-batch.txt").read_text().split()
    assert listed == [NAMES[row] for row in first[index]]
    assert "\n" not in said


def test_a_head_that_died_is_no_result(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without validation photos nothing else would tell."""
    monkeypatch.setattr(features, "_score", lambda config, params, features: np.zeros(len(features), np.float32))
    split = Split(np.arange(TRAINED), np.empty(0, np.int64), np.arange(TRAINED, COUNT))
    machine = MachineOptions(image_cache=bench.cache)
    options = TrainOptions(workdir=bench.folder, recipe=replace(HEAD, epochs=1), machine=machine)
    bench.folder.mkdir()
    with pytest.raises(UserError, match="gives every training photo the same score"):
        train(bench.photos, split, LabelScale("test", 1.0, 5.0), bench.start, options, bench.folder, {})
    assert not (bench.folder / "result.json").exists()


def test_no_state_is_saved_after_a_gradient_that_is_no_number(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fifth step blows the weights up: the last state kept is the fourth's, and the message names it."""
    real = FinetuneRecipe.learning_rate

    def learning_rate(self: FinetuneRecipe, state: ScheduleState, step: int, steps_per_epoch: int) -> float:
        return 1e30 if step == 4 else real(self, state, step, steps_per_epoch)

    monkeypatch.setattr(FinetuneRecipe, "learning_rate", learning_rate)
    said = r"(loss is|gradient's norm is) (nan|inf) in epoch 2, batch 3, .* the last good state, of step 4, is in"
    with pytest.raises(UserError, match=said):
        bench(FINETUNE)
    assert [state.name for state in bench.states()] == ["3", "4"]


@pytest.mark.slow
def test_a_disk_that_cannot_be_read_costs_no_state(
    bench: Bench, uninterrupted: Uninterrupted, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.stopped(monkeypatch, 7)
    before = bench.states()

    def failing(_: Path) -> dict[str, str]:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(run_checkpointer, "file_hashes", failing)
        with pytest.raises(UserError, match=r"cannot be read now \(Input/output error\); give the same command again"):
            bench(FINETUNE)
    assert bench.states() == before
    bench(FINETUNE)
    assert_same(bench.folder, uninterrupted(FINETUNE))


@pytest.mark.slow
def test_what_a_killed_run_had_not_written_down_is_written(
    bench: Bench, uninterrupted: Uninterrupted, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.plots = True
    bench.stopped(monkeypatch, 8)
    (bench.folder / "metrics.jsonl").write_text("")
    for events in (bench.folder / "tensorboard").iterdir():
        events.write_bytes(b"")
    bench(FINETUNE)
    assert_same(bench.folder, uninterrupted(FINETUNE))
    (events,) = (bench.folder / "tensorboard").iterdir()
    assert events.read_bytes().count(b"epoch/photos_per_second") == 3
    assert events.read_bytes().count(b"train/loss") == 3
    for picture in ("curve.png", "scatter-validation.png"):
        assert cv2.imread(str(bench.folder / picture)).std() > 5


@pytest.mark.parametrize("plots", [True, False])
def test_pictures_can_be_left_out(plots: bool, tmp_path: Path) -> None:
    step = {"step": 1, "epoch": 1, "loss": 0.5, "lr": 1e-3}
    epoch = {**step, "step": 2, "plcc": 0.9, "srcc": 0.8, "note": "", "photos_per_second": 9.0, "seconds": 1.0}
    with MetricLogger(tmp_path, LabelScale("test", 1.0, 5.0), "validation", [], plots) as logger:
        logger.log_step(step)
        logger.log_epoch([step, epoch], np.float32([1, 2, 4]), np.float32([1, 3, 4]), best=True)
    assert lasting(tmp_path) == [step, {name: value for name, value in epoch.items() if name not in TIMES}]
    pictures = {"curve.png", "scatter-validation.png", "tensorboard"}
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.jsonl"} | (pictures if plots else set())


# ---- the program itself, killed ----

EPOCHS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, config: ModelConfig, weights: params.Params) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    lines = ["image,mos"]
    for index in range(40):
        pixels = 128 + (index + 1) * 2.5 * rng.standard_normal((50, 60, 3))
        cv2.imwrite(str(folder / f"p{index:02}.png"), np.clip(pixels, 0, 255).astype(np.uint8))
        lines.append(f"p{index:02}.png,{index / 10}")
    (folder / "scores.csv").write_text("\n".join(lines) + "\n")
    checkpoint.save(folder / "init", Checkpoint(config, weights, None, {}))
    return folder


def program(folder: Path, workdir: Path) -> subprocess.Popen[str]:
    arguments = (
        *("manifest", "--scores", folder / "scores.csv", "--images", folder, "--checkpoint", folder / "init"),
        *("--image-cache", folder / "images", "--workdir", workdir, "--save-every", 1),
        *("--no-plots", "--recipe.epochs", EPOCHS, "--recipe.batch-size", 6),
    )
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "COLUMNS": "1000"}
    return subprocess.Popen(
        [sys.executable, "train.py", *map(str, arguments)],
        cwd=REPOSITORY, text=True, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def newest(workdir: Path) -> int:
    states = (workdir / "states").glob("[0-9]*")  # also what Orbax is writing, N.orbax-checkpoint-tmp
    return max((int(path.name) for path in states if path.name.isdigit()), default=0)


@pytest.fixture(scope="module")
def straight(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("straight") / "run"
    running = program(folder, workdir)
    _, error = running.communicate(timeout=300)
    assert running.returncode == 0, error
    return workdir


def assert_ends_alike(workdir: Path, straight: Path) -> None:
    found, wanted = (checkpoint.load(folder / "checkpoint") for folder in (workdir, straight))
    assert all(np.array_equal(found.params[key], wanted.params[key]) for key in wanted.params)
    assert (workdir / "predictions.csv").read_bytes() == (straight / "predictions.csv").read_bytes()
    results = [json.loads((folder / "result.json").read_text()) for folder in (workdir, straight)]
    for result in results:
        result.pop("seconds")
    assert results[0] == results[1]
    histories = [(folder / "metrics.jsonl").read_text().splitlines() for folder in (workdir, straight)]
    entries = [[{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines] for lines in histories]
    assert entries[0] == entries[1]
    assert not (workdir / "states").exists()


@pytest.mark.slow
def test_killed_again_and_again_at_random_times(folder: Path, straight: Path, tmp_path: Path) -> None:
    """SIGKILL, each time a random while after the run has come further; it may hit a save, an epoch's end, anything."""
    seed = int.from_bytes(os.urandom(4))
    print(f"kills at random times, seed {seed}")
    rng = np.random.default_rng(seed)
    workdir, kills = tmp_path / "run", 0
    while not (workdir / "result.json").exists():
        running, before, begun = program(folder, workdir), newest(workdir), time.monotonic()
        while running.poll() is None and newest(workdir) <= before and time.monotonic() - begun < 120:
            time.sleep(0.01)
        if kills < 3:
            time.sleep(rng.uniform(0, 0.5))
            running.send_signal(signal.SIGKILL)
            kills += 1
        _, error = running.communicate(timeout=300)
        assert running.returncode in (0, -signal.SIGKILL), error
        assert "Traceback" not in error
    assert kills > 1
    assert_ends_alike(workdir, straight)


@pytest.mark.slow
def test_terminated_and_started_again(folder: Path, straight: Path, tmp_path: Path) -> None:
    workdir = tmp_path / "run"
    running = program(folder, workdir)
    while running.poll() is None and newest(workdir) < 7:
        time.sleep(0.01)
    running.terminate()
    _, error = running.communicate(timeout=300)
    assert running.returncode == 143, error
    assert re.search(r"stopped after step \d+ and saved; the same command continues from there", error)
    assert error.count("\n") == 2  # at once that it stops, and at the end where
    running = program(folder, workdir)
    said, error = running.communicate(timeout=300)
    assert running.returncode == 0, error
    assert "going on after step" in said
    assert_ends_alike(workdir, straight)


def test_a_state_that_does_not_fit_on_the_disk_is_told_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Orbax would print the tracebacks of its threads. And a link, to a scratch disk say, stays when all is deleted."""
    (tmp_path / "states").symlink_to("scratch")
    state = {"a": jnp.arange(100_000, dtype=jnp.float32)}
    with RunCheckpointer(tmp_path / "states") as states:
        assert not states.has_state()
        states.save(1, state, {})
        states.wait()
        assert states.has_state()
        free = shutil.disk_usage(tmp_path)._replace(free=200_000)
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda _: free)
            with pytest.raises(UserError, match=r"scratch: .*No space left.*make room and give the same command again"):
                states.save(2, state, {})
        found = states.latest_valid()
        assert found is not None and (found.step, found.problems) == (1, [])
        states.save(2, state, {})
        states.delete_all()
    assert capfd.readouterr().err == ""
    assert [path.name for path in tmp_path.iterdir()] == ["states"]
    with RunCheckpointer(tmp_path / "states") as states:  # made again where the link leads
        states.save(1, state, {})
    assert (tmp_path / "scratch" / "1").is_dir()


def test_interrupted_while_replacing_the_old_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "old").touch()

    def interrupted(*_: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), atomic.atomic_replace(folder) as part:
        part.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (folder / "old").exists()
