"""The two recipes: the released one against a trace written by hand, the modern one piece by piece."""

import json
from dataclasses import asdict, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vtiqa_jax.errors import UserError
from vtiqa_jax.models import params
from vtiqa_jax.models.config import ModelConfig, deit_small
from vtiqa_jax.training.finetune import FinetuneRecipe
from vtiqa_jax.training.published import PublishedRecipe
from vtiqa_jax.training.recipe import ScheduleState

pytestmark = pytest.mark.usefixtures("usual_promotion")


def trace(recipe: PublishedRecipe, figure) -> list[tuple[int, float, str, str]]:
    """(epoch, lr, what learns, event) of a whole run whose PLCC after epoch e is figure(e)."""
    course, found = recipe.init_schedule(), []
    while not course.done:
        following = recipe.update_schedule(course, figure(course.epoch))
        found.append((course.epoch, course.lr, "head" if course.head_only else "all", following.note))
        course = following
    return found


# ---- the released recipe ----


def test_the_released_recipe_by_hand() -> None:
    """PLCC rises until epoch 40 and never again. Written from the release's script, line by line."""
    found = trace(PublishedRecipe(), lambda epoch: min(epoch, 40) / 100)
    assert [row[:3] for row in found[:11]] == [(epoch, 0.01, "head") for epoch in range(11)]
    assert found[10][3] == "best; lr 0.001; all layers from now on"
    assert [row[:3] for row in found[11:21]] == [(epoch, 0.001, "all") for epoch in range(11, 21)]
    assert found[20][3] == "best; lr 0.005"
    assert [row[:3] for row in found[21:31]] == [(epoch, 0.005, "all") for epoch in range(21, 31)]
    assert found[30][3] == "best; lr 0.03"
    assert [row[:3] for row in found[31:62]] == [(epoch, 0.03, "all") for epoch in range(31, 62)]
    # The best is epoch 40's; 21 epochs without a better one end with epoch 61.
    reloads = [(epoch, event) for epoch, _, _, event in found if "back" in event]
    assert reloads == [
        (61, "back to the best weights, lr 0.009"),
        (82, "back to the best weights, lr 0.0027"),
        (103, "back to the best weights, lr 0.00081"),
        (124, "back to the best weights, lr 0.000243"),
        (145, "back to the best weights, lr 7.29e-05"),
        (166, "back to the best weights, lr 2.19e-05; end"),
    ]
    assert len(found) == 167
    assert [epoch for epoch, _, _, event in found if "best" in event and "back" not in event] == list(range(41))


def test_plateaus_before_epoch_31_are_counted_as_the_script_does() -> None:
    """Best at epoch 0, never again: 21 epochs without, at epoch 21, return at once; 9 epochs later the rate is set to
    .03 all the same, and the count to 1."""
    found = trace(PublishedRecipe(), lambda epoch: -epoch / 1000)
    assert [(epoch, event) for epoch, _, _, event in found if event][:6] == [
        (0, "best"),
        (10, "lr 0.001; all layers from now on"),
        (20, "lr 0.005"),
        (21, "back to the best weights, lr 0.0015"),
        (30, "lr 0.03"),
        (50, "back to the best weights, lr 0.009"),
    ]
    rates = {epoch: lr for epoch, lr, _, _ in found}
    assert rates[22] == pytest.approx(0.0015)
    assert rates[31] == 0.03


def test_a_plcc_that_is_no_number_is_never_the_best() -> None:
    course = PublishedRecipe().update_schedule(PublishedRecipe().init_schedule(), float("nan"))
    assert not course.improved
    assert course.best == -2
    assert PublishedRecipe().update_schedule(course, -0.5).improved
    with pytest.raises(UserError, match="selects the best epoch"):
        PublishedRecipe().update_schedule(course, None)


def test_the_course_survives_json() -> None:
    for recipe in (PublishedRecipe(), FinetuneRecipe()):
        course = recipe.update_schedule(recipe.update_schedule(recipe.init_schedule(), 0.1), 1 / 3)
        assert ScheduleState(**json.loads(json.dumps(asdict(course)))) == course


def test_the_released_step_is_plain_sgd_with_coupled_decay(config: ModelConfig) -> None:
    transform = PublishedRecipe(weight_decay=0.5).optimizer(config)
    weights = {"head.fc1.bias": jnp.array([2.0]), "head.fc1.kernel": jnp.array([[4.0]])}
    gradients = {"head.fc1.bias": jnp.array([1.0]), "head.fc1.kernel": jnp.array([[3.0]])}
    state = transform.init(weights)
    assert not jax.tree.leaves(state), "without state, rebuilding it each epoch changes nothing"
    updates, _ = transform.update(gradients, state, weights)
    assert float(updates["head.fc1.bias"][0]) == 1.0 + 0.5 * 2.0
    assert float(updates["head.fc1.kernel"][0, 0]) == 3.0 + 0.5 * 4.0


