"""Numbers equal to the reference's for the same weights, and every tolerance broken by a port with one mistake."""

from collections.abc import Callable
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage

from tests import standin
from vtiqa_jax.convert import translate
from vtiqa_jax.convert.check import Difference, compare
from vtiqa_jax.convert.table import tables
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models import views, vit
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig, deit_small
from vtiqa_jax.models.params import Params, param_shapes
from vtiqa_jax.models.vit import Implementation
from vtiqa_jax.photos import resize
from vtiqa_jax.photos.decode import read
from vtiqa_jax.photos.resize import prepare
from vtiqa_jax.scoring.scorer import Scorer

GOLDEN = Path(__file__).parent / "golden" / "expected.npz"
SKIMAGE = Path(skimage.__file__).parent / "data"
PHOTOS = (SKIMAGE / "astronaut.png", SKIMAGE / "coffee.png", SKIMAGE / "chelsea.png")

FROM_PIXELS = 5e-3
"""Tolerance of a score from a photo, of scores that go from -10 to 3: 1e-4 for the model, the rest for pixels that
OpenCV rounds otherwise, see `assert_same_pixels`."""

RELEASED, ORIGINAL = deit_small(), deit_small(kind="original")


def converted(config: ModelConfig, sources: list[standin.Arrays]) -> Params:
    shapes = param_shapes(config)
    params: Params = {}
    for (name, table), source in zip(tables(config).items(), sources, strict=True):
        params |= translate.to_jax(name, standin.prefixed(source), table, shapes)
    return params


@pytest.fixture(scope="module")
def released() -> Params:
    return converted(RELEASED, [standin.released()])


@pytest.fixture(scope="module")
def original() -> Params:
    return converted(ORIGINAL, list(standin.original()))


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as archive:
        return dict(archive)


@pytest.mark.parametrize("implementation", ["xla", "cpu"])
def test_every_layer_of_both_models_is_within_its_tolerance(
    released: Params, original: Params, implementation: Implementation
) -> None:
    differences = compare(RELEASED, released, GOLDEN, implementation)
    differences += compare(ORIGINAL, original, GOLDEN, implementation)
    assert [difference.quantity for difference in differences] == [
        *("patch_embed", "block0", "block5", "block11", "features_global", "features_mosaic", "score"),
        *("sensitivity_original", "positions_original", "score_original"),
    ]
    assert [difference for difference in differences if not difference.within] == []


def test_photos_to_scores(released: Params, original: Params, expected: dict[str, np.ndarray]) -> None:
    """From the files, through the scorer that every command uses."""
    scale = LabelScale("stand-in", 1.0, 5.0)
    one = jax.devices()[:1]
    scores = Scorer(RELEASED, released, scale, devices=one).score(PHOTOS)
    np.testing.assert_allclose(scores, expected["score"], atol=FROM_PIXELS)
    scores = Scorer(ORIGINAL, original, scale, devices=one).score(PHOTOS)
    np.testing.assert_allclose(scores, expected["score_original"], atol=FROM_PIXELS)


def resized(photos: tuple[Path, ...]) -> tuple[jax.Array, jax.Array]:
    pairs = [prepare(read(path).pixels, RELEASED.screen_side, RELEASED.stored_cuts) for path in photos]
    return jnp.asarray(np.stack([pair[0] for pair in pairs])), jnp.asarray(np.stack([pair[1] for pair in pairs]))


def as_torch(view: jax.Array) -> np.ndarray:
    return np.asarray(view).transpose(0, 3, 1, 2)


