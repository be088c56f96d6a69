"""Detail: octaves lost place by place, the largest scale at which a photo holds, and both numbers in every result."""

import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from vtiqa_jax.models import checkpoint, quantized
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig, tiny_config
from vtiqa_jax.models.detail import (
    CAUSES,
    NO_STRUCTURE,
    OCTAVES_THAT_HOLD,
    SOFTNESS,
    DetailHead,
    add_causes,
    find_holding_scale,
    sum_losses,
    summarize,
)
from vtiqa_jax.models.params import Params, abstract_model, init_params, merge_params
from vtiqa_jax.models.views import normalize
from vtiqa_jax.models.vtiqa import VTIQA
from vtiqa_jax.results.interpreter import NO_STRUCTURE as NOTHING_TO_JUDGE
from vtiqa_jax.scoring.mosaic_sampling import MosaicSampling
from vtiqa_jax.scoring.scorer import Scorer

FACTORS = (1, 2, 4, 8)
FEATURES, PLACES = 6, 9
EXACT = 1e-5
"""Relative, of float32. Taking one octave less for each half, and no squares, is off by up to 41 %."""


# ---- the head ----


@pytest.fixture
def head() -> DetailHead:
    return DetailHead(FEATURES, rngs=nnx.Rngs(0))


def tokens_and_structure(rng: np.random.Generator) -> tuple[jax.Array, jax.Array]:
    """Of two views, each with places with and without structure."""
    tokens = rng.standard_normal((2, PLACES, FEATURES)).astype(np.float32)
    structure = np.where(np.arange(PLACES) % 3 == 0, NO_STRUCTURE, NO_STRUCTURE + 1).astype(np.float32)
    return jnp.asarray(tokens), jnp.asarray(np.stack([structure, structure[::-1]]))


def lost(head: DetailHead, tokens: jax.Array, structure: jax.Array) -> jax.Array:
    return summarize(*head(tokens), structure)


def test_places_without_structure_say_nothing(head: DetailHead, rng: np.random.Generator) -> None:
    tokens, structure = tokens_and_structure(rng)
    flat = (structure <= NO_STRUCTURE)[:, :, None]
    causes = np.asarray(lost(head, tokens, structure))
    for nonsense in (1e4, -1e4, np.inf, np.nan):
        np.testing.assert_array_equal(lost(head, jnp.where(flat, nonsense, tokens), structure), causes)
    octaves, _ = head(tokens)
    for view in range(2):
        seen = np.asarray(octaves[view])[~np.asarray(flat[view, :, 0])]
        assert (seen.min(0) <= causes[view]).all() and (causes[view] <= seen.max(0)).all()


def test_each_cause_has_places_of_its_own(head: DetailHead, rng: np.random.Generator) -> None:
    """Noise shows in a smooth wall, blur at an edge: the place that tells one says nothing of the other."""
    tokens, structure = tokens_and_structure(rng)
    octaves, _ = head(tokens)
    for cause in range(SOFTNESS + 1):
        before = np.asarray(lost(head, tokens, structure))
        kernel = head.weight.kernel
        assert kernel is not None
        kernel[...] = kernel[...].at[:, cause].multiply(1e4)
        changed = np.asarray(lost(head, tokens, structure)) != before
        assert changed.tolist() == [[number == cause for number in range(SOFTNESS + 1)]] * 2
    sharpest = np.asarray(lost(head, tokens, structure))  # each by one place alone
    for view, cause in np.ndindex(sharpest.shape):
        assert np.isclose(octaves[view, :, cause], sharpest[view, cause], atol=1e-5).sum() == 1


