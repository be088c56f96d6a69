"""docs/server.md: its program runs as it stands there, behind a real socket."""

import contextlib
import http.client
import io
import json
import re
import socket
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vtiqa_jax
from vtiqa_jax.results.columns import COLUMNS
from vtiqa_jax.scoring.scorer import Scorer

pytest.importorskip("starlette", reason="needs Starlette: pip install starlette uvicorn")
uvicorn = pytest.importorskip("uvicorn", reason="needs uvicorn: pip install starlette uvicorn")
PAGE = (Path(__file__).parents[1] / "docs" / "server.md").read_text()
(PROGRAM,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def program(model: Path) -> types.ModuleType:
    """The program, with the small model."""
    module, load = types.ModuleType("server"), vtiqa_jax.load
    vtiqa_jax.load = lambda: Scorer.load(str(model))  # type: ignore[assignment]
    try:
        exec(PROGRAM, vars(module))
    finally:
        vtiqa_jax.load = load
    return module


@pytest.fixture(scope="module")
def port(program: types.ModuleType) -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(program.app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(30)


Answer = tuple[int, dict[str, str], Any]


@pytest.fixture
def post(port: int) -> Callable[..., Answer]:
    def ask(body: Any, method: str = "POST", path: str = "/score") -> Answer:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            connection.request(method, path, body)
            response = connection.getresponse()
            content, headers = response.read(), dict(response.getheaders())
            is_json = headers.get("content-type") == "application/json"
            return response.status, headers, json.loads(content) if is_json else content.decode()

    return ask


@pytest.fixture(scope="module")
def photo() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@contextlib.contextmanager
def started(port: int, body: bytes, length: int) -> Iterator[socket.socket]:
    """A request of which a part has been sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(f"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode() + body)
        yield connection


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come about")


def test_a_photo_is_answered_with_what_the_score_command_writes(
    post: Callable[..., Answer], photo: bytes, model: Path, tmp_path: Path
) -> None:
    status, _, told = post(photo)
    assert status == 200
    (tmp_path / "photo.png").write_bytes(photo)
    (expected,) = Scorer.load(str(model)).stream([tmp_path / "photo.png"])
    assert told["score"] == pytest.approx(expected.score, abs=1e-5)
    assert (told["width"], told["height"], told["error"], told["detail"]) == (90, 60, None, None)
    assert set(told) == {column.name for column in COLUMNS if column.where in ("all", "reasons")}


def test_what_is_no_photo_is_the_askers_mistake(
    post: Callable[..., Answer], photo: bytes, program: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert post(b"text")[::2] == (422, "not an image, or in a format that cannot be read")
    assert post(b"")[::2] == (422, "the file is empty")
    assert post(photo[:-200])[0] == 422
    assert post(photo, "GET")[0] == 405
    assert post(photo, path="/")[0] == 404
    monkeypatch.setattr(program, "MAX_PIXELS", 60 * 90 - 1)
    assert post(photo)[::2] == (422, "90 x 60 pixels are more than max-pixels, 5,399")
    monkeypatch.setattr(program, "MAX_PIXELS", 60 * 90)
    assert post(photo)[0] == 200


def test_a_body_that_is_too_long_is_not_read_on(
    post: Callable[..., Answer], photo: bytes, port: int, program: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "MAX_BYTES", len(photo))
    assert post(photo)[0] == 200
    # Of a gigabyte that was announced no more than this is ever sent.
    with started(port, photo + b"x", 1 << 30) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_who_sends_too_slowly_is_ended(
    post: Callable[..., Answer], photo: bytes, port: int, program: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(program, "MAX_SECONDS", 0.2)
        with started(port, photo[:100], len(photo)) as connection:
            assert connection.recv(1000).startswith(b"HTTP/1.1 504 ")
    assert post(photo)[0] == 200


def test_more_than_may_wait_are_sent_away_and_places_come_free(
    post: Callable[..., Answer],
    photo: bytes,
    port: int,
    program: types.ModuleType,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(program.MAX_WAITING):
            stack.enter_context(started(port, photo[:100], len(photo)))
        wait_for(program.waiting.locked)
        status, headers, told = post(photo)
        assert (status, headers["retry-after"], told) == (503, "5", "too many photos are waiting")
    wait_for(lambda: not program.waiting.locked())  # who hangs up leaves no place taken
    assert post(photo)[0] == 200
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_photos_are_scored_one_at_a_time(
    post: Callable[..., Answer], photo: bytes, program: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    score, at_once, most = program.score, 0, 0

    def counted(data: bytes) -> Any:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            return score(data)
        finally:
            at_once -= 1

    monkeypatch.setattr(program, "score", counted)
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(post(photo)[0])) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (answers, most) == ([200] * 5, 1)
