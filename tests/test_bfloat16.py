"""Products in bfloat16 hardly move the packaged model's scores; rounding anything more does."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage
from flax import nnx

from vtiqa_jax.data import images
from vtiqa_jax.models import catalog, cpu_kernels
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.vtiqa import ComputeDtype, Implementation, QualityHead

SKIMAGE = Path(skimage.__file__).parent / "data"
PHOTOS = [SKIMAGE / name for name in ("astronaut.png", "coffee.png", "chelsea.png")]
TOLERANCE = {"cpu": 5e-4, "xla": 1e-3}
"""Of the label range: at most a fifth of what would matter (0.5 %). The CPU kernels' biases and GELU are float32."""


# JAX's own attention promotes bfloat16 to float32 itself.
pytestmark = pytest.mark.usefixtures("usual_promotion")


@pytest.fixture(scope="module")
def packaged() -> Checkpoint:
    loaded = catalog.load()
    assert loaded.scale is not None
    assert loaded.scale.high - loaded.scale.low == 1
    return loaded


def scores(packaged: Checkpoint, dtype: ComputeDtype, implementation: Implementation) -> np.ndarray:
    pairs = [images.resize_pair(images.read(path), packaged.config) for path in PHOTOS]
    stored = (np.stack([pair[which] for pair in pairs]) for which in (0, 1))
    model = packaged.model(dtype, implementation)
    # The parameters as arguments: as constants, XLA would spend minutes folding them.
    graphdef, state = nnx.split(model)
    return np.asarray(jax.jit(lambda state, *stored: nnx.merge(graphdef, state).score(*stored))(state, *stored))


@pytest.fixture(scope="module")
def exact(packaged: Checkpoint) -> np.ndarray:
    return scores(packaged, "float32", "cpu")


@pytest.mark.parametrize("implementation", ["cpu", "xla"])
def test_scores_move_less_than_a_thousandth_of_the_range(
    packaged: Checkpoint, exact: np.ndarray, implementation: Implementation
) -> None:
    moved = np.abs(scores(packaged, "bfloat16", implementation) - exact)
    assert 0 < moved.max() < TOLERANCE[implementation]


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
    exact: np.ndarray,
    implementation: Implementation,
    module: type,
    wrong: Callable[..., jax.Array],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "__call__", wrong)
    with jax.numpy_rank_promotion("allow"):
        assert np.abs(scores(packaged, "bfloat16", implementation) - exact).max() > TOLERANCE[implementation]