def test_causes_add_up_and_noise_counts_more(head: DetailHead, rng: np.random.Generator) -> None:
    tokens, structure = tokens_and_structure(rng)
    kernel, bias = head.octaves.kernel, head.octaves.bias
    assert kernel is not None and bias is not None
    kernel[...] *= 0
    total = {}
    for cause in range(len(CAUSES)):
        bias[...] = jnp.zeros(SOFTNESS + 1).at[cause].set(0.5)
        total[CAUSES[cause]] = np.asarray(add_causes(lost(head, tokens, structure)))
    np.testing.assert_allclose(total["blur"], 0.5, rtol=EXACT)
    np.testing.assert_allclose(total["artefacts"], 0.5, rtol=EXACT)
    np.testing.assert_allclose(total["noise"], 1.25, rtol=EXACT)
    bias[...] = jnp.full(SOFTNESS + 1, 0.5)  # of softness nothing is added
    octaves = lost(head, tokens, structure)
    np.testing.assert_allclose(add_causes(octaves), sum(total.values()), rtol=EXACT)


def test_noise_is_read_at_the_first_two_scales() -> None:
    """An enlargement takes grain from the first to the second: the sum must not fall by it."""
    lost = jnp.zeros((1, 4, SOFTNESS + 1))

    def total(octaves: jax.Array) -> float:
        return float(sum_losses(octaves)[0])

    for scale, counted in ((0, 1.5), (1, 1.0), (2, 0.0), (3, 0.0)):
        assert total(lost.at[:, scale, CAUSES.index("noise")].set(1)) == pytest.approx(counted, abs=EXACT)
        for cause in ("blur", "artefacts"):
            assert total(lost.at[:, scale, CAUSES.index(cause)].set(1)) == pytest.approx(float(scale == 0), abs=EXACT)
    noisy = lost.at[..., CAUSES.index("noise")].set(1)
    for small in (noisy.at[:, 1:].set(jnp.nan), noisy[:, :1]):  # nothing is seen at another scale
        assert total(small) == pytest.approx(2.5, abs=EXACT)
    assert np.isnan(total(noisy.at[:, 0].set(jnp.nan)))


def test_a_view_without_structure_has_no_octaves_and_teaches_nothing(
    head: DetailHead, rng: np.random.Generator
) -> None:
    tokens, structure = tokens_and_structure(rng)
    structure = structure.at[0].set(0)
    assert np.isnan(lost(head, tokens, structure)).all(1).tolist() == [True, False]
    graphdef, params = nnx.split(head, nnx.Param)

    def sum_of_known(params: nnx.State) -> jax.Array:
        octaves = lost(nnx.merge(graphdef, params), tokens, structure)
        return jnp.where(jnp.isnan(octaves), 0, octaves).sum()

    gradients = jax.tree.leaves(jax.grad(sum_of_known)(params))
    assert all(np.isfinite(leaf).all() for leaf in gradients)


@pytest.mark.parametrize(("worst", "best"), [(1.0, 5.0), (100.0, 0.0)])
def test_the_less_is_lost_the_better_whichever_end_of_the_scale_is_good(
    worst: float, best: float, head: DetailHead
) -> None:
    head.curve[...] = jnp.array([worst, best, 1.0, -1.5])
    falling = np.asarray(head.on_scale(jnp.linspace(-1, 4, 50))) * np.sign(best - worst)
    assert (np.diff(falling) < 0).all()
    far = np.asarray(head.on_scale(jnp.array([-50.0, 50.0])))
    np.testing.assert_allclose(far, [best, worst], atol=1e-4)


# ---- where a photo holds ----


def holds(octaves: Sequence[Sequence[float]] | np.ndarray, factors: tuple[int, ...] = FACTORS) -> np.ndarray:
    """Of photos that have lost by blur alone."""
    blur = jnp.asarray(octaves, jnp.float32)[:, :, None]
    return np.asarray(find_holding_scale(jnp.concatenate([0 * blur, 0 * blur, 0 * blur, blur], axis=2), factors))


def seen(lost: np.ndarray, factors: tuple[int, ...] = FACTORS) -> np.ndarray:
    """What each scale shows of octaves that are lost at the first: a spread that shrinks with the photo."""
    return np.log2(1 + (4 ** lost[:, None] - 1) / np.square(factors)) / 2


LOST = np.linspace(0, 5, 41)


