"""Distorted versions of photos: what they look like, whose they are, and what the loss makes of their order."""

import collections
import dataclasses
from pathlib import Path

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from vtiqa_jax.data import batches, distorted, distortions
from vtiqa_jax.data.distorted import DistortedImages
from vtiqa_jax.data.manifest import ImageFolder, Manifest
from vtiqa_jax.errors import UserError
from vtiqa_jax.photos.decode import decode
from vtiqa_jax.training import ranking
from vtiqa_jax.training.ranking import ranking_loss


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """Shapes, colours and a smooth ground, so that every distortion has something to work on."""
    rng = np.random.default_rng(0)
    canvas = cv2.resize(rng.integers(40, 215, (5, 6, 3), np.uint8), (192, 160), interpolation=cv2.INTER_CUBIC)
    for _ in range(30):
        corner, colour = rng.integers(0, 150, 2), rng.integers(0, 256, 3).tolist()
        cv2.rectangle(canvas, corner.tolist(), (corner + rng.integers(4, 30, 2)).tolist(), colour, -1)
    return canvas


@pytest.mark.parametrize("name", distortions.DISTORTIONS)
def test_a_higher_level_is_further_from_the_photo(name: str, photo: np.ndarray) -> None:
    versions = [
        distortions.DISTORTIONS[name](photo, level, np.random.default_rng(3)) for level in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert {(version.shape, version.dtype) for version in versions} == {(photo.shape, np.dtype(np.uint8))}
    distances = [np.abs(version.astype(int) - photo).mean() for version in versions]
    assert distances[0] > 0
    assert (np.diff(distances) > 0).all(), distances
    again = distortions.DISTORTIONS[name](photo, 0.5, np.random.default_rng(3))
    np.testing.assert_array_equal(again, versions[2])


@pytest.mark.parametrize("name", distortions.DISTORTIONS)
def test_photos_of_a_few_pixels_are_distorted_too(name: str, photo: np.ndarray) -> None:
    for level in (0.0, 1.0):
        changed = distortions.DISTORTIONS[name](photo[:3, :5], level, np.random.default_rng(0))
        assert (changed.shape, changed.dtype) == ((3, 5, 3), np.dtype(np.uint8))


@pytest.fixture
def photos(tmp_path: Path, photo: np.ndarray) -> Manifest:
    names = ("a.png", "b|noise|0.500", "c|d.png", "huge.png", "e.png", "f.png")
    for number, name in enumerate(names):
        pixels = np.roll(photo, number, axis=0)
        if name == "huge.png":
            pixels = cv2.resize(pixels, (1200, 1000), interpolation=cv2.INTER_NEAREST)
        (tmp_path / name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return Manifest(names, np.array([5, 4, 3, 6, 1, 2], np.float32), ImageFolder(tmp_path), groups=tuple("xyxyxy"))


def test_versions_are_read_by_name(photos: Manifest) -> None:
    source = DistortedImages(photos.images)
    for name in ("a.png", "c|d.png"):
        assert source.read(name) == photos.images.read(name)
        pixels = decode("", photos.images.read(name)).pixels
        np.testing.assert_array_equal(decode("", source.read(f"{name}|pristine|0.000")).pixels, pixels)
        noisy = decode("", source.read(f"{name}|white_noise|0.500")).pixels
        assert 10 < np.abs(noisy.astype(int) - pixels).mean() < 40
        assert source.read(f"{name}|white_noise|0.500") == source.read(f"{name}|white_noise|0.500")
        assert source.version(name) == photos.images.version(name)
        assert source.version(f"{name}|white_noise|0.500").startswith(photos.images.version(name) + " ")
    assert decode("", source.read("huge.png|pristine|0.000")).pixels.shape == (640, 768, 3)
    with pytest.raises(FileNotFoundError):
        source.read("a.png|no_such_distortion|0.500")


def test_ladders_are_of_good_training_photos_and_change_nothing_else(photos: Manifest) -> None:
    train = np.array([0, 1, 2, 4, 5])
    longer, ladders = distorted.add_ladders(photos, train, 7)
    assert ladders.shape == (7, 1 + len(distorted.LEVELS))
    assert longer.names[:6] == photos.names
    assert len(longer.names) == len(longer.mos) == len(longer.groups) == 6 + ladders.size
    assert sorted(ladders.ravel()) == list(range(6, 6 + ladders.size))
    kinds = []
    for ladder in ladders:
        parts = [longer.names[row].rsplit("|", 2) for row in ladder]
        assert len({part[0] for part in parts}) == 1
        assert parts[0][0] in ("a.png", "b|noise|0.500", "c|d.png")  # not the test photo, not the worse half
        assert parts[0][1:] == ["pristine", "0.000"]
        levels = [float(part[2]) for part in parts]
        assert levels == sorted(levels)
        assert len({part[1] for part in parts[1:]}) == 1
        kinds.append(parts[1][1])
        for row in ladder:
            assert decode("", longer.images.read(longer.names[row])).pixels.dtype == np.uint8
    assert len(set(kinds)) > 4
    turns = len(distortions.DISTORTIONS) + 2 * len(distorted.HARD)
    everything, rows = distorted.add_ladders(photos, train, 2 * turns)
    shown = collections.Counter(everything.names[row].rsplit("|", 2)[1] for row in rows[:, 1])
    assert shown == {name: 6 if name in distorted.HARD else 2 for name in distortions.DISTORTIONS}
    without = [name for name in distortions.DISTORTIONS if name != "noise"]
    same, rows = distorted.add_ladders(photos, train, 2 * turns, without)
    assert {same.names[row].rsplit("|", 2)[1] for row in rows[:, 1:].ravel()} == {"noise"}
    assert rows.shape == (2, 1 + len(distorted.LEVELS))
    assert same.names == everything.names  # what is stored serves a training without them too
    with pytest.raises(UserError, match="leaves none of the 1 of"):
        distorted.add_ladders(photos, train, 1, [*distortions.DISTORTIONS])
    turned = dataclasses.replace(photos, mos=-photos.mos)  # of which lower ones are better
    assert distorted.add_ladders(turned, train, 7, higher_is_better=False)[0].names == longer.names
    columns = distorted.ladder_columns(ladders, len(longer.names))
    assert columns["mask"].tolist() == [1] * 6 + [0] * ladders.size
    assert columns["ladders"].tolist() == [-1] * 6 + np.repeat(np.arange(7), 5).tolist()
    assert columns["level_index"].tolist() == [0] * 6 + list(range(5)) * 7
    assert set(columns["signs"]) == {1}
    assert set(distorted.ladder_columns(ladders, 50, higher_is_better=False)["signs"]) == {-1}


def test_every_ladder_takes_its_turn() -> None:
    shown, ladders = [np.arange(3)] * 7, np.arange(10, 25).reshape(5, 3)
    longer = batches.add_groups(shown, ladders, 2, seed=0, epoch=0)
    assert all(rows[:3].tolist() == [0, 1, 2] and len(rows) == 9 for rows in longer)
    firsts = np.concatenate([rows[3::3] for rows in longer])
    counts = np.unique(firsts, return_counts=True)[1]
    assert counts.sum() == 14
    assert counts.max() - counts.min() <= 1
    other = batches.add_groups(shown, ladders, 2, seed=0, epoch=1)
    assert any((one != two).any() for one, two in zip(longer, other, strict=True))


def test_a_group_is_shown_whole_or_not_at_all(photos: Manifest) -> None:
    added = batches.AuxiliaryPhotos(photos, np.arange(6).reshape(3, 2), 1)
    assert added.without([]).groups.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert added.without([3, 9]).groups.tolist() == [[0, 1], [4, 5]]
    with pytest.raises(UserError, match="none of the 3 groups of photos that the recipe adds can be read"):
        added.without([0, 2, 5])
    assert batches.AuxiliaryPhotos(photos).without([1]).groups.size == 0, "a recipe that adds none misses none"


def test_a_plan_holds_its_batches(photos: Manifest) -> None:
    plan = batches.BatchPlan(np.arange(5), 2, 0, {}, np.arange(5, 11).reshape(2, 3), 1)
    assert (plan.steps, plan.size) == (3, 5)
    assert [len(rows) for rows in plan.epoch(0)] == [5, 5, 4]
    few = batches.BatchPlan(np.arange(3), 8, 0, {})
    assert (few.steps, few.size, sorted(few.epoch(1)[0])) == (1, 3, [0, 1, 2])


def test_the_ranking_loss_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ladders of three, and two photos of none, whose scores do not count."""
    monkeypatch.setattr(ranking, "LEVELS", (0.25, 1.0))
    ladders, level_index = jnp.array([0.0, 0, 0, 1, 1, 1, -1, -1]), jnp.array([0.0, 1, 2, 2, 0, 1, 0, 1])
    scores = jnp.array([1.0, 0.5, 0.4, -1.0, 0.0, 0.3, -9.0, 9.0])
    # The scores fall by 0.5 and 0.1 in the first; by -0.3 and 1.3 in the second, whose photos come in another order.
    wanted = (0 + (0.3 - 0.1) + (0.1 + 0.3) + 0) / 4
    assert ranking_loss(scores, ladders, level_index, 0.4) == pytest.approx(wanted, abs=1e-6)
    assert ranking_loss(scores, ladders, level_index, 0.0) == pytest.approx(0.3 / 4, abs=1e-6)
    assert ranking_loss(scores[:1], ladders[:1], level_index[:1], 0.4) == 0
