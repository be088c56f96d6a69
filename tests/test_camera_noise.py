"""Noise as a camera makes it: what white noise does not show, and colours that stay."""

import dataclasses

import numpy as np
import pytest

from tests.photo_files import smooth
from vtiqa_jax.data.camera_noise import DEMOSAICINGS, Camera, Demosaicing, add_camera_noise

ISO = 3200.0


def a_camera(seed: int, demosaic: Demosaicing, denoising: float = 0.0, sharpening: float = 0.0) -> Camera:
    """One with colours and gains of its own."""
    drawn = Camera.draw(np.random.default_rng(seed))
    return dataclasses.replace(drawn, demosaic=demosaic, denoising=float(denoising), sharpening=float(sharpening))


def develop(photo: np.ndarray, iso: float, camera: Camera, seed: int = 0) -> np.ndarray:
    return add_camera_noise(photo, float(iso), camera, np.random.default_rng(seed)).astype(np.float64)


def noise(level: int, iso: float, camera: Camera, seed: int = 0) -> np.ndarray:
    """What a card of one grey shows beside its colour."""
    card = np.full((96, 128, 3), level, np.uint8)
    return develop(card, iso, camera, seed) - develop(card, 0, camera)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


every_demosaicing = pytest.mark.parametrize("demosaic", DEMOSAICINGS, ids=lambda demosaic: demosaic.__name__)


@every_demosaicing
@pytest.mark.parametrize("seed", range(3))
def test_without_noise_a_smooth_photo_comes_back_in_its_colours(seed: int, demosaic: Demosaicing) -> None:
    photo, camera = smooth(96, 128), a_camera(seed, demosaic)
    assert np.abs(develop(photo, 0, camera) - photo)[2:-2, 2:-2].mean() < 1
    # With red and blue swapped, as by the wrong one of OpenCV's names of the mosaic, it is 20.
    swapped = dataclasses.replace(camera, demosaic=lambda sensor: demosaic(sensor)[:, :, ::-1])
    assert np.abs(develop(photo, 0, swapped) - photo).mean() > 10


@every_demosaicing
def test_black_white_and_grey_stay(demosaic: Demosaicing) -> None:
    for level in (0, 90, 255):
        card = np.full((20, 30, 3), level, np.uint8)
        assert np.abs(develop(card, 0, a_camera(0, demosaic)) - level).max() <= 2


@every_demosaicing
def test_noise_rises_with_the_sensitivity(demosaic: Demosaicing) -> None:
    """A quarter of the light: twice the noise, as photons are counted."""
    spread = [noise(128, iso, a_camera(0, demosaic)).std() for iso in (100, 400, 1600, 6400)]
    assert spread[0] > 1
    ratios = np.divide(spread[1:], spread[:-1])
    assert (ratios > 1.7).all() and (ratios < 2.5).all()


@every_demosaicing
def test_noise_is_spread_over_neighbours_and_channels(demosaic: Demosaicing) -> None:
    found = noise(128, ISO, a_camera(0, demosaic))
    white = np.random.default_rng(0).normal(0, 10, found.shape)
    for values, is_camera in ((found, True), (white, False)):
        beside = correlation(values[:, 1:], values[:, :-1]), correlation(values[1:], values[:-1])
        channels = abs(correlation(values[..., 0], values[..., 1])), abs(correlation(values[..., 1], values[..., 2]))
        assert (min(beside) > 0.3) == is_camera and (min(channels) > 0.1) == is_camera


@every_demosaicing
def test_shadows_are_noisier_than_highlights(demosaic: Demosaicing) -> None:
    camera = a_camera(0, demosaic)
    assert noise(50, ISO, camera).std() > 1.1 * noise(200, ISO, camera).std() > 1.1 * noise(240, ISO, camera).std()


@every_demosaicing
def test_denoising_smears_noise_and_leaves_edges(demosaic: Demosaicing) -> None:
    spread = [noise(128, ISO, a_camera(0, demosaic, strength)).std() for strength in (0, 0.3, 1)]
    assert spread[0] > spread[1] > spread[2] > 1
    edge = np.full((40, 40, 3), 40, np.uint8)
    edge[:, 20:] = 220
    smeared = develop(edge, ISO, a_camera(0, demosaic, 1)).mean(0)
    assert smeared[24:36].mean() - smeared[4:16].mean() > 140


@every_demosaicing
@pytest.mark.parametrize("denoising", [0.0, 0.5])
def test_a_camera_sharpens_its_noise_and_edges_and_changes_no_colour(denoising: float, demosaic: Demosaicing) -> None:
    cameras = [a_camera(0, demosaic, denoising, sharpening) for sharpening in (0, 0.7, 1.5)]
    spread = [noise(128, ISO, camera).mean(2).std() for camera in cameras]
    assert spread[1] > 1.15 * spread[0] and spread[2] > 1.15 * spread[1]
    edge = np.full((40, 40, 3), (90, 80, 70), np.uint8)
    edge[:, 20:] += 60
    rows = [develop(edge, 0, camera)[20] for camera in cameras]
    steepest = [np.diff(row.mean(1)).max() for row in rows]
    assert steepest[1] > steepest[0] + 5 and steepest[2] > steepest[1] + 5
    for row in rows[1:]:
        colours = row - row.mean(1, keepdims=True), rows[0] - rows[0].mean(1, keepdims=True)
        assert np.abs(np.subtract(*colours)).max() <= 1  # rounding; sharpened channel by channel it is 5


@every_demosaicing
@pytest.mark.parametrize("shape", [(1, 1), (1, 33), (2, 9), (3, 3), (7, 5), (33, 1)])
def test_any_size_is_kept(shape: tuple[int, int], demosaic: Demosaicing) -> None:
    made = add_camera_noise(smooth(*shape), ISO, a_camera(0, demosaic, 0.5), np.random.default_rng(0))
    assert made.shape == (*shape, 3) and made.dtype == np.uint8


def test_one_seed_draws_one_camera_and_one_noise() -> None:
    def make(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return add_camera_noise(smooth(40, 50), ISO, Camera.draw(rng), rng)

    np.testing.assert_array_equal(make(3), make(3))
    assert np.abs(make(3).astype(int) - make(4)).mean() > 3


def test_noise_changes_no_colour_in_the_mean() -> None:
    for demosaic in DEMOSAICINGS:
        assert np.abs(noise(128, 800, a_camera(1, demosaic)).mean((0, 1))).max() < 2
