"""Maps of faults: what each place is judged by, which faults have places, and what the command makes of them."""

from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.conftest import Command
from tests.detailed import noisy
from tests.reasoned import CONFIG, SCALE, draw_weights
from vtiqa_jax import Scorer, UserError, __main__
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.faults import FAULTS, NATIVE_FAULTS, SCREEN_FAULTS
from vtiqa_jax.models.params import Params, abstract_model, merge_params
from vtiqa_jax.models.vtiqa import VTIQA
from vtiqa_jax.photos.decode import read
from vtiqa_jax.photos.native import shrink_whole
from vtiqa_jax.photos.place_grid import Region
from vtiqa_jax.photos.resize import Rgb
from vtiqa_jax.scoring.fault_map import FaultMap

PATCH, VIEW = CONFIG.mosaic_patch, CONFIG.view_size


@pytest.fixture(scope="module")
def params() -> Params:
    return draw_weights()


@pytest.fixture(scope="module")
def scorer(params: Params) -> Scorer:
    return Scorer(CONFIG, params, SCALE, devices=jax.devices()[:1])


def strengths_alone(params: Params, view: Rgb, scale: int) -> np.ndarray:
    """Of a view each place as if there were nothing else: [faults, rows, columns]."""
    model = merge_params(abstract_model(CONFIG)[0], jax.tree.map(jnp.asarray, params))
    assert isinstance(model, VTIQA) and model.reasons
    tokens = model.read_places(jnp.asarray(view[None]))[0]
    found = []
    for place in tokens:
        summaries = [jnp.zeros(model.reasons.see_places(tokens, jnp.ones(len(tokens))).shape)] * len(
            CONFIG.native_factors
        )
        summaries[scale] = model.reasons.see_places(place[None], jnp.ones(1))
        found.append(model.reasons.see_native(jnp.stack(summaries)))
    grid = CONFIG.mosaic_grid
    return np.array(found).T.reshape(len(NATIVE_FAULTS), grid, grid)


@pytest.mark.parametrize(("fault", "factor"), [("motion", 1), ("compression", 4)])
def test_each_place_is_judged_alone(scorer: Scorer, params: Params, fault: str, factor: int) -> None:
    """Of a large photo, which is shrunk by four, the first view."""
    pixels = noisy(VIEW * factor, VIEW * factor * (6 if factor == 4 else 1))
    found = scorer.explain_reason(pixels, fault)
    assert (found.factor, found.fault) == (factor, fault)
    first = shrink_whole(pixels, factor)[:, :VIEW]
    expected = strengths_alone(params, first, CONFIG.native_factors.index(factor))[NATIVE_FAULTS.index(fault)]
    np.testing.assert_allclose(found.values[:, : CONFIG.mosaic_grid], expected, atol=1e-4)
    assert np.ptp(expected) > 0.01


def test_around_a_point_the_photo_s_own_pixels_are_seen(scorer: Scorer) -> None:
    pixels = noisy(8 * VIEW, 8 * VIEW)
    found = scorer.explain_reason(pixels, "noise", at=(0.9, 0.2))
    alone = scorer.explain_reason(found.region.cut(pixels), "noise", at=(0.5, 0.5))
    assert found.factor == 1 and found.values.shape == (21, 21)
    np.testing.assert_allclose(found.values, alone.values, atol=1e-4)


def test_what_has_no_structure_may_have_noise_and_no_blur(scorer: Scorer) -> None:
    pixels = noisy(VIEW, 2 * VIEW, flat_from=VIEW)
    found = scorer.explain_reason(pixels, "blur")
    assert np.isfinite(found.values[:, :6]).all() and np.isnan(found.values[:, 8:]).all()
    assert np.isfinite(scorer.explain_reason(pixels, "noise").values).all()