@pytest.mark.parametrize("factors", [(1,), (1, 3), FACTORS])
def test_scales_that_agree_say_where_a_photo_holds(factors: tuple[int, ...]) -> None:
    np.testing.assert_allclose(holds(seen(LOST, factors), factors), 2 ** (OCTAVES_THAT_HOLD - LOST), rtol=EXACT)


@pytest.mark.parametrize("factor", [1.25, 2.0, 6.0])
def test_enlarged_it_holds_at_a_scale_smaller_by_as_much(factor: float) -> None:
    ratio = holds(seen(LOST)) / holds(seen(LOST + np.log2(factor)))
    np.testing.assert_allclose(ratio, factor, rtol=EXACT)


def test_a_photo_sharper_than_its_pixels_holds_enlarged() -> None:
    lost = np.linspace(-2, 0, 9)
    shown = np.concatenate([lost[:, None], np.zeros((9, 3))], 1)
    np.testing.assert_allclose(holds(shown), 2 ** (OCTAVES_THAT_HOLD - lost), rtol=1e-3)


def test_scales_that_a_photo_is_too_small_for_are_not_missed() -> None:
    for count in (1, 2, 3):
        shown = np.where(np.arange(4) < count, seen(LOST), np.nan)
        np.testing.assert_allclose(holds(shown), holds(seen(LOST)), rtol=EXACT)


def test_where_nothing_was_seen_nothing_is_known() -> None:
    assert np.isnan(holds([[np.nan] * 4, [1.0] * 4])).tolist() == [True, False]


def test_losing_more_is_not_better_while_scales_agree_within_their_error(rng: np.random.Generator) -> None:
    shown = seen(rng.uniform(0, 4, 3000)) + rng.uniform(-0.1, 0.1, (3000, 4))
    for more in (0.01, 0.1, 0.5, 1):
        assert (np.log2(holds(shown + more)) <= np.log2(holds(shown)) + 1e-3).all()


def test_scales_that_contradict_each_other_give_a_number_nevertheless(rng: np.random.Generator) -> None:
    """Between what the lowest and the highest of them say; some rise when the photo is shrunk."""
    shown = rng.uniform(-1, 6, (3000, 4))
    each = np.log2(1 + np.square(FACTORS) * (4 ** np.maximum(shown, 0) - 1)) / 2
    each[:, 0] = shown[:, 0]
    found = OCTAVES_THAT_HOLD - np.log2(holds(shown))
    assert (found >= each.min(1) - 1e-4).all() and (found <= each.max(1) + 1e-4).all()


def test_where_the_first_scale_is_beyond_telling_a_smaller_one_counts() -> None:
    """Enlarged eight times: 1:1 says "more than two", 1:8 shows how much."""
    shown = seen(np.array([3.5, 3.5]))
    shown[0, :2] -= 0.6, 0.1
    off = np.abs(np.log2(holds(shown) / 2 ** (OCTAVES_THAT_HOLD - 3.5)))
    assert off[0] < 0.2  # by the first scale alone it is .6


def test_a_scale_counts_by_how_exact_it_is() -> None:
    """Both scales say something else. The first, beyond telling, gives way; and so does the second where it is."""

    def nearness(first: float, second: float) -> float:
        """0 as the first scale says, 1 as the second does."""
        said = np.log2(1 + 4 * (4**second - 1)) / 2
        return float((OCTAVES_THAT_HOLD - np.log2(holds([[first, second]], (1, 2))[0]) - first) / (said - first))

    exact, less, least = nearness(1.0, 0.9), nearness(2.6, 0.9), nearness(3.2, 0.9)
    assert 0 < exact < less < least < 1 and least - exact > 0.5  # were all scales as exact, it is .1
    assert nearness(3.2, 1.4) - nearness(3.2, 2.8) > 0.2  # and this below 0


