"""Commands where something is missing: devices, a home, a terminal's characters, names that are text, a network."""

import io
import multiprocessing
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest

from vtiqa_jax import __main__ as vtiqa
from vtiqa_jax import sharding
from vtiqa_jax.commands import bulk
from vtiqa_jax.errors import UserError
from vtiqa_jax.evaluation import plots
from vtiqa_jax.evaluation.metrics import correlations
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.photos import files
from vtiqa_jax.scoring.quality_map import QualityMap

NAMES = (
    "a b.jpg",
    "c'.jpg",
    'd".jpg',
    "new\nline.jpg",
    "-e.jpg",
    " f .jpg",
    "g\\n.jpg",
    "\u00e9\u30cd.jpg",
    "h\udce9.jpg",
)
"""Of photos, as a person's disk has them."""

Run = Callable[..., tuple[int, bytes, bytes]]


@pytest.fixture
def photos(tmp_path: Path, rng: np.random.Generator) -> Path:
    (tmp_path / "photos").mkdir()
    for name in NAMES:
        picture = cv2.imencode(".jpg", rng.integers(0, 256, (40, 50, 3), np.uint8))[1].tobytes()
        try:
            (tmp_path / "photos" / name).write_bytes(picture)
        except OSError:  # a file system that wants text
            pytest.skip("this file system takes no such names")
    return tmp_path / "photos"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on streams of an encoding; its exit status, standard output and standard error."""

    def call(*words: object, encoding: str = "ascii") -> tuple[int, bytes, bytes]:
        streams = io.BytesIO(), io.BytesIO()
        monkeypatch.setattr(sys, "argv", ["vtiqa", *map(str, words)])
        for name, data in zip(("stdout", "stderr"), streams, strict=True):
            monkeypatch.setattr(sys, name, io.TextIOWrapper(data, encoding, errors="strict", write_through=True))
        with pytest.raises(SystemExit) as ended:
            vtiqa.main()
        out, error = (stream.getvalue() for stream in streams)
        return int(ended.value.code or 0), out, error

    return call


# ---- terminals and names ----


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_scores_are_told_on_any_terminal(run: Run, photos: Path, model: Path, encoding: str) -> None:
    (photos / "broken-\u30cd.jpg").write_bytes(b"no photo")
    status, out, error = run("score", photos, "--checkpoint", model, "--mosaic-samples", 2, encoding=encoding)
    assert (status, error) == (1, b"1 of 10 photos could not be read\n")
    sign = {"ascii": b"+-", "cp1252": b"\xb1", "utf-8": "±".encode()}[encoding]
    assert out.count(b" " + sign + b" ") == 1 + len(NAMES)
    katakana = "\u30cd".encode() if encoding == "utf-8" else b"\\u30cd"
    assert b"broken-" + katakana + b".jpg: not an image" in out
    assert b"h\xe9.jpg" in out


def test_the_other_commands_tell_names_on_any_terminal(run: Run, photos: Path, model: Path, tmp_path: Path) -> None:
    chosen = [photos / NAMES[-1], photos / NAMES[-2]]
    status, out, error = run("compare", *chosen, "--checkpoint", model, "--mosaic-samples", 2)
    assert (status, error) == (0, b"")
    assert b"mean +- standard deviation" in out and b"h\xe9.jpg" in out and b"\\xe9\\u30cd.jpg" in out
    status, out, error = run("explain", photos, "--checkpoint", model, "--out", tmp_path / "maps")
    assert (status, error) == (0, b"")
    assert len(list((tmp_path / "maps").iterdir())) == 2 * len(NAMES)
    status, out, error = run("score", photos / "n\u00f6ne\udce9.jpg", "--checkpoint", model, "--max-score", 0)
    assert (status, out) == (2, b"")
    status, out, error = run("info", tmp_path / "n\u00f6ne\udce9")
    assert (status, out) == (2, b"")
    assert b"n\\xf6ne\xe9 is not a checkpoint" in error and error.count(b"\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
@pytest.mark.parametrize(
    ("options", "end"), [(["--print0"], b"\0"), (["--list", "--print0"], b"\0"), (["--list"], b"\n")], ids=str
)
def test_a_list_has_the_bytes_of_names(
    run: Run, photos: Path, model: Path, options: list[str], end: bytes, encoding: str
) -> None:
    status, out, error = run("score", photos, "--checkpoint", model, *options, encoding=encoding)
    assert (status, error) == (0, b"")
    assert out == b"".join(os.fsencode(photo) + end for photo in files.find([photos]))


def test_a_list_reaches_xargs(run: Run, photos: Path, model: Path) -> None:
    listed = run("score", photos, "--checkpoint", model, "--min-score", -99, "--print0")[1]
    subprocess.run(["xargs", "-0", "rm", "--"], input=listed, check=True, cwd=photos)
    assert not list(photos.iterdir())


# ---- devices ----


@pytest.fixture
def no_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """JAX as it is where JAX_PLATFORMS=cuda finds no GPU."""

    def devices() -> None:
        raise AssertionError

    before = jax.config.jax_platforms  # type: ignore[attr-defined]
    monkeypatch.setattr(jax, "devices", devices)
    jax.config.update("jax_platforms", "cuda")
    yield
    jax.config.update("jax_platforms", before)


@pytest.mark.usefixtures("no_device")
def test_a_device_that_is_not_there_is_named(run: Run, photos: Path, model: Path, tmp_path: Path) -> None:
    photo = photos / NAMES[0]
    (tmp_path / "s.csv").write_text(f"image,mos\n{NAMES[0]},1\n{NAMES[4]},2\n")
    table = ("--scores", tmp_path / "s.csv", "--images", photos)
    before = sorted(tmp_path.rglob("*"))
    for words in (
        ("score", photo), ("compare", photo, photo), ("explain", photo, "--out", tmp_path / "maps"),
        ("train", "--workdir", tmp_path / "run"), ("train", "manifest", *table, "--workdir", tmp_path / "run"),
        ("eval", "manifest", *table, "--out", tmp_path / "eval"), ("export", model, tmp_path / "m.stablehlo"),
        ("info", model), ("tune", tmp_path / "marks.csv", "--out", tmp_path / "mine"),
        ("heads", tmp_path / "made", "--photos", photo, "--scored", tmp_path / "s.csv", "--cache", tmp_path / "cache"),
    ):  # fmt: skip
        told = run(*words)
        assert told == (
            2, b"",
            b"vtiqa: JAX_PLATFORMS=cuda: this machine has no such device; unset it to use the devices that are here;"
            b' NVIDIA GPUs need pip install "vtiqa-jax[cuda]"\n',
        ), words  # fmt: skip
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("variable", ["JAX_PLATFORMS", "JAX_PLATFORM_NAME"])
def test_a_platform_that_jax_does_not_know_is_named(photos: Path, variable: str) -> None:
    program = [sys.executable, "-m", "vtiqa_jax", "score", str(photos / NAMES[0])]
    environment = {name: value for name, value in os.environ.items() if name != "JAX_PLATFORMS"} | {variable: "gpux"}
    ended = subprocess.run(program, capture_output=True, text=True, env=environment)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"vtiqa: {variable}=gpux: ") and ended.stderr.count("\n") == 1


def test_a_failure_of_jax_that_nobody_asked_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def devices() -> None:
        raise RuntimeError("Unable to initialize backend")

    monkeypatch.setattr(jax, "devices", devices)
    before = jax.config.jax_platforms  # type: ignore[attr-defined]
    jax.config.update("jax_platforms", None)  # a command may have asked for one in this process
    try:
        with pytest.raises(RuntimeError, match="Unable to initialize"):
            sharding.require_devices()
    finally:
        jax.config.update("jax_platforms", before)


# ---- what is sent ----


def test_nothing_is_sent(run: Run, photos: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError(f"a connection to {arguments}")

    for name in ("connect", "connect_ex", "sendto", "sendmsg"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    with pytest.raises(AssertionError, match="a connection to"):
        socket.create_connection(("127.0.0.1", 9))
    one = photos / NAMES[0]
    for words in (
        ("score", photos, "--report", tmp_path / "page", "--out", tmp_path / "s.csv"),
        ("explain", one, "--out", tmp_path / "maps"),
        ("compare", one, photos / NAMES[1]),
    ):
        status, _, error = run(*words, "--checkpoint", model)
        assert (status, error) == (0, b""), words


@pytest.mark.parametrize("asked", [None, "1"])
def test_a_ray_that_is_started_here_reports_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: str | None
) -> None:
    from ray._common.usage import usage_lib

    monkeypatch.setenv("HOME", str(tmp_path))  # a person's settings of Ray
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    if asked:
        monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", asked)
    assert usage_lib.usage_stats_enabled()
    bulk.keep_ray_to_this_machine()
    assert not usage_lib.usage_stats_enabled()


def test_a_ray_that_is_started_here_keeps_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")
    secrets = set()
    for _ in range(2):
        monkeypatch.delenv("RAY_AUTH_TOKEN")
        bulk.keep_ray_to_this_machine()
        secrets.add(os.environ["RAY_AUTH_TOKEN"])
    assert len(secrets) == 2 and min(map(len, secrets)) >= 32
    monkeypatch.setenv("RAY_AUTH_TOKEN", "mine")
    bulk.keep_ray_to_this_machine()
    assert os.environ["RAY_AUTH_TOKEN"] == "mine"


def test_bulk_asks_for_devices_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "gpux")
    with pytest.raises(UserError, match="JAX_PLATFORMS=gpux"):
        bulk.check_devices()
    assert not multiprocessing.active_children()
    monkeypatch.setenv("JAX_PLATFORMS", "")
    bulk.check_devices()


# ---- a user ----


def test_a_user_without_a_name_or_home(tmp_path: Path) -> None:
    """In a process of its own: matplotlib looks for a home when it is imported, and JAX gets its folder afterwards."""
    program = (
        "import pwd, runpy, sys\n"
        "def unknown(uid): raise KeyError(f'getpwuid(): uid not found: {uid}')\n"
        "pwd.getpwuid = unknown\n"
        "sys.argv[0] = 'vtiqa'\n"
        "runpy.run_module('vtiqa_jax', run_name='__main__')\n"
    )
    words = ["eval", "manifest", "--scores", "none.csv", "--images", "."]
    environment = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, env=environment)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(b"vtiqa: none.csv") and ended.stderr.count(b"\n") == 1


def test_pictures_show_names_as_they_are(tmp_path: Path) -> None:
    scores = np.arange(5, dtype=np.float32)
    hostile = LabelScale("a$\\foo$ \u30cd", 0.0, 5.0)
    plots.scatter(tmp_path / "s.png", scores, scores + 1, correlations(scores, scores + 1), hostile)
    found = QualityMap(
        np.eye(7, dtype=np.float32), np.linspace(0.1, 0.9, 7), hostile, photo=np.zeros((20, 30, 3), np.uint8)
    )
    found.save(tmp_path / "m.png", "h\udce9$\\foo$ \u30cd.jpg")
    for name in ("s.png", "m.png"):
        assert cv2.imread(str(tmp_path / name)).std() > 5
