"""Features as arrays: what the head scores by, photo by photo or all together."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import tiny_config
from vtiqa_jax.models.params import init_params
from vtiqa_jax.scoring.scorer import Scorer


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    """11 photos of several sizes, smooth and rough."""
    rng = np.random.default_rng(0)
    return [np.clip(rng.normal(128, 2 + 8 * row, (60 + 3 * row, 90, 3)), 0, 255).astype(np.uint8) for row in range(11)]


def test_features_are_what_the_head_scores_by(photos: list[np.ndarray], model: Path) -> None:
    loaded = checkpoint.load(model)
    assert loaded.scale is not None
    config = loaded.config.replace(eval_mosaics=3)
    scorer = Scorer(config, loaded.params, loaded.scale)
    features = scorer.embed(photos, batch_size=4)
    assert (features.dtype, features.shape) == (np.float32, (11, 2 * config.feature_dim))
    halves = jnp.split(jnp.asarray(features), 2, axis=1)
    whole: Any = Checkpoint(config, loaded.params, loaded.scale, {}).model()
    np.testing.assert_allclose(whole.score_features(*halves), scorer.score(photos), rtol=1e-4)
    np.testing.assert_allclose(scorer.embed(photos[3]), features[3:4], rtol=1e-4, atol=1e-5)
    streamed = scorer.stream_features(photos, batch_size=4)
    np.testing.assert_array_equal(next(streamed), features[0])
    np.testing.assert_array_equal(list(streamed), features[1:])
    assert scorer.embed([]).shape == (0, features.shape[1])


def test_a_photo_without_features_is_named(photos: list[np.ndarray], model: Path, tmp_path: Path) -> None:
    scorer, broken = Scorer.load(model), tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"broken\.png: "):
        scorer.embed([photos[0], broken])
    with pytest.raises(ImageError, match="photo 1: "):
        scorer.embed([photos[0], np.zeros((50, 60), np.float32)])


def test_the_papers_model_has_none(photos: list[np.ndarray], scale: Any) -> None:
    config = tiny_config(kind="original", patch_size=32, mosaic_patch=32, global_resize=244, local_resize=768)
    with pytest.raises(UserError, match="the paper's model has no features to give"):
        Scorer(config, init_params(config, 0), scale).embed(photos)
