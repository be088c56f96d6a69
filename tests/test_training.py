"""The training step: it learns, freezes exactly, repeats exactly, and does not depend on the number of devices."""

import itertools
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from vtiqa_jax import sharding
from vtiqa_jax.data import distorted, loader
from vtiqa_jax.data.batches import BatchPlan, epoch_batches
from vtiqa_jax.data.distorted import LEVELS
from vtiqa_jax.data.image_cache import ImageCache
from vtiqa_jax.data.loader import ImageStore
from vtiqa_jax.models import params
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.scoring.scorer import Scorer
from vtiqa_jax.training.finetune import FinetuneRecipe
from vtiqa_jax.training.loop import train_epoch
from vtiqa_jax.training.published import PublishedRecipe
from vtiqa_jax.training.recipe import Recipe, ScheduleState
from vtiqa_jax.training.start import initial_params, score_before
from vtiqa_jax.training.step import TrainState, init_state, make_key, make_train_step

pytestmark = pytest.mark.usefixtures("usual_promotion")

RECIPE = FinetuneRecipe(epochs=4, batch_size=8, peak_lr=3e-4, head_lr=3e-3, ema=0.0, compute_dtype="float32")


@pytest.fixture(scope="module")
def photos(config: ModelConfig) -> ImageCache:
    """24 photos, some smooth and some rough."""
    rng = np.random.default_rng(1)
    spread = np.linspace(1, 100, 24).reshape(-1, 1, 1, 1)

    def made(side: int) -> np.ndarray:
        return np.clip(128 + spread * rng.standard_normal((24, side, side, 3)), 0, 255).astype(np.uint8)

    return ImageCache(made(config.global_resize), made(config.local_resize))


def stored(photos: ImageCache, over: list[jax.Device] | None = None, *, on_device: bool | None = False) -> ImageStore:
    return ImageStore(photos, sharding.data_mesh(over), on_device=on_device)


MOS = np.linspace(20, 80, 24).astype(np.float32)
ROWS = np.arange(24)


class Trained:
    """A toy trained by hand, step by step, as the trainer does it."""

    def __init__(
        self, config: ModelConfig, weights: params.Params, store: ImageStore, recipe: Recipe, rows: np.ndarray = ROWS
    ) -> None:
        self.config, self.store, self.recipe, self.rows = config, store, recipe, rows
        self.mean, self.std = recipe.label_stats(MOS[rows])
        self.state, self.frozen = init_state(recipe, config, weights, store.mesh)
        self.losses: list[float] = []

    def epoch(self, schedule: ScheduleState) -> "Trained":
        mesh, recipe = self.store.mesh, self.recipe
        step = make_train_step(recipe, self.config, mesh, schedule.head_only)
        labels = ((MOS - self.mean) / self.std).astype(np.float32)
        plan = BatchPlan(self.rows, recipe.batch_size, recipe.seed, {"labels": labels})
        self.state = train_epoch(
            step, self.state, self.frozen, make_key(recipe.seed, mesh), self.store, plan, recipe, schedule,
            after_step=lambda state, logged, rows: self.losses.append(float(logged["loss"])),
        )  # fmt: skip
        return self

    def params(self) -> params.Params:
        trained = jax.device_get(self.frozen | self.state.eval_params)
        return params.rescale_head(self.config, trained, self.std, self.mean)


def run(
    config: ModelConfig, weights: params.Params, photos: ImageCache, recipe: Recipe, epochs: int, over=None
) -> tuple[Trained, list[float]]:
    trained, schedule = Trained(config, weights, stored(photos, over), recipe), recipe.init_schedule()
    for epoch in range(epochs):
        trained.epoch(replace(schedule, epoch=epoch))
    return trained, trained.losses


@pytest.fixture(scope="module")
def start(config: ModelConfig) -> params.Params:
    return params.init_params(config, seed=3)


