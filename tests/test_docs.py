"""What the documents tell people to type works as it is written."""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import vtiqa_jax
from tests.conftest import Command
from vtiqa_jax import __main__, cli
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.params import init_params
from vtiqa_jax.models.vtiqa import tiny_config

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
PROGRAMS = {
    "vtiqa": __main__.COMMANDS,
    "python train.py": {"train": __main__.TRAIN},
    "python eval.py": {"eval": __main__.EVAL},
    "python -m convert": {"convert": __main__.CONVERT},
}


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(), re.DOTALL | re.MULTILINE)


def commands() -> list[Any]:
    """Every command line of the documents that calls a program of ours, continued lines joined."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text().replace("\\\n", " ")
        lines = [line.strip() for line in re.findall(r"^ {4,}\S.*$", text, re.MULTILINE)]
        lines += [line for block in blocks(document, "bash") for line in block.replace("\\\n", " ").splitlines()]
        for number, line in enumerate(line for line in lines if line.startswith(tuple(PROGRAMS))):
            if " ... " not in line:  # a part of a command
                found.append(pytest.param(line, id=f"{document.stem}-{number}"))
    return found


@pytest.mark.parametrize("line", commands())
def test_every_command_in_the_documents_is_understood(line: str) -> None:
    program = next(program for program in PROGRAMS if line.startswith(program))
    words = shlex.split(line.removeprefix(program), comments=True)
    prefix = list(PROGRAMS[program])[:1] if program != "vtiqa" else []
    cli.parse(cli.Group(PROGRAMS[program], ""), "vtiqa", prefix + words)


# ---- docs/extending.md ----

EXTENDING = REPOSITORY / "docs" / "extending.md"
WALKS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", EXTENDING.read_text(), re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The photos and the backbone that the commands of docs/extending.md ask for."""
    folder, rng = tmp_path_factory.mktemp("material"), np.random.default_rng(0)
    lines = ["image,mos,std"]
    for row in range(40):
        photo = np.clip(rng.normal(128, 2 + 2 * row, (96, 96, 3)), 0, 255)
        cv2.imwrite(str(folder / f"{row}.png"), photo.astype(np.uint8))
        lines.append(f"{row}.png,{100 - 2 * row},{5 + row % 7}")
    (folder / "scores.csv").write_text("\n".join(lines) + "\n")
    config = tiny_config(kind="backbone")
    checkpoint.save(folder / "init", Checkpoint(config, init_params(config, 0), None, {"from": "random numbers"}))
    return {"PHOTOS": folder, "INIT": folder / "init"}


@pytest.mark.slow
@pytest.mark.parametrize("title", WALKS)
def test_the_walks_through_a_change(title: str, material: dict[str, Path], tmp_path: Path) -> None:
    clone, workdir, section = tmp_path / "clone", tmp_path / "work", WALKS[title]
    shutil.copytree(REPOSITORY / "vtiqa_jax", clone / "vtiqa_jax", ignore=shutil.ignore_patterns("__pycache__"))
    workdir.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=clone, check=True)
    diffs = re.findall(r"^```diff\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    for diff in diffs:
        subprocess.run(["git", "apply", "-"], cwd=clone, check=True, input=diff, text=True)
    assert 0 < len(re.findall(r"^\+\+\+ ", "".join(diffs), re.MULTILINE)) <= 2  # files

    (block,) = re.findall(r"^```bash\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    here = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "WORKDIR": str(workdir)}
    environment = os.environ | {name: str(path) for name, path in material.items()} | here
    ended = subprocess.run(
        ["bash", "-euc", block], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    (metrics,) = workdir.rglob("metrics.jsonl")
    last = json.loads(metrics.read_text().splitlines()[-1])
    assert np.isfinite(last["loss"])
    logged = {"loss": "rank", "head": "log_variance"}
    for word, name in logged.items():
        assert (name in last) == title.startswith(f"A {word} ")


# ---- README.md ----


@pytest.mark.slow
@pytest.mark.usefixtures("usual_promotion")
@pytest.mark.parametrize("number", range(len(blocks(DOCUMENTS[0], "python"))))
def test_the_python_of_the_readme(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg")
    monkeypatch.chdir(tmp_path)
    exec(blocks(DOCUMENTS[0], "python")[number], {"array_uint8_hwc": pixels, "pil_image": Image.fromarray(pixels)})
    said = capsys.readouterr().out
    if number == 1:
        losses = [float(loss) for loss in re.findall(r"^loss (\S+)$", said, re.MULTILINE)]
        assert len(losses) == 10
        assert losses[-1] < losses[0]


# ---- docs/export.md ----


@pytest.mark.parametrize("ending", ["onnx", "stablehlo"])
def test_an_exported_file_is_read_as_its_document_says(
    ending: str, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = [block for block in blocks(REPOSITORY / "docs" / "export.md", "python") if f"vtiqa.{ending}" in block]
    monkeypatch.chdir(tmp_path)
    pixels = cv2.resize(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8), (600, 400))
    cv2.imwrite("a.jpg", pixels)
    assert command(__main__.main, "export", "default", f"vtiqa.{ending}")[0] == 0
    exec(block, {})
    (score,) = re.findall(r"\d\.\d+", capsys.readouterr().out.split(" on ")[0])
    assert abs(float(score) - vtiqa_jax.load().score(["a.jpg"])[0]) < 0.002 * (5 - 1)


# ---- docs/scoring.ipynb ----


def _shape_of(shown: str) -> str:
    """What a notebook shows, without pictures and numbers: those are of the machine that executed it."""
    return re.sub(r"base64,[^\"]*|\d+(\.\d+)?", "", shown)


@pytest.mark.slow
@pytest.mark.usefixtures("usual_promotion")
def test_the_notebook_shows_what_it_would_show_today(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # and back: the notebook goes to the photos' folder
    cells = json.loads((REPOSITORY / "docs" / "scoring.ipynb").read_text())["cells"]
    named: dict[str, Any] = {}
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        *statements, last = ast.parse("".join(cell["source"])).body
        exec(compile(ast.Module(statements, []), "notebook", "exec"), named)
        if not cell["outputs"]:
            exec(compile(ast.Module([last], []), "notebook", "exec"), named)
            continue
        assert isinstance(last, ast.Expr)
        value = eval(compile(ast.Expression(last.value), "notebook", "eval"), named)
        (output,) = cell["outputs"]
        for kind, show in (("text/html", "_repr_html_"), ("text/plain", "__repr__")):
            if hasattr(value, show):
                stored, now = "".join(output["data"][kind]), getattr(value, show)()
                assert _shape_of(stored).split() == _shape_of(now).split()
