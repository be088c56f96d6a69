"""Which files are photos: what is found in folders, what is left out, and that it is said."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vtiqa_jax.commands.photos import find_photos
from vtiqa_jax.commands.selection import Selection
from vtiqa_jax.errors import UserError
from vtiqa_jax.evaluation import plots
from vtiqa_jax.evaluation.metrics import correlations
from vtiqa_jax.gallery.looks import LOOKS
from vtiqa_jax.gallery.page import GalleryHeader, open_gallery
from vtiqa_jax.gallery.preview import Preview
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.photos import files, formats, own
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.scoring.quality_map import QualityMap


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def look(*paths: Path, **settings: Any) -> tuple[list[str], files.LeftOut]:
    """What is found, relative to the first path, and what is left out."""
    left_out = files.LeftOut()
    return [os.path.relpath(file, paths[0]) for file in files.find(paths, left_out, **settings)], left_out


# ---- names ----


def test_folders_are_searched_at_any_depth_in_order(tmp_path: Path) -> None:
    make(tmp_path, "z.jpg", "b/deep/a.PNG", "b/notes.txt", "b/c.tiff", "b-c/d.jpg", "b.jpg", "B.jpg")
    found, left_out = look(tmp_path, tmp_path / "b" / "notes.txt")
    assert found == ["B.jpg", "b/c.tiff", "b/deep/a.PNG", "b-c/d.jpg", "b.jpg", "z.jpg", "b/notes.txt"]
    assert str(left_out) == ""


@pytest.mark.parametrize("ending", sorted(formats.PICTURES))
def test_a_picture_of_any_ending_is_found_or_counted(tmp_path: Path, ending: str) -> None:
    make(tmp_path, f"a{ending}", f"b{ending.upper()}")
    found, left_out = look(tmp_path)
    if ending in formats.UNREAD:
        assert (found, str(left_out)) == ([], f"left out: {ending} that cannot be read 2 ({tmp_path}/a{ending}, ...)")
    else:
        assert (found, str(left_out)) == ([f"a{ending}", f"b{ending.upper()}"], "")


@pytest.mark.parametrize("ending", [".jfif", ".jpe", ".jif", ".jfi", ".dib", ".tiff", ".webp", ".heics", ".mpo"])
def test_less_usual_endings_are_photos(ending: str) -> None:
    assert files.judge_file(f"a{ending}", files.judge_endings()) is None


def test_formats_without_their_extra_are_counted_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a.png", "b.HEIC", "c.heif", "d.CR3", "e.txt")
    assert look(tmp_path)[0] == ["a.png", "b.HEIC", "c.heif", "d.CR3"]
    monkeypatch.setattr(formats, "find_spec", lambda module: None)
    found, left_out = look(tmp_path)
    assert found == ["a.png"]
    assert left_out.counts == {"HEIC that needs vtiqa-jax[heif]": 2, "camera RAW that needs vtiqa-jax[raw]": 1}


LEFT_OUT = {
    "._a.jpg": files.HIDDEN,
    ".hidden.jpg": files.HIDDEN,
    ".thumbnails/1.jpg": files.HIDDEN,
    ".Trash-1000/files/gone.jpg": files.HIDDEN,
    ".picasaoriginals/a.jpg": files.HIDDEN,
    ".@__thumb/a.jpg": files.HIDDEN,
    "may/.private/a.jpg": files.HIDDEN,
    "@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg": files.FOREIGN,
    "__MACOSX/a.jpg": files.FOREIGN,
    "may/$RECYCLE.BIN/S-1-5/a.jpg": files.FOREIGN,
    "System Volume Information/a.jpg": files.FOREIGN,
    "#recycle/a.jpg": files.FOREIGN,
    "@Recycle/a.jpg": files.FOREIGN,
    "2025 Previews.lrdata/0/1.jpg": files.FOREIGN,
    "Mine.photoslibrary/resources/derivatives/1.jpg": files.FOREIGN,
    "clip.MOV": "videos",
    "all.zip": "archives",
    "a.jxl": ".jxl that cannot be read",
    "IMG_0001": files.NO_ENDING,
}


@pytest.mark.parametrize(("name", "reason"), LEFT_OUT.items(), ids=LEFT_OUT)
def test_what_is_no_photo_is_left_out_and_counted(tmp_path: Path, name: str, reason: str) -> None:
    make(tmp_path, "a.jpg", "Mine.photoslibrary/originals/0/b.jpg", name)
    (tmp_path / name).write_bytes(b"\xff\xd8\xff")
    found, left_out = look(tmp_path)
    assert found == ["Mine.photoslibrary/originals/0/b.jpg", "a.jpg"]
    assert left_out.counts == {reason: 1}
    # The same names are no photos in tars and buckets.
    assert files.judge_path(name, files.judge_endings()) == reason


@pytest.mark.parametrize("name", ["Thumbs.db", ".DS_Store", "a.xmp", "a.jpg.json", "scores.csv", "IMG_1.AAE"])
def test_of_what_is_no_picture_nothing_is_said(tmp_path: Path, name: str) -> None:
    make(tmp_path, name, "README")
    assert str(look(tmp_path)[1]) == ""
    assert files.judge_path(name, files.judge_endings()) == files.NO_PICTURE


@pytest.mark.parametrize("name", ["._a.jpg", "@eaDir/a.jpg", ".hidden/a.jpg", "clip.mov", "IMG_0001"])
def test_what_is_named_is_taken(tmp_path: Path, name: str) -> None:
    make(tmp_path, name)
    assert files.find([tmp_path / name]) == [str(tmp_path / name)]
    folder = (tmp_path / name).parent
    if folder != tmp_path:
        assert files.find([folder]) == [str(tmp_path / name)]


def test_what_is_left_out_is_one_line() -> None:
    left_out = files.LeftOut()
    for number in range(12):
        left_out.add("hidden", f".{number}.jpg")
        left_out.add(files.UNREADABLE, f"locked{number}")
    left_out.add("videos", "a.mov")
    locked = ", ".join(f"locked{number}" for number in range(10))
    assert str(left_out) == f"left out: hidden 12 (.0.jpg, ...); cannot be opened 12 ({locked}, ...); videos 1 (a.mov)"


# ---- folders ----


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that nobody, not even root, may open."""
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if os.path.basename(path) == "locked":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        yield tmp_path / "locked"


