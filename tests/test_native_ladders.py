"""Ladders at a photo's own pixels: each step is worse than the one before, and shows the same."""

import itertools

import cv2
import numpy as np
import pytest

from vtiqa_jax.data import native_ladders
from vtiqa_jax.data.native_ladders import (
    FILTERS,
    LADDERS,
    Ladder,
    blur_octaves,
    climb,
    coded,
    disc,
    enlarge,
    path,
    shrink,
)
from vtiqa_jax.models.detail import CAUSES


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """Blobs with fine texture and some sharp edges; odd sides."""
    rng = np.random.default_rng(0)
    blobs = cv2.resize(rng.integers(60, 190, (6, 8, 3)).astype(np.float32), (131, 97), interpolation=cv2.INTER_CUBIC)
    blobs += 8 * rng.standard_normal((97, 131, 1))
    blobs[30:60, 40:90] += 50
    return np.clip(blobs, 0, 255).astype(np.uint8)


def error(made: np.ndarray, photo: np.ndarray) -> float:
    return float(np.abs(made.astype(int) - photo).mean())


@pytest.mark.parametrize("name", LADDERS)
def test_every_step_is_worse_and_keeps_the_photos_size(name: str, photo: np.ndarray) -> None:
    ladder, before = LADDERS[name], photo.copy()
    steps = list(climb(ladder, photo, seed=1))
    assert [octaves for octaves, _ in steps] == list(ladder.octaves)
    for _, made in steps:
        assert made.shape == photo.shape and made.dtype == np.uint8
    np.testing.assert_array_equal(photo, before)  # the photo itself is left alone
    errors = [error(made, steps[0][1]) for _, made in steps]
    assert all(later > earlier + 0.1 for earlier, later in itertools.pairwise(errors)), errors
    if name != "camera_noise":  # whose first step is demosaiced and developed
        np.testing.assert_array_equal(steps[0][1], photo)


@pytest.mark.parametrize("name", LADDERS)
def test_amounts_and_what_they_cost_rise_from_nothing(name: str) -> None:
    ladder = LADDERS[name]
    for numbers in (ladder.amounts, ladder.octaves):
        assert numbers[0] == 0 and len(numbers) == len(ladder.amounts) > 2
        assert all(later > earlier for earlier, later in itertools.pairwise(numbers))