def test_noise_and_artefacts_count_wherever_an_enlargement_moves_them(rng: np.random.Generator) -> None:
    """From 1:1 to 1:2, say. What is cleaner than clean makes up for nothing, and a scale that is missing counts not."""
    shown = jnp.asarray(np.stack([*np.zeros((SOFTNESS, 41, 4)), seen(LOST)], 2), jnp.float32)
    clean = np.log2(find_holding_scale(shown, FACTORS))
    moved = [np.log2(find_holding_scale(shown.at[:, scale, 1].set(0.8), FACTORS)) for scale in range(4)]
    np.testing.assert_allclose(moved, np.tile(clean - 1.5 * 0.2, (4, 1)), atol=1e-4)
    np.testing.assert_allclose(np.log2(find_holding_scale(shown.at[:, :, 2].set(0.8), FACTORS)), clean - 0.8, atol=1e-4)
    np.testing.assert_allclose(
        np.log2(find_holding_scale(shown.at[:, :, 1:SOFTNESS].set(-0.8), FACTORS)), clean, atol=1e-4
    )
    small = shown.at[:, 0, 1].set(0.8).at[:, 2:].set(jnp.nan)
    expected = np.log2(find_holding_scale(shown.at[:, 2:].set(jnp.nan), FACTORS)) - 1.5 * 0.4
    np.testing.assert_allclose(np.log2(find_holding_scale(small, FACTORS)), expected, atol=1e-4)


# ---- the model ----


@pytest.fixture(scope="module")
def seeing() -> ModelConfig:
    return tiny_config(native_factors=FACTORS, native_blocks=(1,))


@pytest.fixture(scope="module")
def drawn(seeing: ModelConfig) -> Params:
    """Large weights, so that photos get visibly different numbers, and a curve."""
    initial = init_params(seeing, seed=0)
    params = {name: np.asarray(array) * (3 if name.endswith("kernel") else 1) for name, array in initial.items()}
    return params | {"detail.curve": np.array([1, 5, 1, -0.08], np.float32)}


def test_places_are_the_means_of_their_patches_after_each_block(rng: np.random.Generator) -> None:
    config = tiny_config(kind="backbone", depth=3, mosaic_patch=8, global_resize=60)
    backbone = config.make_backbone(rngs=nnx.Rngs(0))
    images = normalize(jnp.asarray(rng.integers(0, 256, (2, 56, 56, 3), np.uint8)))
    found = np.asarray(backbone.read_places(images, (1, 2), 8))
    assert found.shape == (2, 49, 2 * config.embed_dim)
    x = backbone.embed(images)
    for number in range(2):
        x = backbone.blocks[number](x)
        squares = np.asarray(backbone.norm(x))[:, 1:].reshape(2, 14, 14, -1)
        for place in range(49):
            top, left = 2 * (place // 7), 2 * (place % 7)
            mean = squares[:, top : top + 2, left : left + 2].mean((1, 2))
            features = slice(number * config.embed_dim, (number + 1) * config.embed_dim)
            np.testing.assert_allclose(found[:, place, features], mean, atol=1e-5)
    backbone.blocks[2].mlp.fc1.kernel[...] *= jnp.nan
    np.testing.assert_array_equal(backbone.read_places(images, (1, 2), 8), found)


def test_a_scale_is_told_by_the_places_of_all_its_views(
    seeing: ModelConfig, drawn: Params, rng: np.random.Generator
) -> None:
    """Each view is read by itself; then their places count as one view's would."""
    several = seeing.replace(native_mosaics=(4, 1, 4, 1))
    model = merge_params(abstract_model(several)[0], jax.tree.map(jnp.asarray, drawn))
    assert isinstance(model, VTIQA) and model.detail is not None
    views = jnp.asarray(rng.integers(0, 256, (3, 10, 28, 28, 3), np.uint8))
    structure = jnp.asarray(rng.uniform(0, 3, (3, 10, 49)).astype(np.float32)).at[1, 9].set(0).at[2, 1].set(0)
    found = np.asarray(model.read_native(views, structure, None)[0])
    scales = [(0, 1, 2, 3), (4,), (5, 6, 7, 8), (9,)]
    for photo, (scale, numbers) in itertools.product(range(3), enumerate(scales)):
        read = [model.detail(model.backbone.read_places(normalize(views[photo, n][None]), (1,), 4)) for n in numbers]
        octaves, logits = (jnp.concatenate(values, axis=1) for values in zip(*read, strict=True))
        (expected,) = np.asarray(summarize(octaves, logits, structure[photo, jnp.array(numbers)].reshape(1, -1)))
        np.testing.assert_allclose(found[photo, scale], expected, atol=5e-5)
    assert np.isnan(found).all(2).sum() == 1
    detail, holding = model.judge_detail(model.read_native(views, structure, None))
    np.testing.assert_allclose(detail, model.detail.on_scale(sum_losses(jnp.asarray(found))), atol=1e-5)
    np.testing.assert_allclose(holding, find_holding_scale(jnp.asarray(found), FACTORS), rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"native_factors": (1, 2)}, "belong together"),
        ({"native_blocks": (1,)}, "belong together"),
        ({"native_factors": (1,), "native_blocks": (1,), "kind": "backbone"}, "belong together"),
        ({"native_factors": (2, 4), "native_blocks": (1,)}, "rise from 1"),
        ({"native_factors": (1, 4, 2), "native_blocks": (1,)}, "rise from 1"),
        ({"native_factors": (1, 1), "native_blocks": (1,)}, "rise from 1"),
        ({"native_factors": (1, 2), "native_blocks": (1,), "native_mosaics": (4,)}, "one for each of the factors"),
        ({"native_factors": (1, 2), "native_blocks": (1,), "native_mosaics": (2, 1)}, "must be squares"),
        ({"native_factors": (1, 2), "native_blocks": (1,), "native_mosaics": (0, 1)}, "must be squares"),
        ({"native_factors": (1, 2), "native_blocks": (1,), "native_mosaics": (25, 1)}, "up to 16"),
        ({"native_mosaics": (4,)}, "one for each of the factors"),
        ({"native_factors": (1,), "native_blocks": (0,)}, "before the last block, 2"),
        ({"native_factors": (1,), "native_blocks": (2,)}, "before the last block, 2"),
        ({"native_factors": (1,), "native_blocks": (2, 1), "depth": 3}, "must rise"),
        ({"native_factors": (1,), "native_blocks": (1,), "mosaic_patch": 6, "mosaic_grid": 6, "global_resize": 40},
         "whole patches of 4"),
    ],
)  # fmt: skip
def test_what_no_model_can_see_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tiny_config(**changes)


