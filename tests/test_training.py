"""The training step: it learns, freezes exactly, repeats exactly, and does not depend on the number of devices."""

import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vtiqa_jax import params, training
from vtiqa_jax.config import ModelConfig
from vtiqa_jax.errors import UserError
from vtiqa_jax.prepared import Prepared
from vtiqa_jax.scoring import Scorer
from vtiqa_jax.training import Recipe, Training

pytestmark = pytest.mark.usefixtures("usual_promotion")

RECIPE = Recipe(epochs=4, batch_size=8, lr=3e-4, head_lr=3e-3, compute_dtype="float32")


@pytest.fixture(scope="module")
def photos(config: ModelConfig) -> Prepared:
    """24 photos, some smooth and some rough."""
    rng = np.random.default_rng(1)
    spread = np.linspace(1, 100, 24).reshape(-1, 1, 1, 1)

    def made(side: int) -> np.ndarray:
        return np.clip(128 + spread * rng.standard_normal((24, side, side, 3)), 0, 255).astype(np.uint8)

    return Prepared(made(config.global_size), made(config.local_size))


MOS = np.linspace(20, 80, 24).astype(np.float32)
ROWS = np.arange(24)


def run(config: ModelConfig, weights: params.Params, photos: Prepared, recipe: Recipe, over=None) -> Training:
    trained = Training(config, recipe, weights, photos, MOS, ROWS, over=over)
    for epoch in range(recipe.epochs):
        trained.losses = [float(value) for value in trained.epoch(epoch)]  # type: ignore[attr-defined]
    return trained


@pytest.fixture(scope="module")
def start(config: ModelConfig) -> params.Params:
    return params.drawn(config, seed=3)


def test_it_learns_and_answers_on_the_label_scale(
    config: ModelConfig, start: params.Params, photos: Prepared, scale
) -> None:
    recipe = replace(RECIPE, epochs=30, lr=1e-3)
    trained = run(config, start, photos, recipe).params()
    scorer = Scorer(config, trained, scale)
    scores = scorer.score_versions(photos.global_versions, photos.local_versions, ROWS.tolist())
    assert np.corrcoef(scores, MOS)[0, 1] > 0.95
    assert np.abs(scores - MOS).mean() < 8, "an untrained head would be 50 away"