@pytest.mark.parametrize("name", LADDERS)
def test_a_seed_makes_one_ladder(name: str, photo: np.ndarray) -> None:
    (_, one), (_, again), (_, other) = (list(climb(LADDERS[name], photo, seed))[-1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    drawn = name in ("motion", "camera_noise", "white_noise", "grey_noise", "halos", "smeared")
    assert np.array_equal(one, other) != drawn


def test_all_steps_of_a_ladder_are_given_the_same_draws(photo: np.ndarray) -> None:
    """So that a motion goes on along its path, and noise keeps its grains."""
    draws: list[float] = []

    def apply(photo: np.ndarray, _: float, rng: np.random.Generator) -> np.ndarray:
        draws.append(rng.uniform())
        return photo

    list(climb(Ladder("blur", apply, (0.0, 1.0, 2.0), (0.0, 1.0, 2.0)), photo, seed=5))
    assert len(draws) == 3 and len(set(draws)) == 1


def test_what_a_camera_makes_is_a_jpeg_of_one_quality(photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without noise, too: only the noise differs from step to step."""
    written: list[tuple[str, float]] = []

    def write(photo: np.ndarray, kind: str, quality: float) -> np.ndarray:
        written.append((kind, quality))
        return coded(photo, kind, quality)

    monkeypatch.setattr(native_ladders, "coded", write)
    for seed in (1, 2):
        list(climb(LADDERS["camera_noise"], photo, seed))
    steps = len(LADDERS["camera_noise"].amounts)
    assert len(written) == 2 * steps and {kind for kind, _ in written} == {"JPEG"}
    assert len(set(written[:steps])) == len(set(written[steps:])) == 1 and written[0] != written[-1]


def test_every_cause_has_ladders() -> None:
    assert {ladder.cause for ladder in LADDERS.values()} == set(CAUSES)


def spread_of(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre of gravity from the middle, and covariance, pixels."""
    reach = len(kernel) // 2
    places = np.argwhere(np.ones_like(kernel)) - reach
    middle = kernel.ravel() @ places
    return middle, (kernel.ravel()[:, None] * (places - middle)).T @ (places - middle)


@pytest.mark.parametrize("size", [0.3, 1.2, 4.0, 6.5, 28.0])
def test_kernels_keep_the_light_and_move_nothing(size: float) -> None:
    for kernel in (disc(size), *(path(size, np.random.default_rng(seed)) for seed in range(5))):
        assert kernel.shape[0] == kernel.shape[1] and kernel.shape[0] % 2 == 1
        assert kernel.min() >= 0 and kernel.sum() == pytest.approx(1, abs=1e-5)
        assert np.abs(spread_of(kernel)[0]).max() < 0.02


def test_a_path_is_as_long_as_it_says_and_keeps_its_direction() -> None:
    for seed in range(5):
        covariances = [spread_of(path(length, np.random.default_rng(seed)))[1] for length in (10.0, 20.0, 30.0)]
        spreads, directions = zip(*(np.linalg.eigh(covariance) for covariance in covariances), strict=True)
        for length, spread in zip((10, 20, 30), spreads, strict=True):
            # A straight line of this length has a variance of length^2 / 12; ends are a pixel wide.
            assert length**2 / 12 < spread.sum() < 1.3 * length**2 / 12 + 1
        for direction in directions[1:]:
            assert abs(direction[:, 1] @ directions[0][:, 1]) > 0.98


def test_a_disc_is_as_wide_as_a_blur_of_half_its_radius() -> None:
    for radius in (2.0, 3.5, 6.0):
        assert np.sqrt(spread_of(disc(radius))[1][0, 0]) == pytest.approx(radius / 2, rel=0.1)


@pytest.mark.parametrize("name", ["gaussian", "defocus", "motion", "halos", "smeared"])
def test_a_flat_photo_stays_flat(name: str) -> None:
    flat = np.full((40, 50, 3), (90, 130, 170), np.uint8)
    for _, made in climb(LADDERS[name], flat, seed=0):
        assert np.abs(made.astype(int) - flat).max() <= 4


def test_a_photo_is_shrunk_by_several_filters_to_its_size(photo: np.ndarray) -> None:
    made = [shrink(photo, 2.5, np.random.default_rng(seed)) for seed in range(20)]
    assert {small.shape for small in made} == {(39, 52, 3)}  # height and width, not the other way
    assert len({small.tobytes() for small in made}) == 4
    for small in made:
        assert error(small, cv2.resize(photo, (52, 39), interpolation=cv2.INTER_AREA)) < 6


@pytest.mark.parametrize("filter_name", FILTERS)
@pytest.mark.parametrize("factor", [1.0, 1.25, 2.0, 6.0])
def test_an_enlargement_has_its_size_and_shows_the_same(filter_name: str, factor: float, photo: np.ndarray) -> None:
    made = enlarge(photo, factor, filter_name)
    assert made.shape == (round(97 * factor), round(131 * factor), 3) and made.dtype == np.uint8
    back = cv2.resize(made, (131, 97), interpolation=cv2.INTER_AREA)
    assert error(back, photo) < 6  # turned upside down it is 30
    assert error(back[::-1], photo) > 12
    if factor == 1:
        np.testing.assert_array_equal(made, photo)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_every_compression_is_there_and_loses_more_at_a_lower_quality(kind: str, photo: np.ndarray) -> None:
    errors = [error(coded(photo, kind, quality), photo) for quality in (90.0, 50.0, 10.0)]
    assert 0 < errors[0] < errors[1] < errors[2]
    assert coded(photo, kind, 50.0).shape == photo.shape


def test_a_blur_costs_what_enlarging_does() -> None:
    """Nothing for none; an octave more for twice the width, once it is wide."""
    assert blur_octaves(0.0) == 0
    assert blur_octaves(20.0) - blur_octaves(10.0) == pytest.approx(1, abs=0.01)