def assert_same_pixels(pixels: np.ndarray, expected: np.ndarray) -> None:
    """Equal but for pixels that OpenCV, with Intel's IPP, rounds the other way: five of ten thousand."""
    difference = np.abs(pixels.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def test_views_are_equal(expected: dict[str, np.ndarray]) -> None:
    small, large = resized(PHOTOS)
    assert_same_pixels(as_torch(views.center_crop(small, 224)), expected["global_view"])
    assert_same_pixels(as_torch(views.keep(large, RELEASED.eval_cuts[1])), expected["mosaic"])
    positions = jnp.asarray(expected["positions_original"].astype(np.int32))
    assert_same_pixels(as_torch(views.patches_at(large, positions, 32)), expected["mosaic_original"])


@pytest.mark.slow
def test_pillows_kernel_breaks_the_views_and_the_score(
    released: Params, expected: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resize, "CUBIC_A", -0.5)
    small, large = resized(PHOTOS)
    assert (as_torch(views.center_crop(small, 224)) != expected["global_view"]).mean() > 0.1
    assert (as_torch(views.keep(large, RELEASED.eval_cuts[1])) != expected["mosaic"]).mean() > 0.1
    model = Checkpoint(RELEASED, released, None, {}).model()
    scores = np.asarray(jax.jit(model.score)(small, large))  # type: ignore[union-attr]
    assert np.abs(scores - expected["score"]).max() > 1e-2


def broken(differences: list[Difference]) -> set[str]:
    return {difference.quantity for difference in differences if not difference.within}


LAYERS = {"block0", "block5", "block11", "features_global", "features_mosaic", "score"}


@pytest.mark.slow
def test_the_tanh_gelu_breaks_every_layer(released: Params, original: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vit, "gelu", lambda x, implementation: jax.nn.gelu(x, approximate=True))
    assert broken(compare(RELEASED, released, GOLDEN)) == LAYERS
    assert broken(compare(ORIGINAL, original, GOLDEN)) == {"sensitivity_original", "score_original"}


@pytest.mark.slow
def test_torchs_layer_norm_epsilon_breaks_the_deep_layers(released: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vit, "LAYER_NORM_EPSILON", 1e-5)
    parameters.abstract_model.cache_clear()
    try:
        assert broken(compare(RELEASED, released, GOLDEN)) == LAYERS - {"block0"}
    finally:
        parameters.abstract_model.cache_clear()


def swapped(weights: Params) -> Params:
    """q and k in the wrong order."""
    parts = {key: np.split(array, 3, -1) for key, array in weights.items() if ".attn.qkv." in key}
    return weights | {key: np.concatenate([k, q, v], -1) for key, (q, k, v) in parts.items()}


def transposed(weights: Params) -> Params:
    """The square matrix whose shape cannot tell."""
    return weights | {key: array.T for key, array in weights.items() if key.endswith("attn.proj.kernel")}


def reversed_patches(weights: Params) -> Params:
    """The channels of the patch embedding as OpenCV orders them."""
    return weights | {
        key: array.reshape(16, 16, 3, -1)[:, :, ::-1].reshape(768, -1)
        for key, array in weights.items()
        if key.endswith("patch_embed.proj.kernel")
    }


@pytest.mark.slow
@pytest.mark.parametrize("mistake", [swapped, transposed, reversed_patches])
def test_misplaced_weights_break_everything_after_them(
    released: Params, original: Params, mistake: Callable[[Params], Params]
) -> None:
    wrong = broken(compare(RELEASED, mistake(released), GOLDEN))
    assert wrong == LAYERS | ({"patch_embed"} if mistake is reversed_patches else set())
    wrong = broken(compare(ORIGINAL, mistake(original), GOLDEN))
    assert wrong == {"sensitivity_original", "positions_original", "score_original"}


@pytest.mark.slow
def test_the_golden_file_is_what_the_reference_returns_today(expected: dict[str, np.ndarray]) -> None:
    pytest.importorskip("torch", reason="the PyTorch reference needs torch (the extra `convert`)")
    from tests import reference
    from tests.golden import make

    photos = [cv2.imread(str(path))[:, :, ::-1] for path in PHOTOS]
    global_view, mosaic, selected = (
        expected[name].transpose(0, 2, 3, 1) for name in ("global_view", "mosaic", "mosaic_original")
    )
    pairs = [reference.views(photo) for photo in photos]
    assert_same_pixels(np.stack([pair[0] for pair in pairs]), global_view)
    assert_same_pixels(np.stack([pair[1] for pair in pairs]), mosaic)
    assert_same_pixels(make.select_patches(photos, expected["positions_original"]), selected)
    made = make.released_values(global_view, mosaic) | make.selector_values(global_view)
    made["score_original"] = make.original_score(global_view, selected)
    assert made.keys() | {"global_view", "mosaic", "mosaic_original"} == expected.keys()
    for name, array in made.items():
        tolerance = 2e-4 * np.abs(expected[name]).max()
        np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=tolerance, err_msg=name)
