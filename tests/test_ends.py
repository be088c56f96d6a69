"""Scores near the ends of their scale: they never leave it, and keep their order."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest

from vtiqa_jax.commands import convert
from vtiqa_jax.errors import UserError
from vtiqa_jax.export import onnx_vtiqa
from vtiqa_jax.models import checkpoint, params, quantized
from vtiqa_jax.models.adapt import with_soft_ends, without_soft_ends
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig, deit_small, tiny_config
from vtiqa_jax.models.ends import soften_ends
from vtiqa_jax.models.params import Params
from vtiqa_jax.photos.resize import prepare
from vtiqa_jax.scoring.mosaic_sampling import MosaicSampling
from vtiqa_jax.scoring.scorer import Scorer

LOW, HIGH, REACH = 1.0, 5.0, 0.25


@pytest.fixture(scope="module")
def wild(config: ModelConfig, weights: Params, scale: LabelScale) -> Checkpoint:
    """A model whose scores leave its scale, on both sides."""
    return Checkpoint(config, params.rescale_head(config, weights, 20.0, 3.0), scale, {})


@pytest.fixture
def photos(rng: np.random.Generator) -> list[np.ndarray]:
    return list(rng.integers(0, 256, (12, 40, 40, 3), np.uint8) // rng.integers(1, 9, (12, 1, 1, 1), np.uint8))


def soften(scores: np.ndarray) -> np.ndarray:
    return np.asarray(soften_ends(jnp.asarray(scores, jnp.float32), LOW, HIGH, REACH))


def test_inside_the_scale_nothing_changes(rng: np.random.Generator) -> None:
    inside = rng.uniform(LOW + REACH, HIGH - REACH, 10_000).astype(np.float32)
    np.testing.assert_array_equal(soften(inside), inside)
    outside = np.array([4.76, 5, 1, 1.24], np.float32)
    assert not (soften(outside) == outside).any()


def by_tanh(scores: np.ndarray) -> np.ndarray:
    beyond = np.maximum(scores - np.float32(HIGH - REACH), 0)
    return np.minimum(scores, np.float32(HIGH - REACH) + np.float32(REACH) * np.tanh(beyond / np.float32(REACH)))


def test_no_two_scores_change_their_order(rng: np.random.Generator) -> None:
    for width in (0.1, 1, 10, 1e3, 1e6):
        for middle in (LOW, LOW + REACH, HIGH - REACH, HIGH):
            soft = soften(np.sort(rng.normal(middle, width, 20_000).astype(np.float32)))
            assert (np.diff(soft) >= 0).all()
            assert LOW <= soft.min() <= soft.max() <= HIGH


def test_far_scores_are_told_apart() -> None:
    """An exponential has used up float32 after a few points."""
    above = np.arange(HIGH - REACH, HIGH + 20, 0.01, dtype=np.float32)
    assert (np.diff(soften(above)) > 0).all()
    assert (np.diff(soften(np.arange(LOW - 20, LOW + REACH, 0.01, dtype=np.float32))) > 0).all()
    assert not (np.diff(by_tanh(above)) > 0).all()


@pytest.mark.parametrize("score", [-30.0, 0.9, 1.1, 3.0, 4.9, 5.1, 30.0])
def test_there_is_always_a_slope(score: float) -> None:
    slope = float(jax.grad(lambda s: soften_ends(s, LOW, HIGH, REACH))(jnp.float32(score)))
    beyond = max(score - (HIGH - REACH), LOW + REACH - score, 0)
    assert slope == pytest.approx((REACH / (REACH + beyond)) ** 2, rel=1e-3)
    assert slope > 0


def test_a_model_with_soft_ends_stays_on_its_scale(wild: Checkpoint, photos: list[np.ndarray]) -> None:
    """Score, drawn scores and map."""
    soft = with_soft_ends(wild, REACH)
    before, after = (Scorer(made.config, made.params, made.scale) for made in (wild, soft))  # type: ignore[arg-type]
    scores = before.score(photos)
    assert scores.min() < LOW and scores.max() > HIGH
    np.testing.assert_allclose(after.score(photos), soften(scores), atol=1e-5)
    drawn = np.array([result.mosaic_scores for result in after.stream(photos, sampling=MosaicSampling(4))])
    assert drawn.shape == (12, 4) and LOW < drawn.min() < drawn.max() < HIGH
    worst = photos[int(scores.argmin())]
    assert before.explain(worst).scores.min() < LOW < after.explain(worst).scores.min()


@pytest.mark.parametrize(("slope", "intercept"), [(25.0, -25.0), (-25.0, 125.0)])
def test_the_ends_move_with_the_scale(
    slope: float, intercept: float, wild: Checkpoint, photos: list[np.ndarray]
) -> None:
    soft = with_soft_ends(wild, REACH)
    moved = params.rescale_head(soft.config, soft.params, slope, intercept)
    scale = LabelScale("test", 0.0, 100.0, higher_is_better=slope > 0)
    expected = slope * Scorer(soft.config, soft.params, LabelScale("test", LOW, HIGH)).score(photos) + intercept
    np.testing.assert_allclose(Scorer(soft.config, moved, scale).score(photos), expected, atol=2e-3)
    assert np.ptp(expected) > 1


def test_percentiles_are_those_of_the_soft_scores(wild: Checkpoint) -> None:
    known = {"trained": {"percentiles": {"scores": np.linspace(0, 6, 101).tolist(), "photos": 1000}}}
    made = with_soft_ends(dataclasses.replace(wild, provenance=known), REACH)
    found = made.provenance["trained"]["percentiles"]
    np.testing.assert_array_equal(found["scores"], soften(np.linspace(0, 6, 101)))
    assert found["photos"] == 1000
    assert known["trained"]["percentiles"]["scores"][0] == 0, "the model that it was made from is as it was"


def test_ends_can_be_taken_off_again_and_are_put_on_once(wild: Checkpoint) -> None:
    soft = with_soft_ends(wild, REACH)
    hard = without_soft_ends(soft)
    assert hard.config == wild.config and hard.params.keys() == wild.params.keys()
    for start, reach in ((soft, REACH), (wild, 0.0), (wild, 2.1), (dataclasses.replace(wild, scale=None), REACH)):
        with pytest.raises(ValueError, match="no ends of"):
            with_soft_ends(start, reach)


def test_a_model_as_released_has_none() -> None:
    assert not ModelConfig().soft_ends and not ModelConfig().novelty
    assert not [name for name in params.param_shapes(tiny_config()) if name.startswith(("ends.", "novelty."))]
    with pytest.raises(ValueError, match="belong to a VT-IQA"):
        tiny_config(kind="backbone", soft_ends=True)


def test_the_published_format_cannot_hold_them() -> None:
    with pytest.raises(UserError, match=r"soft_ends True \(published: False\)"):
        convert._check_published("mine", deit_small(soft_ends=True))


def test_the_ends_are_saved(wild: Checkpoint, tmp_path: Path) -> None:
    soft = with_soft_ends(wild, REACH)
    checkpoint.save(tmp_path / "saved", soft)
    loaded = checkpoint.load(tmp_path / "saved")
    config = tiny_config(embed_dim=64, soft_ends=True)
    scale = LabelScale("test", LOW, HIGH)
    plain = Checkpoint(tiny_config(embed_dim=64), params.init_params(tiny_config(embed_dim=64), 0), scale, {})
    quantized.save(tmp_path / "m.npz", with_soft_ends(plain, REACH))
    small = quantized.load(tmp_path / "m.npz")
    assert loaded.config == soft.config and small.config == config
    for made in (loaded, small):
        assert [float(made.params[f"ends.{name}"]) for name in ("low", "high", "reach")] == [LOW, HIGH, REACH]


@pytest.mark.parametrize("inputs", ["stored", "photos"])
def test_an_onnx_graph_ends_as_softly(inputs: onnx_vtiqa.Inputs, wild: Checkpoint, photos: list[np.ndarray]) -> None:
    soft, scale = with_soft_ends(wild, REACH), LabelScale("test", LOW, HIGH)
    pairs = [prepare(photo, None, soft.config.stored_cuts) for photo in photos]
    small, large = (np.stack(images) for images in zip(*pairs, strict=True))
    fed = {"photos": np.stack(photos)} if inputs == "photos" else {"global_images": small, "local_images": large}
    graph = onnx_vtiqa.build(soft.config, soft.params, inputs=inputs).SerializeToString()
    (found,) = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, fed)
    scores = np.asarray(found)
    np.testing.assert_allclose(scores, Scorer(soft.config, soft.params, scale).score(photos), atol=1e-3)
    assert np.abs(scores - Scorer(wild.config, wild.params, scale).score(photos)).max() > 0.1
