"""What the documents tell people to type works as it is written."""

import ast
import contextlib
import dataclasses
import importlib.util
import json
import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

import vtiqa_jax
from tests import made_up
from tests.conftest import Command
from vtiqa_jax import __main__, cli
from vtiqa_jax.command_line import Group, parse
from vtiqa_jax.data.datasets import koniq10k

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
DOCUMENTS = [*sorted(REPOSITORY.glob("*.md")), *sorted(DOCS.glob("*.md"))]
PROGRAMS = {
    "vtiqa": __main__.VTIQA,
    "python train.py": __main__.TRAIN,
    "python eval.py": __main__.EVAL,
    "python -m convert": __main__.CONVERT,
}
NOT_RUN = {
    "uvicorn": "tests/test_server.py starts it itself",
    "curl": "tests/test_server.py asks itself",
    "python3 -m venv": "needs a package index: CI types it",
    ". .venv/bin/activate": "of the line before",
    "pip install": "needs a package index: CI types it",
    "uv pip install": "needs a package index: CI types it",
    "npm install": "needs a package index: CI types it",
    "python -m build": "needs a package index: .ci/package types it",
    "light/bin/pip install": "needs a package index: .ci/light does it",
    "vtiqa-onnx score": "tests/test_light.py runs it",
    "pytest": "is what runs this",
    "ruff": "CI types it",
    "pyright": "CI types it",
    "lint-imports": "CI types it",
    "mkdocs": "needs the extra docs: CI types it",
    "pre-commit install": "changes the clone's git hooks",
    ".ci/": "CI itself",
    "xargs": "of the line before",
    "git worktree": "needs the whole history, which a clone may not have",
}
"""Commands of the documents that no test runs or reads, by their beginning, and why."""


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(), re.DOTALL | re.MULTILINE)


def steps() -> list[Any]:
    """Every command of the documents, continued lines joined and chains taken apart, without settings before it."""
    found = []
    for document in DOCUMENTS:
        outside = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
        lines = re.findall(r"^ {4,}\S.*$", outside.replace("\\\n", " "), re.MULTILINE)
        lines += [line for block in blocks(document, "bash") for line in block.replace("\\\n", " ").splitlines()]
        for number, line in enumerate(lines):
            for part in re.split(r" '(?:&&|\|)' ", shlex.join(shlex.split(line, comments=True))):
                step = re.sub(r"^(([A-Z_]+=\S*|'\[SETTINGS\]'|srun)( |$))*", "", part)
                if step and " ... " not in step:  # a part of a command
                    found.append(pytest.param(step, id=f"{document.stem}-{number}"))
    return found


class Understood(BaseException):
    """A script has read its options, and would begin."""


