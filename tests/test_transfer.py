"""Photos copied and moved: nothing overwritten, nothing lost."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vtiqa_jax.errors import UserError
from vtiqa_jax.photos import transfer
from vtiqa_jax.photos.transfer import plan_targets


@pytest.fixture(params=[True, False], ids=["hard links", "no hard links"])
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Some file systems have no hard links."""
    if not request.param:

        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", refuse)
    return request.param


def content(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def test_names_are_kept_below_the_given_folder(tmp_path: Path) -> None:
    (tmp_path / "a" / "sub").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    photos = [tmp_path / "a" / "x.jpg", tmp_path / "a" / "sub" / "x.jpg", tmp_path / "b" / ".." / "y.jpg"]
    found = plan_targets([tmp_path / "a", photos[2]], photos, Path("out"))
    assert list(found.values()) == [Path("out/x.jpg"), Path("out/sub/x.jpg"), Path("out/y.jpg")]
    assert plan_targets([tmp_path / "a"] * 2, photos[:1] * 2, Path("out")) == {photos[0]: Path("out/x.jpg")}
    clash = [tmp_path / "a" / "x.jpg", tmp_path / "b" / "x.jpg"]
    with pytest.raises(UserError, match=r"a/x\.jpg and .*b/x\.jpg would both become out/x\.jpg"):
        plan_targets([tmp_path / "a", tmp_path / "b"], clash, Path("out"))


@pytest.mark.parametrize("move", [False, True])
def test_nothing_is_overwritten(tmp_path: Path, links: bool, move: bool) -> None:
    source, target = tmp_path / "in" / "a.jpg", tmp_path / "out" / "sub" / "a.jpg"
    source.parent.mkdir()
    source.write_text("photo")
    os.utime(source, (1e9, 1e9))
    assert transfer.transfer(source, target, move=move)
    assert content(tmp_path / "out") == {"sub/a.jpg": "photo"} and target.stat().st_mtime == 1e9
    assert source.exists() is not move
    source.write_text("photo")  # as after a move that was killed between its two steps
    assert transfer.transfer(source, target, move=move)
    assert source.exists() is not move
    source.write_text("other")
    assert not transfer.transfer(source, target, move=move)
    target.unlink()
    target.symlink_to("nowhere")
    assert not transfer.transfer(source, target, move=move)
    assert source.read_text() == "other" and target.is_symlink()


def test_a_photo_is_never_its_own_copy(tmp_path: Path, links: bool) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "again").symlink_to("in")
    photo = tmp_path / "in" / "a.jpg"
    photo.write_text("photo")
    assert transfer.transfer(photo, tmp_path / "again" / "a.jpg", move=True)
    assert photo.read_text() == "photo"


def test_a_link_to_a_photo_becomes_a_photo_and_the_photo_stays(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "photo.jpg").write_text("photo")
    (tmp_path / "in" / "link.jpg").symlink_to("../photo.jpg")
    assert transfer.transfer(tmp_path / "in" / "link.jpg", tmp_path / "out" / "link.jpg", move=True)
    assert not (tmp_path / "out" / "link.jpg").is_symlink()
    assert content(tmp_path) == {"photo.jpg": "photo", "out/link.jpg": "photo"}


def test_a_full_disk_leaves_no_half_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "a.jpg", tmp_path / "out" / "a.jpg"
    source.write_text("photo")

    def half(source: Path, target: Path) -> None:
        assert target.parent == tmp_path / "out"
        target.write_text("pho")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(transfer.shutil, "copyfile", half)
    with pytest.raises(OSError, match="No space"):
        transfer.transfer(source, target)
    assert content(tmp_path) == {"a.jpg": "photo"}


@pytest.mark.parametrize("move", [False, True])
@pytest.mark.parametrize("name", ["n" * 251 + ".jpg", "\u5199" * 83 + "ab.jpg"], ids=["letters", "Japanese"])
def test_names_may_be_as_long_as_a_disk_allows(tmp_path: Path, links: bool, name: str, move: bool) -> None:
    (tmp_path / name).write_text("photo")
    assert transfer.transfer(tmp_path / name, tmp_path / "out" / name, move=move)
    assert content(tmp_path) == {f"out/{name}": "photo"} | ({} if move else {name: "photo"})


def test_a_photo_that_cannot_be_removed_is_not_left_in_two_places(
    tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a disk that is read-only, or a folder of somebody else's, photos can be copied and not moved."""
    source, target = tmp_path / "a.jpg", tmp_path / "out" / "a.jpg"
    source.write_text("photo")
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path == source:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OSError, match="Read-only"):
        transfer.transfer(source, target, move=True)
    assert content(tmp_path) == {"a.jpg": "photo"}
    target.write_text("photo")  # it was there before
    with pytest.raises(OSError, match="Read-only"):
        transfer.transfer(source, target, move=True)
    assert content(tmp_path) == {"a.jpg": "photo", "out/a.jpg": "photo"}


def test_a_disk_that_keeps_no_modes_and_times_gets_the_photo(
    tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_text("photo")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(shutil, "copystat", refuse)
    assert transfer.transfer(tmp_path / "a.jpg", tmp_path / "out" / "a.jpg")
    assert content(tmp_path / "out") == {"a.jpg": "photo"}


MOVER = """
import os, signal, sys
from pathlib import Path
from vtiqa_jax.photos.transfer import transfer

folder, how = Path(sys.argv[1]), sys.argv[2]
names = [f"{number}.jpg" for number in range(4)]

def move(last):
    events = 0
    def count(event, arguments):
        nonlocal events
        if event == "open" or event.startswith(("os.", "shutil.")):
            events += 1
            if events == last:
                os.kill(os.getpid(), signal.SIGKILL)
    if how == "copies":  # as from one disk to another
        def link(*_): raise OSError(18, "")
        os.link = link
    sys.addaudithook(count)
    for name in [name for name in names if (folder / "in" / name).exists()]:
        assert transfer(folder / "in" / name, folder / "out" / name, move=True)
    os._exit(0)

def check(places, whole):
    for name in names:
        kept = [folder / place / name for place in places]
        kept = [file.read_text() for file in kept if file.exists()]
        assert kept and set(kept) == {name * 9000}, (name, whole)

for last in range(1, 1000):
    for place in ("in", "out"):
        os.makedirs(folder / place, exist_ok=True)
        for file in (folder / place).iterdir():
            file.unlink()
    for name in names:
        (folder / "in" / name).write_text(name * 9000)
    for attempt in (last, 0):  # killed, then the same command
        child = os.fork()
        if not child:
            move(attempt)
        status = os.waitpid(child, 0)[1]
        check(("in", "out"), last)
        if status == 0:
            check(("out",), last)
            assert not list((folder / "in").iterdir())
        assert status in (0, 9), status
        if attempt and status == 0:  # it ended before
            print(last - 1)
            sys.exit()
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["links", "copies"])
def test_a_move_that_is_killed_anywhere_loses_nothing(tmp_path: Path, how: str) -> None:
    """Killed before each of its calls to the operating system, one after the other; then the rest is moved."""
    ended = subprocess.run([sys.executable, "-c", MOVER, tmp_path, how], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) >= 4 * (2 if how == "links" else 5)
