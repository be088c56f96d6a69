"""What does not look like a photograph: found, said, and found in nothing else."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from jax import export
from PIL import Image, ImageDraw

import vtiqa_jax
from vtiqa_jax.data import demo
from vtiqa_jax.export import onnx_vtiqa, stablehlo
from vtiqa_jax.models import checkpoint, quantized
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig, tiny_config
from vtiqa_jax.models.params import Params, init_params
from vtiqa_jax.photos.resize import prepare
from vtiqa_jax.results.interpreter import NO_PHOTOGRAPH, NO_STRUCTURE
from vtiqa_jax.scoring.mosaic_sampling import MosaicSampling
from vtiqa_jax.scoring.scorer import Scorer
from vtiqa_jax.training.novelty import MARGIN, fit_novelty, read_features, vary, with_novelty


@pytest.fixture
def photographs(rng: np.random.Generator) -> list[np.ndarray]:
    return list(rng.integers(60, 180, (9, 40, 50, 3), np.uint8))


@pytest.fixture
def stripes() -> list[np.ndarray]:
    """Pictures that are none."""
    rows = np.arange(40)[:, None, None] // np.arange(2, 9)[:, None, None, None]
    return list(np.broadcast_to(rows % 2 * 255, (7, 40, 50, 3)).astype(np.uint8))


@pytest.fixture
def model(
    config: ModelConfig, weights: Params, scale: LabelScale, photographs: list[np.ndarray], stripes: list[np.ndarray]
) -> Checkpoint:
    """The small model, which knows photographs."""
    plain = Checkpoint(config, weights, scale, {})
    return with_novelty(plain, fit_novelty(read_features(plain, photographs), read_features(plain, stripes)))


def scorer(made: Checkpoint) -> Scorer:
    assert made.scale is not None
    return Scorer(made.config, made.params, made.scale)


@pytest.mark.parametrize("sampling", [None, MosaicSampling(2)])
def test_what_is_no_photograph_is_scored_with_a_warning(
    sampling: MosaicSampling | None,
    model: Checkpoint,
    config: ModelConfig,
    weights: Params,
    photographs: list[np.ndarray],
    stripes: list[np.ndarray],
) -> None:
    found = list(scorer(model).stream([*photographs, *stripes], sampling=sampling))
    assert [result.warning for result in found] == [None] * 9 + [NO_PHOTOGRAPH] * 7
    plain = dataclasses.replace(model, config=config, params=weights)
    without = list(scorer(plain).stream([*photographs, *stripes], sampling=sampling))
    assert {result.warning for result in without} == {None}
    np.testing.assert_allclose([r.score for r in found], [r.score for r in without], atol=1e-5)  # type: ignore[misc]


def test_a_photo_may_have_two_warnings(scale: LabelScale) -> None:
    config = tiny_config(native_factors=(1, 2), native_blocks=(1,), novelty=True)
    threshold = {"novelty.threshold": np.float32(-1)}
    anything = Scorer(config, init_params(config, 0) | threshold, scale)
    (fog,) = anything.stream(np.full((60, 60, 3), 128, np.uint8))
    assert fog.warning == f"{NO_STRUCTURE}; {NO_PHOTOGRAPH}"


def test_a_model_that_was_fitted_to_nothing_warns_of_nothing(scale: LabelScale, stripes: list[np.ndarray]) -> None:
    config = tiny_config(novelty=True)
    assert not [r for r in Scorer(config, init_params(config, 0), scale).stream(stripes) if r.warning]


def test_the_threshold_lies_beyond_every_photograph(rng: np.random.Generator) -> None:
    """Also beyond the one that is unlike the others; and in units of which pictures that are none have 1."""
    photographs, others = rng.normal(0, 1, (400, 20)), rng.normal(0, 1, (60, 20)) + 4
    photographs[7] += 2
    found = fit_novelty(photographs.astype(np.float32), others.astype(np.float32))
    for array in found.values():
        np.testing.assert_array_equal(np.float16(array), array)
    novelty = [
        (kind - found["novelty.mean"]) @ found["novelty.direction"] - found["novelty.threshold"]
        for kind in (photographs, others)
    ]
    assert novelty[0].max() == pytest.approx(-MARGIN / (1 - MARGIN), abs=0.01)
    assert novelty[0].argmax() == 7
    assert np.median(novelty[1]) == pytest.approx(1, abs=0.01)


def test_many_photographs_do_not_outvote_the_others(rng: np.random.Generator) -> None:
    photographs, others = rng.normal(0, 1, (300, 5)), rng.normal(0, 1, (300, 5)) + 3
    few = fit_novelty(photographs.astype(np.float32), others.astype(np.float32))
    many = fit_novelty(np.tile(photographs, (10, 1)).astype(np.float32), others.astype(np.float32))
    np.testing.assert_allclose(many["novelty.direction"], few["novelty.direction"], rtol=0.02)


def test_features_that_tell_nothing_apart_are_refused(rng: np.random.Generator) -> None:
    same = rng.normal(0, 1, (50, 3)).astype(np.float32)
    with pytest.raises(ValueError, match="do not tell"):
        fit_novelty(same, same)


def test_features_do_not_depend_on_their_batch(model: Checkpoint, photographs: list[np.ndarray]) -> None:
    together = read_features(model, photographs)
    assert together.shape == (9, 2 * model.config.feature_dim)
    alone = np.concatenate([read_features(model, [photo]) for photo in photographs])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert read_features(model, []).shape == (0, 2 * model.config.feature_dim)


def test_parts_of_photos_have_other_shapes(rng: np.random.Generator) -> None:
    photo = rng.integers(0, 256, (120, 120, 3), np.uint8)
    parts = [vary(photo, np.random.default_rng(seed)) for seed in range(60)]
    shapes = np.array([part.shape[0] / part.shape[1] for part in parts])
    assert shapes.min() < 0.6 and shapes.max() > 1.6
    assert all(part.dtype == np.uint8 and part.shape[2] == 3 and min(part.shape[:2]) > 20 for part in parts)
    np.testing.assert_array_equal(parts[3], vary(photo, np.random.default_rng(3)))


def test_it_is_saved(model: Checkpoint, scale: LabelScale, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "saved", model)
    config = tiny_config(embed_dim=64, novelty=True)
    knowing = {name: model.params[name] for name in model.params if name.startswith("novelty.")}
    resized = {name: np.resize(array, np.shape(init_params(config, 0)[name])) for name, array in knowing.items()}
    quantized.save(tmp_path / "m.npz", Checkpoint(config, init_params(config, 0) | resized, scale, {}))
    for loaded, kept in ((checkpoint.load(tmp_path / "saved"), knowing), (quantized.load(tmp_path / "m.npz"), resized)):
        assert loaded.config.novelty
        for name, array in kept.items():
            np.testing.assert_array_equal(loaded.params[name], array)


@pytest.mark.parametrize("kind", ["onnx", "stablehlo"])
def test_exported_files_say_it(
    kind: str, model: Checkpoint, photographs: list[np.ndarray], stripes: list[np.ndarray]
) -> None:
    pictures = [photographs[0], *stripes[:2]]
    if kind == "onnx":
        onnxruntime = pytest.importorskip("onnxruntime")
        built = onnx_vtiqa.build(model.config, model.params).SerializeToString()
        session = onnxruntime.InferenceSession(built, providers=["CPUExecutionProvider"])
        said = session.run(["novelty"], {"photos": np.stack(pictures)})[0]
    else:
        program = export.deserialize(bytearray(stablehlo.build(model.config, model.params)))
        stored = zip(*(prepare(photo, None, model.config.stored_cuts) for photo in pictures), strict=True)
        said = np.asarray(program.call(*map(np.stack, stored))["novelty"])
    mean, direction, threshold = (model.params[f"novelty.{name}"] for name in ("mean", "direction", "threshold"))
    ours = (read_features(model, pictures) - mean) @ direction - threshold
    np.testing.assert_allclose(said, ours, atol=1e-3 * np.abs(ours).max())
    assert said[0] < 0 < said[1:].min()


def text_page(seed: int) -> np.ndarray:
    """A page of words."""
    rng = np.random.default_rng(seed)
    page = Image.new("RGB", (700, 900), "white")
    for row in range(40, 860, 22):
        words = " ".join("".join(rng.choice(list("abcdefghil mnorstu"), 6)) for _ in range(12))
        ImageDraw.Draw(page).text((50, row), words, "black", font_size=16)
    return np.asarray(page)


def test_the_packaged_model_knows_pages_from_photographs() -> None:
    scorer = vtiqa_jax.load()
    photographs = [demo.originals()[name] for name in ("astronaut.png", "coffee.png", "chelsea.png")]
    squares = np.kron(np.indices((12, 12)).sum(0) % 2 * 255, np.ones((40, 40)))[..., None].repeat(3, 2)
    others = [text_page(0), text_page(1), squares.astype(np.uint8)]
    warnings = [result.warning for result in scorer.stream([*photographs, *others])]
    assert warnings == [None] * 3 + [NO_PHOTOGRAPH] * 3


def test_the_packaged_model_stays_on_its_scale() -> None:
    """A few values in place of a photo gave -2 once."""
    scorer, rng = vtiqa_jax.load(), np.random.default_rng(0)
    dithered = (rng.random((400, 400, 3)) < demo.originals()["astronaut.png"][:400, :400] / 255) * 255
    (score,) = scorer.score(dithered.astype(np.uint8))
    assert scorer.config.soft_ends and 1 < score < 1.5
