"""vtiqa-onnx says of photos what `vtiqa score` says, and is built of the same modules."""

import csv
import dataclasses
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
import vtiqa_onnx
from PIL import Image
from vtiqa_onnx import __main__ as program
from vtiqa_onnx import scorer as light

import vtiqa_jax
from tests import detailed
from tests.conftest import Command
from tests.photo_files import exif, smooth
from vtiqa_jax import __main__ as whole_program
from vtiqa_jax.data import demo
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.export import onnx_vtiqa
from vtiqa_jax.export.card import make_card
from vtiqa_jax.models import catalog, quantized
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.params import Params
from vtiqa_jax.photos import stored
from vtiqa_jax.photos.decode import Photo
from vtiqa_jax.results.results import ScoreResult

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "packages" / "vtiqa-onnx"
TOLERANCE = {"score": 2e-4, "low": 2e-4, "high": 2e-4, "opinion_spread": 2e-4, "detail": 1e-3, "rank": 3e-4,
             "percentile": 0.1, "detail_percentile": 0.5, "holds": 0.1}  # fmt: skip
"""Of what files have. A photo that is turned, or blue where it is red, is further away."""


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the package has inside."""
    made = catalog.load()
    assert made.scale is not None
    path = tmp_path_factory.mktemp("light") / "model.onnx"
    card = make_card("default", made, made.scale, "")
    path.write_bytes(onnx_vtiqa.build(made.config, made.params, "int8", card, inputs="prepared").SerializeToString())
    return path


@pytest.fixture(autouse=True)
def packaged(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(light, "PACKAGED", model)
    monkeypatch.setattr(stored, "opencv", None)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, what cameras do to them, and what is no photograph."""
    folder = tmp_path_factory.mktemp("photos")
    for name, pixels in demo.originals().items():
        Image.fromarray(pixels).save(folder / f"{Path(name).stem}.jpg", quality=90)
    coffee = Image.fromarray(demo.originals()["coffee.png"])
    coffee.save(folder / "lying.jpg", exif=exif(6))
    coffee.convert("L").save(folder / "grey.jpg", progressive=True)
    coffee.convert("CMYK").save(folder / "press.jpg")
    coffee.resize((1800, 1300)).save(folder / "large.webp")
    coffee.crop((0, 0, 40, 30)).save(folder / "small.png")
    Image.fromarray(smooth(300, 400)).save(folder / "smooth.png")
    Image.new("RGB", (1, 1), (9, 99, 200)).save(folder / "dot.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 is no photo")
    return folder


