"""The scorer: order, failures, padding, and what it costs in memory."""

import threading
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import vtiqa_jax
from vtiqa_jax.data.image_cache import ImageCache
from vtiqa_jax.data.loader import ImageStore
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.models import checkpoint, params
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.photos.preparation import Preparation
from vtiqa_jax.scoring.scorer import Scorer


@pytest.fixture(scope="module")
def scorer(config: ModelConfig, weights: params.Params, scale: LabelScale) -> Scorer:
    return Scorer(config, weights, scale, devices=jax.devices()[:1])


@pytest.fixture
def photos(rng: np.random.Generator) -> list[np.ndarray]:
    return list(rng.integers(0, 256, (9, 30, 40, 3), np.uint8))


def test_failures_are_told_and_stop_nothing(scorer: Scorer, photos: list[np.ndarray]) -> None:
    expected = scorer.score(photos)
    mixed = [photos[0], "missing.jpg", *photos[1:4], None, "gone.png", *photos[4:]]
    for batch_size in (1, 2, 3, 100):
        found = list(scorer.stream(mixed, batch_size=batch_size))
        assert [result.image is photo for result, photo in zip(found, mixed, strict=True)] == [True] * 12
        assert [result.error is None for result in found] == [True, False, *[True] * 3, False, False, *[True] * 5]
        scores = [result.score for result in found if result.score is not None]
        np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert [r.error for r in scorer.stream(["a.jpg", "b.jpg"])] == ["No such file or directory"] * 2


def test_results_have_the_sizes_of_photos(scorer: Scorer, photos: list[np.ndarray]) -> None:
    small = np.zeros((20, 50, 3), np.uint8)
    found = list(scorer.stream([photos[0], small, "missing.jpg"], batch_size=2))
    assert [(result.width, result.height) for result in found] == [(40, 30), (50, 20), (None, None)]


def test_the_strict_form_names_the_first_failure(scorer: Scorer, photos: list[np.ndarray]) -> None:
    with pytest.raises(ImageError, match=r"missing\.jpg: No such file"):
        scorer.score([photos[0], "missing.jpg"])
    with pytest.raises(ImageError, match="photo 1: a photo is a uint8 array"):
        scorer.score([photos[0], photos[0].astype(np.float32)])
    assert scorer.score([]).shape == (0,)
    with pytest.raises(UserError, match="batch size must be at least 1, not 0"):
        list(scorer.stream(photos, batch_size=0))


def test_a_score_that_is_no_number_is_a_failure(
    config: ModelConfig, weights: params.Params, scale: LabelScale, photos: list[np.ndarray]
) -> None:
    broken = Scorer(config, weights | {"head.fc3.bias": np.full(1, np.nan, np.float32)}, scale)
    assert [(r.score, "not a finite number" in (r.error or "")) for r in broken.stream(photos)] == [(None, True)] * 9


def test_every_batch_has_one_shape(scorer: Scorer, photos: list[np.ndarray]) -> None:
    scorer._step.clear_cache()  # type: ignore[attr-defined]
    for batch_size in (4, 100):  # 4, 4, and 1 padded to 4; a CPU takes no more together
        scorer.score(photos, batch_size=batch_size)
        assert scorer._step._cache_size() == 1  # type: ignore[attr-defined]


def test_only_a_few_batches_are_held_at_a_time(scorer: Scorer, photos: list[np.ndarray], monkeypatch) -> None:
    """Photos decoded but not yet yielded never exceed the look-ahead, however long the list."""
    decoded, lock = [0], threading.Lock()
    real = Preparation.make

    def counted(*arguments: object) -> list[np.ndarray]:
        with lock:
            decoded[0] += 1
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Preparation, "make", counted)
    ahead = [decoded[0] - given for given, _ in enumerate(scorer.stream(photos * 10, batch_size=3))]
    assert max(ahead) <= 5 * 3
    assert decoded[0] == 90


def test_a_checkpoint_is_loaded_and_judges_photos_of_every_form(
    config: ModelConfig, weights: params.Params, scale: LabelScale, photos: list[np.ndarray], tmp_path: Path
) -> None:
    checkpoint.save(tmp_path / "c", checkpoint.Checkpoint(config, weights, scale, {}))
    model = vtiqa_jax.load(tmp_path / "c")
    assert model.scale == scale
    Image.fromarray(photos[0]).save(tmp_path / "a.png")
    found = model.score([str(tmp_path / "a.png"), photos[0], Image.open(tmp_path / "a.png"), tmp_path / "a.png"])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, found[0], atol=1e-6)
    backbone = {k.removeprefix("backbone."): v for k, v in weights.items() if k.startswith("backbone.")}
    checkpoint.save(tmp_path / "b", checkpoint.Checkpoint(config.replace(kind="backbone"), backbone, None, {}))
    with pytest.raises(UserError, match="is a backbone without a head; train one with"):
        vtiqa_jax.load(tmp_path / "b")
    with pytest.raises(UserError, match="nowhere is not a checkpoint"):
        vtiqa_jax.load(tmp_path / "nowhere")


def test_a_score_does_not_depend_on_the_order(scorer: Scorer, photos: list[np.ndarray]) -> None:
    order = np.random.default_rng(0).permutation(len(photos))
    np.testing.assert_allclose(
        scorer.score([photos[i] for i in order], batch_size=4), scorer.score(photos, batch_size=4)[order], atol=1e-5
    )


def test_photos_that_fill_a_batch_get_no_score(
    config: ModelConfig, weights: params.Params, scale: LabelScale, rng: np.random.Generator
) -> None:
    """Nine photos on eight devices are two batches of eight."""
    small, large = (rng.integers(0, 256, (9, s, s, 3), np.uint8) for s in (config.global_resize, config.local_resize))
    scorer = Scorer(config, weights, scale)
    store = ImageStore(ImageCache(small, large), scorer.mesh, on_device=False)
    together = scorer.score_store(store, np.arange(9), batch_size=8)
    assert together.shape == (9,)
    alone = [scorer.score_store(store, np.array([row]))[0] for row in range(9)]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert np.ptp(alone) > 1e-3
