"""Properties that hold for any weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from vtiqa_jax import params, views
from vtiqa_jax.config import LabelScale, ModelConfig, deit_base, deit_small, deit_tiny, small
from vtiqa_jax.model import VTIQA, OriginalVTIQA, build, head_count
from vtiqa_jax.scoring import Scorer


@pytest.fixture
def model(config: ModelConfig) -> VTIQA:
    built = params.merge(params.abstract(config)[0], params.drawn(config, 0))
    assert isinstance(built, VTIQA)
    return built


def random_views(config: ModelConfig, count: int, seed: int = 0) -> tuple[jax.Array, jax.Array]:
    shape = (2, count, config.view_size, config.view_size, 3)
    pair = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return jnp.asarray(pair[0]), jnp.asarray(pair[1])


@pytest.mark.parametrize(("sizes", "millions"), [(deit_tiny(), 5.5), (deit_small(), 21.7), (deit_base(), 85.8)])
def test_the_backbones_have_deits_size(sizes: ModelConfig, millions: float) -> None:
    shapes = params.abstract(sizes.replace(kind="backbone"))[1]
    assert sum(int(np.prod(leaf.shape)) for leaf in shapes.values()) / 1e6 == pytest.approx(millions, abs=0.1)


def test_parameters_are_drawn_as_timm_draws_them_and_heads_with_unit_gain() -> None:
    drawn = params.drawn(small(width=128, heads=2), 0)
    for path, array in drawn.items():
        if path == "head.fc3.kernel":
            continue  # eight numbers have no spread to speak of
        spread = {"bias": 0.0, "scale": 0.0, "kernel": 0.02, "cls_token": 0.02, "pos_embed": 0.02}[path.split(".")[-1]]
        if path.startswith("head.") and spread:
            spread = len(array) ** -0.5
        assert np.std(array) == pytest.approx(spread, rel=0.25), path
        assert np.mean(array) == pytest.approx(float(path.endswith("scale")), abs=0.3 * spread), path
    first, second = (drawn[f"backbone.blocks.{number}.mlp.fc1.kernel"] for number in range(2))
    assert abs(np.corrcoef(np.ravel(first), np.ravel(second))[0, 1]) < 0.05, "each has random numbers of its own"
    again, other = (params.drawn(small(width=128, heads=2), seed) for seed in (0, 1))
    assert all(np.array_equal(again[path], drawn[path]) for path in drawn)
    assert not np.allclose(other["head.fc1.kernel"], drawn["head.fc1.kernel"])


def test_a_batch_is_its_photos_one_by_one(model: VTIQA, config: ModelConfig) -> None:
    first, second = random_views(config, 5)
    alone = [float(model(first[i : i + 1], second[i : i + 1])[0]) for i in range(5)]
    np.testing.assert_allclose(model(first, second), alone, atol=1e-5)
    assert np.ptp(alone) > 1e-3, "the photos must differ for this to mean anything"


def test_both_views_go_through_one_backbone_and_are_told_apart(model: VTIQA, config: ModelConfig) -> None:
    first, second = random_views(config, 2)
    together = model(first, second)
    features = jnp.concatenate([model.backbone(first), model.backbone(second)], axis=1)
    np.testing.assert_allclose(together, model.head(features), atol=1e-5)
    assert np.abs(np.asarray(model(second, first) - together)).max() > 1e-3


def test_dropout_acts_in_training_only(model: VTIQA, config: ModelConfig) -> None:
    pair = random_views(config, 2)
    np.testing.assert_array_equal(model(*pair), model(*pair))
    drawn = [model(*pair, rngs=nnx.Rngs(dropout=seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.allclose(drawn[0], drawn[2])


def test_bfloat16_stays_near_float32(config: ModelConfig, weights: params.Params) -> None:
    """The products are rounded to 8 bits, the sums are not; rounding the residual stream too would exceed this."""
    view, _ = random_views(config, 16)
    exact, rounded = (
        np.asarray(params.merge(params.abstract(config, dtype)[0], weights).backbone(view))
        for dtype in ("float32", "bfloat16")
    )
    assert 0 < np.linalg.norm(exact - rounded) < 0.005 * np.linalg.norm(exact)


def test_bfloat16_gradients_stay_near_float32(config: ModelConfig, weights: params.Params) -> None:
    pair = random_views(config, 4)

    def gradient(dtype: str) -> np.ndarray:
        graphdef = params.abstract(config, dtype)[0]  # type: ignore[arg-type]
        found = jax.grad(lambda p: params.merge(graphdef, p)(*pair).sum())(weights)
        return np.concatenate([np.ravel(leaf) for leaf in found.values()])

    exact, rounded = gradient("float32"), gradient("bfloat16")
    assert 0 < np.linalg.norm(exact - rounded) < 0.03 * np.linalg.norm(exact)


def test_attention_is_softmax_attention(model: VTIQA, rng: np.random.Generator) -> None:
    """Against JAX's own attention, also where logits are so large that exp() without shifting overflows."""
    attention = model.backbone.blocks[0].attn
    x = jnp.asarray(rng.standard_normal((2, 7, 24)).astype(np.float32)) * 3000
    q, k, v = (part.reshape(2, 7, 2, 12) for part in jnp.split(attention.qkv(x), 3, axis=-1))
    expected = attention.proj(jax.nn.dot_product_attention(q, k, v).reshape(2, 7, 24))
    assert np.abs(np.einsum("bqhd,bkhd->bhqk", q, k)).max() * 12**-0.5 > 100
    np.testing.assert_allclose(attention(x), expected, rtol=1e-4, atol=1e-3)