def test_the_released_augmentation_is_tied_as_published() -> None:
    """One draw for the batch; mirrored exactly when cut from the left half; rows and columns share their offsets."""
    config = deit_small()
    rng = np.random.default_rng(0)
    small = jnp.asarray(rng.integers(0, 256, (2, 244, 244, 3), np.uint8))
    large = jnp.asarray(rng.integers(0, 256, (2, 768, 768, 3), np.uint8))
    augment = jax.jit(
        lambda key: PublishedRecipe().augment(key, {"global_images": small, "local_images": large}, config)
    )
    photos, whole = np.asarray(small), np.asarray(large)
    corners, offsets = set(), set()
    for seed in range(40):
        view, mosaic = (np.asarray(found) for found in augment(jax.random.key(seed)))
        matches = [
            (top, left, mirrored)
            for top in range(20)
            for left in range(20)
            for mirrored in (False, True)
            if np.array_equal(photos[0, top, left + 223 if mirrored else left], view[0, 0, 0])
            and np.array_equal(photos[0, top : top + 224, left : left + 224][:, :: -1 if mirrored else 1], view[0])
        ]
        ((top, left, mirrored),) = matches
        assert mirrored == (left < 10)
        assert np.array_equal(photos[1, top : top + 224, left : left + 224][:, :: -1 if mirrored else 1], view[1])
        corners.add((top, left))
        for cell in range(7):
            first, edge = cell * 32, cell * 109
            patch = mosaic[0, first : first + 32, first : first + 32]
            places = {o: whole[0, edge + o : edge + o + 32, edge + o : edge + o + 32] for o in range(77)}
            (offset,) = [o for o, place in places.items() if np.array_equal(place, patch)]
            offsets.add(offset)
    assert len(corners) > 30
    assert max(offsets) > 70


def test_the_released_head_is_drawn_as_torch_does(config: ModelConfig) -> None:
    drawn = PublishedRecipe(seed=1).init_head(params.init_params(config, 0))
    for layer, inputs in (("fc1", 48), ("fc2", 64), ("fc3", 8)):
        for kind in ("kernel", "bias"):
            values = np.asarray(drawn[f"head.{layer}.{kind}"])
            assert np.abs(values).max() <= inputs**-0.5
            assert values.any()
    assert np.asarray(drawn["head.fc1.kernel"]).std() == pytest.approx((3 * 48) ** -0.5, rel=0.05)
    others = PublishedRecipe(seed=2).init_head(params.init_params(config, 0))
    assert not np.array_equal(others["head.fc1.kernel"], drawn["head.fc1.kernel"])


# ---- the modern recipe ----


def test_warm_up_and_cosine() -> None:
    recipe = FinetuneRecipe(epochs=10, warmup=0.1)
    rates = [recipe.learning_rate(recipe.init_schedule(), step, 10) for step in range(100)]
    assert rates[0] == pytest.approx(recipe.head_lr / 10)
    assert np.argmax(rates) == 9
    assert max(rates) == pytest.approx(recipe.head_lr)
    assert rates[55] == pytest.approx(recipe.head_lr / 2, rel=0.01)
    assert 0 < rates[99] < 1e-3 * recipe.head_lr
    assert (np.diff(rates[10:]) < 0).all()


def test_earlier_blocks_learn_more_slowly(config: ModelConfig) -> None:
    recipe = FinetuneRecipe(layer_decay=0.5, weight_decay=0.0)
    start = params.init_params(config, 3)
    transform = recipe.optimizer(config)
    updates, _ = transform.update({k: jnp.ones_like(a) for k, a in start.items()}, transform.init(start), start)
    found = {key: float(np.ravel(update)[0]) for key, update in updates.items()}
    expected = {
        "backbone.norm.scale": recipe.peak_lr,
        "backbone.blocks.1.mlp.fc1.kernel": recipe.peak_lr,
        "backbone.blocks.0.mlp.fc1.kernel": recipe.peak_lr / 2,
        "backbone.pos_embed": recipe.peak_lr / 4,
    }
    for key, rate in expected.items():
        assert found[key] / found["head.fc1.kernel"] == pytest.approx(rate / recipe.head_lr, rel=1e-4), key