def test_a_folder_that_cannot_be_opened_is_named_and_stops_nothing(
    tmp_path: Path, locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path, "a.jpg", "locked/l.jpg", "z/b.jpg")
    assert find_photos([tmp_path]) == [tmp_path / "a.jpg", tmp_path / "z" / "b.jpg"]
    assert capsys.readouterr().err == f"left out: cannot be opened 1 ({locked}: Permission denied)\n"
    with pytest.raises(UserError, match=r"no photos in .*locked"):
        find_photos([locked])


def test_linked_folders_are_searched_once_and_circles_end(tmp_path: Path) -> None:
    photos, disk = tmp_path / "photos", tmp_path / "disk"
    make(photos, "a.jpg", "may/b.jpg")
    make(disk, "c.jpg", "deep/d.jpg")
    (photos / "2025").symlink_to(disk)
    (photos / "again").symlink_to(disk / "deep")
    (photos / "april").symlink_to("may")  # comes first, and yet the folder's own name is shown
    (photos / "loop").symlink_to(".")
    (photos / "may" / "loop").symlink_to(photos)
    (disk / "back").symlink_to(photos)
    found, left_out = look(photos)
    assert found == ["2025/c.jpg", "2025/deep/d.jpg", "a.jpg", "may/b.jpg"]
    assert str(left_out) == ""
    # Whatever arguments lead there, too.
    assert look(photos, disk, photos / "april", photos / "loop")[0] == found
    (tmp_path / "link").symlink_to(photos)
    assert files.find([tmp_path / "link"])[2] == f"{tmp_path}/link/a.jpg"


