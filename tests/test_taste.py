"""A taste in a model: in every output, within the scale, and gone without a trace where it does not belong."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from vtiqa_jax.export import onnx_vtiqa, stablehlo
from vtiqa_jax.export.card import make_card
from vtiqa_jax.heads.kept import without_heads
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.adapt import with_soft_ends, without_taste
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig, tiny_config
from vtiqa_jax.models.params import Params, rescale_head
from vtiqa_jax.models.taste import Taste
from vtiqa_jax.photos.resize import Rgb, prepare
from vtiqa_jax.scoring.scorer import Scorer


@pytest.fixture
def plain(config: ModelConfig, weights: Params, scale: LabelScale) -> Checkpoint:
    """Scores in the middle of a scale that ends softly."""
    return with_soft_ends(Checkpoint(config, rescale_head(config, weights, 0.1, 2.8), scale, {}), 0.2)


@pytest.fixture
def tasting(plain: Checkpoint, rng: np.random.Generator) -> Checkpoint:
    taste = {
        "taste.slope": np.float32(0.7),
        "taste.intercept": np.float32(0.9),
        "taste.direction": rng.normal(0, 0.1, 2 * plain.config.feature_dim).astype(np.float32),
    }
    return dataclasses.replace(plain, config=plain.config.replace(taste=True), params=plain.params | taste)


@pytest.fixture
def photos(rng: np.random.Generator) -> list[Rgb]:
    return [rng.integers(0, 60 * level, (40, 50, 3), np.uint8) for level in (1, 2, 3, 4)]


def scores(model: Checkpoint, photos: list[Rgb]) -> np.ndarray:
    assert model.scale is not None
    return Scorer(model.config, model.params, model.scale).score(photos)


def test_a_new_taste_changes_no_score_by_a_bit(rng: np.random.Generator) -> None:
    given = jnp.asarray(rng.normal(3, 1, 50), jnp.float32)
    features = jnp.asarray(rng.normal(0, 1, (50, 8)), jnp.float32)
    np.testing.assert_array_equal(Taste(8)(given, features), given)


def test_scores_are_by_taste_and_keep_to_their_scale(tasting: Checkpoint, plain: Checkpoint, photos: list[Rgb]) -> None:
    by_taste, by_people = scores(tasting, photos), scores(plain, photos)
    assert np.abs(by_taste - by_people).max() > 0.1
    strong = tasting.params | {"taste.direction": 1000 * tasting.params["taste.direction"]}
    far = scores(dataclasses.replace(tasting, params=strong), photos)
    assert ((far > 1) & (far < 5)).all() and ((far < 1.1) | (far > 4.9)).any(), "within the soft ends, not beyond them"


def test_without_its_taste_a_model_is_what_it_was(tasting: Checkpoint, plain: Checkpoint, photos: list[Rgb]) -> None:
    back = without_taste(tasting)
    assert back.config == plain.config and back.params.keys() == plain.params.keys()
    np.testing.assert_array_equal(scores(back, photos), scores(plain, photos))
    assert without_heads(tasting.config) == without_heads(plain.config), "what a backbone sees is kept for both"


@pytest.mark.parametrize(("slope", "intercept"), [(25.0, -25.0), (-2.0, 12.0)])
def test_scores_on_another_scale_are_the_same_but_for_it(
    slope: float, intercept: float, tasting: Checkpoint, photos: list[Rgb]
) -> None:
    rescaled = rescale_head(tasting.config, tasting.params, slope, intercept)
    moved = scores(dataclasses.replace(tasting, params=rescaled), photos)
    np.testing.assert_allclose(moved, slope * scores(tasting, photos) + intercept, rtol=2e-5)


@pytest.mark.parametrize("inputs", ["photos", "stored", "regions"])
def test_onnx_scores_by_taste(
    inputs: onnx_vtiqa.Inputs, tasting: Checkpoint, plain: Checkpoint, photos: list[Rgb]
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    built = onnx_vtiqa.build(tasting.config, tasting.params, inputs=inputs).SerializeToString()
    session = onnxruntime.InferenceSession(built, providers=["CPUExecutionProvider"])
    fed = {"photos": photos[3][None], "corners": np.empty((0, 2), np.int32)}
    stored = prepare(photos[3], tasting.config.screen_side, tasting.config.stored_cuts)
    fed |= {name: part[None] for name, part in zip(("global_images", "local_images"), stored, strict=True)}
    (found,) = session.run(["score"], {value.name: fed[value.name] for value in session.get_inputs()})
    expected = scores(tasting, photos[3:])
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert np.abs(expected - scores(plain, photos[3:])) > 0.1


def test_a_program_of_stablehlo_scores_by_taste(tasting: Checkpoint, photos: list[Rgb]) -> None:
    stored = prepare(photos[1], tasting.config.screen_side, tasting.config.stored_cuts)
    program = export.deserialize(bytearray(stablehlo.build(tasting.config, tasting.params)))
    np.testing.assert_allclose(program.call(*(part[None] for part in stored)), scores(tasting, photos[1:2]), atol=1e-4)


def test_the_training_pass_has_it_too(tasting: Checkpoint, rng: np.random.Generator) -> None:
    side = tasting.config.view_size
    global_view, mosaic = jnp.asarray(rng.normal(0, 1, (2, 3, side, side, 3)), jnp.float32)
    model = tasting.model()
    whole = model(global_view, mosaic)  # type: ignore[call-arg]
    features = jax.vmap(lambda view: model.backbone(view))(jnp.stack([global_view, mosaic]))  # type: ignore[union-attr]
    np.testing.assert_allclose(whole, model.score_features(*features), atol=1e-5)  # type: ignore[union-attr]


def test_files_keep_it_and_say_so(tasting: Checkpoint, photos: list[Rgb], tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "mine", tasting)
    kept = checkpoint.load(tmp_path / "mine")
    np.testing.assert_array_equal(scores(kept, photos), scores(tasting, photos))
    assert kept.scale is not None
    assert "one person's" in make_card("mine", kept, kept.scale, "photos")["output"]
    assert "one person's" not in make_card("people", without_taste(kept), kept.scale, "photos")["output"]


def test_a_score_by_taste_has_no_interval_of_peoples_mean() -> None:
    with pytest.raises(ValueError, match="intervals are of people's mean"):
        tiny_config(taste=True, intervals=True)