def test_only_matrices_decay(config: ModelConfig) -> None:
    start = params.init_params(config, 3)
    transform = FinetuneRecipe(weight_decay=0.5).optimizer(config)
    updates, _ = transform.update({k: jnp.zeros_like(a) for k, a in start.items()}, transform.init(start), start)
    for key, array in start.items():
        assert bool(np.any(updates[key])) == (array.ndim == 2), key


def test_the_loss_is_l1_and_plcc_of_the_photos_present() -> None:
    scores, labels = jnp.array([0.0, 1.0, 3.0]), jnp.array([1.0, 1.5, -1.0])
    plcc = np.corrcoef(scores, labels)[0, 1]
    wanted = pytest.approx((1 + 0.5 + 4) / 3 + 0.5 * (1 - plcc), abs=1e-5)
    recipe = FinetuneRecipe(plcc_weight=0.5)
    loss, logged = recipe.loss(scores, {"labels": labels, "mask": jnp.ones(3)})
    assert float(loss) == wanted
    assert float(logged["l1"]) == pytest.approx((1 + 0.5 + 4) / 3)
    assert float(logged["batch_plcc"]) == pytest.approx(plcc, abs=1e-5)
    more = jnp.array([7.0, -9.0])
    padded = jnp.concatenate([scores, more])
    batch = {"labels": jnp.concatenate([labels, more[::-1]]), "mask": jnp.array([1.0, 1, 1, 0, 0])}
    assert float(recipe.loss(padded, batch)[0]) == wanted
    assert float(PublishedRecipe().loss(padded, batch)[0]) == pytest.approx((1 + 0.5 + 4) / 3)
    for each in (recipe, PublishedRecipe()):
        gradient = jax.grad(lambda x, each=each: each.loss(x, batch)[0])(padded)
        assert not np.any(gradient[3:]), "photos that only pad the batch teach nothing"
    level = {"labels": jnp.ones(3), "mask": jnp.ones(3)}
    gradient = jax.grad(lambda x: recipe.loss(x, level)[0])(jnp.zeros(3))
    assert np.isfinite(gradient).all(), "equal scores and equal labels must not give a NaN"


def test_a_fresh_head_begins_with_as_many_signs_of_either_kind(config: ModelConfig) -> None:
    for seed in range(5):
        last = np.asarray(params.init_params(config, seed)["head.fc3.kernel"])[:, 0]
        assert (last > 0).sum() == (last < 0).sum() == 4


def test_modern_ends_after_its_epochs_and_knows_the_best() -> None:
    recipe, course, best = FinetuneRecipe(epochs=3), FinetuneRecipe(epochs=3).init_schedule(), []
    for figure in (0.2, 0.5, 0.4):
        assert not course.done
        course = recipe.update_schedule(course, figure)
        best.append(course.improved)
    assert (best, course.done, course.best) == ([True, True, False], True, 0.5)
    assert recipe.update_schedule(recipe.init_schedule(), None).improved, (
        "without photos to choose on the last epoch is kept"
    )


def test_photos_are_augmented_each_by_itself(config: ModelConfig) -> None:
    """A photo's draw depends on its place in the batch, not on how far the batch is filled up."""
    rng = np.random.default_rng(0)
    small = jnp.asarray(np.repeat(rng.integers(0, 256, (1, 34, 34, 3), np.uint8), 16, 0))
    large = jnp.asarray(np.repeat(rng.integers(0, 256, (1, 96, 96, 3), np.uint8), 16, 0))
    both = FinetuneRecipe().augment(jax.random.key(0), {"global_images": small, "local_images": large}, config)
    for found in both:
        assert len(np.unique(np.asarray(found).reshape(16, -1), axis=0)) > 8
    fewer = FinetuneRecipe().augment(
        jax.random.key(0), {"global_images": small[:10], "local_images": large[:10]}, config
    )
    for all_, some in zip(both, fewer, strict=True):
        assert np.array_equal(all_[:10], some)


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"batch_size": 1}, {"peak_lr": 0.0}, {"freeze_blocks": -1}, {"drop_path": 1.0}, {"ema": -0.1}],
)
def test_recipes_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(UserError, match=r"at least|above"):
        replace(FinetuneRecipe(), **wrong)


def test_released_refuses_as_well() -> None:
    for wrong in ({"max_epochs": 0}, {"batch_size": 1}):
        with pytest.raises(UserError, match="at least"):
            PublishedRecipe(**wrong)
