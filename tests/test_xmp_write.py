"""Stars on disk: written and taken back, whole or not at all, whatever else is there and whoever stops it."""

import contextlib
import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_xmp_jpeg import PLAIN, photo, segment, xmp
from tests.test_xmp_packet import RATED, STARS, UNRATED
from vtiqa_jax.photos.files import LeftOut, find
from vtiqa_jax.xmp import backup, jpeg, packet
from vtiqa_jax.xmp.packet import Stars
from vtiqa_jax.xmp.place import Place
from vtiqa_jax.xmp.rdf import Refused
from vtiqa_jax.xmp.sidecars import Sidecars
from vtiqa_jax.xmp.write import Outcome, Taken, take_back, write_stars

OTHER = Stars(2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A RAW with a JPEG, a JPEG with a sidecar by another program, a JPEG alone."""
    (tmp_path / "a.nef").write_bytes(b"II*\0" + b"x" * 100)
    (tmp_path / "a.jpg").write_bytes(photo())
    (tmp_path / "b.jpg").write_bytes(PLAIN["a packet"])
    (tmp_path / "b.jpg.xmp").write_bytes(UNRATED["zero as an attribute"])
    (tmp_path / "c.jpg").write_bytes(PLAIN["no EXIF"])
    for file in tmp_path.iterdir():
        os.utime(file, ns=(10**18, 10**18))
    return tmp_path


def photos(folder: Path) -> list[Path]:
    return [folder / name for name in ("a.nef", "a.jpg", "b.jpg", "c.jpg")]


def write_all(folder: Path, stars: Stars = STARS, *, embed: bool = False) -> list[Outcome]:
    sidecars = Sidecars()
    return [write_stars(photo, stars, sidecars, embed=embed) for photo in photos(folder)]


def undo_all(folder: Path) -> list[Taken]:
    """Takes all back; what came of the files that held stars."""
    sidecars = Sidecars()
    places = [Place(file, is_photo=False) for photo in photos(folder) for file in sidecars.list_candidates(photo)]
    places += [Place(photo, is_photo=True) for photo in photos(folder)[1:]]
    return [taken for place in dict.fromkeys(places) if (taken := take_back(place)) != Taken.NOTHING]


def contents(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """All files: content, time, mode."""
    files = {file.name: file for file in folder.iterdir()}
    return {name: (file.read_bytes(), file.stat().st_mtime_ns, file.stat().st_mode) for name, file in files.items()}


def test_each_photo_gets_its_sidecar_and_is_not_touched(folder: Path) -> None:
    before = contents(folder)
    assert write_all(folder) == [Outcome.WRITTEN] * 4
    after = contents(folder)
    assert after.keys() - before.keys() == {"a.xmp", "a.jpg.xmp", "c.jpg.xmp", "b.jpg.xmp.vtiqa-backup"}
    assert all(after[name] == before[name] for name in before if name != "b.jpg.xmp")
    assert after["b.jpg.xmp.vtiqa-backup"] == before["b.jpg.xmp"]
    for name in ("a.xmp", "a.jpg.xmp", "b.jpg.xmp", "c.jpg.xmp"):
        assert packet.read(after[name][0]).holds(STARS)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(after["a.xmp"][2]) == 0o666 & ~umask


@pytest.mark.parametrize("embed", [False, True])
def test_the_same_again_changes_nothing_and_undo_brings_all_back(folder: Path, embed: bool) -> None:
    before = contents(folder)
    write_all(folder, embed=embed)
    first = contents(folder)
    assert write_all(folder, embed=embed) == [Outcome.UNCHANGED] * 4
    assert contents(folder) == first
    assert write_all(folder, OTHER, embed=embed) == [Outcome.WRITTEN] * 4
    assert write_all(folder, embed=embed) == [Outcome.WRITTEN] * 4
    assert {name: data for name, (data, _, _) in contents(folder).items()} == {
        name: its[0] for name, its in first.items()
    }
    assert set(undo_all(folder)) == {Taken.WHOLE}
    assert contents(folder) == before
    assert undo_all(folder) == [] and contents(folder) == before


def test_stars_inside_of_jpegs_keep_their_times_and_modes(folder: Path) -> None:
    (folder / "c.jpg").chmod(0o640)
    before = contents(folder)
    assert write_all(folder, embed=True) == [Outcome.WRITTEN] * 4
    after = contents(folder)
    assert {"a.xmp", "a.jpg.vtiqa-backup", "b.jpg.vtiqa-backup"} <= after.keys() and "a.jpg.xmp" not in after
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        assert after[name][0] != before[name][0] and after[name][1:] == before[name][1:]
        assert after[f"{name}.vtiqa-backup"] == before[name]
    assert packet.read(after["b.jpg.xmp"][0]).holds(STARS)  # which would say something else


def test_what_is_written_is_not_taken_for_photos(folder: Path) -> None:
    found = find([folder])
    write_all(folder, embed=True)
    left_out = LeftOut()
    assert find([folder], left_out) == found and not left_out.counts


@pytest.mark.parametrize("name", RATED)
def test_a_photo_that_a_person_has_rated_is_left_alone(folder: Path, name: str) -> None:
    """In one of its sidecars, or in its own file, whichever of them would be written."""
    (folder / "c.xmp").write_bytes(RATED[name])
    (folder / "a.jpg").write_bytes(photo(xmp(RATED[name])))
    before = contents(folder)
    for embed in (False, True):
        for file in ("a.jpg", "c.jpg"):
            assert write_stars(folder / file, STARS, Sidecars(), embed=embed) == Outcome.KEPT
    assert contents(folder) == before


def change(file: Path, old: bytes, new: bytes) -> None:
    data = file.read_bytes()
    assert data.count(old) == 1
    file.write_bytes(data.replace(old, new))


def test_a_rating_changed_since_is_kept_also_by_undo(folder: Path) -> None:
    write_all(folder)
    change(folder / "b.jpg.xmp", b'xmp:Rating="4"', b'xmp:Rating="5"')
    change(folder / "c.jpg.xmp", b'xmp:Rating="4"', b'xmp:Rating="0"')
    assert write_all(folder, OTHER) == [Outcome.WRITTEN, Outcome.WRITTEN, Outcome.KEPT, Outcome.KEPT]
    assert sorted(undo_all(folder), key=str) == [Taken.STARS_ALONE] * 2 + [Taken.WHOLE] * 2
    assert (folder / "b.jpg.xmp").read_bytes() == UNRATED["zero as an attribute"].replace(b'"0"', b'"5"')
    assert packet.read((folder / "c.jpg.xmp").read_bytes()).rating == 0
    assert not (folder / "a.xmp").exists()


def test_edits_of_another_program_survive_new_stars_and_undo(folder: Path) -> None:
    write_all(folder)
    edited = b"<xmp:Label>Red</xmp:Label></rdf:Description>"
    change(folder / "b.jpg.xmp", b"</rdf:Description>\n  <", edited + b"\n  <") if False else None
    data = (folder / "b.jpg.xmp").read_bytes()
    (folder / "b.jpg.xmp").write_bytes(
        data.replace(b'xmp:Rating="4">', b'xmp:Rating="4"><xmp:Label>Red</xmp:Label>', 1)
    )
    wanted = UNRATED["zero as an attribute"].replace(b'"0">', b'"0"><xmp:Label>Red</xmp:Label>')
    assert write_stars(folder / "b.jpg", OTHER, Sidecars()) == Outcome.WRITTEN
    assert b"Red" in (folder / "b.jpg.xmp").read_bytes()
    assert backup.read(folder / "b.jpg.xmp") == UNRATED["zero as an attribute"]
    assert take_back(Place(folder / "b.jpg.xmp", is_photo=False)) == Taken.STARS_ALONE
    assert (folder / "b.jpg.xmp").read_bytes() == wanted
    assert backup.read(folder / "b.jpg.xmp") == UNRATED["zero as an attribute"]


def test_a_file_that_another_program_wrote_anew_is_not_taken_back(folder: Path) -> None:
    write_all(folder)
    (folder / "b.jpg.xmp").write_bytes(UNRATED["a label"])
    assert sorted(undo_all(folder), key=str) == [Taken.NOT_OURS] + [Taken.WHOLE] * 3
    assert (folder / "b.jpg.xmp").read_bytes() == UNRATED["a label"]


def test_a_lost_backup_is_no_loss(folder: Path) -> None:
    before = contents(folder)
    write_all(folder, embed=True)
    for file in folder.glob("*.vtiqa-backup"):
        file.unlink()
    undo_all(folder)
    assert {name: data for name, (data, _, _) in contents(folder).items()} == {
        name: data for name, (data, _, _) in before.items()
    }


def test_without_hard_links_backups_are_copies(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise PermissionError(1, "no hard links")

    monkeypatch.setattr(os, "link", refuses)
    before = contents(folder)
    write_all(folder, embed=True)
    assert set(undo_all(folder)) == {Taken.WHOLE}
    assert contents(folder) == before


@contextlib.contextmanager
def protected(path: Path, mode: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)


def refused(photo: Path, *, embed: bool = False) -> str:
    with pytest.raises(Refused) as told:
        write_stars(photo, STARS, Sidecars(), embed=embed)
    return str(told.value)


def test_what_cannot_be_written_is_told_by_name_and_nothing_is_half_written(folder: Path) -> None:
    (folder / "link.jpg").symlink_to("c.jpg")
    (folder / "a.jpg.xmp").symlink_to("elsewhere.xmp")
    (folder / "c.jpg.xmp").mkdir()
    (folder / "d.jpg").write_bytes(photo())
    (folder / "d.jpg.xmp").write_bytes(b"<html/>")
    (folder / "e.jpg").write_bytes(photo(segment(jpeg.MULTI_PICTURE, 0xE2)))
    (folder / "e.jpg.xmp").write_bytes(UNRATED["nothing"])  # which could be written, and is not
    before = contents_of_files(folder)
    assert refused(folder / "a.jpg") == f"{folder / 'a.jpg.xmp'}: it is a link"
    assert refused(folder / "c.jpg") == f"{folder / 'c.jpg.xmp'}: it is not a file"
    assert refused(folder / "d.jpg") == f"{folder / 'd.jpg.xmp'}: it is not XMP"
    assert refused(folder / "link.jpg", embed=True) == f"{folder / 'link.jpg'}: it is a link"
    (folder / "a.dng").touch()
    assert refused(folder / "a.nef") == f"{folder}: a.xmp could belong to a.dng or a.nef"
    (folder / "a.dng").unlink()
    assert "several pictures" in refused(folder / "e.jpg", embed=True)
    assert contents_of_files(folder) == before


def contents_of_files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_what_is_protected_stays(folder: Path) -> None:
    with protected(folder / "b.jpg.xmp", 0o444):
        assert "Permission denied" in refused(folder / "b.jpg")
    with protected(folder, 0o555):
        assert "Permission denied" in refused(folder / "c.jpg")


@pytest.mark.parametrize("reason", [errno.EROFS, errno.EACCES, errno.EIO])
def test_where_nothing_can_be_written_it_is_told_by_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def refuses(*_: object) -> int:
        raise OSError(reason, os.strerror(reason))

    before = contents(folder)
    monkeypatch.setattr(os, "open", refuses)
    assert refused(folder / "b.jpg") == f"{folder / 'b.jpg.xmp'}: {os.strerror(reason)}"
    assert refused(folder / "c.jpg", embed=True) == f"{folder / 'c.jpg'}: {os.strerror(reason)}"
    assert contents(folder) == before


@pytest.mark.parametrize("embed", [False, True])
def test_a_full_disk_leaves_all_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch, embed: bool) -> None:
    before = contents(folder)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for each in photos(folder):
        with pytest.raises(OSError, match="No space left"):
            write_stars(each, STARS, Sidecars(), embed=embed)
    assert contents(folder) == before


def test_a_file_that_another_program_is_writing_is_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = Place.check

    def slow(place: Place, *arguments: object) -> None:
        check(place, *arguments)  # type: ignore[arg-type]
        (folder / "b.jpg.xmp").write_bytes(UNRATED["a label"])

    monkeypatch.setattr(Place, "check", slow)
    assert refused(folder / "b.jpg") == f"{folder / 'b.jpg.xmp'}: another program is writing it"
    assert (folder / "b.jpg.xmp").read_bytes() == UNRATED["a label"]


KILLED = """
import os, signal, sys
from pathlib import Path
from vtiqa_jax.xmp.packet import Stars
from vtiqa_jax.xmp.place import Place
from vtiqa_jax.xmp.sidecars import Sidecars
from vtiqa_jax.xmp.write import take_back, write_stars

folder, last, what = sys.argv[1:]
calls = 0

def count(event, arguments):
    global calls
    if event in ("open", "os.link", "os.rename", "os.remove", "os.chmod", "os.utime"):
        if any(isinstance(each, (str, os.PathLike)) and str(each).startswith(folder) for each in arguments):
            calls += 1
            if calls == int(last):
                os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
sidecars = Sidecars()
for photo in (Path(folder, name) for name in ("a.nef", "b.jpg")):
    if what == "write":
        write_stars(photo, Stars(4, ("vtiqa: too dark", "vtiqa: out of focus")), sidecars, embed=True)
    else:
        for file in sidecars.list_candidates(photo):
            take_back(Place(file, is_photo=False))
        take_back(Place(photo, is_photo=photo.suffix == ".jpg"))
"""


def run_killed(folder: Path, call: int, what: str) -> int:
    return subprocess.run([sys.executable, "-c", KILLED, str(folder), str(call), what], check=False).returncode


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("what", ["write", "undo"])
def test_a_kill_at_any_step_loses_nothing(folder: Path, tmp_path_factory: pytest.TempPathFactory, what: str) -> None:
    """Before every call that opens, links, renames or removes a file: each file is the old one or the new one."""
    old = contents_of_files(folder)
    done = tmp_path_factory.mktemp("done") / "done"
    shutil.copytree(folder, done)
    write_all(done, embed=True)
    new = contents_of_files(done)
    start = folder if what == "write" else done
    call = 0
    while True:
        call += 1
        copy = tmp_path_factory.mktemp("killed") / "copy"
        shutil.copytree(start, copy)
        status = run_killed(copy, call, what)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        for name, data in contents_of_files(copy).items():
            if not name.startswith("."):
                assert data in (old.get(name), new.get(name)), name
        assert old.keys() <= {file.name for file in copy.iterdir()}
        write_all(copy, embed=True)
        undo_all(copy)
        left = contents_of_files(copy)
        assert {name: data for name, data in left.items() if not name.startswith(".")} == old
        shutil.rmtree(copy)
    assert call > 10


def test_this_room_needs_no_jax() -> None:
    modules = [
        f"vtiqa_jax.xmp.{file.stem}" for file in Path(packet.__file__).parent.glob("*.py") if file.stem[0] != "_"
    ]
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "vtiqa_jax.xmp.write" in loaded and not {"jax", "flax"} & set(loaded)
