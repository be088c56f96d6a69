"""A run that is stopped anywhere, by anything, ends with the bits of one that never was."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vtiqa_jax import atomic, checkpoint, devices, feed, params
from vtiqa_jax.config import LabelScale, ModelConfig
from vtiqa_jax.errors import Terminated, UserError
from vtiqa_jax.journal import History, Journal
from vtiqa_jax.modern import Modern
from vtiqa_jax.prepared import Prepared
from vtiqa_jax.recipe import Recipe
from vtiqa_jax.released import Released
from vtiqa_jax.run import fit
from vtiqa_jax.scoring import Scorer
from vtiqa_jax.states import States, ocp
from vtiqa_jax.training import Training

pytestmark = pytest.mark.usefixtures("usual_promotion")

REPOSITORY = Path(__file__).parents[1]
MODERN = Modern(epochs=4, batch_size=6, ema=0.5, drop_path=0.1, compute_dtype="float32")
RELEASED = Released(batch_size=6, max_epochs=13)
COUNT, TRAINED = 24, 18  # 3 batches an epoch
NAMES = tuple(f"photo{row}.jpg" for row in range(COUNT))
TIMES = {"seconds", "photos_per_second"}


@dataclass
class Bench:
    """A small run in a folder."""

    config: ModelConfig
    photos: Prepared
    scale: LabelScale
    folder: Path

    def __call__(self, recipe: Recipe, mos: np.ndarray | None = None) -> tuple[params.Params, History]:
        """Runs to the end, or goes on; the best model and the history."""
        labels = np.linspace(1, 5, COUNT).astype(np.float32) if mos is None else mos
        start = recipe.head(params.drawn(self.config, 3))
        source = feed.Source(self.photos, devices.data_mesh())
        training = Training(self.config, recipe, start, source, labels, np.arange(TRAINED))
        chosen = np.arange(TRAINED, COUNT)
        scorer = Scorer(self.config, start, self.scale)

        def judge() -> np.ndarray:
            scorer.set_params(training.params())
            return scorer.score_stored(source, chosen)

        self.folder.mkdir(exist_ok=True)
        history = fit(
            training, recipe, judge, labels[chosen], NAMES, States(self.folder / "states"),
            {"recipe": repr(recipe)}, lambda history: Journal(self.folder, self.scale, "validation", history),
            lambda: None, save_every=2,
        )  # fmt: skip
        return training.params(best=True), history

    def states(self) -> list[Path]:
        return sorted((self.folder / "states").glob("[0-9]*"))


@pytest.fixture
def bench(config: ModelConfig, scale: LabelScale, tmp_path: Path) -> Bench:
    rng = np.random.default_rng(1)
    sides = (config.global_size, config.local_size)
    photos = Prepared(*(rng.integers(0, 256, (COUNT, side, side, 3), np.uint8) for side in sides))
    return Bench(config, photos, scale, tmp_path / "run")


def assert_same(found: tuple[params.Params, History], wanted: tuple[params.Params, History]) -> None:
    assert found[0].keys() == wanted[0].keys()
    for key, array in wanted[0].items():
        np.testing.assert_array_equal(found[0][key], array, err_msg=key)

    def lasting(history: History) -> list[dict[str, Any]]:
        return [{key: value for key, value in entry.items() if key not in TIMES} for entry in history]

    assert lasting(found[1]) == lasting(wanted[1])


STRAIGHT: dict[str, tuple[params.Params, History]] = {}


def uninterrupted(bench: Bench, recipe: Recipe) -> tuple[params.Params, History]:
    """The same run without a break, once for each recipe."""
    if repr(recipe) not in STRAIGHT:
        STRAIGHT[repr(recipe)] = replace(bench, folder=bench.folder.with_name("straight"))(recipe)
    return STRAIGHT[repr(recipe)]


def breaking(monkeypatch: pytest.MonkeyPatch, at: int, deed: Callable[[], None]) -> None:
    """Does `deed` when the batch number `at` of the process is fed."""
    real, fed = feed.batches, [0]

    def batches(*arguments: Any) -> Any:
        for batch in real(*arguments):
            fed[0] += 1
            if fed[0] == at:
                deed()
            yield batch

    monkeypatch.setattr(feed, "batches", batches)


@pytest.mark.parametrize("recipe", [MODERN, RELEASED], ids=["modern", "released"])
@pytest.mark.parametrize("at", [1, 6, 8])
def test_after_sigterm_the_same_bits(bench: Bench, recipe: Recipe, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        breaking(patch, at, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Terminated, match=f"stopped after step {at} and saved"):
            bench(recipe)
    assert bench.states()[-1].name == f"{at:09d}"
    assert_same(bench(recipe), uninterrupted(bench, recipe))


def test_after_a_crash_the_same_bits_and_the_right_words(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash() -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        breaking(patch, 9, crash)  # the last batch of epoch 3; states are saved after steps 2, 3, 4, 6, 8
        with pytest.raises(RuntimeError):
            bench(MODERN)
    capsys.readouterr()
    assert_same(bench(MODERN), uninterrupted(bench, MODERN))
    assert "going on after step 8, in epoch 3" in capsys.readouterr().out
    entries = [json.loads(line) for line in (bench.folder / "metrics.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in entries] == [1, 2, 3, 4]
    assert {"loss", "plcc", "srcc", "lr", "photos_per_second", "seconds", "event"} <= entries[0].keys()
    for picture in ("curve.png", "scatter-validation.png"):
        assert cv2.imread(str(bench.folder / picture)).std() > 5
    assert list((bench.folder / "tensorboard").glob("events*"))


def test_a_damaged_state_is_passed_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        breaking(patch, 7, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Terminated):
            bench(MODERN)
    *_, before, newest = bench.states()
    largest = max((file for file in newest.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    assert_same(bench(MODERN), uninterrupted(bench, MODERN))
    said = capsys.readouterr().out
    assert f"{newest} is damaged and passed over: a file is missing, cut off or changed" in said
    assert f"going on after step {int(before.name)}" in said


def test_without_a_whole_state_it_starts_anew_and_says_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        breaking(patch, 7, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Terminated):
            bench(MODERN)
    damaged = bench.states()
    for state in damaged:
        (state / "told.json").unlink()
    # The first state of the new beginning is kept, though the damaged ones were of later steps.
    with monkeypatch.context() as patch:
        breaking(patch, 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Terminated):
            bench(MODERN)
    assert "no whole state of the run is left: starting anew" in capsys.readouterr().out
    assert [int(state.name) for state in bench.states()] == [2]
    assert_same(bench(MODERN), uninterrupted(bench, MODERN))
    assert "going on after step 2" in capsys.readouterr().out


def test_a_full_disk_stops_in_one_line_and_loses_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    save, saved = ocp.save_async, [0]

    def full(*arguments: Any) -> Any:
        saved[0] += 1
        if saved[0] == 4:
            raise OSError(28, "No space left on device")
        return save(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ocp, "save_async", full)
        with pytest.raises(UserError, match=r"could not be written \(.*No space left.*; make room"):
            bench(MODERN)
    assert [int(state.name) for state in bench.states()] == [3, 4]
    assert_same(bench(MODERN), uninterrupted(bench, MODERN))


def test_only_the_newest_states_are_kept(bench: Bench) -> None:
    bench(MODERN)
    assert [int(state.name) for state in bench.states()] == [10, 12]


def test_a_run_with_other_settings_is_not_gone_on_with(bench: Bench) -> None:
    bench(MODERN)
    with pytest.raises(UserError, match=r"holds a run with other settings \(recipe differ\); name another --workdir"):
        bench(replace(MODERN, seed=1))


def test_a_loss_that_is_no_number_names_the_photos(bench: Bench) -> None:
    mos = np.linspace(1, 5, COUNT).astype(np.float32)
    mos[7] = np.inf
    with pytest.raises(UserError) as raised:
        bench(Released(batch_size=6), mos)
    first = feed.order(np.arange(TRAINED), 6, 0, 0)
    index = next(i for i, rows in enumerate(first) if 7 in rows)
    said = str(raised.value)
    assert f"in step {index} (epoch 1, batch {index + 1})" in said
    listed = (bench.folder / "failed-batch.txt").read_text().split()
    assert listed == [NAMES[row] for row in first[index]]
    assert "\n" not in said


def test_no_state_is_saved_after_a_gradient_that_is_no_number(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Learning rates that blow the weights up: the last state kept is finite, and the message names it."""
    recipe = replace(MODERN, head_lr=1e30, peak_lr=1e30, ema=0.0)
    with pytest.raises(UserError, match=r"(loss is|gradient's norm is) (nan|inf)") as raised:
        bench(recipe)
    states = bench.states()
    named = re.search(r"the last good state, of step (\d+),", str(raised.value))
    assert bool(states) == bool(named)
    if named:
        assert int(states[-1].name) == int(named[1])