def test_it_learns_and_answers_on_the_label_scale(
    config: ModelConfig, start: params.Params, photos: ImageCache, scale
) -> None:
    for ema in (0.0, 0.9):
        recipe = replace(RECIPE, epochs=30, peak_lr=1e-3, ema=ema)
        trained = run(config, start, photos, recipe, 30)[0].params()
        scorer = Scorer(config, trained, scale)
        scores = scorer.score_store(stored(photos), ROWS)
        assert np.corrcoef(scores, MOS)[0, 1] > 0.95
        assert np.abs(scores - MOS).mean() < 8, "an untrained head would be 50 away"


def test_a_run_repeats_bit_for_bit_and_another_seed_does_not(
    config: ModelConfig, start: params.Params, photos: ImageCache
) -> None:
    first, again, other = (run(config, start, photos, replace(RECIPE, seed=seed), 2)[0].params() for seed in (0, 0, 1))
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not any(np.array_equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("recipe", [RECIPE, PublishedRecipe(batch_size=8)], ids=["finetune", "published"])
def test_the_number_of_devices_changes_nothing(
    config: ModelConfig, start: params.Params, photos: ImageCache, recipe: Recipe, scale
) -> None:
    """21 steps on 1, 2 and 8 devices, float32: every loss and the scores to 1e-5. An error of 1e-4 in one gradient,
    the first device's share counted twice say, shows in the next loss."""
    found = {}
    for count in (1, 2, 8):
        trained, losses = run(config, start, photos, recipe, 7, jax.devices()[:count])
        scorer = Scorer(config, trained.params(), scale, devices=jax.devices()[:1])
        scores = scorer.score_store(stored(photos, jax.devices()[:1]), ROWS)
        found[count] = (np.array(losses), scores, trained.params())
    for count in (2, 8):
        np.testing.assert_allclose(found[count][0], found[1][0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[count][1], found[1][1], rtol=1e-5)
        if isinstance(recipe, PublishedRecipe):  # Adam turns the rounding of gradients near 0 into steps
            for key, array in found[1][2].items():
                np.testing.assert_allclose(found[count][2][key], array, atol=1e-5, err_msg=key)


def test_a_batch_that_does_not_divide_is_filled_up(
    config: ModelConfig, start: params.Params, photos: ImageCache
) -> None:
    """Batches of 7, 7, 7 and 3 photos on 1 and on 8 devices."""
    recipe = replace(RECIPE, batch_size=7)
    one, many = (run(config, start, photos, recipe, 2, jax.devices()[:count])[1] for count in (1, 8))
    assert len(one) == 8
    np.testing.assert_allclose(many, one, rtol=1e-5, atol=1e-6)


def test_frozen_means_bit_equal_and_the_rest_moves(
    config: ModelConfig, start: params.Params, photos: ImageCache
) -> None:
    for frozen in (1, 2):
        trained = run(config, start, photos, replace(RECIPE, freeze_blocks=frozen), 1)[0].params()
        for key, array in trained.items():
            early = re.match(r"backbone\.(patch_embed|cls_token|pos_embed)|backbone\.blocks\.(\d)", key)
            still = early and (early[2] is None or int(early[2]) < frozen)
            assert np.array_equal(array, start[key]) == bool(still), key


def test_the_published_head_stage_moves_the_head_alone(
    config: ModelConfig, start: params.Params, photos: ImageCache
) -> None:
    recipe = PublishedRecipe(batch_size=8)
    trained = Trained(config, start, stored(photos), recipe).epoch(recipe.init_schedule())
    head = trained.params()
    assert {key for key in head if not np.array_equal(head[key], start[key])} == {
        key for key in start if key.startswith("head.")
    }
    trained.epoch(ScheduleState(epoch=11, lr=0.001))
    everything = trained.params()
    assert not any(np.array_equal(everything[key], head[key]) for key in head)


def test_photos_that_stay_on_the_devices_change_no_bit(
    config: ModelConfig, start: params.Params, photos: ImageCache, scale, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moved there in pieces of 7, of which the last overlaps; 3 devices, none of which divides a batch of 7 evenly."""
    monkeypatch.setattr(loader, "CHUNK", 7)
    over = jax.devices()[:3]
    recipe = replace(RECIPE, batch_size=7)
    found = []
    for on_device in (False, True):
        source = stored(photos, over, on_device=on_device)
        assert source.on_device == on_device
        trained = Trained(config, start, source, recipe, ROWS[::-1]).epoch(ScheduleState())
        losses = trained.losses
        scorer = Scorer(config, trained.params(), scale, devices=over)
        found.append([losses, scorer.score_store(source, ROWS[5:], batch_size=2).tolist()])
    assert found[0] == found[1]


def test_photos_stay_on_devices_that_have_room_for_them_twice(photos: ImageCache) -> None:
    def fits(*free: int) -> bool:
        return loader._fits_in_memory(100, [{"bytes_limit": 1000 + room, "bytes_in_use": 1000} for room in free])

    assert fits(200)
    assert not fits(199)
    assert not fits(1000, 199)
    assert not stored(photos, on_device=None).on_device, "a CPU tells nothing of its memory"


def flops(config: ModelConfig, start: params.Params, recipe: Recipe, *, head_only: bool = False) -> float:
    """Of one step, counted in the lowered program."""
    mesh = sharding.data_mesh(jax.devices()[:1])
    state, frozen = init_state(recipe, config, start, mesh)
    batch = {
        "global_images": jnp.zeros((8, config.global_resize, config.global_resize, 3), jnp.uint8),
        "local_images": jnp.zeros((8, config.local_resize, config.local_resize, 3), jnp.uint8),
        "labels": jnp.arange(8.0),
        "mask": jnp.ones(8),
    }
    step = make_train_step(recipe, config, mesh, head_only)
    lowered = step.lower(state, frozen, jax.random.key(0), np.float32(1), batch)  # type: ignore[attr-defined]
    return lowered.cost_analysis()["flops"]


def test_what_does_not_learn_has_no_backward_pass(config: ModelConfig) -> None:
    """Training costs three forward passes, a frozen block one; the last block, of which the class token alone is
    computed, costs less than the others."""
    deep = replace(config, depth=3)
    start = params.init_params(deep, 0)
    costs = [flops(deep, start, replace(RECIPE, freeze_blocks=count)) for count in range(4)]
    assert costs[3] < 0.45 * costs[0]
    first, second, last = (more - less for more, less in itertools.pairwise(costs))
    assert first == pytest.approx(second, rel=0.15)
    assert last < 0.6 * second
    assert flops(deep, start, PublishedRecipe(batch_size=8), head_only=True) < 0.45 * costs[0]


def test_series_rise_where_lower_scores_are_better(
    config: ModelConfig, start: params.Params, photos: ImageCache
) -> None:
    """With so large a margin that no pair keeps it, what a pair lacks one way it has the other way round."""
    recipe, mesh = replace(RECIPE, ladders=2, ranking_margin=100.0), sharding.data_mesh()
    shown = {"ladders": np.repeat([0.0, 1.0, -1.0], [5, 5, 6]), "level_index": np.tile(np.arange(5.0), 4)[:16]}
    found = []
    for better in (True, False):
        signs = distorted.ladder_columns(np.arange(5)[None], 16, higher_is_better=better)["signs"]
        columns = {name: values.astype(np.float32) for name, values in (shown | {"signs": signs}).items()}
        batch = next(loader.load_batches(stored(photos), columns | {"labels": MOS[:16]}, [np.arange(16)], 16))
        state, frozen = init_state(recipe, config, start, mesh)
        step = make_train_step(recipe, config, mesh)
        found.append(float(step(state, frozen, jax.random.key(0), np.float32(0), batch)[1]["ranking"]))
    steps = np.diff([0, *LEVELS])
    assert sum(found) == pytest.approx(2 * 100 * steps.mean(), rel=1e-4)
    assert abs(found[0] - found[1]) > 1e-3


def test_drop_path_leaves_out_branches_in_training_only(
    config: ModelConfig, start: params.Params, photos: ImageCache
) -> None:
    plain, dropped = (run(config, start, photos, replace(RECIPE, drop_path=rate), 1)[1] for rate in (0.0, 0.9))
    assert not np.allclose(plain, dropped, rtol=1e-3)
    graphdef, _ = params.abstract_model(config, drop_path=0.9)
    model = params.merge_params(graphdef, start)
    views = jnp.ones((64, 28, 28, 3))
    still = model(views, views)
    np.testing.assert_allclose(
        still, params.merge_params(params.abstract_model(config)[0], start)(views, views), rtol=1e-6
    )
    x = model.backbone.embed(views)
    last = model.backbone.blocks[1]
    moved = np.abs(np.asarray(last(x, rngs=nnx.Rngs(dropout=0)) - x)).max((1, 2))
    # Both branches are left out for .9 x .9 of the samples; the others keep their size on average.
    assert 0.6 < (moved == 0).mean() < 0.95
    first = model.backbone.blocks[0]
    np.testing.assert_allclose(first(x, rngs=nnx.Rngs(dropout=0)), first(x), rtol=1e-5)


def test_the_average_follows_the_weights(config: ModelConfig, start: params.Params, photos: ImageCache) -> None:
    """By hand, over 6 steps."""
    recipe = replace(RECIPE, ema=0.5)
    averaged = Trained(config, start, stored(photos), replace(recipe, batch_size=24))
    key = "backbone.blocks.1.mlp.fc1.kernel"
    expected = np.asarray(start[key])
    for step in range(6):
        averaged.epoch(ScheduleState(epoch=step))
        keep = min(0.5, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * np.asarray(averaged.state.params[key])
    np.testing.assert_allclose(averaged.params()[key], expected, rtol=1e-5, atol=1e-7)


def test_every_epoch_sees_every_photo_once_in_an_order_of_its_own() -> None:
    pixels = np.arange(10, dtype=np.uint8).repeat(3).reshape(10, 1, 1, 3)
    labels = np.arange(10, dtype=np.float32)
    source = stored(ImageCache(pixels, pixels), jax.devices()[:1])
    seen = []
    for epoch in (0, 0, 1):
        chosen = epoch_batches(np.arange(10), 3, seed=5, epoch=epoch)
        found = list(loader.load_batches(source, {"labels": labels}, chosen, 3))
        assert [batch["mask"].sum() for batch in found] == [3, 3, 3, 1]
        for batch in found:
            assert np.array_equal(batch["global_images"][:, 0, 0, 0], batch["labels"])
            assert np.array_equal(batch["local_images"][:, 0, 0, 0], batch["labels"])
        seen.append([batch["labels"][batch["mask"] == 1].tolist() for batch in found])
        assert sorted(mos for batch in seen[-1] for mos in batch) == list(range(10))
    assert seen[0] == seen[1] != seen[2]


def test_rescaling_moves_scores_to_the_label_scale(config: ModelConfig, weights: params.Params, scale) -> None:
    rng = np.random.default_rng(0)
    photos = list(rng.integers(0, 256, (8, 30, 30, 3), np.uint8))
    before = Scorer(config, weights, scale).score(photos)
    after = Scorer(config, params.rescale_head(config, weights, 7.0, 50.0), scale).score(photos)
    np.testing.assert_allclose(after, before * 7 + 50, rtol=1e-5)


@pytest.mark.parametrize("better", [True, False])
def test_a_kept_head_begins_with_the_starts_scores_on_the_new_scale(
    config: ModelConfig, weights: params.Params, scale, better: bool
) -> None:
    """Also when lower scores were better."""
    rng = np.random.default_rng(0)
    photos = list(rng.integers(0, 256, (6, 30, 30, 3), np.uint8))
    old, new = LabelScale("old", 10.0, 20.0, better), LabelScale("new", 1.0, 5.0)
    start = Checkpoint(config, params.rescale_head(config, weights, 3.0, 15.0), old, {})
    mean, std = 3.5, 0.7
    moved = initial_params(start, RECIPE, new, (mean, std), keep_head=True)
    before = Scorer(config, start.params, old).score(photos)
    expected = 1 + 4 * ((before - 10) / 10 if better else (20 - before) / 10)
    np.testing.assert_allclose(Scorer(config, moved, scale).score(photos) * std + mean, expected, atol=1e-4)
    fresh = initial_params(start, RECIPE, new, (mean, std), keep_head=False)
    for name, array in weights.items():
        if params.param_group(name)[0] != "head" or name.endswith("kernel"):  # biases begin at 0
            assert np.array_equal(fresh[name], array) == (params.param_group(name)[0] != "head"), name


def test_the_start_is_scored_as_it_is_on_the_new_scale(
    config: ModelConfig, weights: params.Params, photos: ImageCache
) -> None:
    old, new = LabelScale("old", 10.0, 20.0, higher_is_better=False), LabelScale("new", 1.0, 5.0)
    before, rows = Checkpoint(config, params.rescale_head(config, weights, 3.0, 15.0), old, {}), np.array([3, 17, 20])
    scores = Scorer(config, before.params, old).score_store(stored(photos), rows)
    found = score_before(before, config, new, stored(photos), rows)
    np.testing.assert_allclose(found, 1 + 4 * (20 - scores) / 10, atol=1e-5)
    larger = config.replace(local_resize=2 * config.local_resize)
    for nothing in (None, replace(before, scale=None)):
        assert score_before(nothing, config, new, stored(photos), rows) is None
    assert score_before(before, larger, new, stored(photos), rows) is None


def test_training_and_evaluation_compute_in_the_same_precision(
    config: ModelConfig, start: params.Params, photos: ImageCache, scale
) -> None:
    """The loss of a step without dropout and augmentation is that of the scores that evaluation gives."""
    still = replace(RECIPE, batch_size=24, plcc_weight=0.0)
    config = config.replace(global_resize=config.view_size, eval_mosaics=1)
    no_dropout = start | {"head.fc3.kernel": np.zeros_like(start["head.fc3.kernel"])}
    cut = ImageCache(np.ascontiguousarray(photos.global_images[:, 3:31, 3:31]), photos.local_images)
    trained = Trained(config, no_dropout, stored(cut), still).epoch(ScheduleState())
    scores = Scorer(config, no_dropout, scale).score_store(stored(cut), ROWS)
    labels = (MOS - trained.mean) / trained.std
    assert trained.losses[0] == pytest.approx(float(np.abs(scores - labels).mean()), rel=1e-6)


def test_the_state_is_one_tree(config: ModelConfig, start: params.Params) -> None:
    state, frozen = init_state(replace(RECIPE, freeze_blocks=1), config, start, sharding.data_mesh())
    assert isinstance(state, TrainState)
    paths = {jax.tree_util.keystr(path[:1]) for path, _ in jax.tree_util.tree_flatten_with_path(state)[0]}
    assert paths == {".params", ".opt_state", ".best_params", ".step"}
    assert frozen.keys() | state.params.keys() == start.keys() and not frozen.keys() & state.params.keys()


def test_the_module_learns_in_anyones_loop(config: ModelConfig, photos: ImageCache) -> None:
    """Ten steps of a plain Optax loop on a model made as in any Flax tutorial."""
    import optax

    from vtiqa_jax import VTIQA

    model = VTIQA(config, rngs=nnx.Rngs(0))
    graphdef, weights = nnx.split(model, nnx.Param)
    optimizer = optax.adam(1e-3)
    opt_state = optimizer.init(weights)
    pair = jnp.asarray(photos.global_images), jnp.asarray(photos.local_images)
    labels = jnp.linspace(-1, 1, 24)

    @jax.jit
    def step(weights, opt_state):
        loss, grads = jax.value_and_grad(lambda w: ((nnx.merge(graphdef, w).score(*pair) - labels) ** 2).mean())(
            weights
        )
        updates, opt_state = optimizer.update(grads, opt_state)
        return optax.apply_updates(weights, updates), opt_state, loss

    losses = []
    for _ in range(10):
        weights, opt_state, loss = step(weights, opt_state)
        losses.append(float(loss))
    assert losses[-1] < 0.8 * losses[0]