def test_linked_files_are_photos_and_broken_links_are_counted(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    (tmp_path / "c.jpg").symlink_to("gone.jpg")
    (tmp_path / "d.jpg").symlink_to("d.jpg")
    (tmp_path / "disk").symlink_to("/gone")
    os.mkfifo(tmp_path / "pipe.jpg")
    found, left_out = look(tmp_path)
    assert found == ["a.jpg", "b.jpg"]
    assert left_out.counts == {files.NO_FILE: 4}


def test_a_file_that_is_given_twice_is_one_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a.jpg", "sub/b.jpg", "sub/._c.jpg")
    monkeypatch.chdir(tmp_path)
    assert files.find(["a.jpg", "./a.jpg", tmp_path / "a.jpg", "sub/../a.jpg", "gone.jpg", "gone.jpg"]) == [
        "a.jpg",
        "gone.jpg",
    ]
    assert files.find([".", "a.jpg", "sub"]) == ["./sub/b.jpg", "a.jpg"]
    assert files.find(["sub/b.jpg", "sub/._c.jpg", "."]) == ["sub/b.jpg", "sub/._c.jpg", "./a.jpg"]


def test_files_are_not_asked_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a network's disk each question takes a millisecond."""
    make(tmp_path, *(f"{folder}/{name}.{kind}" for folder in "ab" for name in range(50) for kind in ("jpg", "png")))
    stat, asked = os.stat, []

    def count(path: Any, *arguments: Any, **named: Any) -> os.stat_result:
        asked.append(path)
        return stat(path, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", count)
        patch.setattr("builtins.open", lambda *_: pytest.fail("a photo was opened"))
        assert len(files.find([tmp_path])) == 200
    assert len(asked) <= 5  # the folder, three times, and the two below it


def test_names_that_are_not_utf8_are_found(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    names = [b"a.jpg", b"caf\xe9.jpg", b"z\xff\xfe/\xe8.png"]
    paths = [Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)) for name in names]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    paths[2].with_suffix(".jxl").touch()
    assert find_photos([tmp_path]) == paths
    assert find_photos(paths) == paths
    assert capfdbinary.readouterr().err.count(b"\n") == 1


# ---- what the product made ----


def test_a_report_is_no_photos(tmp_path: Path, scale: LabelScale) -> None:
    make(tmp_path, "a.jpg", "mine/thumbnails/b.jpg", "mine/views/c.jpg")
    (tmp_path / "mine" / "index.html").write_text("<html>a page of my own")
    preview = Preview(b"thumbnail", b"views", np.zeros(len(LOOKS), np.float32))
    with open_gallery(tmp_path / "report") as gallery:
        gallery.add(ScoreResult(tmp_path / "a.jpg", 3.0, None), preview)
        gallery.finish(GalleryHeader("", "", scale, "", ""))
    found, left_out = look(tmp_path)
    assert found == ["a.jpg", "mine/thumbnails/b.jpg", "mine/views/c.jpg"]
    assert left_out.counts == {files.OWN: 2}
    assert look(tmp_path / "report")[0] == []


def test_maps_and_plots_are_no_photos(tmp_path: Path, scale: LabelScale) -> None:
    make(tmp_path, "a.jpg", "mine.jpg.png", "scatter.png")
    photo = np.zeros((8, 8, 3), np.uint8)
    QualityMap(np.eye(2), np.array([0.25, 0.75]), scale, photo=photo).save(tmp_path / "a.jpg.png", "caf\udce9.jpg")
    mos = np.arange(4.0)
    plots.scatter(tmp_path / "scatter-test.png", mos, mos, correlations(mos, mos), scale)
    found, left_out = look(tmp_path)
    assert found == ["a.jpg", "mine.jpg.png", "scatter.png"]
    assert left_out.counts == {files.OWN: 2}
    assert look(tmp_path / "a.jpg.png")[0] == ["."], "unless it is named"


def test_a_result_of_bulk_is_no_source(tmp_path: Path) -> None:
    make(tmp_path, "a.parquet", "mine/b.parquet", "mine.progress/c.txt")
    make(tmp_path, "out/0.parquet", f"out{own.PROGRESS}/{own.BEGUN}")
    found, left_out = look(tmp_path, containers=(".parquet",))
    assert found == ["a.parquet", "mine/b.parquet"]
    assert left_out.counts == {files.OWN: 2}


def choose(folder: Path, to: Path, *, move: bool = False) -> None:
    results = [ScoreResult(Path(photo), 3.0, None) for photo in files.find([folder], outputs=[to])]
    selection = Selection(move_to=to, yes=True) if move else Selection(copy_to=to)
    targets = selection.plan([folder], [result.image for result in results])
    assert selection.apply(results, len(results), targets, [folder])


@pytest.mark.parametrize("move", [False, True], ids=["copied", "moved"])
def test_chosen_photos_are_not_chosen_again(tmp_path: Path, move: bool) -> None:
    make(tmp_path, "photos/a.jpg", "photos/sub/b.jpg")
    photos = tmp_path / "photos"
    choose(photos, photos / "best", move=move)
    left = [] if move else ["a.jpg", "sub/b.jpg"]
    found, left_out = look(photos)
    assert (found, left_out.counts) == (left, {files.OWN: 1})
    assert look(photos / "best")[0] == ["a.jpg", "sub/b.jpg"], "they are found where they are looked for"
    assert set(look(photos, photos / "best")[0]) == {*left, "best/a.jpg", "best/sub/b.jpg"}
    assert own.MARK not in os.listdir(photos)


def test_sidecars_that_stay_behind_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, "photos/a.jpg", "photos/b.jpg")
    (tmp_path / "photos" / "a.jpg.xmp").write_text("a person's")
    choose(tmp_path / "photos", tmp_path / "best", move=True)
    assert "1 sidecars (.xmp) stay behind" in capsys.readouterr().err
    assert (tmp_path / "photos" / "a.jpg.xmp").read_text() == "a person's"
    make(tmp_path, "others/c.jpg")
    choose(tmp_path / "others", tmp_path / "best")
    assert "stay behind" not in capsys.readouterr().err


