"""Each kernel for the CPU beside its textbook version: values and gradients, in float32 and in bfloat16."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vtiqa_jax.models import cpu_kernels
from vtiqa_jax.models.vit import LAYER_NORM_EPSILON

TOLERANCE = {"float32": 1e-5, "bfloat16": 0.02}
"""Of the greatest entry. bfloat16 has 8 bits: one product of rounded operands differs by 2^-9 at most."""

Function = Callable[..., jax.Array]
Treatment = Callable[[jax.Array], jax.Array]
Arguments = tuple[jax.Array, ...]

stop = jax.lax.stop_gradient


def same(x: jax.Array) -> jax.Array:
    return x


@pytest.fixture(autouse=True)
def broadcasting() -> Iterator[None]:
    """The textbook's formulas broadcast."""
    with jax.numpy_rank_promotion("allow"):
        yield


# ---- the textbook, with places for mistakes ----


def layer_norm(mean: Treatment = same, variance: Treatment = same, epsilon: float = LAYER_NORM_EPSILON) -> Function:
    def function(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
        centred = x - mean(x.mean(-1, keepdims=True))
        return centred / jnp.sqrt(variance((centred**2).mean(-1, keepdims=True)) + np.float32(epsilon)) * scale + bias

    return function


def attention(total: Treatment = same, scale: float = 1.0, swapped: bool = False) -> Function:
    def function(qkv: jax.Array) -> jax.Array:
        q, k, v = (qkv[:, :, which] for which in range(3))
        logits = jnp.einsum("bqhd,bkhd->bhqk", *((k, q) if swapped else (q, k))) * np.float32(
            scale * qkv.shape[-1] ** -0.5
        )
        weights = jnp.exp(logits - stop(logits.max(-1, keepdims=True)))
        return jnp.einsum("bhqk,bkhd->bqhd", weights / total(weights.sum(-1, keepdims=True)), v)

    return function


def first_query(function: Function) -> Function:
    return lambda qkv: function(qkv)[:, 0]


def dense(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return x @ kernel


def gelu(approximate: bool = False) -> Function:
    return lambda x: jax.nn.gelu(x, approximate=approximate)


# ---- the kernels ----


def matmul_in(dtype: str) -> Function:
    return lambda x, kernel: cpu_kernels.matmul(x, kernel, dtype)


def dot_general_in(dtype: str) -> Function:
    product = cpu_kernels.dot_general(dtype)
    return lambda x, kernel: product(x, kernel, (((x.ndim - 1,), (0,)), ((), ())), precision=None)


def attention_in(dtype: str) -> Function:
    return lambda qkv: cpu_kernels.attention(qkv, dtype)


def layer_norm_kernel(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    return cpu_kernels.layer_norm(x, scale, bias, LAYER_NORM_EPSILON)


def values_and_gradients(function: Function, arguments: Arguments) -> list[np.ndarray]:
    @jax.jit
    def both(arguments: Arguments) -> list[jax.Array]:
        value, pull = jax.vjp(function, *arguments)
        return [value, *pull(jax.random.normal(jax.random.key(9), value.shape))]

    results = jax.device_get(both(arguments))
    assert all(result.dtype == np.float32 for result in results)
    return results


def differences(function: Function, textbook: Function, arguments: Arguments) -> list[float]:
    """The greatest difference of the value and of each gradient, as a part of the greatest entry."""
    pairs = zip(values_and_gradients(function, arguments), values_and_gradients(textbook, arguments), strict=True)
    return [float(np.abs(one - other).max() / np.abs(other).max()) for one, other in pairs]


def normal(*shapes: tuple[int, ...], spread: float = 2.0, mean: float = 1.0) -> Arguments:
    rng = np.random.default_rng(0)
    return tuple(jnp.asarray(rng.standard_normal(shape) * spread + mean, jnp.float32) for shape in shapes)


ROWS = normal((2, 7, 32), (32,), (32,))
NEARLY_EQUAL = (normal((2, 7, 32), spread=1e-3)[0], *ROWS[1:])
"""Of so little variance that the epsilon matters."""
TOKENS = normal((2, 7, 3, 2, 8))
GENTLE_TOKENS = normal((2, 7, 3, 2, 8), spread=1.0, mean=0.2)
"""Logits of a few units: rounded to 8 bits, larger ones move a softmax by more than any tolerance."""


@pytest.mark.parametrize("arguments", [ROWS, NEARLY_EQUAL], ids=["rows", "nearly equal"])
def test_layer_norm(arguments: Arguments) -> None:
    assert max(differences(layer_norm_kernel, layer_norm(), arguments)) < 2 * TOLERANCE["float32"]


@pytest.mark.parametrize(
    ("wrong", "arguments"),
    [
        (layer_norm(mean=stop), ROWS),
        (layer_norm(variance=stop), ROWS),
        (layer_norm(epsilon=1e-5), NEARLY_EQUAL),
    ],
    ids=["mean", "variance", "epsilon"],
)
def test_layer_norm_with_a_mistake(wrong: Function, arguments: Arguments) -> None:
    assert max(differences(wrong, layer_norm(), arguments)) > 100 * TOLERANCE["float32"]


@pytest.mark.parametrize(("dtype", "arguments"), [("float32", TOKENS), ("bfloat16", GENTLE_TOKENS)])
@pytest.mark.parametrize("tokens", [7, 6])
def test_attention(dtype: str, arguments: Arguments, tokens: int) -> None:
    cut = (arguments[0][:, :tokens],)
    assert max(differences(attention_in(dtype), attention(), cut)) < TOLERANCE[dtype]


def test_attention_of_large_logits() -> None:
    """The exponential of 88 overflows in float32."""
    (tokens,) = normal((2, 7, 3, 2, 8), spread=20.0)
    values = values_and_gradients(attention_in("float32"), (tokens,))
    assert all(np.isfinite(value).all() for value in values)
    # Sums of numbers so large are rounded far more coarsely.
    assert max(differences(attention_in("float32"), attention(), (tokens,))) < 50 * TOLERANCE["float32"]


def test_attention_of_the_class_token() -> None:
    result = differences(cpu_kernels.cls_attention, first_query(attention()), TOKENS)
    assert max(result) < TOLERANCE["float32"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "wrong",
    [attention(total=stop), attention(scale=1.3), attention(swapped=True)],
    ids=["total", "scale", "swapped"],
)
def test_attention_with_a_mistake(wrong: Function, dtype: str) -> None:
    arguments = GENTLE_TOKENS if dtype == "bfloat16" else TOKENS
    assert max(differences(wrong, attention(), arguments)) > 2 * TOLERANCE[dtype]
    assert max(differences(first_query(wrong), first_query(attention()), TOKENS)) > 100 * TOLERANCE["float32"]


SHAPES = {
    "even": ((2, 7, 32), (32, 12)),
    "odd inputs": ((2, 7, 33), (33, 12)),
    "odd rows": ((1, 7, 32), (32, 13)),
    "matrix": ((6, 33), (33, 5)),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("kernel", [matmul_in, dot_general_in], ids=["matmul", "dot_general"])
def test_products(kernel: Callable[[str], Function], shapes: tuple[tuple[int, ...], ...], dtype: str) -> None:
    arguments = normal(*shapes)
    assert max(differences(kernel(dtype), dense, arguments)) < TOLERANCE[dtype]
    if dtype == "bfloat16":
        assert min(differences(kernel(dtype), dense, arguments)) > TOLERANCE["float32"], "operands are rounded"


def test_products_in_bfloat16_are_those_of_rounded_operands() -> None:
    """To the last bits: the sums are float32."""
    x, kernel = (argument.astype(jnp.bfloat16).astype(jnp.float32) for argument in normal((2, 7, 33), (33, 12)))
    value, *_ = differences(matmul_in("bfloat16"), dense, (x, kernel))
    assert value < TOLERANCE["float32"]
    in_bfloat16 = lambda x, kernel: (x.astype(jnp.bfloat16) @ kernel.astype(jnp.bfloat16)).astype(jnp.float32)  # noqa: E731
    value, *_ = differences(in_bfloat16, dense, (x, kernel))
    assert value > 10 * TOLERANCE["float32"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "wrong",
    [
        lambda x, kernel: x @ stop(kernel),
        lambda x, kernel: stop(x) @ kernel,
        lambda x, kernel: x @ (kernel * np.float32(1.1)),
    ],
    ids=["no gradient of the kernel", "no gradient of x", "another kernel"],
)
def test_products_with_a_mistake(wrong: Function, dtype: str) -> None:
    assert max(differences(wrong, dense, normal((2, 7, 32), (32, 12)))) > 2 * TOLERANCE[dtype]


@pytest.mark.parametrize("size", [32, 33])
def test_gelu(size: int) -> None:
    arguments = normal((2, 7, size), mean=0.0)
    assert max(differences(cpu_kernels.gelu, gelu(), arguments)) < TOLERANCE["float32"]
    assert max(differences(gelu(approximate=True), gelu(), arguments)) > 10 * TOLERANCE["float32"]
