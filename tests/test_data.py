"""A person's CSV, its division, and the prepared arrays."""

import os
import shutil
from collections import namedtuple
from pathlib import Path

import cv2
import numpy as np
import pytest

from vtiqa_jax import images, manifest, prepared
from vtiqa_jax.config import ModelConfig
from vtiqa_jax.errors import UserError


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Six photos and a scores.csv."""
    lines = ["image,mos,part"]
    for index in range(6):
        name = f"p{index}.png"
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (20, 25, 3), np.uint8))
        lines.append(f"{name},{index / 2},{'ab'[index % 2]}")
    (tmp_path / "scores.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_a_manifest_is_read_in_its_order(folder: Path) -> None:
    photos = manifest.read(folder / "scores.csv", folder, "part")
    assert photos.names == tuple(f"p{i}.png" for i in range(6))
    np.testing.assert_array_equal(photos.mos, np.arange(6, dtype=np.float32) / 2)
    assert photos.groups == ("a", "b") * 3
    assert photos.paths[3] == folder / "p3.png"


def test_spreadsheets_put_a_mark_and_spaces(folder: Path) -> None:
    (folder / "excel.csv").write_text("\ufeffimage, mos\r\np0.png, 1\r\np1.png,2\r\n")
    assert manifest.read(folder / "excel.csv", folder).mos.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,score\np0.png,1\n", "no column `mos`.*found: image, score"),
        ("image,mos\np0.png,1\n", "lists 1 photos"),
        ("image,mos\np0.png,1\nnone.png,2\n", "line 3: .*none.png does not exist"),
        ("image,mos\np0.png,good\np1.png,nan\n", "line 2: mos is 'good'.*line 3: mos is 'nan'"),
        ("image,mos\np0.png,1\np0.png,2\n", "line 3: image listed twice: p0.png"),
        ("image,mos\np0.png,1\n./p0.png,2\n", r"line 3: image listed twice: \./p0\.png"),
        ("image,mos\np0.png\n,2\n", "line 2: mos is ''.*line 3: no image named"),
        ("", "no column `image`"),
    ],
)
def test_a_wrong_manifest_is_refused_with_its_lines(folder: Path, text: str, said: str) -> None:
    (folder / "wrong.csv").write_text(text)
    with pytest.raises(UserError, match=said):
        manifest.read(folder / "wrong.csv", folder)


def test_missing_files_are_named(folder: Path) -> None:
    with pytest.raises(UserError, match=r"missing\.csv cannot be read: No such file"):
        manifest.read(folder / "missing.csv", folder)
    with pytest.raises(UserError, match="nowhere is not a folder"):
        manifest.read(folder / "scores.csv", folder / "nowhere")


def test_prepared_arrays_are_the_photos_versions(folder: Path, config: ModelConfig) -> None:
    photos = manifest.read(folder / "scores.csv", folder)
    arrays = prepared.prepare(photos.paths, folder / "prepared", config)
    for row, path in enumerate(photos.paths):
        small, large = images.versions(images.read(path), config)
        np.testing.assert_array_equal(arrays.global_versions[row], small)
        np.testing.assert_array_equal(arrays.local_versions[row], large)


def test_preparing_goes_on_where_it_stopped_and_notices_changes(
    folder: Path, config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = manifest.read(folder / "scores.csv", folder)
    decoded: list[str] = []
    read = images.read

    def counted(path: Path) -> np.ndarray:
        if len(decoded) == 4 and decoded[-1] != "again":
            raise KeyboardInterrupt
        decoded.append(path.name)
        return read(path)

    monkeypatch.setattr(images, "read", counted)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        prepared.prepare(photos.paths, folder / "prepared", config)
    assert len(decoded) == 4
    decoded.append("again")
    prepared.prepare(photos.paths, folder / "prepared", config)
    assert decoded[5:] == ["p4.png", "p5.png"]
    prepared.prepare(photos.paths, folder / "prepared", config)
    assert len(decoded) == 7
    cv2.imwrite(str(folder / "p2.png"), np.zeros((9, 9, 3), np.uint8))
    arrays = prepared.prepare(photos.paths, folder / "prepared", config)
    assert decoded[7:] == ["p2.png"]
    assert not arrays.local_versions[2].any()
    # Without its pixels nothing counts as done.
    next(folder.glob(f"prepared/*/local_{config.local_size}.npy")).unlink()
    prepared.prepare(photos.paths, folder / "prepared", config)
    assert len(decoded) == 8 + 6


def test_arrays_that_were_cut_off_are_made_again(folder: Path, config: ModelConfig) -> None:
    photos, shared = manifest.read(folder / "scores.csv", folder), folder / "prepared"
    before = np.array(prepared.prepare(photos.paths, shared, config).local_versions)
    for left in (0, 10, 1000):
        path = next(folder.glob(f"prepared/*/local_{config.local_size}.npy"))
        path.write_bytes(path.read_bytes()[:left])
        np.testing.assert_array_equal(prepared.prepare(photos.paths, shared, config).local_versions, before)


def test_other_photos_and_other_sizes_do_not_disturb_prepared_ones(folder: Path, config: ModelConfig) -> None:
    photos, shared = manifest.read(folder / "scores.csv", folder), folder / "prepared"
    arrays = prepared.prepare(photos.paths, shared, config)
    before = np.array(arrays.local_versions)
    larger = config.replace(local_size=2 * config.local_size)
    for paths, other in ((photos.paths[:3], config), (photos.paths[::-1], config), (photos.paths, larger)):
        prepared.prepare(paths, shared, other)
    np.testing.assert_array_equal(arrays.local_versions, before)
    # A change seen at one size does not count as seen at the other.
    cv2.imwrite(str(folder / "p2.png"), np.zeros((9, 9, 3), np.uint8))
    prepared.prepare(photos.paths, shared, larger)
    assert not prepared.prepare(photos.paths, shared, config).local_versions[2].any()


def test_a_full_disk_is_noticed_before_anything_is_written(
    folder: Path, config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1000))
    with pytest.raises(UserError, match=r"preparing 6 photos needs 0\.0 GB in .*prepared"):
        prepared.prepare(manifest.read(folder / "scores.csv", folder).paths, folder / "prepared", config)
    assert not list(folder.glob("prepared/*/*"))


def test_unreadable_photos_are_named_after_the_others_are_done(folder: Path, config: ModelConfig) -> None:
    photos = manifest.read(folder / "scores.csv", folder)
    (folder / "p1.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"1 of 6 photos cannot be read: .*p1\.png: not an image"):
        prepared.prepare(photos.paths, folder / "prepared", config)
    done = np.load(next(folder.glob("prepared/*/done.npy")))
    assert (done != b"").tolist() == [True, False, True, True, True, True]
