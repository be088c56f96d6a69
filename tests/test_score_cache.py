"""The store of scores: by content and settings, for a cache and for an interrupted run; whole whatever is killed."""

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vtiqa_jax.errors import UserError
from vtiqa_jax.results import network_disks, score_cache
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.results.score_cache import NAME, ScoreCache, open_cache, open_part, part_path

SETTINGS: dict[str, Any] = {"weights": "a", "config": {"eval_mosaics": 1}, "mosaic sampling": None}
HARD = ['a,"b".jpg', "new\nline.jpg", "carriage\rreturn\r\n.jpg", "ünï.jpg", os.fsdecode(b"\xff\xfe.jpg"), "# c.jpg"]
"""Names that break careless files."""


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of tests are younger than two seconds."""
    monkeypatch.setattr(score_cache, "SETTLED_SECONDS", 0.0)


def result(photo: Path, score: float = 3.0) -> ScoreResult:
    return ScoreResult(photo, score, None, 12.5, "above", 2.9, 0.1, (2.8, 1 / 3), warning='cut off, "badly"\n')


def put(database: Path, photo: Path, settings: dict[str, Any] = SETTINGS) -> None:
    with open_cache(database, settings) as cache:
        assert cache.get(photo) is None
        cache.add(result(photo))


def get(database: Path, photo: Path, settings: dict[str, Any] = SETTINGS) -> ScoreResult | None:
    with open_cache(database, settings) as cache:
        return cache.get(photo)


# ---- a cache ----


@pytest.mark.parametrize("on_network", [False, True])
def test_a_score_belongs_to_the_content_and_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_network: bool
) -> None:
    monkeypatch.setattr(score_cache, "is_on_network_disk", lambda _: on_network)
    database, photo = tmp_path / "c.sqlite", tmp_path / "a.jpg"
    photo.write_bytes(b"one")
    put(database, photo)
    assert get(database, photo) == result(photo)
    assert get(database, photo, SETTINGS | {"config": {"eval_mosaics": 3}}) is None
    moved = tmp_path / os.fsdecode(b"b\xff.jpg")
    moved.write_bytes(b"one")
    assert get(database, moved) == result(moved)
    (tmp_path / "a.dng").write_bytes(b"one")  # is read in another way
    assert get(database, tmp_path / "a.dng") is None
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


@pytest.mark.skipif(os.name != "posix", reason="no devices by name on Windows")
def test_pipes_and_devices_are_left_to_the_decoder(tmp_path: Path) -> None:
    """What comes through them can be read once, and is other content the next time."""
    pipe = tmp_path / "a.jpg"
    os.mkfifo(pipe)
    with open_cache(tmp_path / "c.sqlite", SETTINGS) as cache:
        for photo in (Path("/dev/null"), pipe):
            assert cache.get(photo) is None  # and does not wait for a writer
            cache.add(result(photo))
            assert cache.get(photo) is None


def test_neither_failures_nor_what_changed_meanwhile_are_stored(tmp_path: Path) -> None:
    database, photo = tmp_path / "c.sqlite", tmp_path / "a.jpg"
    photo.write_bytes(b"one")
    with open_cache(database, SETTINGS) as cache:
        cache.get(photo)
        cache.add(ScoreResult(photo, None, "broken"))
        cache.get(photo)
        photo.write_bytes(b"two, decoded and scored")
        cache.add(ScoreResult(photo, 4.0))
        assert cache.get(photo) is None
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


def test_a_result_without_a_field_that_came_later_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"one")
    with monkeypatch.context() as before:
        before.setattr(score_cache, "KEPT", tuple(name for name in score_cache.KEPT if name != "warning"))
        put(tmp_path / "c.sqlite", photo)
    assert get(tmp_path / "c.sqlite", photo) is None


MOUNTS = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 27 0:40 / /home rw,relatime shared:2 master:1 - nfs4 server:/home rw
31 30 0:41 / /home/me/local\040disk rw - xfs /dev/vdb rw
33 27 0:43 / /mnt/over rw - ext4 /dev/vdc rw
34 33 0:44 / /mnt/over rw - fuse.sshfs me@host: rw
"""