# ---- on disk ----


def test_a_model_with_detail_comes_back_bit_for_bit(
    seeing: ModelConfig, drawn: Params, scale: LabelScale, tmp_path: Path
) -> None:
    checkpoint.save(tmp_path / "m", Checkpoint(seeing, drawn, scale, {}))
    loaded = checkpoint.load(tmp_path / "m")
    assert loaded.config == seeing and loaded.params.keys() == drawn.keys()
    assert all(np.array_equal(loaded.params[name], array) for name, array in drawn.items())


def test_a_model_of_before_detail_is_still_read(config: ModelConfig, scale: LabelScale) -> None:
    metadata = json.loads(json.dumps(checkpoint.to_metadata(Checkpoint(config, {}, scale, {}))))
    for name in ("native_factors", "native_mosaics", "native_blocks"):
        del metadata["config"][name]
    assert checkpoint.from_metadata(metadata, {}).config == config


def test_heads_are_not_rounded_to_8_bits(scale: LabelScale, tmp_path: Path) -> None:
    config = tiny_config(embed_dim=32, native_factors=(1, 2), native_blocks=(1,))
    params = init_params(config, 0)
    quantized.save(tmp_path / "m.npz", Checkpoint(config, params, scale, {}))
    loaded = quantized.load(tmp_path / "m.npz")
    assert loaded.config == config and loaded.params.keys() == params.keys()
    heads = [name for name in params if name.startswith(("detail.", "head."))]
    assert len(heads) == 13
    for name in heads:
        np.testing.assert_array_equal(loaded.params[name], np.asarray(params[name], np.float16).astype(np.float32))


# ---- Scorer ----