def test_a_run_repeats_bit_for_bit_and_another_seed_does_not(
    config: ModelConfig, start: params.Params, photos: Prepared
) -> None:
    first, again, other = (run(config, start, photos, replace(RECIPE, seed=seed)).params() for seed in (0, 0, 1))
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not any(np.array_equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("devices", [2, 8])
def test_the_number_of_devices_changes_nothing(
    config: ModelConfig, start: params.Params, photos: Prepared, devices: int
) -> None:
    """12 steps; AdamW magnifies rounding where gradients are near 0, hence the tolerance on the norm."""
    one, many = (run(config, start, photos, RECIPE, jax.devices()[:count]).params() for count in (1, devices))
    for key in one:
        moved = np.linalg.norm(one[key] - np.asarray(start[key]))
        if not key.startswith("head.fc3"):  # brought to the label scale
            assert np.linalg.norm(many[key] - one[key]) < 0.01 * moved, key
        np.testing.assert_allclose(many[key], one[key], atol=2e-4, err_msg=key)


def test_frozen_means_bit_equal_and_the_rest_moves(config: ModelConfig, start: params.Params, photos: Prepared) -> None:
    for frozen in (1, 2):
        trained = run(config, start, photos, replace(RECIPE, freeze_blocks=frozen)).params()
        for key, array in trained.items():
            early = re.match(r"backbone\.(patch_embed|cls_token|pos_embed)|backbone\.blocks\.(\d)", key)
            still = early and (early[2] is None or int(early[2]) < frozen)
            assert np.array_equal(array, start[key]) == bool(still), key


def test_frozen_blocks_have_no_backward_pass(config: ModelConfig, start: params.Params) -> None:
    """Counted in the compiled program: the matrix products of the frozen part occur forward only."""

    def flops(frozen: int) -> float:
        recipe = replace(RECIPE, freeze_blocks=frozen)
        chosen = {k: v for k, v in start.items() if training.trainable(config, recipe, k)}
        others = {k: v for k, v in start.items() if k not in chosen}
        transform = training.optimiser(config, recipe, 10)
        step = training.make_step(config, recipe, transform)
        state = training.State(chosen, transform.init(chosen), jnp.int32(0))
        small = jnp.zeros((8, config.global_size, config.global_size, 3), jnp.uint8)
        large = jnp.zeros((8, config.local_size, config.local_size, 3), jnp.uint8)
        lowered = step.lower(state, others, jax.random.key(0), small, large, jnp.arange(8.0))
        return lowered.compile().cost_analysis()["flops"]

    whole, half, head_only = flops(0), flops(1), flops(2)
    # Training costs three forward passes, a frozen block one.
    assert head_only < 0.45 * whole
    assert half == pytest.approx((whole + head_only) / 2, rel=0.15)


def test_earlier_blocks_learn_more_slowly(config: ModelConfig, start: params.Params) -> None:
    recipe = replace(RECIPE, layer_decay=0.5, weight_decay=0.0, warmup=0.0)
    transform = training.optimiser(config, recipe, 100)
    gradients = {key: jnp.ones_like(array) for key, array in start.items()}
    state = transform.init(start)
    for _ in range(2):  # the first step of the warm-up has the rate 0
        updates, state = transform.update(gradients, state, start)
    found = {key: -float(np.ravel(update)[0]) for key, update in updates.items()}
    head = found["head.fc1.kernel"]
    expected = {
        "backbone.norm.scale": RECIPE.lr,
        "backbone.blocks.1.mlp.fc1.kernel": RECIPE.lr,
        "backbone.blocks.0.mlp.fc1.kernel": RECIPE.lr / 2,
        "backbone.pos_embed": RECIPE.lr / 4,
    }
    for key, rate in expected.items():
        assert found[key] / head == pytest.approx(rate / RECIPE.head_lr, rel=1e-4), key


def test_only_matrices_decay(config: ModelConfig, start: params.Params) -> None:
    recipe = replace(RECIPE, weight_decay=0.5, warmup=0.0)
    transform = training.optimiser(config, recipe, 100)
    nothing = {key: jnp.zeros_like(array) for key, array in start.items()}
    state = transform.init(start)
    for _ in range(2):
        updates, state = transform.update(nothing, state, start)
    for key, array in start.items():
        assert bool(np.any(updates[key])) == (array.ndim == 2), key


def test_the_loss_is_l1_and_plcc() -> None:
    scores, labels = jnp.array([0.0, 1.0, 3.0]), jnp.array([1.0, 1.5, -1.0])
    plcc = np.corrcoef(scores, labels)[0, 1]
    assert float(training.loss(scores, labels, 0.5)) == pytest.approx((1 + 0.5 + 4) / 3 + 0.5 * (1 - plcc), abs=1e-5)
    gradient = jax.grad(training.loss)(jnp.zeros(3), jnp.ones(3), 1.0)
    assert np.isfinite(gradient).all(), "equal scores and equal labels must not give a NaN"


def test_every_epoch_sees_every_photo_once_in_an_order_of_its_own() -> None:
    pixels = np.arange(10, dtype=np.uint8).repeat(3).reshape(10, 1, 1, 3)
    photos = Prepared(pixels, pixels)
    labels = np.arange(10, dtype=np.float32)
    seen = []
    for epoch in (0, 0, 1):
        found = list(training.batches(photos, labels, np.arange(10), 3, seed=5, epoch=epoch))
        assert [len(batch[2]) for batch in found] == [3, 3, 3]
        for small, large, mos in found:
            assert np.array_equal(small[:, 0, 0, 0], mos)
            assert np.array_equal(large[:, 0, 0, 0], mos)
        seen.append([mos.tolist() for _, _, mos in found])
        assert len({mos for batch in seen[-1] for mos in batch}) == 9
    assert seen[0] == seen[1] != seen[2]


def test_what_cannot_be_trained_is_refused(config: ModelConfig, start: params.Params, photos: Prepared) -> None:
    with pytest.raises(UserError, match="all 24 training photos have the same score, 3"):
        Training(config, RECIPE, start, photos, np.full(24, 3, np.float32), ROWS)
    with pytest.raises(UserError, match="--freeze-blocks 3, but the model has 2"):
        Training(config, replace(RECIPE, freeze_blocks=3), start, photos, MOS, ROWS)
    with pytest.raises(UserError, match="a batch of 4 does not reach 8 devices"):
        Training(config, RECIPE, start, photos, MOS, ROWS[:4])
    for wrong in ({"epochs": 0}, {"batch_size": 1}, {"lr": 0.0}, {"freeze_blocks": -1}):
        with pytest.raises(UserError, match=r"at least|above"):
            replace(RECIPE, **wrong)


def test_rescaling_moves_scores_to_the_label_scale(config: ModelConfig, weights: params.Params, scale) -> None:
    rng = np.random.default_rng(0)
    photos = list(rng.integers(0, 256, (8, 30, 30, 3), np.uint8))
    before = Scorer(config, weights, scale).score(photos)
    after = Scorer(config, training.rescale(weights, 50.0, 7.0), scale).score(photos)
    np.testing.assert_allclose(after, before * 7 + 50, rtol=1e-5)


def test_optax_is_asked_for_what_it_does(config: ModelConfig) -> None:
    """Warm-up rises from 0 to the peak over its share of the steps, then falls to 0."""
    transform = training.optimiser(config, replace(RECIPE, weight_decay=0.0, warmup=0.1), 100)
    weights = {"head.fc1.kernel": jnp.ones((2, 2))}
    state, rates = transform.init(weights), []
    for _ in range(101):
        updates, state = transform.update({"head.fc1.kernel": jnp.ones((2, 2))}, state, weights)
        rates.append(-float(updates["head.fc1.kernel"][0, 0]))
    assert rates[0] == 0
    assert np.argmax(rates) == pytest.approx(10, abs=1)
    assert max(rates) == pytest.approx(RECIPE.head_lr, rel=0.02)
    assert rates[100] == pytest.approx(0, abs=1e-8)
    assert isinstance(transform, optax.GradientTransformation)