@pytest.mark.parametrize(
    ("path", "kind", "on_network"),
    [
        ("/scores.sqlite", "ext4", False),
        ("/homeless/scores.sqlite", "ext4", False),
        ("/home/me/scores.sqlite", "nfs4", True),
        ("/home/me/local disk/scores.sqlite", "xfs", False),
        ("/mnt/over/scores.sqlite", "fuse.sshfs", True),
    ],
)
def test_network_disks_are_known_by_their_mount(path: str, kind: str, on_network: bool) -> None:
    assert network_disks.filesystem_type(Path(path), MOUNTS) == kind
    assert (kind in network_disks.NETWORK_TYPES) == on_network


@pytest.mark.parametrize("on_network", [False, True])
def test_scores_are_committed_together_where_a_commit_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_network: bool
) -> None:
    """The second reader stands for what a killed process leaves."""
    monkeypatch.setattr(score_cache, "is_on_network_disk", lambda _: on_network)
    monkeypatch.setattr(score_cache, "BATCH_SECONDS", 1000.0)
    photos = [tmp_path / f"{number}.jpg" for number in range(5)]
    with open_cache(tmp_path / "c.sqlite", SETTINGS) as cache:
        for photo in photos:
            photo.write_text(photo.name)
            cache.get(photo)
            cache.add(result(photo))
        with open_cache(tmp_path / "c.sqlite", SETTINGS) as other:
            assert sum(other.get(photo) is not None for photo in photos) == (1 if on_network else 5)
    assert all(get(tmp_path / "c.sqlite", photo) for photo in photos)
    assert {path.name for path in tmp_path.iterdir()} == {"c.sqlite", *(photo.name for photo in photos)}


# ---- an interrupted run ----


class Killed(Exception):
    """Stands for an interruption."""


def interrupted(output: Path, results: list[ScoreResult], settings: dict[str, Any] = SETTINGS) -> bytes:
    """The part of a run that ended early."""
    with pytest.raises(Killed), open_part(output, settings) as part:
        for found in results:
            assert part.get(found.image) is None
            part.add(found)
        raise Killed
    return part_path(output).read_bytes()


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in HARD:
        (folder / name).write_text(name.encode(errors="replace").decode())
    return [folder / name for name in HARD]


@pytest.mark.parametrize("name", ["s.csv", "x" * 251 + ".csv", os.fsdecode(b"\xff?mode=ro#.csv")])
def test_an_interrupted_run_goes_on_and_leaves_nothing(tmp_path: Path, photos: list[Path], name: str) -> None:
    output = tmp_path / name
    scored = [result(photo, 1 + index / 7) for index, photo in enumerate(photos)]
    interrupted(output, scored[:4])
    with open_part(output, SETTINGS) as part:
        assert [part.get(photo) for photo in photos] == [*scored[:4], None, None]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def test_changed_photos_and_failures_are_scored_again(tmp_path: Path, photos: list[Path]) -> None:
    output, failed = tmp_path / "s.csv", ScoreResult(photos[3], None, "broken")
    interrupted(output, [*map(result, photos[:3]), failed, ScoreResult(tmp_path / "gone.jpg", None, "gone")])
    before = photos[1].stat()
    photos[1].write_bytes(photos[1].read_bytes()[::-1])  # the same size, and the same time of modification:
    os.utime(photos[1], ns=(before.st_atime_ns, before.st_mtime_ns))
    with open_part(output, SETTINGS) as part:
        found = [part.get(photo) for photo in [*photos, tmp_path / "gone.jpg"]]
        assert [one is not None for one in found] == [True, False, True, False, False, False, False]


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"weights": "b"}, "weights"),
        ({"config": {"eval_mosaics": 3}}, "config.eval_mosaics"),
        ({"mosaic sampling": {"count": 2}, "weights": "b"}, "mosaic sampling, weights"),
        ({"decoders": {"pillow": "1"}}, "decoders"),
    ],
    ids=str,
)
def test_a_part_of_other_settings_stays(
    tmp_path: Path, photos: list[Path], changed: dict[str, Any], names: str
) -> None:
    output = tmp_path / "s.csv"
    content = interrupted(output, [result(photos[0])])
    said = rf"s\.csv\.part belongs to an interrupted run with other settings \({re.escape(names)}\); give that run's"
    with pytest.raises(UserError, match=said), open_part(output, SETTINGS | changed):
        pass
    assert part_path(output).read_bytes() == content
    with open_part(output, SETTINGS) as part:
        assert part.get(photos[0])