@pytest.fixture(scope="module")
def scorer(seeing: ModelConfig, drawn: Params, scale: LabelScale) -> Scorer:
    return Scorer(seeing, drawn, scale, devices=jax.devices()[:1])


@pytest.fixture
def photos(rng: np.random.Generator) -> list[np.ndarray]:
    """Of several sizes, the last too small for a quarter of its size."""
    sizes = [(60, 80), (33, 90), (120, 40), (64, 64), (40, 200), (70, 50), (12, 15)]
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]


def test_detail_is_in_every_result_whatever_the_batch(scorer: Scorer, photos: list[np.ndarray]) -> None:
    found = [
        [(result.score, result.detail, result.holds) for result in scorer.stream(photos, batch_size=size)]
        for size in (1, 3, 7)
    ]
    first = np.array(found[0], np.float64)
    assert np.isfinite(first).all() and np.diff(np.sort(first[:, 1])).min() > 0.015
    assert (first[:, 1] > 1).all() and (first[:, 1] < 5).all() and (first[:, 2] > 0).all()
    for other in found[1:]:
        # Another photo's detail, as of a batch that is padded at the wrong end, differs by more than .015.
        np.testing.assert_allclose(np.array(other, np.float64), first, rtol=1e-4)


def test_a_photo_of_nothing_is_scored_and_says_why_it_has_no_detail(
    scorer: Scorer, photos: list[np.ndarray], config: ModelConfig, weights: Params, scale: LabelScale
) -> None:
    flat = np.full((50, 60, 3), 200, np.uint8)
    found = list(scorer.stream([photos[0], flat, photos[1]], batch_size=3))
    assert [result.warning for result in found] == [None, NOTHING_TO_JUDGE, None]
    assert found[1].score is not None and found[1].detail is None and found[1].holds is None
    without = Scorer(config, weights, scale, devices=jax.devices()[:1])
    (result,) = without.stream([flat])
    assert (result.detail, result.holds, result.warning) == (None, None, None)
    assert {"detail", "holds"} <= without.unknown and not {"detail", "holds"} & scorer.unknown


def test_a_detail_changes_no_score(scorer: Scorer, photos: list[np.ndarray]) -> None:
    params = {name: array for name, array in scorer.__getstate__()["params"].items() if not name.startswith("detail.")}
    bare = Scorer(
        scorer.config.replace(native_factors=(), native_blocks=()), params, scorer.scale, devices=jax.devices()[:1]
    )
    np.testing.assert_array_equal(scorer.score(photos, batch_size=1), bare.score(photos, batch_size=1))


def test_a_spread_has_detail_beside_it(scorer: Scorer, photos: list[np.ndarray]) -> None:
    plain = list(scorer.stream(photos))
    drawn = list(scorer.stream(photos, sampling=MosaicSampling(3)))
    assert all(len(result.mosaic_scores) == 3 for result in drawn)
    for with_draws, without in zip(drawn, plain, strict=True):
        assert (with_draws.detail, with_draws.holds) == pytest.approx((without.detail, without.holds), rel=1e-4)


def test_bfloat16_says_nearly_the_same(scorer: Scorer, photos: list[np.ndarray]) -> None:
    state: dict[str, Any] = scorer.__getstate__() | {"compute_dtype": "bfloat16"}
    fast = Scorer(**state, devices=jax.devices()[:1])
    exact = [result.detail for result in scorer.stream(photos)]
    near = [result.detail for result in fast.stream(photos)]
    assert near != exact
    assert near == pytest.approx(exact, abs=0.1)  # .05 is measured
    assert near != pytest.approx(exact[1:] + exact[:1], abs=0.1)  # those of the next photo


def test_damaged_weights_of_the_head_give_no_infinite_number(
    seeing: ModelConfig, drawn: Params, scale: LabelScale, photos: list[np.ndarray]
) -> None:
    damaged = drawn | {"detail.octaves.bias": np.full(SOFTNESS + 1, -1e6, np.float32)}
    (result,) = Scorer(seeing, damaged, scale, devices=jax.devices()[:1]).stream(photos[0])
    assert result.holds is None and re.search("damaged", result.error or "")
