"""Which photos are shots of one scene, by their fingerprints alone."""

import numpy as np
import pytest

from tests.test_gallery import noise
from vtiqa_jax.choosing import fingerprints
from vtiqa_jax.choosing.fingerprints import connect, correlate, group_similar
from vtiqa_jax.data import demo, distortions
from vtiqa_jax.photos.resize import Rgb
from vtiqa_jax.photos.sketch import make_sketch


def fingerprint(pixels: Rgb) -> fingerprints.Fingerprint:
    return fingerprints.fingerprint(make_sketch(pixels).grey)


def test_a_series_is_found_and_other_photos_stay_apart() -> None:
    rng = np.random.default_rng(0)
    found, expected = [], []
    for scene, original in enumerate(demo.originals().values()):
        height, width = original.shape[:2]
        shot = original[: height - height // 21, : width - width // 21]
        shifted = original[height // 21 :, width // 21 :]  # by a twentieth of the shot
        series = [shot, shifted, np.uint8(shot * 0.35), 255 - np.uint8((255 - shot) * 0.5)]
        series += [distort(shot, 0.4, rng) for distort in (distortions.defocus, distortions.noise)]
        found += [fingerprint(np.ascontiguousarray(pixels)) for pixels in series]
        expected += [scene] * len(series)
    groups = group_similar(np.stack(found))
    np.testing.assert_array_equal(groups, expected)


def horizon(seed: int) -> Rgb:
    rng = np.random.default_rng(seed)
    rows = np.where(np.arange(200) < rng.integers(95, 105), rng.integers(150, 250), rng.integers(10, 90))
    return np.clip(rows[:, None, None] + rng.normal(0, 6, (200, 300, 3)), 0, 255).astype(np.uint8)


def test_a_horizon_alone_makes_no_series(monkeypatch: pytest.MonkeyPatch) -> None:
    found = np.stack([fingerprint(horizon(seed)) for seed in range(20)])
    assert (group_similar(found) == -1).all()

    def whole(prints: np.ndarray, top: int, left: int) -> np.ndarray:
        vectors = prints[:, top : top + 16, left : left + 16].reshape(len(prints), -1)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    monkeypatch.setattr(fingerprints, "_windows", whole)  # the means of rows and columns left in
    assert (group_similar(found) >= 0).sum() > 10


def test_frames_of_one_colour_are_no_series() -> None:
    black = fingerprint(np.zeros((50, 50, 3), np.uint8))
    assert (group_similar(np.stack([black, black])) == -1).all()


def test_no_photos_and_one() -> None:
    assert len(group_similar(np.empty((0, fingerprints.SIDE, fingerprints.SIDE), np.float32))) == 0
    assert group_similar(fingerprint(noise(0))[None]).tolist() == [-1]


@pytest.mark.parametrize("block", [1, 3, 1024])
def test_groups_do_not_depend_on_how_the_work_is_cut(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "BLOCK", block)
    a, b, c = (fingerprint(noise(seed)) for seed in range(3))
    assert group_similar(np.stack([c, a, b, a, b, b])).tolist() == [-1, 0, 1, 0, 1, 1]


def test_shots_connected_by_a_third_are_one_group() -> None:
    a, b = fingerprint(noise(1)), fingerprint(noise(2))
    middle = a / np.linalg.norm(a) + np.float32(1.15) * b / np.linalg.norm(b)
    assert group_similar(np.stack([a, b])).tolist() == [-1, -1]
    assert group_similar(np.stack([a, b, middle])).tolist() == [0, 0, 0]


def test_pairs_correlate_as_groups_are_made(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the pairs are cut, and whichever of two is the first."""
    monkeypatch.setattr(fingerprints, "PAIRS", 2)
    scene = noise(0, 80, 120)
    shots = [scene[:76, :114], scene[4:, 6:], noise(1, 76, 114)]
    prints = np.stack([fingerprint(np.ascontiguousarray(shot)) for shot in shots])
    found = correlate(prints, np.array([[0, 1, 0, 1, 0], [1, 0, 2, 2, 0]]))
    assert min(found[[0, 1, 4]]) > 0.8 > 0.4 > max(found[[2, 3]])
    assert correlate(prints, np.empty((2, 0), np.int64)).shape == (0,)


def test_thousands_of_one_photo_are_one_group() -> None:
    """Of whose pairs a list would fill the memory."""
    group = np.arange(50_000)
    for start in range(0, 49_999, 7_000):
        ends = np.arange(start, min(start + 7_000, 49_999))
        group = connect(group, np.stack([ends, ends + 1]))
    assert len(set(group.tolist())) == 1
    assert set(fingerprints.number_groups(group).tolist()) == {0}
