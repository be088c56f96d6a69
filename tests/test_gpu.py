"""On an NVIDIA GPU: the fused path is taken and right, and promised bits are kept.

pytest tests/test_gpu.py -n 0 --optimized
"""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vtiqa_jax import sharding
from vtiqa_jax.data.image_cache import ImageCache
from vtiqa_jax.data.loader import ImageStore
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.config import deit_small
from vtiqa_jax.models.params import Params, abstract_model, init_params, merge_params
from vtiqa_jax.models.vit import Implementation, select_implementation

pytestmark = [
    pytest.mark.skipif(jax.default_backend() != "gpu", reason="needs an NVIDIA GPU"),
    pytest.mark.usefixtures("usual_promotion"),
]

CONFIG = deit_small(depth=4)
TOLERANCE = 0.03
"""Of the root mean square of what float32 gives: what rounding to bfloat16 moves features and gradients by."""

STEPS = """
import jax, numpy as np, sys
sys.path.insert(0, "benchmarks")
from timing import Trainer, photos
from vtiqa_jax import sharding
from vtiqa_jax.data.loader import ImageStore
from vtiqa_jax.models import params
from vtiqa_jax.models.config import deit_small
from vtiqa_jax.training.finetune import FinetuneRecipe
config = deit_small(depth=4)
store = ImageStore(photos(64, config, 0), sharding.data_mesh(), on_device=True)
recipe = FinetuneRecipe(batch_size=16)
trainer = Trainer(config, recipe, params.init_params(config, 0), store, np.linspace(1, 5, 64), np.arange(64))
trainer.epoch(0)
trainer.epoch(1)
print(params.hash_params(jax.device_get(trainer.params)))
"""


def views() -> tuple[jax.Array, jax.Array]:
    keys = jax.random.split(jax.random.key(0))
    return tuple(jax.random.normal(key, (4, 224, 224, 3)) for key in keys)  # type: ignore[return-value]


def weights() -> Params:
    """With twice the q and k that training starts from, so that attention attends."""
    return {name: array * (2 if name.endswith("qkv.kernel") else 1) for name, array in init_params(CONFIG, 0).items()}


def run(dtype: ComputeDtype, implementation: Implementation) -> tuple[np.ndarray, np.ndarray, str]:
    """Class tokens, the gradient of their sum by the first block's attention, and what was compiled."""
    graphdef, _ = abstract_model(CONFIG, dtype, implementation)

    def tokens(params: Params, first: jax.Array, second: jax.Array) -> jax.Array:
        model = merge_params(graphdef, params)
        return jnp.concatenate([model.backbone(first), model.backbone(second)])  # type: ignore[union-attr]

    def loss(params: Params, *pair: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = tokens(params, *pair)
        return (found * jnp.linspace(0, 1, found.shape[1])[None]).sum(), found

    step = jax.jit(jax.grad(loss, has_aux=True)).lower(weights(), *views()).compile()
    grads, found = step(weights(), *views())
    return np.asarray(found), np.asarray(grads["backbone.blocks.0.attn.qkv.kernel"]), step.as_text()


def distance(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.sqrt(((found - exact) ** 2).mean() / (exact**2).mean()))


def test_fused_attention_equals_the_textbook(monkeypatch: pytest.MonkeyPatch) -> None:
    assert select_implementation(jax.devices()[0], "bfloat16") == "cudnn"
    exact, exact_grad, _ = run("float32", "xla")
    fused, fused_grad, compiled = run("bfloat16", "cudnn")
    assert "__cudnn$fmha" in compiled
    assert distance(fused, exact) < TOLERANCE
    assert distance(fused_grad, exact_grad) < TOLERANCE

    original = jax.nn.dot_product_attention
    monkeypatch.setattr(
        jax.nn, "dot_product_attention", lambda q, k, v, **options: original(q, k, v, scale=0.11, **options)
    )
    wrong, wrong_grad, _ = run("bfloat16", "cudnn")
    assert distance(wrong, exact) > TOLERANCE
    assert distance(wrong_grad, exact_grad) > TOLERANCE


def test_float32_is_not_tf32() -> None:
    exact, _, _ = run("float32", "xla")
    with jax.default_device(jax.devices("cpu")[0]):
        on_cpu, _, _ = run("float32", "xla")
    assert distance(exact, on_cpu) < 1e-5
    rounded = jax.jit(lambda x, y: jax.lax.dot(x, y, precision=jax.lax.Precision.DEFAULT))
    x = np.asarray(jax.random.normal(jax.random.key(0), (512, 512)))
    assert distance(np.asarray(rounded(x, x)), x.astype(np.float64) @ x) > 1e-5  # as TF32 would be


def test_more_photos_on_the_device_than_32_bits_can_count() -> None:
    config = deit_small()
    count = 2**31 // (3 * config.local_resize**2) + 100
    numbers = (np.arange(count) % 251).astype(np.uint8)[:, None, None, None]
    cache = ImageCache(
        *(np.broadcast_to(numbers, (count, side, side, 3)) for side in (config.global_resize, config.local_resize))
    )
    store = ImageStore(cache, sharding.data_mesh(jax.devices()[:1]), on_device=True)
    rows = np.array([0, 1, count // 2, count - 65, count - 1])
    for array in store.read(rows).values():
        assert (np.asarray(array) == numbers[rows]).all()


def test_the_same_bits_where_they_are_promised() -> None:
    flags = "--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0"
    environment = os.environ | {
        "XLA_FLAGS": flags, "XLA_PYTHON_CLIENT_PREALLOCATE": "false", "JAX_ENABLE_COMPILATION_CACHE": "false"
    }  # fmt: skip
    found = [
        subprocess.run([sys.executable, "-c", STEPS], env=environment, capture_output=True, text=True) for _ in range(2)
    ]
    assert [run.returncode for run in found] == [0, 0], found[0].stderr
    assert found[0].stdout == found[1].stdout != ""