def test_photos_that_are_named_are_chosen_into_the_folder_beside_them(tmp_path: Path) -> None:
    make(tmp_path, "photos/a.jpg")
    photo, best = tmp_path / "photos" / "a.jpg", tmp_path / "photos" / "best"
    selection = Selection(copy_to=best)
    assert selection.apply([ScoreResult(photo, 3.0, None)], 1, selection.plan([photo], [photo]), [photo])
    assert look(tmp_path / "photos")[0] == ["a.jpg"]


def test_a_folder_of_ones_own_stays_a_folder_of_photos(tmp_path: Path) -> None:
    make(tmp_path, "photos/a.jpg", "photos/favourites/mine.jpg")
    choose(tmp_path / "photos", tmp_path / "photos" / "favourites")
    assert look(tmp_path / "photos")[0] == ["a.jpg", "favourites/a.jpg", "favourites/mine.jpg"]
    choose(tmp_path / "photos", tmp_path / "elsewhere" / "new")  # an import, say
    assert "a.jpg" in {Path(file).name for file in files.find([tmp_path / "elsewhere"])}


# ---- globs ----


def test_a_glob_is_searched_as_deep_as_it_goes(tmp_path: Path, locked: Path) -> None:
    make(tmp_path, "a/1.jpg", "a/._1.jpg", "a/b/2.jpg", "c/3.jpg", "c/[x].jpg", "locked/4.jpg", "5.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)

    def match(pattern: str) -> tuple[list[str], list[str]]:
        left_out = files.LeftOut()
        found = files.find_matching(f"{tmp_path}/{pattern}", left_out)
        return [os.path.relpath(file, tmp_path) for file in found], sorted(left_out.counts)

    assert match("*/*.jpg") == (["a/1.jpg", "c/3.jpg", "c/[x].jpg"], [files.UNREADABLE, files.HIDDEN])
    assert match("[ac]/?.jpg") == (["a/1.jpg", "c/3.jpg"], [])
    assert match("*/b/*") == (["a/b/2.jpg"], [files.UNREADABLE])
    assert match("*") == (["5.jpg"], [])


def test_a_members_folder_counts_in_tars() -> None:
    endings = files.judge_endings()
    assert files.judge_path("./a/b.JPG", endings) is None
    assert files.judge_path("__MACOSX/a/._b.jpg", endings) == files.FOREIGN
    assert files.judge_path("a/.git/b.jpg", endings) == files.HIDDEN
