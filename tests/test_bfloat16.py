"""Products in bfloat16 hardly move the packaged model's scores; rounding anything more does."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage
from flax import nnx

import vtiqa_jax
from vtiqa_jax import model, scoring
from vtiqa_jax.layer_norm import LayerNorm
from vtiqa_jax.model import ComputeDtype

SKIMAGE = Path(skimage.__file__).parent / "data"
PHOTOS = [SKIMAGE / name for name in ("astronaut.png", "coffee.png", "chelsea.png")]
TOLERANCE = 5e-4
"""Of the label range: a tenth of what would matter (0.5 %)."""

pytestmark = pytest.mark.usefixtures("usual_promotion")


def scores(dtype: ComputeDtype) -> np.ndarray:
    scoring._compiled.cache_clear()
    packaged = vtiqa_jax.load(compute_dtype=dtype)
    assert packaged.scale.high - packaged.scale.low == 1
    return packaged.score(PHOTOS)


@pytest.fixture(scope="module")
def exact() -> np.ndarray:
    return scores("float32")


def test_scores_move_less_than_a_thousandth_of_the_range(exact: np.ndarray) -> None:
    moved = np.abs(scores("bfloat16") - exact)
    assert 0 < moved.max() < TOLERANCE


def rounded(x: jax.Array) -> jax.Array:
    return x.astype(jnp.bfloat16)


def layer_norm(self: LayerNorm, x: jax.Array) -> jax.Array:
    """Statistics in bfloat16."""
    x = rounded(x)
    centred = x - x.mean(-1, keepdims=True, dtype=jnp.bfloat16)
    variance = (centred * centred).mean(-1, keepdims=True, dtype=jnp.bfloat16)
    scaled = centred * jax.lax.rsqrt(variance) * rounded(self.scale[...])
    return (scaled + rounded(self.bias[...])).astype(jnp.float32)


def head(self: model.QualityHead, features: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
    """The regression in bfloat16."""
    x = rounded(features)
    for layer in (self.fc1, self.fc2, self.fc3):
        x = rounded(jax.nn.relu(x) if layer is not self.fc1 else x) @ rounded(layer.kernel[...])
        x = x + rounded(layer.bias[...])  # type: ignore[index]
    return x[:, 0].astype(jnp.float32)


@pytest.mark.parametrize(("module", "wrong"), [(LayerNorm, layer_norm), (model.QualityHead, head)])
def test_rounding_more_than_products_moves_them_further(
    exact: np.ndarray, module: type, wrong: Callable[..., jax.Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "__call__", wrong)
    with jax.numpy_rank_promotion("allow"):
        assert np.abs(scores("bfloat16") - exact).max() > TOLERANCE