def test_highlights_are_clipped_where_they_are(scorer: Scorer) -> None:
    """By counting: a channel is enough."""
    pixels = np.full((6 * PATCH, 9 * PATCH, 3), 100, np.uint8)
    pixels[PATCH : 2 * PATCH, 3 * PATCH : 4 * PATCH, 1] = 255
    pixels[4 * PATCH : 4 * PATCH + PATCH // 2, 7 * PATCH : 8 * PATCH] = 254
    pixels[:PATCH, :PATCH] = 253
    found = scorer.explain_reason(pixels, "overexposed")
    expected = np.zeros((6, 9))
    expected[1, 3], expected[4, 7] = 1, 0.5
    np.testing.assert_array_equal(found.values, expected)


def test_a_model_of_few_scales_has_a_map_at_one_of_them(params: Params) -> None:
    config = CONFIG.replace(native_factors=(1, 2))
    weights = draw_weights(config)
    found = Scorer(config, weights, SCALE, devices=jax.devices()[:1]).explain_reason(
        noisy(12 * VIEW, 12 * VIEW), "jpeg"
    )
    assert found.factor == 2


def test_the_worst_area_is_where_most_of_it_is() -> None:
    values = np.zeros((20, 30), np.float32)
    values[3:8, 20:25] = 2
    values[15, 3] = 5  # one place's number is noisy
    found = FaultMap("motion", values, 1, Region(10, 0, 80, 120), 100, 120)
    assert found.worst == pytest.approx((0.32, 0.75))
    assert FaultMap("motion", np.full((2, 2), np.nan, np.float32), 1, Region(0, 0, 8, 8), 8, 8).worst is None


@pytest.mark.parametrize("fault", [fault for fault in SCREEN_FAULTS if fault != "clipped_highlights"])
def test_what_is_of_the_whole_photo_has_no_map(scorer: Scorer, fault: str) -> None:
    with pytest.raises(UserError, match="is a fault of the whole photo, so it has no map"):
        scorer.explain_reason(noisy(VIEW, VIEW), fault)


def test_other_mistakes_are_told(scorer: Scorer, params: Params) -> None:
    with pytest.raises(UserError, match="at least, not 3 x 2"):
        scorer.explain_reason(noisy(2, 3), "noise")
    with pytest.raises(UserError, match="shares of the photo's height and width"):
        scorer.explain_reason(noisy(VIEW, VIEW), "noise", at=(2.0, 0.5))
    plain = CONFIG.replace(reasons=False)
    kept = {name: array for name, array in params.items() if not name.startswith("reasons.")}
    with pytest.raises(UserError, match="names no faults"):
        Scorer(plain, kept, SCALE).explain_reason(noisy(VIEW, VIEW), "noise")


# ---- the command ----


@pytest.fixture(scope="module")
def reasoning(params: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "reasoning"
    checkpoint.save(path, Checkpoint(CONFIG, params, SCALE, {}))
    return path


@pytest.mark.parametrize("at", [(), ("--at", 0.3, 0.6)], ids=["whole", "around a point"])
def test_the_command_draws_and_writes_it(reasoning: Path, tmp_path: Path, command: Command, at: tuple) -> None:
    photo, out = tmp_path / "a.png", tmp_path / "maps"
    cv2.imwrite(str(photo), noisy(120, 160)[:, :, ::-1])
    arguments = ("explain", photo, "--out", out, "--checkpoint", reasoning, "--reason", "noise", *at)
    status, said, error = command(__main__.main, *arguments)
    assert status == 0, error
    assert "; most luminance noise: " in said
    names = ["a.png.detail.npy", "a.png.luminance_noise.npy", "a.png.npy", "a.png.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    whole = Scorer.load(reasoning).explain_reason(photo, "noise")
    np.testing.assert_allclose(np.load(out / names[1]), whole.values, atol=1e-4)
    assert read(out / "a.png.png").pixels.std() > 10
    assert whole._repr_png_()


def test_a_name_that_is_too_long_for_a_fault_s_array_leaves_nothing(
    reasoning: Path, tmp_path: Path, command: Command
) -> None:
    photo, out = tmp_path / ("b" * 236 + ".png"), tmp_path / "maps"  # .detail.npy would fit
    cv2.imwrite(str(photo), noisy(120, 160))
    arguments = ("explain", photo, "--out", out, "--checkpoint", reasoning, "--reason", "noise")
    status, said, _ = command(__main__.main, *arguments)
    assert status == 1 and "its name is too long" in said
    assert list(out.iterdir()) == []


def test_an_array_of_an_older_photo_does_not_stay(reasoning: Path, tmp_path: Path, command: Command) -> None:
    photo, out = tmp_path / "a.png", tmp_path / "maps"
    arguments = ("explain", photo, "--out", out, "--checkpoint", reasoning, "--reason", "noise")
    for pixels in (noisy(120, 160), np.full((120, 160, 3), 128, np.uint8)):
        cv2.imwrite(str(photo), pixels)
        assert command(__main__.main, *arguments)[0] == 0
    assert sorted(path.name for path in out.iterdir()) == ["a.png.npy", "a.png.png"]


@pytest.mark.parametrize(
    ("reason", "told"), [("ugly", f"'ugly' is not a fault; choose from {', '.join(FAULTS)}"), ("dark", "has no map")]
)
def test_a_reason_without_a_map_is_told_before_any_work(
    reason: str, told: str, reasoning: Path, tmp_path: Path, command: Command
) -> None:
    photo, out = tmp_path / "a.png", tmp_path / "maps"
    cv2.imwrite(str(photo), noisy(120, 160))
    arguments = ("explain", photo, "--out", out, "--checkpoint", reasoning, "--reason", reason)
    status, said, error = command(__main__.main, *arguments)
    assert (status, said, error.count("\n")) == (2, "", 1) and told in error
    assert not out.exists()
