"""Products in bfloat16 hardly move the packaged model's scores; rounding anything more does."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage
from flax import nnx

from vtiqa_jax.models import catalog, cpu_kernels, params
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.config import tiny_config
from vtiqa_jax.models.vit import Implementation
from vtiqa_jax.models.vtiqa import QualityHead
from vtiqa_jax.photos.decode import read
from vtiqa_jax.photos.resize import prepare
from vtiqa_jax.scoring.steps import round_weights

SKIMAGE = Path(skimage.__file__).parent / "data"
PHOTOS = [SKIMAGE / name for name in ("astronaut.png", "coffee.png", "chelsea.png")]
SCORE_TOLERANCE = 1.2e-3
"""Of the label range: a quarter of what would matter (0.5 %)."""
FEATURE_TOLERANCE = {"cpu": 0.006, "xla": 0.008}
"""Of the features' standard deviation, root mean square. The CPU kernels' biases and GELU are float32."""


# JAX's own attention promotes bfloat16 to float32 itself.
pytestmark = pytest.mark.usefixtures("usual_promotion")


@pytest.fixture(scope="module")
def packaged() -> Checkpoint:
    """With scores from 0 to 1, whatever its scale."""
    loaded = catalog.load()
    assert loaded.scale is not None
    low, size = loaded.scale.low, loaded.scale.high - loaded.scale.low
    return replace(loaded, params=params.rescale_head(loaded.config, loaded.params, 1 / size, -low / size))


def compute(packaged: Checkpoint, dtype: ComputeDtype, implementation: Implementation) -> tuple[np.ndarray, np.ndarray]:
    """Features [views, photos, features] and scores."""
    pairs = [prepare(read(path).pixels, packaged.config.screen_side, packaged.config.stored_cuts) for path in PHOTOS]
    stored = (np.stack([pair[which] for pair in pairs]) for which in (0, 1))
    # The parameters as arguments: as constants, XLA would spend minutes folding them.
    graphdef, state = nnx.split(packaged.model(dtype, implementation))

    @jax.jit
    def both(state: Any, *stored: jax.Array) -> tuple[jax.Array, jax.Array]:
        model = nnx.merge(graphdef, state)
        return model.encode(*stored), model.score(*stored)

    features, scores = both(state, *stored)
    return np.asarray(features), np.asarray(scores)


@pytest.fixture(scope="module")
def exact(packaged: Checkpoint) -> tuple[np.ndarray, np.ndarray]:
    return compute(packaged, "float32", "cpu")


def distances(packaged: Checkpoint, exact: tuple[np.ndarray, np.ndarray], implementation: Implementation) -> tuple:
    """How far features and scores are moved by bfloat16, at most of the photos."""
    features, scores = compute(packaged, "bfloat16", implementation)
    moved = np.sqrt(((features - exact[0]) ** 2).mean(-1)).max() / exact[0].std()
    return moved, np.abs(scores - exact[1]).max()


@pytest.mark.parametrize("implementation", ["cpu", "xla"])
def test_scores_hardly_move(
    packaged: Checkpoint, exact: tuple[np.ndarray, np.ndarray], implementation: Implementation
) -> None:
    features, scores = distances(packaged, exact, implementation)
    assert 0 < features < FEATURE_TOLERANCE[implementation]
    assert 0 < scores < SCORE_TOLERANCE


def rounded(x: jax.Array) -> jax.Array:
    return x.astype(jnp.bfloat16)


def layer_norm(self: nnx.LayerNorm, x: jax.Array, *, mask: jax.Array | None = None) -> jax.Array:
    """Statistics in bfloat16."""
    x = rounded(x)
    centred = x - x.mean(-1, keepdims=True, dtype=jnp.bfloat16)
    variance = (centred * centred).mean(-1, keepdims=True, dtype=jnp.bfloat16)
    scaled = centred * jax.lax.rsqrt(variance) * rounded(self.scale[...])  # type: ignore[index]
    return (scaled + rounded(self.bias[...])).astype(jnp.float32)  # type: ignore[index]


def head(self: QualityHead, features: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
    """The regression in bfloat16."""
    x = rounded(features)
    for layer in (self.fc1, self.fc2, self.fc3):
        x = rounded(jax.nn.relu(x) if layer is not self.fc1 else x) @ rounded(layer.kernel[...])
        x = x + rounded(layer.bias[...])  # type: ignore[index]
    return x[:, 0].astype(jnp.float32)


@pytest.mark.parametrize(
    ("implementation", "module", "wrong"),
    [
        ("cpu", cpu_kernels.LayerNorm, layer_norm),
        ("cpu", QualityHead, head),
        ("xla", nnx.LayerNorm, layer_norm),
        ("xla", QualityHead, head),
    ],
)
def test_rounding_more_than_products_moves_them_further(
    packaged: Checkpoint,
    exact: tuple[np.ndarray, np.ndarray],
    implementation: Implementation,
    module: type,
    wrong: Callable[..., jax.Array],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "__call__", wrong)
    with jax.numpy_rank_promotion("allow"):
        features, scores = distances(packaged, exact, implementation)
    assert (scores > SCORE_TOLERANCE) if module is QualityHead else (features > FEATURE_TOLERANCE[implementation])


def test_heads_are_not_rounded() -> None:
    config = tiny_config(native_factors=(1, 2), native_blocks=(1,), subject=True, reasons=True)
    rounded = round_weights(params.init_params(config, 0), "bfloat16")
    heads = {name for name in rounded if name.startswith(("head.", "detail.", "subject.", "reasons."))}
    assert {"head.fc1.kernel", "detail.fc1.kernel", "subject.linear.kernel", "reasons.place.kernel"} <= heads
    assert {rounded[name].dtype for name in heads} == {jnp.dtype("float32")}
    assert rounded["backbone.blocks.0.mlp.fc1.kernel"].dtype == jnp.bfloat16
