"""The spectrum of places: a place's own pixels alone, how soft they are, and how that is learnt."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jaxtyping import Float
from onnxruntime import InferenceSession

from vtiqa_jax.export import onnx_spectrum
from vtiqa_jax.export.onnx_graph import Graph
from vtiqa_jax.heads.places import Places
from vtiqa_jax.heads.spectrum import collect_blur, fit_spectrum
from vtiqa_jax.models.detail import CAUSES, NO_STRUCTURE
from vtiqa_jax.models.params import Params, merge_params
from vtiqa_jax.models.spectrum import LEAST, SpectrumHead, count_features, measure_spectrum

GRID = 3


def drawn(rng: np.random.Generator, patch: int, grid: int = GRID) -> np.ndarray:
    return rng.integers(0, 256, (2, grid * patch, grid * patch, 3), np.uint8)


def test_a_place_is_told_by_its_own_pixels_alone(rng: np.random.Generator) -> None:
    view = drawn(rng, 32)
    found = np.asarray(measure_spectrum(jnp.asarray(view), GRID))
    assert found.shape == (2, GRID**2, count_features(32)) == (2, 9, 24)
    other = drawn(rng, 32)
    other[:, 32:64, 64:] = view[:, 32:64, 64:]
    changed = np.asarray(measure_spectrum(jnp.asarray(other), GRID))
    np.testing.assert_array_equal(changed[:, 5], found[:, 5])
    assert (np.abs(np.delete(changed - found, 5, axis=1)).max(-1) > 0).all()


def by_hand(place: np.ndarray) -> list[float]:
    """Of a place of 8 px: loops over pixels."""
    luma = place @ [0.299, 0.587, 0.114]

    def curvature(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inside = range(1, len(plane) - 1)
        down = [[abs(2 * plane[r, c] - plane[r - 1, c] - plane[r + 1, c]) for c in inside] for r in inside]
        across = [[abs(2 * plane[r, c] - plane[r, c - 1] - plane[r, c + 1]) for c in inside] for r in inside]
        return np.array(down), np.array(across)

    down, across = curvature(luma)
    blocks = [(down + across)[r : r + 2, c : c + 2].mean() for r in (0, 2, 4) for c in (0, 2, 4)]
    half = luma.reshape(4, 2, 4, 2).mean((1, 3))
    numbers = [down.mean(), across.mean(), min(blocks), max(blocks), *(part.mean() for part in curvature(half))]
    numbers += [sum(curvature(colour)).mean() for colour in (place[..., 2] - luma, place[..., 0] - luma)]
    return [float(np.log(LEAST + number)) for number in numbers]


def test_the_numbers_are_those_of_loops_over_pixels(rng: np.random.Generator) -> None:
    view = drawn(rng, 8)
    found = np.asarray(measure_spectrum(jnp.asarray(view), GRID))
    expected = by_hand(view[1, 8:16, :8].astype(float))
    np.testing.assert_allclose(found[1, 3], expected, rtol=1e-5)
    for wrong in (view[1, :8, 8:16], view[1, 8:16, :8].swapaxes(0, 1), view[1, 8:16, :8, ::-1]):
        assert np.abs(found[1, 3] - by_hand(wrong.astype(float))).max() > 0.01


def test_nothing_is_told_of_an_even_place() -> None:
    view = jnp.full((1, 96, 96, 3), 77, jnp.uint8)
    np.testing.assert_allclose(measure_spectrum(view, GRID), np.log(LEAST), atol=1e-4)


@pytest.mark.parametrize("patch", [4, 6, 8, 9, 13, 32])
def test_an_onnx_graph_has_the_same_numbers(patch: int, rng: np.random.Generator) -> None:
    op, view = Graph(), drawn(rng, patch)
    found = onnx_spectrum.measure(op, op.cast("view", np.float32), GRID, patch)
    model = op.model(
        {"view": (np.uint8, ("n", *view.shape[1:]))},
        {"spectrum": (found, ("n", GRID**2, count_features(patch)))},
        "spectrum",
        {},
    )
    session = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (said,) = session.run(None, {"view": view})
    expected = np.asarray(measure_spectrum(jnp.asarray(view), GRID))
    np.testing.assert_allclose(said, expected, atol=2e-5)
    assert np.abs(said - expected[:, ::-1]).max() > 0.01


# ---- the fit ----


def partly(rng: np.random.Generator, ladders: int = 60) -> Places:
    """Ladders of a photo that is sharp, blurred inside, around, and all over; a number tells it, of two."""
    inside = rng.random((ladders, 6)) < 0.5
    inside[:, 0], inside[:, 1] = True, False
    beneath = np.zeros((ladders, 4, 6), np.float32)
    beneath[:, 1], beneath[:, 2] = 2 * inside, 2 * ~inside
    beneath[:, 1:3, 2] = np.nan
    octaves = np.tile(np.array([0, 0, 0, 2], np.float32), (ladders, 1))
    blur = beneath + octaves[..., None]
    spectrum = rng.standard_normal((ladders, 4, 2, 6, 2))
    spectrum[..., 0] = 5 - 3 * np.nan_to_num(blur, nan=9)[:, :, None] + 0.1 * spectrum[..., 0]
    spectrum[:, :, 1, :, 0] = 5 - 3 * np.log2(1 + (4 ** np.nan_to_num(blur, nan=9) - 1) / 4) / 2
    count = 4 * ladders
    return Places(
        np.zeros((count, 2, 6, 1), np.float16), spectrum.reshape(count, 2, 6, 2).astype(np.float16),
        np.full((count, 2, 6), NO_STRUCTURE + 1, np.float32), np.repeat(np.arange(ladders, dtype=np.int32), 4),
        np.full(count, CAUSES.index("blur"), np.int32), octaves.ravel(), beneath.reshape(count, 6),
        np.ones(count, np.float32), np.ones(count, bool),
    )  # fmt: skip


def said(fitted: Params, spectra: np.ndarray) -> Float[np.ndarray, " rows"]:
    graphdef = nnx.split(SpectrumHead(2, rngs=nnx.Rngs(0)))[0]
    params = {name.removeprefix("subject.spectrum."): jnp.asarray(array) for name, array in fitted.items()}
    return np.asarray(merge_params(graphdef, params)(jnp.asarray(spectra)))


def test_places_are_collected_with_the_blur_that_each_has(rng: np.random.Generator) -> None:
    made = partly(rng, 5)
    spectra, octaves = collect_blur(made, (1, 2))
    assert len(spectra) == 2 * 5 * (6 + 5 + 5 + 6)  # the place on the edge is known where all are alike
    np.testing.assert_allclose(spectra[:, 0], 5 - 3 * octaves, atol=0.6)
    assert sorted({round(float(octave), 3) for octave in octaves}) == [0, 1.124, 2]
    flat = dataclasses.replace(made, structure=np.where(np.arange(6) == 3, 0, made.structure))
    assert len(collect_blur(flat, (1, 2))[0]) == 2 * 5 * (5 + 4 + 4 + 5)
    even = dataclasses.replace(made, beneath=np.zeros_like(made.beneath))
    assert len(collect_blur(even, (1, 2))[0]) == 0


@pytest.mark.usefixtures("as_people_run")
def test_the_fit_finds_what_was_planted(rng: np.random.Generator) -> None:
    fitted = fit_spectrum(partly(rng, 300), (1, 2))
    spectra, octaves = collect_blur(partly(rng), (1, 2))
    assert np.abs(said(fitted, spectra) - octaves).mean() < 0.1
    assert np.abs(said(fitted, spectra[:, ::-1]) - octaves).mean() > 0.3


@pytest.mark.usefixtures("as_people_run")
def test_photos_none_of_which_is_blurred_in_part_leave_the_head_as_it_was_drawn(rng: np.random.Generator) -> None:
    made = partly(rng, 2)
    even = dataclasses.replace(made, beneath=np.zeros_like(made.beneath))
    head = SpectrumHead(2, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(fit_spectrum(even, (1, 2))["subject.spectrum.fc1.kernel"], head.fc1.kernel[...])