def tell_apart(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[str]:
    """The columns of two tables that differ."""
    return [
        f"{mine['image']}: {name} {value} {other[name]}"
        for mine, other in zip(ours, theirs, strict=True)
        for name, value in mine.items()
        if (
            abs(value - other[name]) > TOLERANCE.get(name, 0.02)
            if isinstance(value, float) and isinstance(other[name], float)
            else value != other[name]
        )
    ]


def rows(out: Path) -> list[dict[str, Any]]:
    """Without the columns that it takes further photos to fill, or more than reading the photo."""
    found = json.loads(out.read_text())["scores"]
    return [{name: value for name, value in row.items() if not name.startswith(("stack", "best"))} for row in found]


def test_the_numbers_are_those_of_vtiqa_score(
    photos: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    outs = [tmp_path / "whole.json", tmp_path / "light.json", tmp_path / "wrong.json"]
    said = command(program.main, "score", photos, "--out", outs[1], "--reasons")
    with monkeypatch.context() as patch:
        patch.setattr(stored, "opencv", importlib.import_module("vtiqa_jax.photos.opencv"))
        expected = command(whole_program.main, "score", photos, "--out", outs[0], "--reasons", "--sort", "given")
    assert said[0] == expected[0] == 1
    ours, theirs = rows(outs[1]), rows(outs[0])
    assert len(ours) > 10 and sum(row["score"] is None for row in ours) == 1
    assert {"detail", "reasons", "low", "percentile", "warning"} <= {name for row in ours for name in row if row[name]}
    assert not tell_apart(ours, theirs)
    assert said[1].splitlines()[0] == expected[1].splitlines()[0] and said[1].count("\n") == len(ours) + 1
    with monkeypatch.context() as patch:
        opened = light.decode.open_photo

        def mirror(photo: object, **options: int) -> Photo:
            found = opened(photo, **options)
            return dataclasses.replace(found, pixels=np.ascontiguousarray(found.pixels[:, ::-1]))

        patch.setattr(light.decode, "open_photo", mirror)
        command(program.main, "score", photos, "--out", outs[2], "--reasons")
    assert len(tell_apart(rows(outs[2]), theirs)) > 10


def test_results_come_in_order_whatever_the_batches(photos: Path) -> None:
    model = vtiqa_onnx.load()
    listed = [*sorted(photos.iterdir())[:7], photos / "missing.jpg"]
    pixels = np.asarray(Image.open(photos / "coffee.jpg").convert("RGB"))
    given = [*listed, pixels, Image.fromarray(pixels)]
    found = [list(model.stream(given, batch_size=size)) for size in (1, 3, 20)]
    for results in found:
        assert [result.image is photo for result, photo in zip(results, given, strict=True)] == [True] * 10
        failed = [result.image.name for result in results if result.score is None]
        assert failed == ["broken.jpg", "missing.jpg"]
        scores, first = ([result.score or 0 for result in some] for some in (results, found[0]))
        np.testing.assert_allclose(scores, first, atol=1e-5)
    assert list(model.stream([])) == []
    np.testing.assert_allclose(model.score(pixels), found[0][-1].score, atol=1e-5)
    with pytest.raises(ImageError, match=r"broken\.jpg: the JPEG is truncated"):
        model.score(listed)


def test_the_packaged_parameters_stay_as_they_are() -> None:
    made = catalog.load()
    for name, array in made.params.items():
        if quantized.is_quantized(name, made.config.depth):
            kept = quantized.dequantize(*quantized.quantize(np.asarray(array)))
        else:
            kept = np.asarray(array).astype(np.float16)
        np.testing.assert_array_equal(kept, array, err_msg=name)


# ---- models of one's own ----


def write_model(path: Path, config: ModelConfig, params: Params, inputs: onnx_vtiqa.Inputs = "prepared") -> Path:
    scale = LabelScale("test", 1.0, 5.0)
    card = make_card("mine", Checkpoint(config, params, scale, {}), scale, "")
    path.write_bytes(onnx_vtiqa.build(config, params, "float32", card, inputs=inputs).SerializeToString())
    return path


def test_a_model_without_heads_says_what_it_knows(tmp_path: Path, config: ModelConfig, weights: Params) -> None:
    pixels = detailed.noisy(60, 90)
    scale = LabelScale("test", 1.0, 5.0)
    weighing = detailed.CONFIG.replace(subject=True)
    kinds = detailed.CONFIG, weighing
    for kind, params in ((config, weights), *((kind, detailed.draw_weights(kind)) for kind in kinds)):
        model = vtiqa_onnx.load(write_model(tmp_path / "m.onnx", kind, params))
        whole = vtiqa_jax.Scorer(kind, params, scale)
        assert model.unknown == whole.unknown
        (ours,), (theirs,) = model.stream(pixels), whole.stream(pixels)
        for field in dataclasses.fields(ScoreResult):
            mine, other = getattr(ours, field.name), getattr(theirs, field.name)
            if isinstance(other, float):
                assert math.isclose(mine, other, rel_tol=1e-4), field.name
            elif field.name not in ("image", "capture", "sketch"):
                assert mine == other, field.name


def test_what_is_no_model_is_told(tmp_path: Path, config: ModelConfig, weights: Params) -> None:
    whole = write_model(tmp_path / "whole.onnx", config, weights, inputs="photos")
    with pytest.raises(UserError, match=r"takes whole photos; write it with: vtiqa export .* --inputs prepared"):
        vtiqa_onnx.load(whole)
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(UserError, match=r"text\.onnx is no model that ONNX Runtime"):
        vtiqa_onnx.load(tmp_path / "text.onnx")
    with pytest.raises(UserError, match=r"none\.onnx cannot be read: No such file"):
        vtiqa_onnx.load(tmp_path / "none.onnx")
    with pytest.raises(UserError, match='no device "cuda" here'):
        vtiqa_onnx.load(device="cuda")
    proto = onnx.load_model(str(write_model(tmp_path / "m.onnx", config, weights)))
    del proto.metadata_props[:]
    onnx.save_model(proto, str(tmp_path / "bare.onnx"))
    with pytest.raises(UserError, match="was not written by `vtiqa export`"):
        vtiqa_onnx.load(tmp_path / "bare.onnx")
    with pytest.raises(UserError, match=r"no thresholds for a rate of false alarms of 0\.5"):
        vtiqa_onnx.load(false_alarms=0.5)


# ---- the command ----


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "the following arguments are required: score"),
        (["score"], "no photos are given"),
        (["score", "nowhere"], "nowhere: there is no such file or folder"),
        (["score", "{photos}", "--out", "{photos}"], "the name of a file of scores must end in one of .csv"),
        (["score", "{photos}", "--out", "{photos}/a.csv/b.csv"], "cannot be written"),
        (["score", "{photos}/coffee.jpg", "--out", "{folder}"], "cannot be written: Is a directory"),
        (["score", "{photos}", "--reasons"], "--reasons adds columns to a file"),
        (["score", "{photos}", "--false-alarms", "0.5"], "no thresholds for a rate of false alarms of 0.5"),
        (["score", "{photos}", "--batch-size", "0"], "the batch size must be at least 1, not 0"),
        (["score", "{photos}", "--threads", "-1"], "the threads must be at least 1, not -1"),
        (
            ["score", "{photos}", "--threads", "x"],
            "argument --threads: invalid int value: 'x'; see vtiqa-onnx score --help",
        ),
        (["score", "{photos}", "--sort", "best"], "unrecognized arguments: --sort best"),
        (["rate", "{photos}"], "invalid choice: 'rate'"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], told: str, photos: Path, tmp_path: Path, command: Command) -> None:
    (tmp_path / "folder.csv").mkdir()
    places = {"photos": str(photos), "folder": str(tmp_path / "folder.csv")}
    status, out, error = command(program.main, *(word.format(**places) for word in words))
    assert (status, out) == (2, "")
    assert told in error and error.count("\n") == 1


