"""Numbers equal to the reference's for the same weights, and every tolerance broken by a port with one mistake."""

from collections.abc import Callable
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage
from PIL import Image

from convert import translate
from convert.check import Difference, compare
from convert.table import tables
from tests import standin
from vtiqa_jax import images, layer_norm, model, params, views
from vtiqa_jax.config import LabelScale, ModelConfig, deit_small
from vtiqa_jax.scoring import Scorer

GOLDEN = Path(__file__).parent / "golden" / "expected.npz"
SKIMAGE = Path(skimage.__file__).parent / "data"
PHOTOS = (SKIMAGE / "astronaut.png", SKIMAGE / "coffee.png", SKIMAGE / "chelsea.png")

RELEASED, ORIGINAL = deit_small(), deit_small(kind="original")


def converted(config: ModelConfig, sources: list[standin.Arrays]) -> params.Params:
    shapes = {key: leaf.shape for key, leaf in params.abstract(config)[1].items()}
    filled: params.Params = {}
    for (name, table), source in zip(tables(config).items(), sources, strict=True):
        filled |= translate.to_jax(name, standin.prefixed(source), table, shapes)
    return filled


@pytest.fixture(scope="module")
def released() -> params.Params:
    return converted(RELEASED, [standin.released()])


@pytest.fixture(scope="module")
def original() -> params.Params:
    return converted(ORIGINAL, list(standin.original()))


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as archive:
        return dict(archive)


def test_every_layer_of_both_models_is_within_its_tolerance(released: params.Params, original: params.Params) -> None:
    found = compare(RELEASED, released, GOLDEN) + compare(ORIGINAL, original, GOLDEN)
    assert [difference.what for difference in found] == [
        *("patch_embed", "block0", "block5", "block11", "features_global", "features_mosaic", "score"),
        *("sensitivity_original", "positions_original", "score_original"),
    ]
    assert [difference for difference in found if not difference.within] == []


def test_photos_to_scores(released: params.Params, original: params.Params, expected: dict[str, np.ndarray]) -> None:
    """From the files, through the scorer that every command uses."""
    scale = LabelScale("stand-in", 1.0, 5.0)
    one = jax.devices()[:1]
    found = Scorer(RELEASED, released, scale, over=one).score(PHOTOS)
    np.testing.assert_allclose(found, expected["score"], atol=1e-4)
    found = Scorer(ORIGINAL, original, scale, over=one).score(PHOTOS)
    np.testing.assert_allclose(found, expected["score_original"], atol=1e-4)


def stored(photos: tuple[Path, ...]) -> tuple[jax.Array, jax.Array]:
    pairs = [images.versions(images.read(path), RELEASED) for path in photos]
    return jnp.asarray(np.stack([pair[0] for pair in pairs])), jnp.asarray(np.stack([pair[1] for pair in pairs]))


def as_torch(view: jax.Array) -> np.ndarray:
    return np.asarray(view).transpose(0, 3, 1, 2)


def test_views_are_equal_bit_for_bit(expected: dict[str, np.ndarray]) -> None:
    small, large = stored(PHOTOS)
    np.testing.assert_array_equal(as_torch(views.centre_global(small, RELEASED)), expected["global_view"])
    np.testing.assert_array_equal(as_torch(views.still_mosaic(large, RELEASED)), expected["mosaic"])
    positions = jnp.asarray(expected["positions_original"].astype(np.int32))
    np.testing.assert_array_equal(as_torch(views.patches_at(large, positions, 32)), expected["mosaic_original"])


def test_pillows_resize_breaks_the_views_and_the_score(
    released: params.Params, expected: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pillow(pixels: np.ndarray, size: tuple[int, int], interpolation: int) -> np.ndarray:
        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))

    monkeypatch.setattr(cv2, "resize", pillow)
    small, large = stored(PHOTOS)
    assert (as_torch(views.centre_global(small, RELEASED)) != expected["global_view"]).mean() > 0.1
    assert (as_torch(views.still_mosaic(large, RELEASED)) != expected["mosaic"]).mean() > 0.1
    ported = params.merge(params.abstract(RELEASED)[0], released)
    assert np.abs(np.asarray(jax.jit(ported.score)(small, large)) - expected["score"]).max() > 1e-2


def broken(differences: list[Difference]) -> set[str]:
    return {difference.what for difference in differences if not difference.within}


LAYERS = {"block0", "block5", "block11", "features_global", "features_mosaic", "score"}


def test_the_tanh_gelu_breaks_every_layer(
    released: params.Params, original: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "gelu", lambda x: jax.nn.gelu(x, approximate=True))
    assert broken(compare(RELEASED, released, GOLDEN)) == LAYERS
    assert broken(compare(ORIGINAL, original, GOLDEN)) == {"sensitivity_original", "score_original"}


def test_torchs_layer_norm_epsilon_breaks_the_deep_layers(
    released: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_norm, "EPSILON", 1e-5)
    assert broken(compare(RELEASED, released, GOLDEN)) == LAYERS - {"block0"}


def swapped(weights: params.Params) -> params.Params:
    """q and k in the wrong order."""
    parts = {key: np.split(array, 3, -1) for key, array in weights.items() if ".attn.qkv." in key}
    return weights | {key: np.concatenate([k, q, v], -1) for key, (q, k, v) in parts.items()}


def transposed(weights: params.Params) -> params.Params:
    """The square matrix whose shape cannot tell."""
    return weights | {key: array.T for key, array in weights.items() if key.endswith("attn.proj.kernel")}


def reversed_patches(weights: params.Params) -> params.Params:
    """The channels of the patch embedding as OpenCV orders them."""
    return weights | {
        key: array.reshape(16, 16, 3, -1)[:, :, ::-1].reshape(768, -1)
        for key, array in weights.items()
        if key.endswith("patch_embed.proj.kernel")
    }


@pytest.mark.parametrize("mistake", [swapped, transposed, reversed_patches])
def test_misplaced_weights_break_everything_after_them(
    released: params.Params, original: params.Params, mistake: Callable[[params.Params], params.Params]
) -> None:
    wrong = broken(compare(RELEASED, mistake(released), GOLDEN))
    assert wrong == LAYERS | ({"patch_embed"} if mistake is reversed_patches else set())
    wrong = broken(compare(ORIGINAL, mistake(original), GOLDEN))
    assert wrong == {"sensitivity_original", "positions_original", "score_original"}


def test_the_golden_file_is_what_the_reference_returns_today(expected: dict[str, np.ndarray]) -> None:
    pytest.importorskip("torch", reason="the PyTorch reference needs torch (the extra `convert`)")
    from tests.golden.make import make

    made = make([cv2.imread(str(path))[:, :, ::-1] for path in PHOTOS])
    assert made.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_allclose(made[key], array, rtol=1e-4, atol=2e-4 * np.abs(array).max(), err_msg=key)
