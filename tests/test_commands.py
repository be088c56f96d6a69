"""The command lines, as a person calls them: what is written, what is said, and the exit status."""

import contextlib
import csv
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import eval as eval_program
import train as train_program
from tests import made_up
from tests.conftest import Command
from vtiqa_jax import __main__ as vtiqa
from vtiqa_jax.commands import demo as sample_photos
from vtiqa_jax.data import demo
from vtiqa_jax.models import catalog, checkpoint, params
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.results.columns import score_columns
from vtiqa_jax.scoring.scorer import Scorer
from vtiqa_jax.training.run_checkpointer import lock_workdir

pytestmark = pytest.mark.usefixtures("usual_promotion")

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 photos, the rougher the higher their mos, in scores.csv with their part."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    lines = ["image,mos,part"]
    for index in range(40):
        pixels = 128 + (index + 1) * 2.5 * rng.standard_normal((50, 60, 3))
        name = f"p{index:02}.png"
        cv2.imwrite(str(folder / name), np.clip(pixels, 0, 255).astype(np.uint8))
        lines.append(f"{name},{index / 10},{'ab'[index % 2]}")
    (folder / "scores.csv").write_text("\n".join(lines) + "\n")
    return folder


# ---- vtiqa score ----


def test_score_writes_all_it_says(folder: Path, model: Path, tmp_path: Path, command: Command) -> None:
    status, said, _ = command(
        vtiqa.main,
        *("score", folder, "--checkpoint", model, "--out", tmp_path / "s.csv", "--batch-size", 16),
    )
    assert status == 0
    assert command(vtiqa.main, "score", folder, "--checkpoint", model, "--out", tmp_path / "s.json")[0] == 0
    assert said.splitlines()[0] == "score (test scale, 1 to 5, higher is better)  image"
    assert len(said.splitlines()) == 41
    with (tmp_path / "s.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [column.name for column in score_columns(mosaics=False)]
    assert [row["image"] for row in rows] == [str(folder / f"p{i:02}.png") for i in range(40)]
    told = json.loads((tmp_path / "s.json").read_text())
    assert told["scale"] == {"dataset": "test", "low": 1.0, "high": 5.0, "higher_is_better": True}
    np.testing.assert_allclose([s["score"] for s in told["scores"]], [float(row["score"]) for row in rows], atol=1e-6)
    assert len({row["score"] for row in rows}) == 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.csv", "s.json"]


def test_score_makes_a_page_and_never_scores_its_pictures(
    folder: Path, model: Path, tmp_path: Path, command: Command
) -> None:
    photos = shutil.copytree(folder, tmp_path / "photos")
    report = photos / "report"
    arguments = ("score", photos, "--checkpoint", model, "--out", tmp_path / "s.csv", "--report", report)
    first = command(vtiqa.main, *arguments)
    table = (tmp_path / "s.csv").read_text()
    assert first[1].endswith(f"report: {report / 'index.html'}\n")
    scored = sum(row["score"] != "" for row in csv.DictReader(table.splitlines()))
    assert len(list((report / "thumbnails").iterdir())) == len(list((report / "views").iterdir())) == scored > 0
    assert command(vtiqa.main, *arguments)[:2] == first[:2]  # an older page is replaced
    assert (tmp_path / "s.csv").read_text() == table
    (report / "mine.txt").write_text("kept")
    status, _, told = command(vtiqa.main, *arguments)
    assert status == 2 and "holds other files, perhaps your photos" in told
    assert (report / "mine.txt").read_text() == "kept"


def test_score_goes_on_after_a_bad_photo_and_says_so(
    folder: Path, model: Path, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    arguments = (tmp_path, folder / "p01.png", tmp_path / "none.png", "--out", tmp_path / "s.csv")
    status, said, error = command(vtiqa.main, "score", "--checkpoint", model, *arguments)
    assert status == 1
    assert "2 of 3 photos could not be read" in error
    assert f"failed  {tmp_path / 'bad.jpg'}: not an image" in said
    with (tmp_path / "s.csv").open(newline="") as file:
        rows = {Path(row["image"]).name: row for row in csv.DictReader(file)}
    assert rows["bad.jpg"]["score"] == ""
    assert rows["none.png"]["error"] == "No such file or directory"
    assert float(rows["p01.png"]["score"]) and rows["p01.png"]["error"] == ""


def test_score_says_of_how_many_training_photos_it_is_better(
    folder: Path, model: Path, tmp_path: Path, command: Command
) -> None:
    made = checkpoint.load(model)
    score = Scorer.load(model).score([folder / "p01.png"])[0]
    known = {"labels": [1.0] * 101, "scores": np.linspace(score - 3, score + 1, 101).tolist()}
    knowing = replace(made, provenance={"trained": {"percentiles": known}})
    checkpoint.save(tmp_path / "model", knowing)
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    arguments = ("--checkpoint", tmp_path / "model", "--out", tmp_path / "s.csv")
    status, said, _ = command(vtiqa.main, "score", tmp_path / "bad.jpg", folder / "p01.png", *arguments)
    assert status == 1
    assert said.splitlines() == [
        "score (test scale, 1 to 5, higher is better)  better than (of training photos)  image",
        f"    failed         {tmp_path / 'bad.jpg'}: not an image, or in a format that cannot be read",
        f"{score:10.4f}   75 %  {folder / 'p01.png'}",
    ]
    with (tmp_path / "s.csv").open(newline="") as file:
        assert [row["percentile"] for row in csv.DictReader(file)] == ["", "75.0"]


def test_score_refuses_what_cannot_work_in_one_line(
    folder: Path, model: Path, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "d.csv").mkdir()
    photo = folder / "p00.png"
    for arguments, said in (
        ([], "no photos are given"),
        ([tmp_path / "none"], "none: there is no such file or folder"),
        ([tmp_path / "empty", "--checkpoint", model], "no photos in"),
        ([folder, "--copy-to", folder], f"{folder} is the folder of the photos itself"),
        ([photo, "--checkpoint", tmp_path / "none"], "none is not a checkpoint"),
        ([photo, "--checkpoint", model, "--out", tmp_path / "none" / "s.csv"], "s.csv cannot be written: No such file"),
        ([photo, "--checkpoint", model, "--out", tmp_path / "d.csv"], "d.csv cannot be written: Is a directory"),
        ([photo, "--checkpoint", model, "--batch-size", 0], "batch size must be at least 1"),
    ):
        status, _, error = command(vtiqa.main, "score", *arguments)
        assert status == 2
        assert said in error
        assert error.count("\n") == 1
    for arguments in ([], [photo, "--batch-size", "many"], [photo, "--unknown"]):
        assert command(vtiqa.main, "score", *arguments)[0] == 2


def test_an_interrupted_score_keeps_its_rows_and_no_half_file(
    folder: Path, model: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vtiqa_jax.photos import decode

    real = decode.open_photo

    def interrupted(path: Path, **options: int) -> decode.Photo:
        if path.name == "p30.png":
            raise KeyboardInterrupt
        return real(path, **options)

    monkeypatch.setattr(decode, "open_photo", interrupted)
    status, _, error = command(
        vtiqa.main, "score", folder, "--checkpoint", model, "--out", tmp_path / "s.csv", "--batch-size", 8
    )
    assert status == 130
    assert "interrupted" in error
    assert [path.name for path in tmp_path.iterdir()] == ["s.csv.part"]
    with contextlib.closing(sqlite3.connect(tmp_path / "s.csv.part")) as part:
        assert 8 <= part.execute("SELECT count(*) FROM scores").fetchone()[0] <= 30


@pytest.mark.slow
def test_the_installed_command_and_the_module_are_one(folder: Path, model: Path) -> None:
    """In processes of their own, on one device: also the same scores as here, on eight."""
    photo = str(folder / "p07.png")
    beside = Path(sys.executable).with_name("vtiqa")
    said = [
        subprocess.run(
            [*program, "score", photo, "--checkpoint", str(model)], capture_output=True, text=True, check=True
        ).stdout
        for program in ([str(beside)], [sys.executable, "-W", "error", "-m", "vtiqa_jax"])
    ]
    assert said[0] == said[1]
    assert photo in said[0]


def test_nobody_reading_on_is_no_error(folder: Path, model: Path) -> None:
    program = [sys.executable, "-m", "vtiqa_jax", "score", *[str(folder)] * 50, "--checkpoint", str(model)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read() == ""
        assert running.wait() == 141


def test_a_forbidden_folder_is_told_in_one_line(folder: Path, model: Path, tmp_path: Path, command: Command) -> None:
    (tmp_path / "file").touch()
    given = ("--scores", folder / "scores.csv", "--images", folder, "--checkpoint", model)
    status, _, error = command(train_program.main, "manifest", *given, "--workdir", tmp_path / "file" / "run")
    assert status == 2
    assert "Not a directory" in error
    assert error.count("\n") == 1


def test_the_sample_photos_that_are_mapped_are_the_last_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the table's own order, which is not that of the scores alone."""
    mapped: list[str] = []

    def write_table(_: Path, *, out: Path, **__: object) -> int:
        out.write_text("image,score\na,4.0\nb,2.0\nc,1.9\nd,2.1\n")
        return 0

    def draw(*photos: Path, out: Path) -> int:
        mapped.extend(map(str, photos))
        return 0

    monkeypatch.setattr(sample_photos, "score", write_table)
    monkeypatch.setattr(sample_photos, "explain", draw)
    assert sample_photos.demo(out=tmp_path) == 0
    assert mapped == ["d", "c"]


# ---- train.py and eval.py ----

RECIPE = ("--recipe.batch-size", 8, "--recipe.head-lr", 0.01, "--recipe.compute-dtype", "float32")
QUICK = ("--no-plots", "--recipe.epochs", 1, *RECIPE)


def test_training_ends_with_results_that_eval_and_score_agree_with(
    folder: Path, model: Path, tmp_path: Path, command: Command
) -> None:
    workdir = tmp_path / "run"
    arguments = ("--scores", folder / "scores.csv", "--images", folder, "--checkpoint", model, "--workdir", workdir)
    given = (*arguments, "--group-column", "part", "--split-seed", 1, "--recipe.epochs", 3, *RECIPE)
    status, said, error = command(train_program.main, "manifest", *given)
    assert status == 0, error
    assert len(re.findall(r"^ +[123] +\d\.\d{4} ", said, re.MULTILINE)) == 3
    assert (
        f"29 photos are few for a head that starts from nothing; with --keep-head it starts from that of {model}."
        in said
    )
    printed = said
    result = json.loads((workdir / "result.json").read_text())
    assert {"plcc", "srcc", "krcc", "rmse", "epochs", "seconds", "within"} <= result.keys()
    assert result["n"] == 8
    assert result["within"].keys() == {"a", "b"}
    for picture in ("curve.png", "scatter.png"):
        assert cv2.imread(str(workdir / picture)).std() > 5
    trained = checkpoint.load(workdir / "checkpoint")
    assert (trained.scale.low, trained.scale.high) == pytest.approx((0, 3.9))
    assert trained.provenance["trained"]["recipe"]["epochs"] == 3

    # The predictions are a manifest again; scored from the files they give the same figures.
    arguments = ("--scores", workdir / "predictions.csv", "--images", folder, "--out", tmp_path / "eval")
    status, said, error = command(eval_program.main, "manifest", *arguments, "--checkpoint", workdir / "checkpoint")
    assert (status, error) == (0, ""), "none of its test photos trained it"
    again = json.loads((tmp_path / "eval" / "result.json").read_text())
    assert again["failed"] == 0
    assert again["model"] == Scorer.load(workdir / "checkpoint").fingerprint
    for figure in ("plcc", "srcc", "krcc", "rmse"):
        assert again[figure] == pytest.approx(result[figure], abs=1e-4)
    assert command(eval_program.main, "manifest", *arguments, "--group-column", "group", "--checkpoint", model)[0] == 0
    start = json.loads((tmp_path / "eval" / "result.json").read_text())
    assert start["within"].keys() == {"a", "b"}
    # The start's figures stood beside, on the labels' scale.
    for figure in ("plcc", "srcc", "krcc"):
        assert result["before"][figure] == pytest.approx(start[figure], abs=1e-4)
    assert re.search(rf"^before training +8 +{result['before']['plcc']:.4f} ", printed, re.MULTILINE)
    status, _, error = command(eval_program.main, "manifest", *arguments, "--checkpoint", workdir)
    assert status == 2
    assert f"is it {workdir / 'checkpoint'}?" in error

    # Of photos that trained it, eval warns.
    on_all = ("--scores", folder / "scores.csv", "--images", folder, "--out", tmp_path / "on-all", "--checkpoint")
    _, _, error = command(eval_program.main, "manifest", *on_all, workdir / "checkpoint")
    assert error.startswith("29 of 40 photos trained this model, so the figures are too good")
    assert command(eval_program.main, "manifest", *on_all, model)[2].startswith("the MOS"), "it trained on none"

    # The same command again shows the results; one with other settings is refused.
    status, said, _ = command(train_program.main, "manifest", *given)
    assert status == 0
    assert "is finished" in said
    assert f"{result['srcc']:.4f}" in said
    status, said, error = command(train_program.main, "manifest", *given, "--recipe.seed", 7)
    assert status == 2
    assert "holds the results of another run, which differs in --recipe.seed; name another with --workdir" in error


def test_what_stands_in_a_folder_is_not_written_over(
    folder: Path, model: Path, tmp_path: Path, command: Command
) -> None:
    workdir = tmp_path / "run"
    given = ("manifest", "--images", folder, "--checkpoint", model, "--workdir", workdir, "--test-fraction", 0, *QUICK)
    assert command(train_program.main, *given, "--scores", folder / "scores.csv")[0] == 0
    status, said, _ = command(train_program.main, *given, "--scores", folder / "scores.csv")
    assert (status, said.splitlines()[-1]) == (0, "no test photos")
    before = (workdir / "split.json").read_bytes()
    (tmp_path / "fewer.csv").write_text("".join((folder / "scores.csv").read_text().splitlines(keepends=True)[:-3]))
    status, _, error = command(train_program.main, *given, "--scores", tmp_path / "fewer.csv")
    assert status == 2
    assert "which differs in the photos, the scores, the split; name another" in error
    assert (workdir / "split.json").read_bytes() == before
    (workdir / "result.json").write_text("{")
    status, _, error = command(train_program.main, *given, "--scores", folder / "scores.csv")
    assert status == 2
    assert "result.json is damaged, or was not written by a training" in error


def test_photos_of_one_score_choose_no_epoch(folder: Path, model: Path, tmp_path: Path, command: Command) -> None:
    lines = (folder / "scores.csv").read_text().splitlines()
    level = [lines[0]] + [
        re.sub(r",[\d.]+", ",1", line, count=1) if row >= 20 else line for row, line in enumerate(lines[1:])
    ]
    (tmp_path / "level.csv").write_text("\n".join(level))
    given = (
        "--scores",
        tmp_path / "level.csv",
        "--images",
        folder,
        "--checkpoint",
        model,
        "--workdir",
        tmp_path / "run",
    )
    status, _, error = command(
        train_program.main, "manifest", *given, "--in-order", "--test-fraction", 0, "--val-fraction", 0.5, *QUICK
    )
    assert status == 2
    assert "all 20 validation photos have the same score" in error


def test_eval_leaves_out_what_cannot_be_read(folder: Path, model: Path, tmp_path: Path, command: Command) -> None:
    for index in range(4):
        (tmp_path / f"p{index}.png").write_bytes((folder / f"p0{index}.png").read_bytes() if index else b"broken")
    (tmp_path / "s.csv").write_text("image,mos\n" + "".join(f"p{i}.png,{i}\n" for i in range(4)))
    arguments = ("--scores", tmp_path / "s.csv", "--images", tmp_path, "--checkpoint", model, "--out", tmp_path / "o")
    status, _, error = command(eval_program.main, "manifest", *arguments)
    assert status == 1
    assert f"left out: {tmp_path / 'p0.png'}: not an image" in error
    assert json.loads((tmp_path / "o" / "result.json").read_text())["n"] == 3


def test_training_refuses_in_one_line(folder: Path, model: Path, tmp_path: Path, command: Command) -> None:
    (tmp_path / "same.csv").write_text("image,mos\np00.png,3\np01.png,3\n")
    given = ("--scores", folder / "scores.csv", "--images", folder, "--workdir", tmp_path / "run")
    for arguments, said in (
        ((*given, "--checkpoint", tmp_path / "none"), "none is not a checkpoint"),
        (("--scores", tmp_path / "same.csv", *given[2:]), "same.csv are 3: nothing can be learnt from them"),
        ((*given, "--checkpoint", model, "--readout-blocks", 9), "takes rising numbers of the checkpoint's 2 blocks"),
        ((*given, "--checkpoint", model, "--eval-mosaics", 0), "--eval-mosaics must be at least 1"),
        ((*given, "--checkpoint", model, "--view-size", 30), "--view-size 30 is not a multiple of the patches"),
        ((*given, "--checkpoint", model, "--screen-side", 20), "--screen-side 20 is below the views' 28 px"),
        ((*given, "--checkpoint", model, "--splits", 0), "--splits must be at least 1"),
        ((*given, "--checkpoint", model, "--process-id", 0), "--processes and --process-id need --coordinator"),
        ((*given, "--checkpoint", model, "--low", 5, "--high", 1), "the label range must rise, but goes from 5 to 1"),
        ((*given, "--checkpoint", model, "--high", 2), "has scores from 0 to 3.9, outside of --low 0 and --high 2"),
        ((*given, "--checkpoint", model, "--recipe.freeze-blocks", 3), "--recipe.freeze-blocks 3, but the model has 2"),
        ((*given[:-1], "/proc/none/run", "--checkpoint", model), "/proc/none/run: a folder cannot be made there"),
        ((*given, "--checkpoint", model, "--save-every", 0), "--save-every and --log-every must be at least 1"),
        ((*given, "--checkpoint", model, "--recipe.seed", -1), "--recipe.seed must be at least 0"),
        ((*given, "--checkpoint", model, "--recipe.epochs", 0), "--recipe.epochs must be at least 1"),
        ((*given[:2], "--images", tmp_path / "no"), "no is not a folder"),
    ):
        status, _, error = command(train_program.main, "manifest", *arguments)
        assert status == 2
        assert said in error
        assert error.count("\n") == 1
        assert not (tmp_path / "run").exists(), "nothing is prepared for a run that cannot be"


def test_two_runs_do_not_share_a_folder(folder: Path, model: Path, tmp_path: Path, command: Command) -> None:
    given = (
        "--scores",
        folder / "scores.csv",
        "--images",
        folder,
        "--checkpoint",
        model,
        "--workdir",
        tmp_path / "run",
    )
    with lock_workdir(tmp_path / "run"):
        status, _, error = command(train_program.main, "manifest", *given, *QUICK)
    assert status == 2
    assert f"another run works in {tmp_path / 'run'}" in error
    assert command(train_program.main, "manifest", *given, *QUICK)[0] == 0


# ---- the public data sets, on a made-up release ----


@pytest.fixture(scope="module")
def koniq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases")
    made_up.koniq10k(folder / "koniq10k")
    made_up.cid2013(folder / "cid2013")
    made_up.livew(folder / "livew")
    return folder


@pytest.mark.slow
def test_splits_of_the_paper_by_its_own_recipe(koniq: Path, model: Path, tmp_path: Path, command: Command) -> None:
    """Through the head-only stage into the next one; selected on the test photos, and every output says so."""
    status, said, error = command(
        train_program.main,
        *("dataset", "koniq10k", "--release", koniq / "koniq10k", "--partial", "--protocol", "paper"),
        *("--checkpoint", model, "--workdir", tmp_path / "run", "--splits", 3, "--eval-mosaics", 1, "--no-plots"),
        *("--recipe", "published", "--recipe.max-epochs", 12, "--recipe.batch-size", 8),
    )
    assert status == 0, error
    assert said.count("the best epoch is selected on the TEST photos") == 3
    assert said.count("all layers from now on") == 3
    assert "3 splits, best epoch selected on test photos: median (interquartile range)" in said
    told = json.loads((tmp_path / "run" / "splits.json").read_text())
    assert (told["splits"], told["selected_on"]) == (3, "test")
    with (tmp_path / "run" / "splits.csv").open() as file:
        rows = list(csv.DictReader(file))
    plcc = [float(row["plcc"]) for row in rows]
    assert told["plcc"]["median"] == pytest.approx(np.median(plcc))
    assert told["plcc"]["q75"] - told["plcc"]["q25"] == pytest.approx(np.subtract(*np.percentile(plcc, [75, 25])))
    tests = set()
    for index, figure in enumerate(plcc):
        folder = tmp_path / "run" / f"split-{index}"
        result = json.loads((folder / "result.json").read_text())
        assert result["selected_on"] == "test"
        assert result["plcc"] == pytest.approx(figure)
        # The best epoch's, by PLCC on the test photos.
        history = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert result["plcc"] == pytest.approx(max(entry["plcc"] for entry in history if "plcc" in entry), abs=1e-4)
        assert "TEST" in checkpoint.load(folder / "checkpoint").provenance["trained"]["split"]
        tests.add(tuple(json.loads((folder / "split.json").read_text())["test"]))
    assert len(tests) == 3


@pytest.mark.slow
def test_clean_splits_by_the_modern_recipe(koniq: Path, model: Path, tmp_path: Path, command: Command) -> None:
    given = (
        *("dataset", "koniq10k", "--release", koniq / "koniq10k", "--partial", "--checkpoint", model),
        *("--val-fraction", 0.25, "--recipe.batch-size", 8, "--recipe.epochs", 2, "--readout-blocks", 1, 2),
        "--no-plots",
    )
    status, said, error = command(train_program.main, *given, "--workdir", tmp_path / "two", "--splits", 2)
    assert status == 0, error
    assert "2 splits, the last epoch of each: median (interquartile range)" in said, "6 photos select none"
    splits = [json.loads((tmp_path / "two" / f"split-{i}" / "split.json").read_text()) for i in range(2)]
    assert {tuple(map(len, (split["train"], split["val"], split["test"]))) for split in splits} == {(18, 6, 6)}
    trained = checkpoint.load(tmp_path / "two" / "split-0" / "checkpoint")
    assert (trained.config.readout_blocks, trained.config.eval_mosaics) == ((1, 2), 3)
    assert (trained.scale.low, trained.scale.high) == (1, 5)
    # A split is given back by its file.
    file = tmp_path / "two" / "split-1" / "split.json"
    status, said, error = command(
        train_program.main, *given, "--workdir", tmp_path / "again", "--split-file", file, "--view-size", 56
    )
    assert status == 0, error
    again = json.loads((tmp_path / "again" / "split.json").read_text())
    assert {part: again[part] for part in ("train", "val", "test")} == {
        part: splits[1][part] for part in ("train", "val", "test")
    }
    assert checkpoint.load(tmp_path / "again" / "checkpoint").config.view_size == 56


@pytest.mark.slow
def test_official_splits_and_scenes(koniq: Path, model: Path, tmp_path: Path, command: Command) -> None:
    quick = ("--partial", "--checkpoint", model, *QUICK)
    given = ("dataset", "koniq10k", "--release", koniq / "koniq10k", "--protocol", "official", *quick)
    status, said, error = command(train_program.main, *given, "--workdir", tmp_path / "official")
    assert status == 0, error
    assert "the official split of KonIQ-10k" in said
    given = (
        "dataset",
        "cid2013",
        "--release",
        koniq / "cid2013",
        *quick,
        "--test-fraction",
        0.3,
        "--val-fraction",
        0.3,
    )
    status, said, error = command(train_program.main, *given, "--workdir", tmp_path / "scenes")
    assert status == 0, error
    assert "6 scenes divided, none in two parts" in said
    split = json.loads((tmp_path / "scenes" / "split.json").read_text())
    scenes = [{name.split("/")[1] for name in split[part]} for part in ("train", "val", "test")]
    assert not (scenes[0] & scenes[1] or scenes[0] & scenes[2] or scenes[1] & scenes[2])
    for protocol, said in (("official", "LIVE in the Wild has no official split"),):
        given = ("dataset", "livew", "--release", koniq / "livew", "--protocol", protocol, *quick)
        status, _, error = command(train_program.main, *given, "--workdir", tmp_path / "none")
        assert status == 2
        assert said in error


@pytest.mark.slow
def test_the_demonstration_divides_by_photograph_and_runs(
    config: ModelConfig, weights: params.Params, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a toy in the packaged model's place; .ci/run trains the real one."""
    toy = checkpoint.Checkpoint(config, weights, None, {})
    real = catalog.load
    monkeypatch.setattr(catalog, "load", lambda name="default": toy if name == "default" else real(name))
    workdir = tmp_path / "run"
    quick = ("--workdir", workdir, "--recipe.epochs", 1)
    for _ in range(2):  # a second run replaces the first
        status, _, error = command(train_program.main, "demo", *quick)
        assert status == 0, error
    photos, division = demo.make(workdir / "photos")
    assert (len(division.train), len(division.test)) == (6 * (6 * 6 + 1), 2 * (6 * 5 + 1))
    learned, held_out = (
        {photos.names[row].split("_")[0].split(".")[0] for row in rows} for rows in (division.train, division.test)
    )
    assert learned == {"astronaut", "coffee", "rocket", "motorcycle", "china", "grace"}
    assert held_out == {"chelsea", "flower"}
    # Within one photograph and distortion, a higher level means a lower label and other pixels.
    for distortion in demo.DISTORTIONS:
        rows = [row for row in division.test if photos.names[row].startswith(f"chelsea_{distortion}")]
        assert (np.diff(photos.mos[rows]) < 0).all()
        pixels = [cv2.imread(str(workdir / "photos" / photos.names[row])).astype(float) for row in rows]
        original = cv2.imread(str(workdir / "photos" / "chelsea.png")).astype(float)
        distances = [np.abs(version - original).mean() for version in pixels]
        assert (np.diff(distances) > 0).all(), distortion
    given = ("--checkpoint", workdir / "checkpoint", "--photos", workdir / "photos", "--out", tmp_path / "eval")
    assert command(eval_program.main, "demo", *given)[0] == 0


@pytest.mark.slow
def test_programs_tell_how_they_are_used() -> None:
    for program in (["train.py"], ["eval.py"], ["-m", "convert"], ["-m", "vtiqa_jax", "score"]):
        shown = subprocess.run(
            [sys.executable, *program, "--help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
        assert shown.stdout.startswith("Usage: ")


def test_score_says_what_is_wrong_with_photos(model: Path, tmp_path: Path, command: Command) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = cv2.imencode(".jpg", pixels)[1].tobytes()
    at = data.find(b"\xff\xda") + 50
    (photos / "a.jpg").write_bytes(data[:at] + b"\xff\xd0" + data[at:])
    cv2.imwrite(str(photos / "b.png"), np.zeros((64, 65, 3), np.uint8))
    (photos / "c.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes()[:-60])
    arguments = ("--out", tmp_path / "s.csv", "--report", tmp_path / "report")
    status, said, error = command(
        vtiqa.main, "score", photos, "--checkpoint", model, "--max-pixels", 64 * 64, *arguments
    )
    assert status == 1
    assert error == "2 of 3 photos could not be read\n"
    assert "a.jpg: the file is damaged; what could not be read of it was filled in" in said
    with (tmp_path / "s.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["score"]) for row in rows] == [True, False, False]
    assert [bool(row["warning"]) for row in rows] == [True, False, False]
    assert rows[1]["error"] == "65 x 64 pixels are more than max-pixels, 4,096"
    assert rows[2]["error"] == "the PNG is damaged or cut off, or of a kind that cannot be read"
    assert "what could not be read of it was filled in" in (tmp_path / "report" / "index.html").read_text()


def test_score_names_the_extra_that_a_folder_needs(
    folder: Path, model: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vtiqa_jax.photos import formats

    monkeypatch.setattr(formats, "find_spec", lambda module: None)
    (tmp_path / "a.heic").touch()
    status, _, error = command(vtiqa.main, "score", tmp_path, "--checkpoint", model)
    assert status == 2
    assert error.startswith(f"left out: HEIC that needs vtiqa-jax[heif] 1 ({tmp_path / 'a.heic'})\n")
    shutil.copy(folder / "p01.png", tmp_path)
    assert command(vtiqa.main, "score", tmp_path, "--checkpoint", model)[0] == 0
