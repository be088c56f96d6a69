"""The training step: it learns, freezes exactly, repeats exactly, and does not depend on the number of devices."""

import itertools
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vtiqa_jax import devices, feed, params, training
from vtiqa_jax.config import ModelConfig
from vtiqa_jax.errors import UserError
from vtiqa_jax.modern import Modern
from vtiqa_jax.prepared import Prepared
from vtiqa_jax.recipe import Course, Recipe
from vtiqa_jax.released import Released
from vtiqa_jax.scoring import Scorer
from vtiqa_jax.training import Training

pytestmark = pytest.mark.usefixtures("usual_promotion")

RECIPE = Modern(epochs=4, batch_size=8, peak_lr=3e-4, head_lr=3e-3, ema=0.0, compute_dtype="float32")


@pytest.fixture(scope="module")
def photos(config: ModelConfig) -> Prepared:
    """24 photos, some smooth and some rough."""
    rng = np.random.default_rng(1)
    spread = np.linspace(1, 100, 24).reshape(-1, 1, 1, 1)

    def made(side: int) -> np.ndarray:
        return np.clip(128 + spread * rng.standard_normal((24, side, side, 3)), 0, 255).astype(np.uint8)

    return Prepared(made(config.global_size), made(config.local_size))


def stored(photos: Prepared, over: list[jax.Device] | None = None, *, on_device: bool | None = False) -> feed.Source:
    return feed.Source(photos, devices.data_mesh(over), on_device=on_device)


MOS = np.linspace(20, 80, 24).astype(np.float32)
ROWS = np.arange(24)


def run(
    config: ModelConfig, weights: params.Params, photos: Prepared, recipe: Recipe, epochs: int, over=None
) -> tuple[Training, list[float]]:
    trained = Training(config, recipe, weights, stored(photos, over), MOS, ROWS)
    course, losses = recipe.first(), []
    for epoch in range(epochs):
        course = replace(course, epoch=epoch)
        losses += [float(measured.loss) for measured in trained.epoch(course)]
    return trained, losses


@pytest.fixture(scope="module")
def start(config: ModelConfig) -> params.Params:
    return params.drawn(config, seed=3)


def test_it_learns_and_answers_on_the_label_scale(
    config: ModelConfig, start: params.Params, photos: Prepared, scale
) -> None:
    for ema in (0.0, 0.9):
        recipe = replace(RECIPE, epochs=30, peak_lr=1e-3, ema=ema)
        trained = run(config, start, photos, recipe, 30)[0].params()
        scorer = Scorer(config, trained, scale)
        scores = scorer.score_stored(stored(photos), ROWS)
        assert np.corrcoef(scores, MOS)[0, 1] > 0.95
        assert np.abs(scores - MOS).mean() < 8, "an untrained head would be 50 away"