def read_options(script: Path, options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a script until it has read its options, for it may take hours.

    Raises:
        SystemExit: it does not understand them.
    """
    assert "run_script(" in script.read_text()
    if script.name == "bulk.py":
        pytest.importorskip("ray", reason='needs Ray Data: pip install "vtiqa-jax[bulk]"')

    def only_read(*given: Any) -> Callable[[], None]:
        parse(*given)
        raise Understood

    monkeypatch.setattr(sys, "argv", [str(script), *options])
    monkeypatch.setattr(cli, "parse", only_read)
    with contextlib.suppress(Understood):
        runpy.run_path(str(script), run_name="__main__")


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("benchmarks/layers.py --side 3", "--side"),
        ("benchmarks/layers.py --rounds many", "many"),
        ("benchmarks/pipeline.py feeding --count 3", "--count"),  # an option of another command
        ("benchmarks/pipeline.py feed", "feed"),
        ("experiments/fine_tuning.py final --release R --checkpoint I --out O", "--variant"),  # left out
        ("experiments/invariance.py --release", "--release"),
    ],
)
def test_a_wrong_option_of_a_script_is_seen(
    command: str, wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script, *options = command.split()
    with pytest.raises(SystemExit, match="2"):
        read_options(REPOSITORY / script, options, monkeypatch)
    assert wrong in capsys.readouterr().err


@pytest.mark.parametrize("step", steps())
def test_every_command_in_the_documents_is_understood(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = next((program for program in PROGRAMS if step.startswith(f"{program} ") or step == program), None)
    if program is not None:
        parse(PROGRAMS[program], program, shlex.split(step.removeprefix(program)))
    elif re.match(r"python \S+\.py", step):
        _, script, *options = shlex.split(step)
        read_options(REPOSITORY / script, options, monkeypatch)
    elif not step.startswith("python -m build") and (module := re.match(r"python -m (\S+)", step)):
        assert module[1] == "venv" or importlib.util.find_spec(module[1])
    else:
        assert step.startswith(tuple(NOT_RUN)), "a command that nothing runs: test it, or say in NOT_RUN why not"


def commands(group: Group, *above: str) -> list[list[str]]:
    """The words that name every command."""
    return [
        words
        for name, command in group.commands.items()
        for words in (commands(command, *above, name) if isinstance(command, Group) else [[*above, name]])
    ]


@pytest.mark.parametrize("words", commands(__main__.VTIQA), ids=" ".join)
def test_the_example_of_each_help_is_understood(words: list[str], command: Command) -> None:
    status, said, _ = command(__main__.main, *words, "--help")
    (example,) = re.findall(r"^Example: vtiqa (.*)", said, re.MULTILINE)
    assert status == 0
    assert shlex.split(example)[: len(words)] == words or words == ["train", "demo"]
    parse(__main__.VTIQA, "vtiqa", shlex.split(example))


def entries(said: str) -> dict[str, str]:
    """The description of each option and argument on a page of help, without its notes."""
    sections = re.split(r"^[A-Z][\w ]+:\n(?=  )", said, flags=re.MULTILINE)[1:]
    lines = [
        re.split(r"\s{2,}", entry.strip(), maxsplit=1) for part in sections for entry in re.split(r"\n(?=  \S)", part)
    ]
    return {
        name: re.sub(r" \((?:one of|required|default)[^()]*\)$", "", " ".join(text.split())) for name, text in lines
    }


@pytest.mark.parametrize("words", commands(__main__.VTIQA), ids=" ".join)
def test_each_option_is_described_by_sentences(
    words: list[str], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a capital letter to a full stop; what an option without a value does begins with a verb."""
    monkeypatch.setenv("COLUMNS", "80")
    _, said, _ = command(__main__.main, *words, "--help")
    described = entries(said)
    assert described
    for name, text in described.items():
        assert re.fullmatch(r"[A-Z].*\.", text), (name, text)
        takes_value = not name.startswith("--") or " " in name.split(", ")[0]
        assert takes_value or not re.match(r"(The|A|An|Whether|What|How|Of|In|Do)\b", text), (name, text)


# ---- the front: README.md, the site's contents, the files of the repository ----


def test_every_python_block_is_run_here() -> None:
    assert {document.stem for document in DOCUMENTS if blocks(document, "python")} == {
        *RUN,
        "adapters",  # by tests/adapters
        "bench",
        "datasets",
        "export",
        "extending",
        "light",  # by tests/test_light.py
        "server",
    }


def test_the_readmes_two_commands_are_what_ci_runs() -> None:
    """In a fresh clone and a fresh environment, as a person does."""
    readme, ci = (REPOSITORY / "README.md").read_text(), (REPOSITORY / ".ci" / "run").read_text()
    commands = re.findall(r"^ {4}((?:python3 -m venv|pip install) .*)$", readme, re.MULTILINE)
    assert [command.split()[-2:] for command in commands] == [["vtiqa", "demo"], ["&&", "pytest"]]
    assert all(re.search(rf"^{re.escape(command)}( -m .*)?$", ci, re.MULTILINE) for command in commands)


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text().splitlines()) < 100


@pytest.mark.parametrize("document", sorted(REPOSITORY.glob("*.md")), ids=lambda path: path.stem)
def test_links_to_files_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


