"""How outputs are written: what a path leads to is replaced whole or written to, and nothing else changes."""

import errno
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vtiqa_jax import atomic
from vtiqa_jax.convert import files
from vtiqa_jax.evaluation import plots
from vtiqa_jax.evaluation.metrics import correlations
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.params import Params
from vtiqa_jax.results import score_files
from vtiqa_jax.results.columns import score_columns
from vtiqa_jax.results.results import ScoreResult

posix = pytest.mark.skipif(os.name != "posix", reason="no such thing on Windows")
root = pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives files away")


def write(path: Path, content: str) -> None:
    """A folder of two files if there is one, otherwise a file."""
    if not path.is_dir():
        atomic.write_text(path, content)
        return
    with atomic.atomic_replace(path) as temporary:
        (temporary / "sub").mkdir(parents=True)
        (temporary / "sub" / content).write_text(content)
        (temporary / "b").write_text(content)


def tree(folder: Path) -> dict[str, str]:
    """All that is in a folder: links by where they lead, files by what they hold."""
    return {
        path.relative_to(folder).as_posix(): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


# ---- what is no plain file ----


@posix
@pytest.mark.parametrize("size", [0, 5, 300_000])  # a pipe holds 64 kB
def test_a_pipe_gets_everything_and_stays_a_pipe(tmp_path: Path, size: int) -> None:
    pipe, content, received = tmp_path / "pipe.csv", "12345" * (size // 5), list[str]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()))
    reader.start()
    atomic.check_output(pipe)
    atomic.write_text(pipe, content)
    reader.join()
    assert received == [content]
    assert stat.S_ISFIFO(pipe.stat().st_mode) and [path.name for path in tmp_path.iterdir()] == ["pipe.csv"]


@posix
def test_an_error_sends_nothing_through_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(KeyboardInterrupt), atomic.atomic_replace(pipe) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert os.read(reader, 10) == b""
    os.close(reader)


@posix
@pytest.mark.parametrize("through", ["name", "link"])
def test_a_device_is_written_to_and_stays(tmp_path: Path, through: str) -> None:
    terminal, other = os.openpty()
    device = Path(os.ttyname(other))
    (tmp_path / "link").symlink_to(device)
    path = device if through == "name" else tmp_path / "link"
    atomic.check_output(path)
    atomic.write_text(path, "scores")
    assert os.read(terminal, 100) == b"scores"
    assert stat.S_ISCHR(device.stat().st_mode) and (tmp_path / "link").is_symlink()
    os.close(terminal), os.close(other)


@root
def test_a_full_device_a_disk_and_a_socket_are_told_and_stay(tmp_path: Path) -> None:
    full, disk = tmp_path / "full", tmp_path / "disk"
    try:
        os.mknod(full, 0o20666, os.makedev(1, 7))
        os.mknod(disk, 0o60666, os.makedev(7, 200))
    except PermissionError:
        pytest.skip("no devices in this container")
    with pytest.raises(OSError, match="No space left"):
        atomic.write_text(full, "scores")
    with pytest.raises(PermissionError, match="is a disk"):
        atomic.check_output(disk)
    with pytest.raises(PermissionError, match="is a disk"):
        atomic.write_text(disk, "scores")
    assert stat.S_ISCHR(full.stat().st_mode) and stat.S_ISBLK(disk.stat().st_mode)


@posix
@pytest.mark.parametrize("folder", ["/dev/fd", "/proc/self/fd", "link"])
def test_an_open_file_is_continued_where_it_stands(tmp_path: Path, folder: str) -> None:
    """As `{ echo first; vtiqa score ... --out /dev/stdout; echo last; } > file` wants it."""
    if not Path("/proc/self/fd" if "proc" in folder else "/dev/fd").exists():
        pytest.skip(f"no {folder} on this system")
    with (tmp_path / "file").open("w") as file:
        print("first", file=file, flush=True)
        path = Path(folder, str(file.fileno()))
        if folder == "link":
            path = tmp_path / "link"
            path.symlink_to(f"/dev/fd/{file.fileno()}")
        atomic.check_output(path)
        atomic.write_text(path, "scores\n")
        print("last", file=file, flush=True)
    assert (tmp_path / "file").read_text() == "first\nscores\nlast\n"


@posix
def test_a_closed_or_read_only_descriptor_is_told_before(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (tmp_path / "file").open() as file:
        path = Path(f"/dev/fd/{file.fileno()}")
        with pytest.raises(OSError, match="Bad file descriptor"):
            atomic.check_output(path)
    with pytest.raises(OSError):
        atomic.check_output(path)


def test_standard_output_is_a_file_too() -> None:
    script = """if True:
    from pathlib import Path
    from vtiqa_jax import atomic
    print("before")
    atomic.check_output(Path("-"))
    atomic.write_text(Path("-"), "scores\\n")
    print("after")
    """
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("before\nscores\nafter\n", "")


# ---- links ----


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("links", ["link", "chain", "relative"])
def test_links_stay_and_what_they_lead_to_is_replaced_again_and_again(tmp_path: Path, kind: str, links: str) -> None:
    place, target = tmp_path / "place", tmp_path / "disk" / "target"
    place.mkdir()
    target.parent.mkdir()
    target.mkdir() if kind == "folder" else target.write_text("old")
    link = place / "link"
    link.symlink_to("../disk/target" if links == "relative" else target)
    if links == "chain":
        (place / "second").symlink_to("link")
        link = place / "second"
    before = tree(place)
    for content in ("first", "2", "third"):
        write(link, content)
        assert tree(place) == before
        expected = {"sub/" + content: content, "b": content} if kind == "folder" else {"target": content}
        assert tree(target if kind == "folder" else target.parent) == expected
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_a_link_to_nowhere_gets_its_target_made(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("purged/deep/scores.csv")
    (tmp_path / "folder").symlink_to("purged/run")
    atomic.write_text(tmp_path / "link", "scores")
    atomic.make_folder(tmp_path / "folder" / "sub")
    assert tree(tmp_path / "purged") == {"deep/scores.csv": "scores"}
    assert (tmp_path / "purged" / "run" / "sub").is_dir()
    assert (tmp_path / "link").is_symlink() and (tmp_path / "folder").is_symlink()


@posix
def test_links_in_a_circle_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for path in (tmp_path / "a", tmp_path / "a" / "scores.csv"):
        for use in (atomic.check_output, atomic.make_folder, lambda path: atomic.write_text(path, "")):
            with pytest.raises(OSError) as refused:
                use(path)
            assert refused.value.errno == errno.ELOOP
    assert tree(tmp_path) == {"a": "-> b", "b": "-> a"}


@pytest.mark.skipif(not hasattr(os, "link"), reason="no hard links")
def test_of_a_file_with_two_names_the_other_keeps_the_old_content(tmp_path: Path) -> None:
    (tmp_path / "snapshot").write_text("old")
    os.link(tmp_path / "snapshot", tmp_path / "scores.csv")
    atomic.write_text(tmp_path / "scores.csv", "new")
    assert tree(tmp_path) == {"snapshot": "old", "scores.csv": "new"}


# ---- owner and mode ----


@posix
@pytest.mark.parametrize("mode", [0o600, 0o666, 0o640, 0o755])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_the_mode_of_what_is_replaced_is_kept(tmp_path: Path, mode: int, kind: str) -> None:
    path = tmp_path / "out"
    mode |= 0o100 if kind == "folder" else 0
    path.mkdir() if kind == "folder" else path.touch()
    path.chmod(mode)
    os.utime(path, (1e9, 1e9))
    write(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.stat().st_mtime > 1.5e9


@posix
def test_a_new_file_obeys_the_umask_and_a_private_one_is_private_while_it_is_written(tmp_path: Path) -> None:
    usual = os.umask(0o027)
    try:
        atomic.write_text(tmp_path / "new", "")
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
        (tmp_path / "new").chmod(0o600)
        os.umask(0)
        with atomic.atomic_replace(tmp_path / "new") as temporary:
            temporary.write_text("secret")
            assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
    finally:
        os.umask(usual)


@root
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_root_leaves_files_to_their_owner(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    path.mkdir() if kind == "folder" else path.touch()
    os.chown(path, 12345, 54321)
    write(path, "new")
    for file in (path, *path.rglob("*")):
        assert (file.stat().st_uid, file.stat().st_gid) == (12345, 54321)


@root
def test_rights_of_a_group_are_not_for_another_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a file of a colleague and her group, who may both write it, is replaced by somebody else."""
    path = tmp_path / "out"
    path.touch()
    os.chown(path, 12345, 54321)
    path.chmod(0o664)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chown", refuse)
    atomic.write_text(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@posix
def test_what_is_protected_is_not_replaced(tmp_path: Path) -> None:
    if os.access("/", os.W_OK):
        pytest.skip("root may write everything")
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o444)
    (tmp_path / "folder").mkdir(0o555)
    for path in (tmp_path / "file", tmp_path / "folder"):
        with pytest.raises(PermissionError):
            write(path, "new")
    assert tree(tmp_path) == {"file": "old"}


def test_extended_attributes_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.touch()
    try:
        os.setxattr(path, "user.note", b"mine")
    except (AttributeError, OSError):
        pytest.skip("this system, or this disk, has none")
    atomic.write_text(path, "new")
    assert os.getxattr(path, "user.note") == b"mine"


# ---- what cannot be replaced ----

MOUNTED = """
set -e
mkdir disk box box/report; echo old > box/scores.csv; touch disk/photo
mount --bind box box; mount --bind box/scores.csv box/scores.csv; mount --bind disk box/report
{protect}
"$PYTHON" - << END
from pathlib import Path
from vtiqa_jax import atomic
for content in ("long content", "new"):
    atomic.check_output(Path("box/scores.csv"))
    atomic.write_text(Path("box/scores.csv"), content)
    with atomic.atomic_replace(Path("box/report")) as temporary:
        (temporary / "sub").mkdir(parents=True)
        (temporary / "sub" / content).write_text(content)
END
"""


@posix
@pytest.mark.parametrize("protect", ["", "mount -o remount,ro,bind box"], ids=["beside", "nothing new beside"])
def test_what_is_mounted_is_written_over(tmp_path: Path, protect: str) -> None:
    """As `docker run -v $PWD/scores.csv:/scores.csv -v $PWD/report:/report`."""
    inside = ["unshare", "--mount", "--map-root-user"]
    if not shutil.which("unshare") or subprocess.run([*inside, "mount", "-t", "tmpfs", "x", "/mnt"]).returncode:
        pytest.skip("no mount namespaces for this user")
    environment = os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(Path(__file__).parents[1])}
    script = [*inside, "sh", "-c", MOUNTED.format(protect=protect)]
    ended = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert tree(tmp_path) == {"box/scores.csv": "new", "disk/sub/new": "new"}
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize("reason", [errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_the_system_will_not_rename_is_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int, kind: str
) -> None:
    path, rename = tmp_path / "out", Path.rename
    path.mkdir() if kind == "folder" else path.write_text("something longer")
    number = path.stat().st_ino

    def refuse(self: Path, target: Path) -> Path:
        if path in (self, target):
            raise OSError(reason, os.strerror(reason))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(Path, "replace", refuse)
    for content in ("first", "new"):
        write(path, content)
    assert tree(tmp_path) == ({"out/sub/new": "new", "out/b": "new"} if kind == "folder" else {"out": "new"})
    assert path.stat().st_ino == number


def test_a_disk_without_room_leaves_what_cannot_be_replaced_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").write_text("old")

    def refuse(*_: object) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 98, 2))
    with pytest.raises(OSError, match="No space left"):
        atomic.write_text(tmp_path / "out", "much longer than before")
    assert tree(tmp_path) == {"out": "old"}
    atomic.write_text(tmp_path / "out", "a")
    assert tree(tmp_path) == {"out": "a"}


# ---- always ----


@posix
@pytest.mark.parametrize("name", ["n" * 255, "\u5199" * 85, "n" * 251 + ".csv"], ids=["letters", "Japanese", "ending"])
def test_names_may_be_as_long_as_a_disk_allows(tmp_path: Path, name: str) -> None:
    for content in ("old", "new"):
        atomic.write_text(tmp_path / name, content)
        assert tree(tmp_path) == {name: content}


@pytest.mark.parametrize("kind", ["new", "file", "folder", "link", "link to nowhere", "inside a new folder"])
@pytest.mark.parametrize("made", ["nothing", "a file", "a folder"])
def test_after_an_error_nothing_has_changed(tmp_path: Path, kind: str, made: str) -> None:
    path = tmp_path / "out"
    if kind == "file":
        path.write_text("old")
    if kind == "folder":
        path.mkdir()
        (path / "old").write_text("old")
    if kind.startswith("link"):
        path.symlink_to("target")
    if kind == "link":
        (tmp_path / "target").write_text("old")
    if kind == "inside a new folder":
        path = path / "sub"
    before = tree(tmp_path)
    with pytest.raises(ZeroDivisionError), atomic.atomic_replace(path) as temporary:
        if made == "a file":
            temporary.write_text("half")
        elif made == "a folder":
            temporary.unlink(missing_ok=True)
            temporary.mkdir()
            (temporary / "half").touch()
        raise ZeroDivisionError
    assert tree(tmp_path) == before


@posix
def test_a_full_disk_is_told_with_the_name_of_what_was_written(tmp_path: Path) -> None:
    """Writing to an open file tells no name."""
    with pytest.raises(OSError, match=r"on device: '.*a\.csv'"), atomic.atomic_replace(tmp_path / "a.csv"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OSError, match="'other'"), atomic.atomic_replace(tmp_path / "a.csv"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "other")


def test_the_check_says_what_writing_would_say(tmp_path: Path) -> None:
    """`check_output` comes before hours of work: what it accepts can be written, what it refuses cannot."""
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("later")
    (tmp_path / "loop").symlink_to("loop")
    paths = {name: tmp_path / name for name in ("file", "new", "link", "dangling", "loop", "folder", "folder/new")}
    paths |= {"below a file": tmp_path / "file" / "x", "too long": tmp_path / ("n" * 256)}
    paths["nothing can be made"] = Path("/dev/fd/x")

    def error(use: Callable[[Path], None], path: Path) -> int | None:
        try:
            use(path)
        except OSError as error:
            return error.errno
        return None

    checked = {name: error(atomic.check_output, path) for name, path in paths.items()}
    refused = {
        "loop": errno.ELOOP,
        "folder": errno.EISDIR,
        "below a file": errno.ENOTDIR,
        "too long": errno.ENAMETOOLONG,
    }
    told = {name: number for name, number in checked.items() if number is not None}
    assert refused.items() <= told.items() and told.keys() - refused.keys() == {"nothing can be made"}
    for name in paths.keys() - {"folder"}:  # a folder may replace it
        written = error(lambda path: atomic.write_text(path, "new"), paths[name])
        assert (written is None) == (checked[name] is None), name
    assert error(atomic.check_output, tmp_path / "none" / "x") == errno.ENOENT  # a folder is mistyped sooner than made


# ---- everything that writes ----


def writers(model: Checkpoint) -> dict[str, Callable[[Path], None]]:
    points, result = np.arange(3.0), ScoreResult("a.jpg", 3.0, None)
    scale = model.scale
    assert scale is not None
    return {
        "s.csv": lambda path: score_files.write_scores(path, ".csv", [result], score_columns(mosaics=False), scale),
        "s.json": lambda path: score_files.write_scores(path, ".json", [result], score_columns(mosaics=False), scale),
        "m.safetensors": lambda path: files.write(path, {"a": points}),
        "scatter.png": lambda path: plots.scatter(path, points, points, correlations(points, points), scale),
        "checkpoint": lambda path: checkpoint.save(path, model, force=True),
    }


@pytest.mark.parametrize("name", ["s.csv", "s.json", "m.safetensors", "scatter.png", "checkpoint"])
def test_whatever_is_written_goes_where_a_link_leads(
    tmp_path: Path, config: ModelConfig, weights: Params, scale: LabelScale, name: str
) -> None:
    (tmp_path / "scratch").mkdir()
    link, target = tmp_path / name, tmp_path / "scratch" / name
    link.symlink_to(target)
    (tmp_path / "plain").touch()
    seen = set()
    for _ in range(3):  # made; replaced; replaced once more
        writers(Checkpoint(config, weights, scale, {}))[name](link)
        assert link.is_symlink() and target.exists() and not target.is_symlink()
        assert [path.name for path in target.parent.iterdir()] == [name]
        made = target if target.is_file() else target / checkpoint.HASHES
        assert made.stat().st_mode == (tmp_path / "plain").stat().st_mode
        seen.add(target.stat().st_ino)
    assert len(seen) > 1


def test_a_folder_that_is_already_there_and_empty_is_filled(
    tmp_path: Path, config: ModelConfig, weights: Params, scale: LabelScale
) -> None:
    """As a folder made on a scratch disk before a link to it is, or mounted into a container."""
    (tmp_path / "scratch").mkdir()
    (tmp_path / "link").symlink_to("scratch")
    checkpoint.save(tmp_path / "link", Checkpoint(config, weights, scale, {}))
    assert checkpoint.load(tmp_path / "scratch").config == config


def test_a_file_never_takes_a_folders_place(tmp_path: Path) -> None:
    folder = tmp_path / "a.png"
    folder.mkdir()
    (folder / "precious").write_text("kept")
    with pytest.raises(IsADirectoryError), atomic.atomic_replace(folder) as temporary:
        temporary.write_bytes(b"a picture")
    assert (folder / "precious").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