def test_a_run_repeats_bit_for_bit_and_another_seed_does_not(
    config: ModelConfig, start: params.Params, photos: Prepared
) -> None:
    first, again, other = (run(config, start, photos, replace(RECIPE, seed=seed), 2)[0].params() for seed in (0, 0, 1))
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not any(np.array_equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("recipe", [RECIPE, Released(batch_size=8)], ids=["modern", "released"])
def test_the_number_of_devices_changes_nothing(
    config: ModelConfig, start: params.Params, photos: Prepared, recipe: Recipe, scale
) -> None:
    """21 steps on 1, 2 and 8 devices, float32: every loss and the scores to 1e-5. An error of 1e-4 in one gradient,
    the first device's share counted twice say, shows in the next loss."""
    found = {}
    for count in (1, 2, 8):
        trained, losses = run(config, start, photos, recipe, 7, jax.devices()[:count])
        scorer = Scorer(config, trained.params(), scale, over=jax.devices()[:1])
        scores = scorer.score_stored(stored(photos, jax.devices()[:1]), ROWS)
        found[count] = (np.array(losses), scores, trained.params())
    for count in (2, 8):
        np.testing.assert_allclose(found[count][0], found[1][0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[count][1], found[1][1], rtol=1e-5)
        if isinstance(recipe, Released):  # Adam turns the rounding of gradients near 0 into steps
            for key, array in found[1][2].items():
                np.testing.assert_allclose(found[count][2][key], array, atol=1e-5, err_msg=key)


def test_a_batch_that_does_not_divide_is_filled_up(config: ModelConfig, start: params.Params, photos: Prepared) -> None:
    """Batches of 7, 7, 7 and 3 photos on 1 and on 8 devices."""
    recipe = replace(RECIPE, batch_size=7)
    one, many = (run(config, start, photos, recipe, 2, jax.devices()[:count])[1] for count in (1, 8))
    assert len(one) == 8
    np.testing.assert_allclose(many, one, rtol=1e-5, atol=1e-6)


def test_frozen_means_bit_equal_and_the_rest_moves(config: ModelConfig, start: params.Params, photos: Prepared) -> None:
    for frozen in (1, 2):
        trained = run(config, start, photos, replace(RECIPE, freeze_blocks=frozen), 1)[0].params()
        for key, array in trained.items():
            early = re.match(r"backbone\.(patch_embed|cls_token|pos_embed)|backbone\.blocks\.(\d)", key)
            still = early and (early[2] is None or int(early[2]) < frozen)
            assert np.array_equal(array, start[key]) == bool(still), key


def test_the_released_head_stage_moves_the_head_alone(
    config: ModelConfig, start: params.Params, photos: Prepared
) -> None:
    recipe = Released(batch_size=8)
    trained = Training(config, recipe, start, stored(photos), MOS, ROWS)
    for _ in trained.epoch(recipe.first()):
        pass
    head = trained.params()
    assert {key for key in head if not np.array_equal(head[key], start[key])} == {
        key for key in start if key.startswith("head.")
    }
    for _ in trained.epoch(Course(epoch=11, lr=0.001)):
        pass
    everything = trained.params()
    assert not any(np.array_equal(everything[key], head[key]) for key in head)


def test_photos_that_stay_on_the_devices_change_no_bit(
    config: ModelConfig, start: params.Params, photos: Prepared, scale, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moved there in pieces of 7, of which the last overlaps; 3 devices, none of which divides a batch of 7 evenly."""
    monkeypatch.setattr(feed, "CHUNK", 7)
    over = jax.devices()[:3]
    recipe = replace(RECIPE, batch_size=7)
    found = []
    for on_device in (False, True):
        source = stored(photos, over, on_device=on_device)
        assert source.on_device == on_device
        trained = Training(config, recipe, start, source, MOS, ROWS[::-1])
        losses = [float(measured.loss) for measured in trained.epoch(Course())]
        scorer = Scorer(config, trained.params(), scale, over=over)
        found.append([losses, scorer.score_stored(source, ROWS[5:], batch_size=2).tolist()])
    assert found[0] == found[1]


def test_photos_stay_on_devices_that_have_room_for_them_twice(photos: Prepared) -> None:
    def fits(*free: int) -> bool:
        return feed._fits(100, [{"bytes_limit": 1000 + room, "bytes_in_use": 1000} for room in free])

    assert fits(200)
    assert not fits(199)
    assert not fits(1000, 199)
    assert not stored(photos, on_device=None).on_device, "a CPU tells nothing of its memory"


def flops(config: ModelConfig, start: params.Params, recipe: Recipe, *, head_only: bool = False) -> float:
    """Of one step, counted in the compiled program."""
    chosen = {k: v for k, v in start.items() if recipe.trains(config, k, head_only=False)}
    others = {k: v for k, v in start.items() if k not in chosen}
    state = training.State(chosen, recipe.transform(config).init(chosen), chosen if recipe.ema else {})
    small = jnp.zeros((8, config.global_size, config.global_size, 3), jnp.uint8)
    large = jnp.zeros((8, config.local_size, config.local_size, 3), jnp.uint8)
    batch = feed.Batch(small, large, jnp.arange(8.0), jnp.ones(8))
    step = training.make_step(config, recipe, head_only)
    lowered = step.lower(state, others, jax.random.key(0), np.int32(0), np.float32(1), batch)  # type: ignore[attr-defined]
    return lowered.compile().cost_analysis()["flops"]


def test_what_does_not_learn_has_no_backward_pass(config: ModelConfig) -> None:
    """Training costs three forward passes, a frozen block one; the last block, of which the class token alone is
    computed, costs less than the others."""
    deep = replace(config, depth=3)
    start = params.drawn(deep, 0)
    costs = [flops(deep, start, replace(RECIPE, freeze_blocks=count)) for count in range(4)]
    assert costs[3] < 0.45 * costs[0]
    first, second, last = (more - less for more, less in itertools.pairwise(costs))
    assert first == pytest.approx(second, rel=0.15)
    assert last < 0.6 * second
    assert flops(deep, start, Released(batch_size=8), head_only=True) < 0.45 * costs[0]


def test_drop_path_leaves_out_branches_in_training_only(
    config: ModelConfig, start: params.Params, photos: Prepared
) -> None:
    plain, dropped = (run(config, start, photos, replace(RECIPE, drop_path=rate), 1)[1] for rate in (0.0, 0.9))
    assert not np.allclose(plain, dropped, rtol=1e-3)
    from flax import nnx

    graphdef, _ = params.abstract(config, "float32", 0.9)
    model = params.merge(graphdef, start)
    views = jnp.ones((64, 28, 28, 3))
    still = model(views, views)
    np.testing.assert_allclose(still, params.merge(params.abstract(config)[0], start)(views, views), rtol=1e-6)
    x = model.backbone.embed(views)
    last = model.backbone.blocks[1]
    moved = np.abs(np.asarray(last(x, rngs=nnx.Rngs(dropout=0)) - x)).max((1, 2))
    # Both branches are left out for .9 x .9 of the samples; the others keep their size on average.
    assert 0.6 < (moved == 0).mean() < 0.95
    first = model.backbone.blocks[0]
    np.testing.assert_allclose(first(x, rngs=nnx.Rngs(dropout=0)), first(x), rtol=1e-5)


def test_the_average_follows_the_weights(config: ModelConfig, start: params.Params, photos: Prepared) -> None:
    """By hand, over 6 steps."""
    recipe = replace(RECIPE, ema=0.5)
    averaged = Training(config, recipe, start, stored(photos), MOS, ROWS)
    key = "backbone.blocks.1.mlp.fc1.kernel"
    expected = np.asarray(start[key])
    for epoch in range(2):
        for index, _ in enumerate(averaged.epoch(Course(epoch=epoch))):
            step = 3 * epoch + index
            keep = min(0.5, (1 + step) / (10 + step))
            expected = keep * expected + (1 - keep) * np.asarray(averaged._state.params[key])
    np.testing.assert_allclose(averaged.params()[key], expected, rtol=1e-5, atol=1e-7)


def test_every_epoch_sees_every_photo_once_in_an_order_of_its_own() -> None:
    pixels = np.arange(10, dtype=np.uint8).repeat(3).reshape(10, 1, 1, 3)
    labels = np.arange(10, dtype=np.float32)
    source = stored(Prepared(pixels, pixels), jax.devices()[:1])
    seen = []
    for epoch in (0, 0, 1):
        chosen = feed.order(np.arange(10), 3, seed=5, epoch=epoch)
        found = list(feed.batches(source, labels, chosen, 3))
        assert [batch.present.sum() for batch in found] == [3, 3, 3, 1]
        for batch in found:
            assert np.array_equal(batch.global_versions[:, 0, 0, 0], batch.labels)
            assert np.array_equal(batch.local_versions[:, 0, 0, 0], batch.labels)
        seen.append([batch.labels[batch.present == 1].tolist() for batch in found])
        assert sorted(mos for batch in seen[-1] for mos in batch) == list(range(10))
    assert seen[0] == seen[1] != seen[2]


def test_what_cannot_be_trained_is_refused(config: ModelConfig, start: params.Params, photos: Prepared) -> None:
    with pytest.raises(UserError, match="all 24 training photos have the same score, 3"):
        Training(config, RECIPE, start, stored(photos), np.full(24, 3, np.float32), ROWS)
    with pytest.raises(UserError, match=r"--recipe\.freeze-blocks 3, but the model has 2"):
        Training(config, replace(RECIPE, freeze_blocks=3), start, stored(photos), MOS, ROWS)


def test_rescaling_moves_scores_to_the_label_scale(config: ModelConfig, weights: params.Params, scale) -> None:
    rng = np.random.default_rng(0)
    photos = list(rng.integers(0, 256, (8, 30, 30, 3), np.uint8))
    before = Scorer(config, weights, scale).score(photos)
    after = Scorer(config, training.rescale(weights, 50.0, 7.0), scale).score(photos)
    np.testing.assert_allclose(after, before * 7 + 50, rtol=1e-5)