def test_the_site_has_every_page_once() -> None:
    def pages(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [page for part in (entry.values() if isinstance(entry, dict) else entry) for page in pages(part)]

    nav = pages(yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text())["nav"])
    assert sorted(nav) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


def test_the_api_pages_name_modules_that_exist() -> None:
    named = [name for page in (DOCS / "api").glob("*.md") for name in re.findall(r"^::: (\S+)", page.read_text(), re.M)]
    assert len(named) > 30
    assert [name for name in named if importlib.util.find_spec(name) is None] == []


def test_the_model_page_says_where_things_are() -> None:
    text = (DOCS / "model.md").read_text()
    files = {name for name in re.findall(r"`([\w/]+\.py)`", text)}
    assert {"models/views.py", "models/vtiqa.py", "models/original.py", "evaluation/metrics.py"} <= files
    source = "\n".join((REPOSITORY / "vtiqa_jax" / name).read_text() for name in files)
    names = {name.split(".")[-1] for name in re.findall(r"`([A-Za-z_.]+)`", text) if not name.endswith(".py")}
    assert [name for name in names if not re.search(rf"\b(def|class) {name}\b|^    {name}: ", source, re.M)] == []


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])


# ---- the documents' Python ----

RUN = ("scoring", "explain", "flax", "choosing", "curator", "engineer", "researcher")
"""Documents with Python."""


@pytest.mark.slow
@pytest.mark.usefixtures("usual_promotion")
@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.stem in RUN], ids=lambda path: path.stem)
def test_the_python_of_the_documents(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(pixels).save(tmp_path / name)
    if document.stem == "curator":
        (tmp_path / "scores").mkdir()
        pairs = {
            "good": (3.5, 90.0, None),
            "bad": (2.5, 90.0, None),
            "enlarged": (3.5, 40.0, None),
            "plot": (3.5, 90.0, "no photo"),
        }
        columns = dict(zip(("low", "holds", "warning"), map(list, zip(*pairs.values(), strict=True)), strict=True))
        pq.write_table(pa.table({"path": list(pairs), **columns}), tmp_path / "scores" / "part.parquet")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"array_uint8_hwc": pixels, "pil_image": Image.fromarray(pixels)}
    for block in blocks(document, "python"):
        exec(block, names)
    said = capsys.readouterr().out
    if document.stem == "curator":
        assert names["good"] == ["good"]
    if document.stem == "flax":
        losses = [float(loss) for loss in re.findall(r"^loss (\S+)$", said, re.MULTILINE)]
        assert len(losses) == 10
        assert losses[-1] < losses[0]


def test_the_python_of_the_data_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = made_up.koniq10k(tmp_path / "path" / "to" / "koniq10k")
    info = dataclasses.replace(koniq10k.INFO, count=len(scores), mean=float(np.mean(list(scores.values()))), width=None)
    monkeypatch.setattr(koniq10k, "INFO", info)
    monkeypatch.chdir(tmp_path)
    (block,) = blocks(DOCS / "datasets.md", "python")
    names: dict[str, Any] = {}
    exec(block, names)
    first = names["source"][0]
    assert {"image", "name", "mos", "mos_common", "scene", "group"} <= first.keys()
    assert first["mos"] == pytest.approx(scores[first["name"].decode()], abs=1e-4)


# ---- docs/export.md ----


@pytest.mark.parametrize("ending", ["onnx", "stablehlo"])
def test_an_exported_file_is_read_as_its_document_says(
    ending: str, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = [block for block in blocks(DOCS / "export.md", "python") if f"vtiqa.{ending}" in block]
    monkeypatch.chdir(tmp_path)
    pixels = cv2.resize(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8), (600, 400))
    cv2.imwrite("a.jpg", pixels)
    assert command(__main__.main, "export", "default", f"vtiqa.{ending}")[0] == 0
    exec(block, {})
    score, *_ = re.findall(r"\d\.\d+", capsys.readouterr().out.split(" on ")[0])
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
    assert any(cell.get("outputs") for cell in cells)
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
        assert ("image/png" in output["data"]) == hasattr(value, "_repr_png_")
