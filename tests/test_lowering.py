"""What the model is lowered to for a CPU, a GPU and a TPU, on a machine that has only the first."""

import functools
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax._src.cudnn import fused_attention_stablehlo

from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.config import ModelConfig, tiny_config
from vtiqa_jax.models.params import Params, abstract_model, init_params, merge_params
from vtiqa_jax.models.vit import Implementation, select_implementation

SIZES = tiny_config(embed_dim=128, num_heads=2, depth=3, mosaic_patch=8, global_resize=64)
"""Heads of 64 channels and an odd number of tokens (197), as real ones: cuDNN does not take any size."""

FORWARD, BACKWARD = "__cudnn$fmhaSoftmax", "__cudnn$fmhaSoftmaxBackward"


# JAX's own attention promotes bfloat16 to float32 itself.
pytestmark = pytest.mark.usefixtures("usual_promotion")


@pytest.fixture(autouse=True)
def installed_cudnn(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a machine with an NVIDIA GPU answers when JAX asks it."""
    monkeypatch.setattr(fused_attention_stablehlo, "check_cudnn_version", lambda: 91000)
    monkeypatch.setattr(fused_attention_stablehlo, "check_compute_capability", lambda capability: True)
    monkeypatch.setattr(fused_attention_stablehlo, "is_cuda_compute_capability_equal", lambda capability: False)


def forward(graphdef: Any) -> Callable[..., jax.Array]:
    return lambda params, *pair: merge_params(graphdef, params)(*pair)  # type: ignore[operator]


def gradient(graphdef: Any) -> Callable[..., Params]:
    """Of training: with dropout and stochastic depth."""

    def loss(params: Params, *pair: jax.Array) -> jax.Array:
        return merge_params(graphdef, params)(*pair, rngs=nnx.Rngs(dropout=0)).sum()  # type: ignore[operator]

    return jax.grad(loss)


@functools.cache
def lowered(
    step: Callable[[Any], Callable[..., Any]], platform: str, dtype: ComputeDtype, implementation: Implementation
) -> str:
    """The StableHLO of one pass, before any compiler has seen it."""
    graphdef, shapes = abstract_model(SIZES, dtype, implementation, 0.1)
    view = jax.ShapeDtypeStruct((2, SIZES.view_size, SIZES.view_size, 3), jnp.float32)
    traced = jax.jit(step(graphdef)).trace(shapes, view, view)
    return traced.lower(lowering_platforms=(platform,)).as_text()


def products(text: str) -> list[tuple[str, str, bool]]:
    """The operands' types of every product, and whether its precision is the highest."""
    lines = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    result = []
    for line in lines:
        types = re.search(r": \(tensor<(?:\d+x)*(\w+)>, tensor<(?:\d+x)*(\w+)>\)", line)
        assert types, line
        result.append((types[1], types[2], "precision = [HIGHEST, HIGHEST]" in line))
    return result


PROGRAMS = [
    ("cpu", "float32", "xla"),
    ("cuda", "float32", "xla"),
    ("tpu", "float32", "xla"),
    ("cuda", "bfloat16", "xla"),
    ("cuda", "bfloat16", "cudnn"),
    ("tpu", "bfloat16", "xla"),
]
STEPS = [forward, gradient]


def calls(text: str, target: str) -> int:
    """How many times a program calls a custom call, through the functions it is in."""
    bodies = dict(re.findall(r"func\.func (?:\w+ )?@([\w.]+)(.*?)(?=\n  func\.func|\Z)", text, re.DOTALL))

    def count(name: str) -> int:
        here = len(re.findall(rf"custom_call @\"?{re.escape(target)}\"?\(", bodies[name]))
        return here + sum(count(called) for called in re.findall(r"call @([\w.]+)\(", bodies[name]) if called in bodies)

    return count("main")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(("platform", "dtype", "implementation"), PROGRAMS)
def test_the_textbook_has_no_barriers(
    step: Any, platform: str, dtype: ComputeDtype, implementation: Implementation
) -> None:
    assert "optimization_barrier" not in lowered(step, platform, dtype, implementation)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_cpu_kernels_have_barriers(step: Any, dtype: ComputeDtype) -> None:
    assert "optimization_barrier" in lowered(step, "cpu", dtype, "cpu")


def test_attention_is_cudnns_in_all_blocks_but_the_last() -> None:
    """The last block computes the class token alone."""
    passed, trained = (lowered(step, "cuda", "bfloat16", "cudnn") for step in STEPS)
    assert (calls(passed, FORWARD), calls(passed, BACKWARD)) == (SIZES.depth - 1, 0)
    assert (calls(trained, FORWARD), calls(trained, BACKWARD)) == (SIZES.depth - 1, SIZES.depth - 1)
    for step in STEPS:
        assert "__cudnn" not in lowered(step, "cuda", "bfloat16", "xla")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_float32_products_are_not_rounded(step: Any, platform: str) -> None:
    """To TF32 by a GPU, to bfloat16 by a TPU."""
    computed = products(lowered(step, platform, "float32", "xla"))
    assert len(computed) >= 1 + 6 * SIZES.depth
    assert set(computed) == {("f32", "f32", True)}


@pytest.mark.parametrize(("platform", "implementation"), [("cuda", "cudnn"), ("cuda", "xla"), ("tpu", "xla")])
def test_the_head_of_a_bfloat16_model_is_not_rounded(platform: str, implementation: Implementation) -> None:
    computed = products(lowered(forward, platform, "bfloat16", implementation))
    assert [product for product in computed if product[0] == "f32"] == [("f32", "f32", True)] * 3
    rounded = [product for product in computed if product[:2] == ("bf16", "bf16")]
    assert len(rounded) >= 1 + 4 * SIZES.depth
    assert not any(highest for _, _, highest in rounded)


def device(platform: str, version: str = "", capability: str = "") -> jax.Device:
    stub = Mock(spec=jax.Device)
    stub.platform, stub.compute_capability = platform, capability
    stub.client = SimpleNamespace(platform_version=version)
    return stub


CUDA = "PJRT C API\ncuda 13000"


@pytest.mark.parametrize(
    ("stub", "in_float32", "in_bfloat16"),
    [
        (device("cpu"), "cpu", "cpu"),
        (device("gpu", CUDA, "9.0"), "xla", "cudnn"),
        (device("gpu", CUDA, "8.0"), "xla", "cudnn"),
        (device("gpu", CUDA, "12.0"), "xla", "cudnn"),
        (device("gpu", CUDA, "7.5"), "xla", "xla"),
        (device("gpu", "PJRT C API\nrocm 70000", "gfx942"), "xla", "xla"),
        (device("tpu", "PJRT C API\nTFRT TPU v6"), "xla", "xla"),
    ],
    ids=["cpu", "hopper", "ampere", "blackwell", "turing", "rocm", "tpu"],
)
def test_each_device_gets_its_implementation(stub: jax.Device, in_float32: str, in_bfloat16: str) -> None:
    assert select_implementation(stub, "float32") == in_float32
    assert select_implementation(stub, "bfloat16") == in_bfloat16


def test_this_machines_cpu_gets_the_cpu_kernels() -> None:
    assert {select_implementation(jax.devices("cpu")[0], dtype) for dtype in ("float32", "bfloat16")} == {"cpu"}


def test_a_loaded_model_knows_forward_mode(config: ModelConfig, weights: Params) -> None:
    rng = np.random.default_rng(0)
    view, mosaic, tangent = (
        jnp.asarray(rng.standard_normal((2, config.view_size, config.view_size, 3)), jnp.float32) for _ in range(3)
    )
    checkpoint = Checkpoint(config, weights, None, {})

    def total(implementation: Implementation) -> Callable[[jax.Array], jax.Array]:
        model = checkpoint.model(implementation=implementation)
        return lambda view: model(view, mosaic).sum()  # type: ignore[operator]

    _, along = jax.jit(lambda view: jax.jvp(total("xla"), (view,), (tangent,)))(view)
    expected = float((np.asarray(jax.jit(jax.grad(total("xla")))(view), np.float64) * np.asarray(tangent)).sum())
    assert abs(expected) > 1e-3
    assert float(along) == pytest.approx(expected, rel=1e-3)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jit(lambda view: jax.jvp(total("cpu"), (view,), (tangent,))).lower(view)


def test_the_token_that_evens_the_length_for_cudnn_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Computed with JAX's own attention, which takes the same lengths, in cuDNN's place."""
    attention = jax.nn.dot_product_attention
    params = init_params(SIZES, 0)
    views = jax.random.normal(jax.random.key(0), (2, 1, SIZES.view_size, SIZES.view_size, 3))

    def computed(implementation: Implementation, **lengths: None) -> np.ndarray:
        monkeypatch.setattr(
            jax.nn, "dot_product_attention",
            lambda q, k, v, **options: attention(q, k, v, **(options | lengths | {"implementation": "xla"})),
        )  # fmt: skip
        graphdef, _ = abstract_model(SIZES, "float32", implementation)
        features = jax.jit(lambda params: merge_params(graphdef, params).backbone(views[0]))  # type: ignore[union-attr]
        return np.asarray(features(params))

    textbook = computed("xla")
    np.testing.assert_allclose(computed("cudnn"), textbook, atol=1e-5)
    unmasked = computed("cudnn", query_seq_lengths=None, key_value_seq_lengths=None)
    assert np.abs(unmasked - textbook).max() > 1e-3