def test_the_last_block_computes_what_is_read(model: VTIQA, config: ModelConfig) -> None:
    """The class token and its gradients are those of a block that computes all tokens."""
    block, drawn = model.backbone.blocks[-1], np.random.default_rng(0).standard_normal((2, 50, config.width))
    graphdef, weights = nnx.split(block)

    def gradients(class_only: bool) -> list[jax.Array]:
        def total(weights: nnx.State, x: jax.Array) -> jax.Array:
            found = nnx.merge(graphdef, weights)(x, class_only=class_only)
            assert found.shape[1] == (1 if class_only else 50)
            return (found[:, 0] ** 3).sum()

        return jax.tree.leaves(jax.value_and_grad(total, (0, 1))(weights, jnp.asarray(drawn, jnp.float32)))

    for alone, among_all in zip(gradients(True), gradients(False), strict=True):
        np.testing.assert_allclose(alone, among_all, rtol=1e-4, atol=1e-5 * np.abs(among_all).max())
        assert np.abs(among_all).max() > 1e-3


def test_eight_devices_score_as_one(
    config: ModelConfig, weights: params.Params, scale: LabelScale, rng: np.random.Generator
) -> None:
    photos = list(rng.integers(0, 256, (11, 40, 50, 3), np.uint8))
    one = Scorer(config, weights, scale, over=jax.devices()[:1])
    eight = Scorer(config, weights, scale, over=jax.devices())
    assert len(jax.devices()) == 8
    expected = one.score(photos)
    np.testing.assert_allclose(eight.score(photos), expected, atol=1e-5 * (scale.high - scale.low))
    np.testing.assert_allclose(one.score(photos, batch_size=4), expected, atol=1e-5 * (scale.high - scale.low))
    alone = [one.score([photo])[0] for photo in photos]
    np.testing.assert_allclose(alone, expected, atol=1e-5 * (scale.high - scale.low))
    assert np.ptp(expected) > 1e-3


@pytest.fixture(scope="module")
def original() -> OriginalVTIQA:
    """Small in width and depth; the views must be 224 px for 7 x 7 windows to fit into the map."""
    sizes = deit_small(kind="original", width=16, depth=1, heads=2)
    built = params.merge(params.abstract(sizes)[0], params.drawn(sizes, 0))
    assert isinstance(built, OriginalVTIQA)
    return built


def test_the_sensitivity_is_the_pooled_gradient(original: OriginalVTIQA) -> None:
    view, _ = random_views(original.config, 1)
    found = np.asarray(original.selector.sensitivity(view))
    assert found.shape == (1, 24, 24)
    gradient = np.asarray(jax.grad(lambda view: original.selector(view)[0])(view))
    assert found[0, 1, 2] == pytest.approx(gradient[0, 9:18, 18:27].sum() / 81, rel=1e-5)
    assert found[0, 1, 2] != pytest.approx(found[0, 2, 1], rel=1e-2)


def test_the_selection_takes_the_first_of_the_greatest(original: OriginalVTIQA) -> None:
    sensitivity = np.zeros((1, 24, 24), np.float32)
    sensitivity[0, 4, 5] = 1  # window (1, 1), its entry (1, 2)
    sensitivity[0, 0, 22] = 9  # outside of the first 21 columns
    sensitivity[0, 9, 10] = sensitivity[0, 10, 9] = 2  # a tie in window (3, 3): row-major first
    positions = np.asarray(original.selector.positions(jnp.asarray(sensitivity), 768))
    assert positions[0, 0, 0].tolist() == [48, 48]
    assert positions[0, 1, 1].tolist() == [int(5.5 / 24 * 768), int(6.5 / 24 * 768)]
    assert positions[0, 3, 3].tolist() == [int(10.5 / 24 * 768), int(11.5 / 24 * 768)]
    assert positions[0, 0, 6].tolist() == [48, int(19.5 / 24 * 768)]
    assert positions.max() + 32 <= 768


def test_the_papers_model_scores_its_own_mosaic(original: OriginalVTIQA, rng: np.random.Generator) -> None:
    small_ones = jnp.asarray(rng.integers(0, 256, (2, 244, 244, 3), np.uint8))
    large_ones = jnp.asarray(rng.integers(0, 256, (2, 768, 768, 3), np.uint8))
    view = views.normalise(views.centre_global(small_ones, original.config))
    mosaic = original.select(view, large_ones)
    assert mosaic.dtype == jnp.uint8
    expected = original(view, views.normalise(mosaic))
    np.testing.assert_allclose(jax.jit(original.score)(small_ones, large_ones), expected, atol=1e-5)


def test_the_papers_model_refuses_views_too_small_to_select_in() -> None:
    with pytest.raises(ValueError, match="too small to select"):
        build(small(kind="original"))


def test_heads_are_64_channels_wide() -> None:
    assert [head_count(width) for width in (192, 384, 768)] == [3, 6, 12]
    with pytest.raises(ValueError, match="100 is not a multiple of 64"):
        head_count(100)
