"""The cache of scores: by content and settings, whole whoever else uses it."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from vtiqa_jax.errors import UserError
from vtiqa_jax.evaluation import score_cache
from vtiqa_jax.evaluation.results import ScoreResult
from vtiqa_jax.evaluation.score_cache import NAME, open_cache

SETTINGS = {"model": "a"}


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of tests are younger than two seconds."""
    monkeypatch.setattr(score_cache, "SETTLED_SECONDS", 0.0)


def put(database: Path, photo: Path, score: float = 3.0, settings: dict[str, str] = SETTINGS) -> None:
    with open_cache(database, settings) as cache:
        assert cache.known(photo) is None
        cache.add(ScoreResult(photo, score, None, 12.5, "above", 2.9, 0.1, (2.8, 3.0), inspected=object()))


def get(database: Path, photo: Path, settings: dict[str, str] = SETTINGS) -> ScoreResult | None:
    with open_cache(database, settings) as cache:
        return cache.known(photo)


def test_a_score_belongs_to_the_content_and_the_settings(tmp_path: Path) -> None:
    database, photo = tmp_path / "c.sqlite", tmp_path / "a.jpg"
    photo.write_bytes(b"one")
    put(database, photo)
    assert get(database, photo) == ScoreResult(photo, 3.0, None, 12.5, "above", 2.9, 0.1, (2.8, 3.0))
    assert get(database, photo, {"model": "b"}) is None
    moved = tmp_path / os.fsdecode(b"b\xff.jpg")
    moved.write_bytes(b"one")
    assert getattr(get(database, moved), "image", None) == moved
    before = photo.stat()
    photo.write_bytes(b"two")  # of the same size, with the old time of modification
    os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert get(database, photo) is None
    assert get(database, tmp_path / "gone.jpg") is None


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"one")
    put(tmp_path / "folder", photo)
    assert (tmp_path / "folder" / NAME).exists()
    read: list[Path] = []
    real = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or real(path))
    assert get(tmp_path / "folder", photo)
    assert read == []
    monkeypatch.setattr(score_cache, "SETTLED_SECONDS", 1000.0)  # a file that young may change without a new time
    (tmp_path / "b.jpg").write_bytes(b"one")
    for _ in range(2):
        assert get(tmp_path / "folder", tmp_path / "b.jpg")
    assert read == [tmp_path / "b.jpg"] * 2


def test_neither_failures_nor_what_changed_meanwhile_are_stored(tmp_path: Path) -> None:
    database, photo = tmp_path / "c.sqlite", tmp_path / "a.jpg"
    photo.write_bytes(b"one")
    with open_cache(database, SETTINGS) as cache:
        cache.known(photo)
        cache.add(ScoreResult(photo, None, "broken"))
        cache.known(photo)
        photo.write_bytes(b"two, decoded and scored")
        cache.add(ScoreResult(photo, 4.0, None))
        assert cache.known(photo) is None
    photo.write_bytes(b"one")
    assert get(database, photo) is None


def test_what_is_no_cache_is_refused_and_stays(tmp_path: Path) -> None:
    foreign, text = tmp_path / "other.sqlite", tmp_path / "a.jpg"
    with sqlite3.connect(foreign) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    text.write_bytes(b"\xff\xd8 a photo, by mistake" * 100)
    for path, said in (
        (foreign, "a database of another program"),
        (text, "file is not a database"),
        (tmp_path / "none" / "c.sqlite", "unable to open database file"),
    ):
        before = path.read_bytes() if path.exists() else None
        with pytest.raises(UserError, match=said), open_cache(path, SETTINGS):
            pass
        assert (path.read_bytes() if path.exists() else None) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "other.sqlite"]


WRITER = """
import os, signal, sys
from pathlib import Path
from vtiqa_jax.evaluation.score_cache import open_cache
from vtiqa_jax.evaluation.results import ScoreResult
folder, start = Path(sys.argv[1]), int(sys.argv[2])
with open_cache(folder / "c.sqlite", {"model": "a"}) as cache:
    for number in range(start, start + 200):
        photo = folder / f"{number}.jpg"
        cache.known(photo)
        cache.add(ScoreResult(photo, float(number), None))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_two_at_once_and_killed_lose_nothing(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}.jpg").write_text(str(number))
    program = [sys.executable, "-c", WRITER, str(tmp_path)]
    running = [subprocess.Popen([*program, str(start)], stderr=subprocess.PIPE, text=True) for start in (0, 100)]
    for process in running:
        _, error = process.communicate()
        assert (process.returncode, error) == (-9, "")
    with open_cache(tmp_path / "c.sqlite", SETTINGS) as cache:
        found = [cache.known(tmp_path / f"{number}.jpg") for number in range(300)]
    assert [one and one.score for one in found] == [float(number) for number in range(300)]
