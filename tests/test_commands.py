"""The command lines, as a person calls them: what is written, what is said, and the exit status."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import eval as eval_program
import train as train_program
from tests.conftest import Command
from vtiqa_jax import __main__ as vtiqa
from vtiqa_jax import checkpoint, demo, models, params
from vtiqa_jax.config import LabelScale, ModelConfig

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


@pytest.fixture(scope="module")
def model(
    config: ModelConfig, weights: params.Params, scale: LabelScale, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("models") / "small"
    checkpoint.save(path, checkpoint.Checkpoint(config, weights, scale, {}))
    return path


# ---- vtiqa score ----


def test_score_writes_all_it_says(folder: Path, model: Path, tmp_path: Path, command: Command) -> None:
    status, said, _ = command(
        vtiqa.main,
        *("score", folder, "--checkpoint", model, "--csv", tmp_path / "s.csv"),
        *("--json", tmp_path / "s.json", "--batch-size", 16),
    )
    assert status == 0
    assert said.splitlines()[0] == "score (test scale, 1 to 5, higher is better)  image"
    assert len(said.splitlines()) == 41
    with (tmp_path / "s.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "score", "error"]
    assert [row["image"] for row in rows] == [str(folder / f"p{i:02}.png") for i in range(40)]
    told = json.loads((tmp_path / "s.json").read_text())
    assert told["scale"] == {"dataset": "test", "low": 1.0, "high": 5.0, "higher_is_better": True}
    np.testing.assert_allclose([s["score"] for s in told["scores"]], [float(row["score"]) for row in rows], atol=1e-6)
    assert len({row["score"] for row in rows}) == 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.csv", "s.json"]


def test_score_goes_on_after_a_bad_photo_and_says_so(
    folder: Path, model: Path, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    arguments = (tmp_path, folder / "p01.png", tmp_path / "none.png", "--csv", tmp_path / "s.csv")
    status, said, error = command(vtiqa.main, "score", "--checkpoint", model, *arguments)
    assert status == 1
    assert "2 of 3 photos could not be read" in error
    assert f"failed  {tmp_path / 'bad.jpg'}: not an image" in said
    with (tmp_path / "s.csv").open(newline="") as file:
        rows = {Path(row["image"]).name: row for row in csv.DictReader(file)}
    assert rows["bad.jpg"]["score"] == ""
    assert rows["none.png"]["error"] == "No such file or directory"
    assert float(rows["p01.png"]["score"]) and rows["p01.png"]["error"] == ""


def test_score_refuses_what_cannot_work_in_one_line(
    folder: Path, model: Path, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "empty").mkdir()
    photo = folder / "p00.png"
    for arguments, said in (
        ([tmp_path / "empty", "--checkpoint", model], "no photos in"),
        ([photo, "--checkpoint", tmp_path / "none"], "none is not a checkpoint"),
        ([photo, "--checkpoint", model, "--csv", tmp_path / "none" / "s.csv"], "s.csv cannot be written: No such file"),
        ([photo, "--checkpoint", model, "--json", tmp_path / "empty"], "empty cannot be written: Is a directory"),
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
    from vtiqa_jax import images

    real = images.read

    def interrupted(path: Path) -> np.ndarray:
        if path.name == "p30.png":
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(images, "read", interrupted)
    status, _, error = command(
        vtiqa.main, "score", folder, "--checkpoint", model, "--csv", tmp_path / "s.csv", "--batch-size", 8
    )
    assert status == 130
    assert "interrupted" in error
    assert [path.name for path in tmp_path.iterdir()] == ["s.csv.part"]
    assert 8 <= len((tmp_path / "s.csv.part").read_text().splitlines()) - 1 <= 30


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
    given = ("--scores", folder / "scores.csv", "--images", folder, "--init", model)
    status, _, error = command(train_program.main, "manifest", *given, "--workdir", tmp_path / "file" / "run")
    assert status == 2
    assert "Not a directory" in error
    assert error.count("\n") == 1


# ---- train.py and eval.py ----

QUICK = ("--recipe.epochs", 3, "--recipe.batch-size", 8, "--recipe.head-lr", 0.01, "--recipe.compute-dtype", "float32")


def test_training_ends_with_results_that_eval_and_score_agree_with(
    folder: Path, model: Path, tmp_path: Path, command: Command
) -> None:
    workdir = tmp_path / "run"
    arguments = ("--scores", folder / "scores.csv", "--images", folder, "--init", model, "--workdir", workdir)
    status, said, error = command(
        train_program.main, "manifest", *arguments, "--group-column", "part", "--split-seed", 1, *QUICK
    )
    assert status == 0, error
    assert said.count("validation PLCC") == 3
    result = json.loads((workdir / "result.json").read_text())
    assert {"plcc", "srcc", "krcc", "rmse", "epochs", "seconds", "within"} <= result.keys()
    assert result["n"] == 8
    assert result["within"].keys() == {"a", "b"}
    for picture in ("curve.png", "scatter.png"):
        assert cv2.imread(str(workdir / picture)).std() > 5
    trained = checkpoint.load(workdir / "checkpoint")
    assert (trained.scale.low, trained.scale.high) == pytest.approx((0, 3.9))
    assert trained.source["trained"]["recipe"]["epochs"] == 3

    # The predictions are a manifest again; scored from the files they give the same figures.
    arguments = ("--scores", workdir / "predictions.csv", "--images", folder, "--out", tmp_path / "eval")
    status, said, _ = command(eval_program.main, "manifest", *arguments, "--checkpoint", workdir / "checkpoint")
    assert status == 0
    again = json.loads((tmp_path / "eval" / "result.json").read_text())
    assert again["failed"] == 0
    for figure in ("plcc", "srcc", "krcc", "rmse"):
        assert again[figure] == pytest.approx(result[figure], abs=1e-4)

    status, said, error = command(
        train_program.main, "manifest", "--scores", folder / "scores.csv", "--images", folder, "--workdir", workdir
    )
    assert status == 2
    assert "holds the results of another run" in error


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
    given = ("--scores", folder / "scores.csv", "--images", folder, "--workdir", tmp_path / "run")
    for arguments, said in (
        ((*given, "--init", tmp_path / "none"), "none is not a checkpoint"),
        ((*given, "--init", model, "--depth", 9), "--depth 9, but the checkpoint has 2 blocks"),
        ((*given, "--init", model, "--low", 5, "--high", 1), "a label range must rise, not go from 5 to 1"),
        ((*given, "--init", model, "--recipe.epochs", 0), "--epochs must be at least 1"),
        ((*given[:2], "--images", tmp_path / "no"), "no is not a folder"),
    ):
        status, _, error = command(train_program.main, "manifest", *arguments)
        assert status == 2
        assert said in error
        assert error.count("\n") == 1
        assert not (tmp_path / "run" / "checkpoint").exists()


def test_a_loss_that_is_no_number_stops_the_run(folder: Path, model: Path, tmp_path: Path, command: Command) -> None:
    given = ("--scores", folder / "scores.csv", "--images", folder, "--workdir", tmp_path / "run", "--init", model)
    status, _, error = command(train_program.main, "manifest", *given, *QUICK, "--recipe.head-lr", "1e30")
    assert status == 2
    assert "lower --recipe.lr" in error
    assert not (tmp_path / "run" / "checkpoint").exists()


def test_the_demonstration_divides_by_photograph_and_runs(
    config: ModelConfig, weights: params.Params, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a toy in the packaged model's place; .ci/run trains the real one."""
    toy = checkpoint.Checkpoint(config, weights, None, {})
    real = models.load
    monkeypatch.setattr(models, "load", lambda name="default": toy if name == "default" else real(name))
    workdir = tmp_path / "run"
    quick = ("--workdir", workdir, "--recipe.epochs", 1, "--recipe.freeze-blocks", 0)
    for _ in range(2):  # a second run replaces the first
        status, _, error = command(train_program.main, "demo", *quick)
        assert status == 0, error
    photos, division = demo.make(workdir / "photos")
    assert (len(division.train), len(division.test)) == (4 * (6 * 8 + 1), 2 * (6 * 5 + 1))
    learned, held_out = (
        {photos.names[row].split("_")[0].split(".")[0] for row in rows} for rows in (division.train, division.test)
    )
    assert learned == {"astronaut", "coffee", "rocket", "china"}
    assert held_out == {"chelsea", "flower"}
    # Within one photograph and distortion, a higher level means a lower label and other pixels.
    for distortion in demo.DISTORTIONS:
        rows = [row for row in division.test if photos.names[row].startswith(f"chelsea_{distortion}")]
        assert (np.diff(photos.mos[rows]) < 0).all()
        pixels = [cv2.imread(str(photos.paths[row])).astype(float) for row in rows]
        original = cv2.imread(str(workdir / "photos" / "chelsea.png")).astype(float)
        distances = [np.abs(version - original).mean() for version in pixels]
        assert (np.diff(distances) > 0).all(), distortion
    given = ("--checkpoint", workdir / "checkpoint", "--photos", workdir / "photos", "--out", tmp_path / "eval")
    assert command(eval_program.main, "demo", *given)[0] == 0


def test_programs_tell_how_they_are_used() -> None:
    for program in (["train.py"], ["eval.py"], ["-m", "convert"], ["-m", "vtiqa_jax", "score"]):
        shown = subprocess.run(
            [sys.executable, *program, "--help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
        assert "usage: " in shown.stdout