def test_what_is_no_part_stays(tmp_path: Path) -> None:
    output = tmp_path / "s.csv"
    for foreign in (b"image,score\nmine.jpg,3\n", b"# my notes\n", b"{}\n", b"\xff\xd8\xff\xe0" * 400):
        part_path(output).write_bytes(foreign)
        with (
            pytest.raises(UserError, match="exists and does not belong to an interrupted run"),
            open_part(output, SETTINGS),
        ):
            pass
        assert part_path(output).read_bytes() == foreign
    part_path(output).write_bytes(b"")  # killed before the first write
    with open_part(output, SETTINGS):
        pass
    with pytest.raises(UserError, match="unable to open database file"), open_part(tmp_path / "no" / "s", SETTINGS):
        pass


def test_two_runs_do_not_write_one_output(tmp_path: Path, photos: list[Path]) -> None:
    output = tmp_path / "s.csv"
    with open_part(output, SETTINGS) as part:
        part.get(photos[0])
        part.add(result(photos[0]))
        for settings in (SETTINGS, SETTINGS | {"weights": "b"}):
            with pytest.raises(UserError, match=r"another run is writing .*s\.csv"), open_part(output, settings):
                pass
        assert part.get(photos[0])
    assert not part_path(output).exists()


def test_a_full_disk_is_told_and_what_was_stored_is_there(
    tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    output, real = tmp_path / "s.csv", ScoreCache._prepare

    def prepare(store: ScoreCache, *, alone: bool) -> bool:
        mode = real(store, alone=alone)
        store._database.execute("PRAGMA max_page_count = 12")
        return mode

    with monkeypatch.context() as small:
        small.setattr(ScoreCache, "_prepare", prepare)
        with (
            pytest.raises(UserError, match=r"s\.csv\.part cannot be used: database or disk is full; make room"),
            open_part(output, SETTINGS) as part,
        ):
            for photo in photos:
                part.get(photo)
                part.add(ScoreResult(photo, 3.0, warning=photo.name * 500))
    with open_part(output, SETTINGS) as part:
        found = [part.get(photo) is not None for photo in photos]
    assert found[0] and not found[-1] and found == sorted(found, reverse=True)


# ---- kills ----


def test_several_make_a_cache_at_once(tmp_path: Path) -> None:
    """Whoever comes a moment later finds a file that is half made, or waits for it."""
    start = threading.Barrier(6)

    def make(file: Path) -> None:
        start.wait()
        with open_cache(file, SETTINGS):
            pass

    with ThreadPoolExecutor(6) as pool:
        for number in range(20):
            for made in [pool.submit(make, tmp_path / f"{number}.sqlite") for _ in range(6)]:
                made.result()


def test_a_run_that_makes_the_cache_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "c.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waits: list[float] = []

        def wait(seconds: float) -> None:
            waits.append(seconds)
            if other.in_transaction:
                other.execute("COMMIT")

        monkeypatch.setattr(score_cache.time, "sleep", wait)
        with open_cache(tmp_path / "c.sqlite", SETTINGS):
            pass
    assert len(waits) == 1


WRITER = """
import os, signal, sys
from pathlib import Path
from vtiqa_jax.results.score_cache import open_cache, open_part
from vtiqa_jax.results.results import ScoreResult
folder, start, kind = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
with (open_part if kind == "part" else open_cache)(folder / "c.sqlite", {"weights": "a"}) as cache:
    for number in range(start, start + 200):
        photo = folder / f"{number}.jpg"
        cache.get(photo)
        cache.add(ScoreResult(photo, float(number)))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cache", "part"])
def test_two_at_once_and_killed_lose_nothing(tmp_path: Path, kind: str) -> None:
    for number in range(300):
        (tmp_path / f"{number}.jpg").write_text(str(number))
    program = [sys.executable, "-c", WRITER, str(tmp_path)]
    running: list[subprocess.Popen[str]] = []
    for start in ("0", "100"):
        running.append(subprocess.Popen([*program, start, kind], stderr=subprocess.PIPE, text=True))
        if kind == "part":  # one after the other: together they are refused
            running[-1].wait()
    for process in running:
        _, error = process.communicate()
        assert (process.returncode, error) == (-9, "")
    with (open_part if kind == "part" else open_cache)(tmp_path / "c.sqlite", {"weights": "a"}) as cache:
        found = [cache.get(tmp_path / f"{number}.jpg") for number in range(300)]
    assert [one and one.score for one in found] == [float(number) for number in range(300)]
    assert len(list(tmp_path.iterdir())) == 300 + (kind == "cache")
