"""Photos and scores of one's own: lower scores that are better, and photos that are not there."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.conftest import Command
from vtiqa_jax import __main__ as program
from vtiqa_jax.commands import train as train_commands
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.data.splits import Split
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.params import Params


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


def test_a_split_from_a_file_needs_no_shares_that_fit(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """Of 12 photos the usual shares would leave one to validate on, and refuse them; the file's split has two."""
    splits: list[Split] = []
    monkeypatch.setattr(train_commands, "train", lambda _, split, *rest, **options: splits.append(split))
    table = folder / "mos" / "scores.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:13]))
    parts = folder / "split.csv"
    names = [["train", "val", "test"][min(row // 4, 2)] for row in range(12)]
    parts.write_text("img_name,official_split\n" + "".join(f"{row}.png,{part}\n" for row, part in enumerate(names)))
    given = ("manifest", "--scores", table, "--images", folder / "mos", "--workdir", folder / "run")
    status, _, said = command(program.main, "train", *given)
    assert status == 2 and "of 12 photos 1 would be left to validate on" in said
    assert command(program.main, "train", *given, "--split-file", parts)[0] == 0
    assert [len(getattr(splits[0], part)) for part in ("train", "val", "test")] == [4, 4, 4]


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
        assert f"--lower-is-better takes your own folders among the data sets, not {wrong!r}" in error


def test_a_part_of_ones_own_photos(folder: Path, asked: list[tuple[Any, ...]], command: Command) -> None:
    for row in range(2):
        (folder / "mos" / f"{row}.png").unlink()
    alone = ("manifest", "--scores", folder / "mos" / "scores.csv", "--images", folder / "mos")
    for given in (alone, ("datasets", "mos,dmos", "--releases", folder)):
        status, _, error = command(program.main, "train", *given, "--workdir", folder / "run")
        assert (status, error.count("\n"), asked) == (2, 1, [])
        assert "2 of 30 photos do not exist: line 2: " in error and "leave them out with --partial" in error
        status, said, _ = command(program.main, "train", *given, "--workdir", folder / "run", "--partial")
        assert status == 0 and said.count("2 of 30 photos do not exist") == 1
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
            assert "1 of 9 photos do not exist" in said
            found[name, bool(flag)] = json.loads((tmp_path / "out" / "result.json").read_text())
    plain = found["mos", False]
    for figure in ("plcc", "srcc", "krcc"):
        assert found["mos", True][figure] == pytest.approx(-plain[figure])
        # A model that was trained so has the CSV's direction already.
        assert found["dmos", True][figure] == found["dmos", False][figure] == pytest.approx(plain[figure])
    assert found["mos", True]["rmse"] is None and found["dmos", True]["rmse"] == plain["rmse"]
