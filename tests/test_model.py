"""Properties that hold for any weights."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from vtiqa_jax.models import views
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.config import LabelScale, ModelConfig, deit_base, deit_small, deit_tiny, tiny_config
from vtiqa_jax.models.original import OriginalVTIQA
from vtiqa_jax.models.params import (
    Params,
    abstract_model,
    create_model,
    flatten_params,
    init_params,
    merge_params,
    param_shapes,
)
from vtiqa_jax.models.vit import Implementation
from vtiqa_jax.models.vtiqa import VTIQA
from vtiqa_jax.scoring.scorer import Scorer


@pytest.fixture(scope="module")
def model(config: ModelConfig) -> VTIQA:
    created = create_model(config, rngs=nnx.Rngs(0))
    assert isinstance(created, VTIQA)
    return created


def compiled(module: Any) -> Any:
    """Calls a module, or a method of one, as one program."""
    return jax.jit(lambda *arguments, **named: module(*arguments, **named), static_argnames=("cls_only",))


def random_views(config: ModelConfig, count: int, seed: int = 0) -> tuple[jax.Array, jax.Array]:
    shape = (2, count, config.view_size, config.view_size, 3)
    pair = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return jnp.asarray(pair[0]), jnp.asarray(pair[1])


@pytest.mark.parametrize(("sizes", "millions"), [(deit_tiny(), 5.5), (deit_small(), 21.7), (deit_base(), 85.8)])
def test_the_backbones_have_deits_size(sizes: ModelConfig, millions: float) -> None:
    shapes = param_shapes(sizes.replace(kind="backbone"))
    assert sum(int(np.prod(shape)) for shape in shapes.values()) / 1e6 == pytest.approx(millions, abs=0.1)


def test_parameters_are_initialised_as_timm_does_and_heads_with_unit_gain() -> None:
    sizes = tiny_config(embed_dim=128, num_heads=2)
    initial = init_params(sizes, 0)
    for name, array in initial.items():
        if name == "head.fc3.kernel":
            continue  # eight numbers have no spread to speak of
        spread = {"bias": 0.0, "scale": 0.0, "kernel": 0.02, "cls_token": 0.02, "pos_embed": 0.02}[name.split(".")[-1]]
        if name.startswith("head.") and spread:
            spread = len(array) ** -0.5
        assert np.std(array) == pytest.approx(spread, rel=0.25), name
        assert np.mean(array) == pytest.approx(float(name.endswith("scale")), abs=0.3 * spread), name
    signs = np.sign(initial["head.fc3.kernel"][:, 0])
    assert signs.tolist() == [1, -1] * 4, "half of the last layer's inputs raise the score, half lower it"
    first, second = (initial[f"backbone.blocks.{number}.mlp.fc1.kernel"] for number in range(2))
    assert abs(np.corrcoef(np.ravel(first), np.ravel(second))[0, 1]) < 0.05, "each has random numbers of its own"
    again, other = (init_params(sizes, seed) for seed in (0, 1))
    assert all(np.array_equal(again[name], initial[name]) for name in initial)
    assert not np.allclose(other["head.fc1.kernel"], initial["head.fc1.kernel"])


def test_parameters_come_back_from_their_names(model: VTIQA, config: ModelConfig) -> None:
    params = flatten_params(model)
    assert {name: array.shape for name, array in params.items()} == param_shapes(config)
    merged = flatten_params(merge_params(abstract_model(config)[0], params))
    assert all(merged[name] is params[name] for name in params)


def test_a_batch_is_its_photos_one_by_one(model: VTIQA, config: ModelConfig) -> None:
    first, second = random_views(config, 5)
    score = compiled(model)
    alone = [float(score(first[i : i + 1], second[i : i + 1])[0]) for i in range(5)]
    np.testing.assert_allclose(score(first, second), alone, atol=1e-5)
    assert np.ptp(alone) > 1e-3, "the photos must differ for this to mean anything"


def test_both_views_go_through_one_backbone_and_are_kept_apart(model: VTIQA, config: ModelConfig) -> None:
    first, second = random_views(config, 2)
    score, backbone = compiled(model), compiled(model.backbone)
    together = score(first, second)
    features = jnp.concatenate([backbone(first), backbone(second)], axis=1)
    np.testing.assert_allclose(together, compiled(model.head)(features), atol=1e-5)
    assert np.abs(np.asarray(score(second, first) - together)).max() > 1e-3


def test_several_blocks_are_read_out_in_their_order_and_several_mosaics_averaged(rng: np.random.Generator) -> None:
    config = tiny_config(depth=3, readout_blocks=(1, 3), eval_mosaics=3)
    model = create_model(config, rngs=nnx.Rngs(0))
    assert isinstance(model, VTIQA)
    view, _ = random_views(config, 2)

    @jax.jit
    def by_hand(view: jax.Array) -> jax.Array:
        x, tokens = model.backbone.embed(view), []
        for block in model.backbone.blocks:
            x = block(x)
            tokens.append(model.backbone.norm(x)[:, 0])
        return jnp.concatenate([tokens[0], tokens[2]], axis=1)

    wanted = by_hand(view)
    np.testing.assert_allclose(compiled(model.backbone)(view), wanted, atol=1e-5)
    half = config.embed_dim
    assert np.abs(wanted[:, :half] - wanted[:, half:]).max() > 0.1  # the other order would be seen

    small, large = (jnp.asarray(rng.integers(0, 256, (2, side, side, 3), np.uint8)) for side in (34, 96))
    seen = [views.center_crop(small, 28), *(views.keep(large, cut) for cut in config.eval_cuts[1:])]
    features = [by_hand(views.normalize(images)) for images in seen]
    averaged = (features[1] + features[2] + features[3]) / jnp.float32(3)
    score = model.head(jnp.concatenate([features[0], averaged], axis=1))
    np.testing.assert_allclose(compiled(model.score)(small, large), score, atol=1e-5)
    assert all(np.abs(averaged - features[number]).max() > 0.05 for number in (1, 2, 3))  # none of them alone


def test_dropout_acts_in_training_only(model: VTIQA, config: ModelConfig) -> None:
    pair = random_views(config, 2)
    score = compiled(model)
    np.testing.assert_array_equal(score(*pair), score(*pair))
    train = jax.jit(lambda key: model(*pair, rngs=nnx.Rngs(dropout=key)))
    sampled = [train(jax.random.key(seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(sampled[0], sampled[1])
    assert not np.allclose(sampled[0], sampled[2])


def test_stochastic_depth_skips_branches_of_whole_samples_in_training_only(config: ModelConfig) -> None:
    """At a rate near 1 nothing is left of the last block but its input; rates rise from 0 at the first block."""
    created = create_model(config.replace(kind="backbone", depth=3), rngs=nnx.Rngs(0), drop_path=0.5)
    rates = [block.drop_path.rate for block in created.blocks]  # type: ignore[union-attr]
    assert rates == [0.0, 0.25, 0.5]
    block = created.blocks[-1]  # type: ignore[union-attr]
    x = jnp.asarray(np.random.default_rng(0).standard_normal((40, 3, config.embed_dim)), jnp.float32)
    trained = jax.jit(lambda x: block(x, rngs=nnx.Rngs(dropout=0)))(x)
    skipped = np.isclose(trained, x, atol=1e-7).all(axis=(1, 2))
    assert 3 <= skipped.sum() <= 20, "a quarter of the samples skip both branches"
    assert not np.isclose(compiled(block)(x), x, atol=1e-7).all(axis=(1, 2)).any()


@pytest.mark.usefixtures("usual_promotion")  # JAX's own attention promotes bfloat16 to float32 itself
@pytest.mark.parametrize("implementation", ["xla", "cpu"])
def test_bfloat16_stays_near_float32(config: ModelConfig, weights: Params, implementation: Implementation) -> None:
    """With the CPU kernels the products are rounded to 8 bits; with the textbook also what is between them."""
    view, _ = random_views(config, 16)

    def features(dtype: ComputeDtype) -> np.ndarray:
        graphdef = abstract_model(config, dtype, implementation)[0]
        return np.asarray(jax.jit(lambda p: merge_params(graphdef, p).backbone(view))(weights))  # type: ignore

    exact, rounded = features("float32"), features("bfloat16")
    assert exact.dtype == rounded.dtype == np.float32
    tolerance = {"cpu": 0.0045, "xla": 0.0065}[implementation]
    assert 0 < np.linalg.norm(exact - rounded) < tolerance * np.linalg.norm(exact)


@pytest.mark.usefixtures("usual_promotion")  # JAX's own attention promotes bfloat16 to float32 itself
@pytest.mark.parametrize("implementation", ["xla", "cpu"])
def test_bfloat16_gradients_stay_near_float32(
    config: ModelConfig, weights: Params, implementation: Implementation
) -> None:
    pair = random_views(config, 4)

    def gradient(dtype: ComputeDtype) -> np.ndarray:
        graphdef = abstract_model(config, dtype, implementation)[0]
        gradients = jax.jit(jax.grad(lambda p: merge_params(graphdef, p)(*pair).sum()))(weights)  # type: ignore
        return np.concatenate([np.ravel(leaf) for leaf in gradients.values()])

    exact, rounded = gradient("float32"), gradient("bfloat16")
    assert 0 < np.linalg.norm(exact - rounded) < 0.03 * np.linalg.norm(exact)


def test_the_implementations_score_alike(config: ModelConfig, weights: Params) -> None:
    pair = random_views(config, 3)

    def score(implementation: Implementation) -> np.ndarray:
        return np.asarray(compiled(Checkpoint(config, weights, None, {}).model(implementation=implementation))(*pair))

    expected = score("xla")
    np.testing.assert_allclose(score("cpu"), expected, atol=1e-5)
    assert np.ptp(expected) > 1e-3


@pytest.mark.parametrize("implementation", ["xla", "cpu"])
def test_attention_is_softmax_attention(
    config: ModelConfig, weights: Params, rng: np.random.Generator, implementation: Implementation
) -> None:
    """Against NumPy, also where logits are so large that exp() without shifting overflows."""
    attention = Checkpoint(config, weights, None, {}).model(implementation=implementation).backbone.blocks[0].attn
    x = jnp.asarray(rng.standard_normal((2, 7, 24)).astype(np.float32)) * 300
    qkv = np.asarray(compiled(attention.qkv)(x), np.float64)
    q, k, v = (part.reshape(2, 7, 2, 12) for part in np.split(qkv, 3, axis=-1))
    logits = np.einsum("bqhd,bkhd->bhqk", q, k) * 12**-0.5
    assert np.abs(logits).max() > 100
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    attended = np.einsum("bhqk,bkhd->bqhd", exponentials / exponentials.sum(-1, keepdims=True), v)
    expected = attended.reshape(2, 7, 24) @ np.asarray(attention.proj.kernel[...]) + np.asarray(
        attention.proj.bias[...]
    ).reshape(1, 1, -1)
    tolerance = 1e-3 * np.abs(expected).max()
    np.testing.assert_allclose(compiled(attention)(x), expected, atol=tolerance)
    np.testing.assert_allclose(compiled(attention)(x, cls_only=True), expected[:, :1], atol=tolerance)


@pytest.mark.parametrize("implementation", ["xla", "cpu"])
def test_the_last_block_computes_what_is_read(
    config: ModelConfig, weights: Params, implementation: Implementation
) -> None:
    """The class token and its gradients are those of a block that computes all tokens."""
    block = Checkpoint(config, weights, None, {}).model(implementation=implementation).backbone.blocks[-1]
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 50, config.embed_dim)), jnp.float32)
    graphdef, state = nnx.split(block)

    def gradients(cls_only: bool) -> list[jax.Array]:
        def total(state: nnx.State, x: jax.Array) -> jax.Array:
            tokens = nnx.merge(graphdef, state)(x, cls_only=cls_only)
            assert tokens.shape[1] == (1 if cls_only else 50)
            return (tokens[:, 0] ** 3).sum()

        return jax.tree.leaves(jax.jit(jax.value_and_grad(total, (0, 1)))(state, x))

    for alone, among_all in zip(gradients(True), gradients(False), strict=True):
        np.testing.assert_allclose(alone, among_all, rtol=1e-4, atol=1e-5 * np.abs(among_all).max())
        assert np.abs(among_all).max() > 1e-3


def test_eight_devices_score_as_one(
    config: ModelConfig, weights: Params, scale: LabelScale, rng: np.random.Generator
) -> None:
    photos = list(rng.integers(0, 256, (11, 40, 50, 3), np.uint8))
    one = Scorer(config, weights, scale, devices=jax.devices()[:1])
    eight = Scorer(config, weights, scale, devices=jax.devices())
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
    sizes = deit_small(kind="original", embed_dim=16, depth=1, num_heads=2)
    created = create_model(sizes, rngs=nnx.Rngs(0))
    assert isinstance(created, OriginalVTIQA)
    return created


def test_the_sensitivity_is_the_pooled_gradient(original: OriginalVTIQA) -> None:
    view, _ = random_views(original.config, 1)
    pooled = np.asarray(compiled(original.selector.sensitivity)(view))
    assert pooled.shape == (1, 24, 24)
    gradient = np.asarray(jax.jit(jax.grad(lambda view: original.selector(view)[0]))(view))
    assert pooled[0, 1, 2] == pytest.approx(gradient[0, 9:18, 18:27].sum() / 81, rel=1e-4)
    assert pooled[0, 1, 2] != pytest.approx(pooled[0, 2, 1], rel=1e-2)


def test_the_selection_takes_the_first_of_the_greatest(original: OriginalVTIQA) -> None:
    sensitivity = np.zeros((1, 24, 24), np.float32)
    sensitivity[0, 4, 5] = 1  # window (1, 1), its entry (1, 2)
    sensitivity[0, 0, 22] = 9  # outside of the first 21 columns
    sensitivity[0, 9, 10] = sensitivity[0, 10, 9] = 2  # a tie in window (3, 3): row-major first
    positions = np.asarray(jax.jit(original.selector.positions, static_argnums=1)(sensitivity, 768))
    assert positions[0, 0, 0].tolist() == [48, 48]
    assert positions[0, 1, 1].tolist() == [int(5.5 / 24 * 768), int(6.5 / 24 * 768)]
    assert positions[0, 3, 3].tolist() == [int(10.5 / 24 * 768), int(11.5 / 24 * 768)]
    assert positions[0, 0, 6].tolist() == [48, int(19.5 / 24 * 768)]
    assert positions.max() + 32 <= 768


def test_the_papers_model_scores_its_own_mosaic(original: OriginalVTIQA, rng: np.random.Generator) -> None:
    small_ones = jnp.asarray(rng.integers(0, 256, (2, 244, 244, 3), np.uint8))
    large_ones = jnp.asarray(rng.integers(0, 256, (2, 768, 768, 3), np.uint8))
    view = views.normalize(views.center_crop(small_ones, 224))
    mosaic = compiled(original.select_mosaic)(view, large_ones)
    assert mosaic.dtype == jnp.uint8
    expected = compiled(original)(view, views.normalize(mosaic))
    np.testing.assert_allclose(compiled(original.score)(small_ones, large_ones), expected, atol=1e-5)


def test_the_papers_model_refuses_views_too_small_to_select_in() -> None:
    with pytest.raises(ValueError, match="too small to select"):
        create_model(tiny_config(kind="original"), rngs=nnx.Rngs(0))
