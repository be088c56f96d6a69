"""What places show by themselves: a place's own pixels alone, the same in an exported file, and how it is learnt."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from onnxruntime import InferenceSession

from vtiqa_jax.export import onnx_pixels
from vtiqa_jax.export.onnx_layers import ModelGraph
from vtiqa_jax.heads.ladder_batches import FitOptions
from vtiqa_jax.heads.pixels import fit_pixels
from vtiqa_jax.heads.places import Places
from vtiqa_jax.heads.standardization import by_name
from vtiqa_jax.models.detail import CAUSES, NO_STRUCTURE
from vtiqa_jax.models.params import Params, merge_params
from vtiqa_jax.models.pixels import CONVOLUTIONS, LEAST, MIDDLE, SPREAD, PixelHead, cut_squares, unfold

GRID = 3


@pytest.fixture
def head() -> PixelHead:
    return PixelHead(rngs=nnx.Rngs(0))


def drawn(rng: np.random.Generator, patch: int, grid: int = GRID) -> np.ndarray:
    return rng.integers(0, 256, (2, grid * patch, grid * patch, 3), np.uint8)


def test_a_place_is_told_by_its_own_pixels_alone(head: PixelHead, rng: np.random.Generator) -> None:
    view, other = drawn(rng, 32), drawn(rng, 32)
    found = np.asarray(head(cut_squares(jnp.asarray(view), GRID)))
    assert found.shape == (2, GRID**2)
    other[:, 32:64, 64:] = view[:, 32:64, 64:]
    changed = np.asarray(head(cut_squares(jnp.asarray(other), GRID)))
    np.testing.assert_allclose(changed[:, 5], found[:, 5], atol=1e-6)
    assert (np.abs(np.delete(changed - found, 5, axis=1)) > 1e-5).all()


@pytest.mark.parametrize(("kernel", "stride", "side"), [(4, 2, 32), (3, 2, 15), (3, 1, 7), (3, 2, 2), (4, 2, 4)])
def test_a_product_with_windows_is_a_convolution(kernel: int, stride: int, side: int, rng: np.random.Generator) -> None:
    planes = rng.standard_normal((2, side, side, 5)).astype(np.float32)
    weights = rng.standard_normal((kernel, kernel, 5, 7)).astype(np.float32)
    found = np.asarray(unfold(jnp.asarray(planes), kernel, stride) @ weights.reshape(-1, 7))
    narrow = max(0, kernel - side)
    padding, order = [(0, narrow)] * 2, ("NHWC", "HWIO", "NHWC")
    expected = jax.lax.conv_general_dilated(
        jnp.asarray(planes), jnp.asarray(weights), (stride,) * 2, padding, dimension_numbers=order
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)
    turned = weights.swapaxes(0, 1).reshape(-1, 7)
    assert np.abs(unfold(jnp.asarray(planes), kernel, stride) @ turned - expected).max() > 0.1


def test_what_is_seen_is_that_of_loops_over_layers(head: PixelHead, rng: np.random.Generator) -> None:
    place = drawn(rng, 16, 1)[0]
    levels = (place.astype(np.float64) - MIDDLE) / SPREAD
    colour = levels.mean((0, 1))
    planes, seen = levels - colour, []
    for layer, (kernel, stride, channels) in zip(head.convolutions, CONVOLUTIONS, strict=True):
        count = (max(len(planes), kernel) - kernel) // stride + 1
        made = np.zeros((count, count, channels))
        for row, column in np.ndindex(count, count):
            window = np.zeros((kernel, kernel, planes.shape[-1]))
            part = planes[stride * row : stride * row + kernel, stride * column : stride * column + kernel]
            window[: part.shape[0], : part.shape[1]] = part
            made[row, column] = window.ravel() @ np.asarray(layer.kernel, np.float64)
        planes = np.maximum(made, 0)
        seen += [np.log(LEAST + planes.mean((0, 1))), np.log(LEAST + planes.max((0, 1)))]
    expected = np.concatenate([*seen[2:], colour])
    np.testing.assert_allclose(head.see(jnp.asarray(place)), expected, atol=1e-3)
    for wrong in (place[::-1], place.swapaxes(0, 1), place[..., ::-1]):
        assert np.abs(head.see(jnp.asarray(wrong)) - expected).max() > 0.01


@pytest.mark.parametrize("patch", [4, 8, 13, 16, 32])
def test_an_onnx_graph_tells_the_same(patch: int, head: PixelHead, rng: np.random.Generator) -> None:
    params, view = by_name(nnx.split(head, nnx.Param)[1], "subject.pixels."), drawn(rng, patch)
    params = {name: array + 0.1 if name.endswith("bias") else array for name, array in params.items()}
    op = ModelGraph(params, "float32", 1)
    softness = onnx_pixels.find_softness(op, op.cast("view", np.float32), GRID, patch)
    assert op.unused_params() == []
    view_shape, shape = ("n", *view.shape[1:]), ("n", GRID**2)
    model = op.model({"view": (np.uint8, view_shape)}, {"softness": (softness, shape)}, "pixels", {})
    session = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    said = np.asarray(session.run(None, {"view": view})[0])
    expected = np.asarray(fitted(params)(cut_squares(jnp.asarray(view), GRID)))
    np.testing.assert_allclose(said, expected, atol=5e-5)
    assert np.abs(said - expected[:, ::-1]).max() > 1e-3


# ---- the fit ----


def fitted(params: Params) -> PixelHead:
    graphdef = nnx.split(PixelHead(rngs=nnx.Rngs(0)))[0]
    named = {name.removeprefix("subject.pixels."): jnp.asarray(array) for name, array in params.items()}
    merged = merge_params(graphdef, named)
    assert isinstance(merged, PixelHead)
    return merged


def textures(rng: np.random.Generator, ladders: int) -> Places:
    """Sharp ladders of grain, enlarged once and twice more: each pixel is 1, 2 or 4 wide; and of other contrasts."""
    versions = []
    for width in (1, 2, 4):
        grain = rng.standard_normal((ladders, 1, 6, 16 // width, 16 // width, 3)).repeat(width, 3).repeat(width, 4)
        contrast = rng.uniform(10, 60, (ladders, 1, 6, 1, 1, 1))
        versions.append(np.clip(128 + contrast * grain, 0, 255).astype(np.uint8))
    squares = np.stack(versions, axis=1).reshape(3 * ladders, 1, 6, 16, 16, 3)
    count = len(squares)
    nothing, factor = np.zeros(count, np.float32), np.tile(np.array([1, 2, 4], np.float32), ladders)
    return Places(
        np.zeros((count, 1, 6, 1), np.float16), squares, np.full((count, 1, 6), NO_STRUCTURE + 1, np.float32),
        np.repeat(np.arange(ladders, dtype=np.int32), 3), np.full(count, CAUSES.index("blur"), np.int32),
        nothing, np.zeros((count, 6), np.float32), factor, np.ones(count, bool),
    )  # fmt: skip


@pytest.mark.usefixtures("as_people_run")
def test_the_fit_finds_what_was_planted_whatever_the_contrast(rng: np.random.Generator) -> None:
    options = FitOptions(pixel_epochs=12, ladders=4, learning_rate=3e-3)
    learnt = fitted(fit_pixels(textures(rng, 64), (1,), options))
    unseen = textures(rng, 16)
    lost, wanted = np.asarray(learnt(jnp.asarray(unseen.squares)))[:, 0].mean(1), np.log2(unseen.factor)
    assert np.abs(lost - wanted).mean() < 0.2
    assert np.abs(lost[::-1] - wanted).mean() > 0.5
