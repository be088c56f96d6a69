"""How much of a score is chance: drawn mosaics, and what they say of two photos."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vtiqa_jax.errors import UserError
from vtiqa_jax.models import params
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.vtiqa import VTIQA
from vtiqa_jax.photos.cuts import R2_SEQUENCE
from vtiqa_jax.scoring.mosaic_sampling import MosaicSampling, probability_above, score_samples
from vtiqa_jax.scoring.scorer import Scorer


@pytest.fixture
def photos(rng: np.random.Generator) -> list[np.ndarray]:
    return list(rng.integers(0, 256, (5, 30, 40, 3), np.uint8))


@pytest.mark.parametrize("mosaics", [1, 3])
def test_a_draw_of_the_released_mosaics_is_the_score(
    mosaics: int, config: ModelConfig, weights: params.Params, rng: np.random.Generator
) -> None:
    config = config.replace(eval_mosaics=mosaics)
    model = params.merge_params(params.abstract_model(config)[0], jax.tree.map(jnp.asarray, weights))
    assert isinstance(model, VTIQA)
    small, large = (
        jnp.asarray(rng.integers(0, 256, (3, side, side, 3), np.uint8))
        for side in (config.global_resize, config.local_resize)
    )
    room = config.local_resize // config.mosaic_grid - config.mosaic_patch
    places = [((0.5 + number * R2_SEQUENCE) % 1 * room).astype(np.int32) for number in range(mosaics)]
    rows, cols = (np.array([[[place[axis]] * config.mosaic_grid for place in places]], np.int32) for axis in (0, 1))
    elsewhere = np.concatenate([rows, np.zeros_like(rows)])
    whole = model.encode(small, large)[0]
    found = np.asarray(score_samples(model, whole, large, jnp.asarray(elsewhere), jnp.asarray(np.repeat(cols, 2, 0))))
    assert found.shape == (3, 2)
    expected = np.asarray(model.score(small, large))
    np.testing.assert_allclose(found[:, 0], expected, atol=2e-5)
    assert np.abs(found[:, 1] - expected).min() > 1e-3


def test_offsets_are_drawn_as_training_draws_them(config: ModelConfig) -> None:
    drawn = MosaicSampling(500, seed=1)
    rows, cols = drawn.offsets(config.replace(eval_mosaics=2))
    assert rows.shape == cols.shape == (500, 2, config.mosaic_grid)
    room = config.local_resize // config.mosaic_grid - config.mosaic_patch
    for offsets in (rows, cols):
        assert (np.bincount(offsets.ravel(), minlength=room + 1) > 0).all() and offsets.max() == room
    assert not np.array_equal(rows, cols)
    np.testing.assert_array_equal(rows, drawn.offsets(config.replace(eval_mosaics=2))[0])
    assert not np.array_equal(rows, MosaicSampling(500, seed=2).offsets(config.replace(eval_mosaics=2))[0])


def test_samples_come_with_the_score_and_change_none(
    config: ModelConfig, weights: params.Params, scale: LabelScale, photos: list[np.ndarray]
) -> None:
    scorer = Scorer(config, weights, scale, devices=jax.devices()[:1])
    found = list(scorer.stream([*photos, "missing.jpg", photos[0]], batch_size=2, sampling=MosaicSampling(6)))
    assert found[5].error and found[5].mean is None and found[5].mosaic_scores == ()
    scored = [result for result in found if result.error is None]
    np.testing.assert_allclose([r.score for r in scored], scorer.score([*photos, photos[0]]), atol=2e-5)
    for result in scored:
        assert len(set(result.mosaic_scores)) == 6
        assert result.mean == pytest.approx(sum(result.mosaic_scores) / 6)
        assert result.spread == pytest.approx(np.std(result.mosaic_scores) * (6 / 5) ** 0.5)
    np.testing.assert_allclose(
        found[0].mosaic_scores, found[6].mosaic_scores, atol=2e-5
    )  # all photos have the same mosaics
    assert next(scorer.stream(photos[:1])).spread is None


def test_what_cannot_be_drawn_is_refused(config: ModelConfig) -> None:
    for count, seed in ((1, 0), (0, 0), (4, -1)):
        with pytest.raises(UserError, match="at least 2 mosaics"):
            MosaicSampling(count, seed)
    with pytest.raises(UserError, match="selects its patches itself"):
        MosaicSampling(4).offsets(config.replace(kind="original"))


@pytest.mark.parametrize("count", [4, 12])
def test_a_probability_is_as_often_right_as_it_says(count: int) -> None:
    """Of one more value drawn like the others the prediction is uniform: with a normal's instead of Student's
    distribution, or without the new value's own spread, the lowest tenth would hold more than a tenth."""
    rng = np.random.default_rng(0)
    found = []
    for values in rng.normal(3, 2, (6000, count + 1)):
        found.append(probability_above(values[:-1] - values[-1]))
    shares = [np.mean(np.array(found) < level) for level in (0.02, 0.1, 0.5, 0.9, 0.98)]
    np.testing.assert_allclose(shares, [0.02, 0.1, 0.5, 0.9, 0.98], atol=0.012)


def test_equal_photos_are_as_good_as_each_other() -> None:
    assert probability_above(np.zeros(5)) == 0.5
    assert (probability_above(np.ones(5)), probability_above(-np.ones(5))) == (1, 0)


def test_scores_beyond_the_training_photos_are_marked(
    config: ModelConfig, weights: params.Params, scale: LabelScale, photos: list[np.ndarray]
) -> None:
    scores = np.sort(Scorer(config, weights, scale).score(photos)).tolist()
    for better in (True, False):
        known = {"labels": [1.0] * 101, "scores": np.linspace(scores[1] - 1e-4, scores[3] + 1e-4, 101).tolist()}
        knowing = Scorer(
            config, weights, dataclasses.replace(scale, higher_is_better=better),
            provenance={"trained": {"percentiles": known}},
        )  # fmt: skip
        found = sorted(knowing.stream(photos), key=lambda result: result.score)
        assert [result.out_of_range for result in found] == ["below", None, None, None, "above"]
        assert [found[0].percentile, found[4].percentile] == ([0, 100] if better else [100, 0])