# ---- the program itself, killed ----

EPOCHS = 8


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, config: ModelConfig, weights: params.Params) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    lines = ["image,mos"]
    for index in range(40):
        pixels = 128 + (index + 1) * 2.5 * rng.standard_normal((50, 60, 3))
        cv2.imwrite(str(folder / f"p{index:02}.png"), np.clip(pixels, 0, 255).astype(np.uint8))
        lines.append(f"p{index:02}.png,{index / 10}")
    (folder / "scores.csv").write_text("\n".join(lines) + "\n")
    checkpoint.save(folder / "init", checkpoint.Checkpoint(config, weights, None, {}))
    return folder


def program(photos: Path, workdir: Path, limit: str = "unlimited") -> subprocess.Popen[str]:
    """`limit`: what each file may grow to, kB."""
    arguments = (
        *("manifest", "--scores", photos / "scores.csv", "--images", photos, "--init", photos / "init"),
        *("--prepared", photos / "prepared", "--workdir", workdir, "--save-every", 1),
        *("--recipe.epochs", EPOCHS, "--recipe.batch-size", 4),
    )
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "COLUMNS": "1000"}
    return subprocess.Popen(
        ["bash", "-c", f'ulimit -f {limit}; exec "$@"', "-", sys.executable, "train.py", *map(str, arguments)],
        cwd=REPOSITORY, text=True, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def newest(workdir: Path) -> int:
    return max((int(path.name) for path in (workdir / "states").glob("[0-9]*")), default=0)


@pytest.fixture(scope="module")
def straight(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("straight") / "run"
    running = program(photos, workdir)
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


def test_killed_again_and_again_at_random_times(photos: Path, straight: Path, tmp_path: Path) -> None:
    """SIGKILL, each time a random while after the run has come further; it may hit a save, an epoch's end, anything."""
    rng = np.random.default_rng()
    workdir, kills = tmp_path / "run", 0
    while not (workdir / "result.json").exists():
        running, before, begun = program(photos, workdir), newest(workdir), time.monotonic()
        while running.poll() is None and newest(workdir) <= before and time.monotonic() - begun < 120:
            time.sleep(0.01)
        if kills < 4:
            time.sleep(rng.uniform(0, 0.5))
            running.send_signal(signal.SIGKILL)
            kills += 1
        _, error = running.communicate(timeout=300)
        assert running.returncode in (0, -signal.SIGKILL), error
        assert "Traceback" not in error
    assert kills > 1
    assert_ends_alike(workdir, straight)


def test_terminated_and_started_again(photos: Path, straight: Path, tmp_path: Path) -> None:
    workdir = tmp_path / "run"
    running = program(photos, workdir)
    while running.poll() is None and newest(workdir) < 9:
        time.sleep(0.01)
    running.terminate()
    _, error = running.communicate(timeout=300)
    assert running.returncode == 143, error
    assert re.search(r"stopped after step \d+ and saved; the same command goes on from there", error)
    assert error.count("\n") == 1
    running = program(photos, workdir)
    said, error = running.communicate(timeout=300)
    assert running.returncode == 0, error
    assert "going on after step" in said
    assert_ends_alike(workdir, straight)
    # Once more: it is finished, and says what came of it.
    running = program(photos, workdir)
    said, error = running.communicate(timeout=300)
    assert running.returncode == 0, error
    assert "is finished" in said
    assert "SRCC" in said


def test_a_disk_that_takes_no_more(photos: Path, straight: Path, tmp_path: Path) -> None:
    """Files of this process may not grow beyond 60 kB: the first state does not fit."""
    workdir = tmp_path / "run"
    running = program(photos, workdir, limit="60")
    _, error = running.communicate(timeout=300)
    assert running.returncode == 2
    assert error.count("\n") == 1, error
    assert "make room and give the same command again" in error
    running = program(photos, workdir)
    _, error = running.communicate(timeout=300)
    assert running.returncode == 0, error
    assert_ends_alike(workdir, straight)


def test_a_disk_that_cannot_be_read_costs_no_state(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        breaking(patch, 7, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Terminated):
            bench(MODERN)
    before = bench.states()

    def failing(_: Path) -> dict[str, str]:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "hashes", failing)
        with pytest.raises(UserError, match=r"cannot be read now \(Input/output error\); give the same command again"):
            bench(MODERN)
    assert bench.states() == before
    assert_same(bench(MODERN), uninterrupted(bench, MODERN))


def test_what_a_killed_run_had_not_written_down_is_written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        breaking(patch, 8, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Terminated):
            bench(MODERN)
    (bench.folder / "metrics.jsonl").write_text("")
    for events in (bench.folder / "tensorboard").iterdir():
        events.write_bytes(b"")
    bench(MODERN)
    lines = (bench.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4]
    (events,) = (bench.folder / "tensorboard").iterdir()
    assert events.read_bytes().count(b"photos_per_second") == 4


def test_interrupted_while_replacing_the_old_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "old").touch()
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.name.endswith(".part"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), atomic.replacing(folder) as part:
        part.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (folder / "old").exists()
