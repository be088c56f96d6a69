"""A person's CSV, and the cache of its decoded photos."""

import errno
import os
import re
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import cv2
import jax
import numpy as np
import pytest

from vtiqa_jax import sharding
from vtiqa_jax.data import image_cache, manifest
from vtiqa_jax.data.image_cache import build_image_cache
from vtiqa_jax.data.loader import ImageStore
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.photos.decode import read
from vtiqa_jax.photos.resize import prepare


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Six photos, one of them larger than the stored sizes, and a scores.csv."""
    lines = ["image,mos,part"]
    for index in range(6):
        name = f"p{index}.png"
        size = (130, 120) if index == 3 else (20, 25)
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (*size, 3), np.uint8))
        lines.append(f"{name},{index / 2},{'ab'[index % 2]}")
    (tmp_path / "scores.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_a_manifest_is_read_in_its_order(folder: Path) -> None:
    photos = manifest.read_csv(folder / "scores.csv", folder, "part")
    assert photos.names == tuple(f"p{i}.png" for i in range(6))
    np.testing.assert_array_equal(photos.mos, np.arange(6, dtype=np.float32) / 2)
    assert photos.groups == ("a", "b") * 3
    assert photos.images.path(photos.names[3]) == folder / "p3.png"


def test_spreadsheets_put_a_mark_and_spaces(folder: Path) -> None:
    (folder / "excel.csv").write_text("\ufeffimage, mos\r\np0.png, 1\r\np1.png,2\r\n")
    assert manifest.read_csv(folder / "excel.csv", folder).mos.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,score\np0.png,1\n", "no column `mos`.*found: image, score"),
        ("image,mos\np0.png,1\n", "lists 1 photo; at least 2 are needed"),
        ("image,mos\np0.png,1\nnone.png,2\n", "line 3: .*none.png;"),
        ("image,mos\np0.png,good\np1.png,nan\n", "line 2: mos is 'good'.*line 3: mos is 'nan'"),
        ("image,mos\np0.png,1\np0.png,2\n", "line 3: image listed twice: p0.png"),
        ("image,mos\np0.png,1\n./p0.png,2\n", r"line 3: image listed twice: \./p0\.png"),
        ("image,mos\np0.png,\n,2\n", "line 2: mos is ''.*line 3: no image named"),
        ("", "no column `image`"),
    ],
)
def test_a_wrong_manifest_is_refused_with_its_lines(folder: Path, text: str, said: str) -> None:
    (folder / "wrong.csv").write_text(text)
    with pytest.raises(UserError, match=said):
        manifest.read_csv(folder / "wrong.csv", folder)


def test_further_numbers_are_read_and_follow_their_photos(folder: Path) -> None:
    lines = (folder / "scores.csv").read_text().splitlines()
    more = [f"{line},{index / 10}, {100 - index}" for index, line in enumerate(lines[1:])]
    (folder / "more.csv").write_text("\n".join([f"{lines[0]},std,votes", *more]))
    photos = manifest.read_csv(folder / "more.csv", folder, target_columns=("std", "votes"))
    assert list(photos.targets) == ["std", "votes"]
    np.testing.assert_array_equal(photos.targets["std"], np.float32([0, 0.1, 0.2, 0.3, 0.4, 0.5]))
    np.testing.assert_array_equal(photos.targets["votes"], np.float32([100, 99, 98, 97, 96, 95]))
    assert {values.dtype for values in photos.targets.values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(photos.mos, np.arange(6, dtype=np.float32) / 2)
    some = photos.select(np.array([4, 1]))
    assert some.names == ("p4.png", "p1.png")
    np.testing.assert_array_equal(some.targets["std"], np.float32([0.4, 0.1]))
    np.testing.assert_array_equal(some.targets["votes"], np.float32([96, 99]))
    assert manifest.read_csv(folder / "more.csv", folder).targets == {}


def test_further_numbers_that_are_none_are_refused_with_line_and_column(folder: Path) -> None:
    (folder / "wrong.csv").write_text("image,mos,std,votes\np0.png,1,0.5,wide\np1.png,2,inf,3\np2.png,3,0.1,\n")
    said = "line 2: votes is 'wide', not a number; line 3: std is 'inf', not a number; line 4: votes is '', not"
    with pytest.raises(UserError, match=said):
        manifest.read_csv(folder / "wrong.csv", folder, target_columns=("std", "votes"))
    with pytest.raises(UserError, match=r"no column `spread`.*found: image, mos, std, votes"):
        manifest.read_csv(folder / "wrong.csv", folder, target_columns=("spread",))


def test_missing_photos_are_all_named_or_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (folder / "scores.csv").read_text().splitlines()
    gone = [f"gone{number}.png" for number in range(7)]
    mixed = [lines[0], "gone0.png,1,a", *lines[1:4], *(f"sub/{name},2,b" for name in gone[1:]), *lines[4:]]
    (folder / "mixed.csv").write_text("\n".join(mixed))
    out = folder / "run"
    with pytest.raises(UserError) as raised:
        manifest.read_csv(folder / "mixed.csv", folder, out=out)
    said, file = str(raised.value), out / manifest.MISSING_LIST
    assert f"7 of 13 photos do not exist: line 2: {folder / 'gone0.png'}; line 6: " in said
    assert f"and 2 more, all in {file}; correct their names, or leave them out with --partial" in said
    assert file.read_text().splitlines() == ["gone0.png", *(f"sub/{name}" for name in gone[1:])]

    photos = manifest.read_csv(folder / "mixed.csv", folder, "part", target_columns=("mos",), partial=True, out=out)
    whole = manifest.read_csv(folder / "scores.csv", folder, "part")
    assert (photos.names, photos.groups) == (whole.names, whole.groups)
    np.testing.assert_array_equal(photos.mos, whole.mos)
    assert capsys.readouterr().out.count("7 of 13 photos do not exist") == 1


def test_a_few_missing_photos_need_no_file_and_none_at_all_are_no_part(folder: Path) -> None:
    (folder / "few.csv").write_text("image,mos\np0.png,1\nx.png,2\ny.png,3\n")
    for partial in (False, True):
        with pytest.raises(
            UserError, match=r"2 of 3 photos do not exist: line 3: .*x\.png; line 4: .*y\.png; is .* the folder of"
        ):
            manifest.read_csv(folder / "few.csv", folder, partial=partial, out=folder / "run")
    assert not (folder / "run").exists()


def test_a_mistake_in_the_table_is_told_before_missing_photos(folder: Path) -> None:
    """And is not left out."""
    (folder / "both.csv").write_text("image,mos\np0.png,1\np1.png,2\nx.png,good\n")
    with pytest.raises(UserError, match="line 4: mos is 'good', not a number"):
        manifest.read_csv(folder / "both.csv", folder, partial=True)


def test_photos_kept_as_they_are_go_to_the_devices_as_any(folder: Path, config: ModelConfig) -> None:
    photos = manifest.read_csv(folder / "scores.csv", folder)
    cache = build_image_cache(photos, folder / "cache", config)
    mesh, rows = sharding.data_mesh(jax.devices()[:1]), np.array([5, 3, 0])
    stores = [ImageStore(cache, mesh, on_device=on_device) for on_device in (False, True)]
    for name, array in stores[0].read(rows).items():
        np.testing.assert_array_equal(stores[1].read(rows)[name], array)


def test_missing_files_are_named(folder: Path) -> None:
    with pytest.raises(UserError, match=r"missing\.csv cannot be read: No such file"):
        manifest.read_csv(folder / "missing.csv", folder)
    with pytest.raises(UserError, match="nowhere is not a folder"):
        manifest.read_csv(folder / "scores.csv", folder / "nowhere")


@pytest.mark.parametrize("screen_side", [None, 40])
def test_cached_arrays_are_the_resized_photos(folder: Path, config: ModelConfig, screen_side: int | None) -> None:
    config = config.replace(screen_side=screen_side)
    photos = manifest.read_csv(folder / "scores.csv", folder)
    arrays = build_image_cache(photos, folder / "cache", config)
    for row, name in enumerate(photos.names):
        small, large = prepare(read(folder / name).pixels, config.screen_side, config.stored_cuts)
        np.testing.assert_array_equal(arrays.global_images[row], small)
        np.testing.assert_array_equal(arrays.local_images[row : row + 1][0], large)


def test_building_the_cache_goes_on_where_it_stopped_and_notices_changes(
    folder: Path, config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = manifest.read_csv(folder / "scores.csv", folder)
    decoded: list[str] = []
    read = manifest.ImageFolder.read

    def counted(source: manifest.ImageFolder, name: str) -> bytes:
        if len(decoded) == 4 and decoded[-1] != "again":
            raise KeyboardInterrupt
        decoded.append(name)
        return read(source, name)

    monkeypatch.setattr(manifest.ImageFolder, "read", counted)
    monkeypatch.setattr(image_cache, "available_cpus", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        build_image_cache(photos, folder / "cache", config)
    assert len(decoded) == 4
    decoded.append("again")
    build_image_cache(photos, folder / "cache", config)
    assert decoded[5:] == ["p4.png", "p5.png"]
    build_image_cache(photos, folder / "cache", config)
    assert len(decoded) == 7
    cv2.imwrite(str(folder / "p2.png"), np.zeros((9, 9, 3), np.uint8))
    arrays = build_image_cache(photos, folder / "cache", config)
    assert decoded[7:] == ["p2.png"]
    assert not arrays.local_images[2:3].any()
    # A file of the same size and time is another one all the same.
    file, status = folder / "p3.png", (folder / "p3.png").stat()
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    build_image_cache(photos, folder / "cache", config)
    assert decoded[8:] == ["p3.png"]
    # Without its pixels nothing counts as done.
    next(folder.glob("cache/*/local.npy")).unlink()
    build_image_cache(photos, folder / "cache", config)
    assert len(decoded) == 9 + 6


def test_arrays_that_were_cut_off_are_made_again(folder: Path, config: ModelConfig) -> None:
    photos, shared = manifest.read_csv(folder / "scores.csv", folder), folder / "cache"
    before = build_image_cache(photos, shared, config).local_images[:]
    for left in (0, 10, 1000):
        path = next(folder.glob("cache/*/local.npy"))
        path.write_bytes(path.read_bytes()[:left])
        np.testing.assert_array_equal(build_image_cache(photos, shared, config).local_images[:], before)


def test_other_photos_and_other_sizes_do_not_disturb_cached_ones(folder: Path, config: ModelConfig) -> None:
    photos, shared = manifest.read_csv(folder / "scores.csv", folder), folder / "cache"
    arrays = build_image_cache(photos, shared, config)
    before = arrays.local_images[:]
    larger = config.replace(local_resize=2 * config.local_resize)
    rows = np.arange(6)
    for some, other in ((photos.select(rows[:3]), config), (photos.select(rows[::-1]), config), (photos, larger)):
        build_image_cache(some, shared, other)
    np.testing.assert_array_equal(arrays.local_images[:], before)
    # A change seen at one size does not count as seen at the other.
    cv2.imwrite(str(folder / "p2.png"), np.zeros((9, 9, 3), np.uint8))
    build_image_cache(photos, shared, larger)
    assert not build_image_cache(photos, shared, config).local_images[2:3].any()


def test_a_disk_that_is_too_small_is_noticed_after_the_first_photos(
    folder: Path, config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1000))
    monkeypatch.setattr(image_cache, "SAMPLED", 2)
    monkeypatch.setattr(image_cache, "available_cpus", lambda: 1)
    photos = manifest.read_csv(folder / "scores.csv", folder)
    with pytest.raises(UserError, match=r"preparing the other 4 photos needs about 0\.0 GB in .*cache"):
        build_image_cache(photos, folder / "cache", config)
    monkeypatch.undo()
    build_image_cache(photos, folder / "cache", config)


def test_a_disk_that_becomes_full_is_told_and_nothing_counts_as_done_that_is_not(
    folder: Path, config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, write, written = manifest.read_csv(folder / "scores.csv", folder), image_cache._Writer._write, []

    def full(writer: Any, name: str, row: int, values: np.ndarray) -> None:
        written.append(name)
        if len(written) == 13:  # the third photo's pixels
            raise OSError(errno.ENOSPC, "No space left on device")
        write(writer, name, row, values)

    monkeypatch.setattr(image_cache._Writer, "_write", full)
    monkeypatch.setattr(image_cache, "available_cpus", lambda: 1)
    with pytest.raises(UserError, match=r"cache.*: No space left on device; make room and give the same command"):
        build_image_cache(photos, folder / "cache", config)
    done = np.load(next(folder.glob("cache/*/done.npy")))
    assert (done != b"").tolist()[:3] == [True, True, False]
    monkeypatch.undo()
    test_cached_arrays_are_the_resized_photos(folder, config, None)


def test_small_photos_take_no_more_room_than_their_own_pixels(tmp_path: Path, config: ModelConfig) -> None:
    """Not what the same photos take when they are enlarged before they are stored."""
    rng, names = np.random.default_rng(0), [f"{row}.png" for row in range(8)]
    for name in names:
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (64, 96, 3), np.uint8))
    photos = manifest.Manifest(tuple(names), np.zeros(8, np.float32), manifest.ImageFolder(tmp_path))
    large = config.replace(local_resize=768)
    build_image_cache(photos, tmp_path / "cache", large)
    file = next(tmp_path.glob("cache/*/local.npy"))
    page = 4096
    assert file.stat().st_blocks * 512 <= 8 * (64 * 96 * 3 + 2 * page) + page
    assert file.stat().st_size > 8 * 768 * 768 * 3


def test_broken_photos_are_left_out_and_remembered(
    folder: Path, config: ModelConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, shared = manifest.read_csv(folder / "scores.csv", folder), folder / "cache"
    whole = build_image_cache(photos, folder / "before", config).local_images[:]
    content = (folder / "p1.png").read_bytes()
    for name in ("p1.png", "p4.png"):
        (folder / name).write_bytes(b"no picture")
    cache = build_image_cache(photos, shared, config, leave_out_broken=True)
    assert cache.broken == (1, 4)
    said, kept = capsys.readouterr().out, [0, 2, 3, 5]
    assert re.search(r"2 of 6 photos cannot be read: .*p1\.png: not an image.*; .*p4\.png: .*they are left out", said)
    np.testing.assert_array_equal(cache.local_images[np.array(kept)], whole[kept])
    (file,) = shared.rglob(image_cache.BROKEN_LIST)
    assert file.read_text() == "p1.png\np4.png\n"
    # The same again, also for the other processes of a run, without a look at them.
    with monkeypatch.context() as patch:
        patch.setattr(image_cache.images, "decode", lambda *_: pytest.fail("decoded again"))
        assert build_image_cache(photos, shared, config, leave_out_broken=True).broken == (1, 4)
        patch.setattr(sharding, "is_main_process", lambda: False)
        assert build_image_cache(photos, shared, config, leave_out_broken=True).broken == (1, 4)
    # They are broken to whoever wants all, and a mended one is read.
    with pytest.raises(UserError, match=r"2 of 6 photos cannot be read: .*all in .*broken-photos\.txt; replace them"):
        build_image_cache(photos, shared, config)
    (folder / "p1.png").write_bytes(content)
    assert build_image_cache(photos, shared, config, leave_out_broken=True).broken == (4,)


def test_photos_that_cannot_be_read_for_now_are_not_left_out(
    folder: Path, config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is away would cost half of a data set, silently."""
    photos = manifest.read_csv(folder / "scores.csv", folder)

    def away(source: manifest.ImageFolder, name: str) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(manifest.ImageFolder, "read", away)
    with pytest.raises(
        UserError, match=r"6 of 6 photos cannot be read: .*Input/output error.*give the same command again"
    ):
        build_image_cache(photos, folder / "cache", config, leave_out_broken=True)
    monkeypatch.undo()
    assert build_image_cache(photos, folder / "cache", config, leave_out_broken=True).broken == ()


def test_unreadable_photos_are_named_after_the_others_are_done(folder: Path, config: ModelConfig) -> None:
    photos = manifest.read_csv(folder / "scores.csv", folder)
    (folder / "p1.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"1 of 6 photos cannot be read: .*p1\.png: not an image"):
        build_image_cache(photos, folder / "cache", config)
    done = np.load(next(folder.glob("cache/*/done.npy")))
    assert (done != b"").tolist() == [True, False, True, True, True, True]