def test_a_name_is_kept_whatever_is_in_it(photos: Path, tmp_path: Path, command: Command) -> None:
    for name in (b"two\nlines.jpg", b"no text \xff.jpg", b"-dash.jpg"):
        os.link(photos / "coffee.jpg", os.fsencode(tmp_path) + b"/" + name)
    out = tmp_path / "scores.csv"
    assert command(program.main, "score", tmp_path, "--out", out, "--quiet") == (0, "", "")
    with out.open(newline="", errors="surrogateescape") as file:
        names = sorted(os.fsencode(row["image"]).split(b"/")[-1] for row in csv.DictReader(file))
    assert names == [b"-dash.jpg", b"no text \xff.jpg", b"two\nlines.jpg"]


def test_where_nothing_is_scored_nothing_is_written(photos: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "scores.csv"
    status, _, error = command(program.main, "score", photos / "broken.jpg", "--out", out)
    assert status == 1 and not out.exists()
    assert error == f"no photo was scored, so {out} is not written\n1 of 1 photos could not be read\n"


# ---- what is built ----


@pytest.fixture(scope="session")
def build() -> ModuleType:
    pytest.importorskip("hatchling")
    found = importlib.util.spec_from_file_location("hatch_build", PACKAGE / "hatch_build.py")
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def made(build: ModuleType, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as a wheel has it."""
    folder = tmp_path_factory.mktemp("site")
    build.collect(PACKAGE / "vtiqa_onnx", ROOT / "vtiqa_jax", folder / "vtiqa_onnx")
    (folder / "vtiqa_onnx" / "model.onnx").write_bytes(model.read_bytes())
    return folder


ALONE = """
import signal
import sys

# A shell's background job, as these tests may be, is deaf to Ctrl-C, and so are its children.
signal.signal(signal.SIGINT, signal.default_int_handler)

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"cv2", "flax", "jax", "matplotlib", "scipy", "tqdm", "cyclopts", "vtiqa_jax"}:
            raise ImportError(f"{name} is not a part of vtiqa-onnx")

sys.meta_path.insert(0, Refuse())
from vtiqa_onnx.__main__ import main
main()
"""


def start(made: Path, *words: object) -> subprocess.Popen[str]:
    """Starts the command as it is built, where what vtiqa-jax needs is not to be had."""
    environment = os.environ | {"PYTHONPATH": str(made)}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", ALONE, *map(str, words)], cwd=made, env=environment, text=True, stdout=pipe, stderr=pipe
    )


def test_the_package_scores_alone(made: Path, photos: Path) -> None:
    given = [photos / "coffee.jpg", photos / "large.webp"]
    said, error = start(made, "score", *given, "--out", "-").communicate(timeout=120)
    assert error == ""
    scores = [float(row["score"]) for row in csv.DictReader(said.splitlines())]
    np.testing.assert_allclose(scores, vtiqa_onnx.load().score(given), atol=1e-5)


def test_what_is_copied_names_this_package(made: Path) -> None:
    modules = list(made.rglob("*.py"))
    assert len(modules) > 40 and not [path for path in modules if "vtiqa_jax" in path.read_text()]
    code = "from vtiqa_onnx.distribution import DISTRIBUTION; print(DISTRIBUTION)"
    environment = os.environ | {"PYTHONPATH": str(made)}
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True) == "vtiqa-onnx\n"


@pytest.mark.slow
def test_interrupted_it_leaves_nothing_half_written(made: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    for number in range(5000):
        os.link(photos / "coffee.jpg", tmp_path / f"{number}.jpg")
    process = start(made, "score", tmp_path, "--out", out)
    assert process.stdout is not None and process.stdout.readline().startswith("score")
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=300)
    assert (process.returncode, error) == (130, "vtiqa-onnx: interrupted\n")
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".jpg"]


def test_what_is_shared_is_found(build: ModuleType, tmp_path: Path) -> None:
    own, shared = tmp_path / "own", tmp_path / "shared"
    files = {
        own / "a.py": "from vtiqa_jax.room import door\nfrom vtiqa_jax.room.window import glass\nimport numpy\n",
        shared / "room" / "__init__.py": "",
        shared / "room" / "door.py": "if TYPE_CHECKING:\n    import vtiqa_jax.typed\nimport vtiqa_jax.untyped\n",
        shared / "room" / "window.py": "def f():\n    from vtiqa_jax import late\n",
        shared / "room" / "other.py": "",
        **{shared / f"{name}.py": "" for name in ("typed", "untyped", "late")},
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = {str(path) for path in build.find_shared(own, shared)}
    assert found == {"room/__init__.py", "room/door.py", "room/window.py", "untyped.py"}


def test_both_packages_go_together() -> None:
    ours, theirs = (tomllib.loads((folder / "pyproject.toml").read_text())["project"] for folder in (PACKAGE, ROOT))
    assert ours["version"] == theirs["version"]
    assert ours["requires-python"] == theirs["requires-python"]
    known = {*theirs["dependencies"], "onnxruntime>=1.20"}
    assert set(ours["dependencies"]) <= known
    extras = theirs["optional-dependencies"]
    assert all(extras[name] == needed for name, needed in ours["optional-dependencies"].items())
    for name in ("LICENSE", "NOTICE"):
        assert (PACKAGE / name).read_bytes() == (ROOT / name).read_bytes()
