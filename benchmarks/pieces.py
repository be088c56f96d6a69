"""Compares each choice in the kernels of `cpu_kernels.py` with its alternatives, on the present device.

For example:

    python benchmarks/pieces.py

`layers.py` measures whole training steps.
"""

import statistics
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from timing import device, timed, versions

from vtiqa_jax import cli
from vtiqa_jax.models.cpu_kernels import attention, gelu, layer_norm
from vtiqa_jax.models.vit import LAYER_NORM_EPSILON

TOKENS, HEADS, SIZE = 197, 6, 64
WIDTH, HIDDEN = HEADS * SIZE, 4 * HEADS * SIZE
Function = Callable[..., jax.Array]


def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Multiplies, with float32 sums whatever is multiplied."""
    return jax.lax.dot(x, kernel, preferred_element_type=jnp.float32)


def both_ways(function: Function) -> Function:
    """Returns the function and its derivative."""

    def run(*arguments: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        value, pull = jax.vjp(function, *arguments)
        return value, pull(value)

    return run  # type: ignore[return-value]


def textbook(qkv: jax.Array) -> jax.Array:
    """Computes softmax attention without barriers, divided before the second product."""
    q, k, v = (qkv[:, :, which].astype(jnp.bfloat16) for which in range(3))
    logits = jnp.einsum("bqhd,bkhd->bhqk", q, k, preferred_element_type=jnp.float32) * SIZE**-0.5
    weights = jax.nn.softmax(logits).astype(jnp.bfloat16)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, v, preferred_element_type=jnp.float32)


def of_jax(qkv: jax.Array) -> jax.Array:
    """Computes JAX's own attention."""
    q, k, v = (qkv[:, :, which].astype(jnp.bfloat16) for which in range(3))
    return jax.nn.dot_product_attention(q, k, v, implementation="xla").astype(jnp.float32)


def ours(qkv: jax.Array) -> jax.Array:
    """Computes the project's attention, in bfloat16."""
    return attention(qkv, "bfloat16")


def in_pieces(size: int) -> Function:
    """Returns the project's attention for `size` views at a time, so that logits stay in the cache."""

    def run(qkv: jax.Array) -> jax.Array:
        return jax.lax.map(ours, qkv.reshape(-1, size, *qkv.shape[1:])).reshape(*qkv.shape[:2], HEADS, SIZE)

    return run


def padded(length: int) -> Function:
    """Returns the project's attention on a rounder number of tokens (without the masks that they would need)."""
    return lambda qkv: ours(jnp.pad(qkv, ((0, 0), (0, length - TOKENS), (0, 0), (0, 0), (0, 0))))


def tuned_norm(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """Computes the project's LayerNorm."""
    return layer_norm(x, scale, bias, LAYER_NORM_EPSILON)


def textbook_norm(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """Computes LayerNorm, with the derivative that JAX finds."""
    centred = x - x.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt((centred * centred).mean(-1, keepdims=True) + LAYER_NORM_EPSILON) * scale + bias


def main(views: int = 16, rounds: int = 15) -> None:
    """Prints the median milliseconds of each; those of one group take turns.

    Args:
        views: Number of views that are computed together.
        rounds: Number of turns; the median is taken.
    """

    def drawn(*shape: int, dtype: str = "float32") -> jax.Array:
        return jnp.asarray(np.random.default_rng(0).standard_normal(shape), dtype)

    rows = views * TOKENS
    x, kernel = drawn(rows, WIDTH, dtype="bfloat16"), drawn(WIDTH, HIDDEN, dtype="bfloat16")
    gradient, hidden, qkv = drawn(rows, HIDDEN), drawn(views, TOKENS, HIDDEN), drawn(views, TOKENS, 3, HEADS, SIZE)
    norm = drawn(views, TOKENS, WIDTH), jnp.ones(WIDTH), jnp.zeros(WIDTH)
    low = gradient.astype(jnp.bfloat16)
    wide, wider = x.astype(jnp.float32), kernel.astype(jnp.float32)
    groups: dict[str, dict[str, tuple[Function, tuple[jax.Array, ...]]]] = {
        "fc1's product": {
            "bfloat16, float32 sums": (product, (x, kernel)),
            "bfloat16, bfloat16 result": (jax.lax.dot, (x, kernel)),
            "float32": (product, (wide, wider)),
            "float32 rounded to bfloat16 before": (
                lambda x, k: product(x.astype(jnp.bfloat16), k.astype(jnp.bfloat16)),
                (wide, wider),
            ),
        },
        "the gradient of fc1's matrix, bfloat16": {
            "transposed by a copy": (
                lambda x, g: product(x.reshape(views, TOKENS, WIDTH).transpose(2, 0, 1).reshape(WIDTH, -1), g),
                (x, low),
            ),
            "transposed in the product": (lambda x, g: product(x.T, g), (x, low)),
        },
        "GELU": {
            "by erf": (gelu, (hidden,)),
            "by erfc (JAX's)": (lambda x: jax.nn.gelu(x, approximate=False), (hidden,)),
            "by erf, both ways": (both_ways(gelu), (hidden,)),
            "by erfc, both ways": (both_ways(lambda x: jax.nn.gelu(x, approximate=False)), (hidden,)),
        },
        "LayerNorm": {
            "the project's": (tuned_norm, norm),
            "textbook": (textbook_norm, norm),
            "the project's, both ways": (both_ways(tuned_norm), norm),
            "textbook, both ways": (both_ways(textbook_norm), norm),
        },
        "attention, bfloat16": {
            "the project's": (ours, (qkv,)),
            "textbook": (textbook, (qkv,)),
            "jax.nn.dot_product_attention": (of_jax, (qkv,)),
            "1 view at a time": (in_pieces(1), (qkv,)),
            "4 views at a time": (in_pieces(4), (qkv,)),
            "208 tokens": (padded(208), (qkv,)),
            "256 tokens": (padded(256), (qkv,)),
            "the project's, both ways": (both_ways(ours), (qkv,)),
            "textbook, both ways": (both_ways(textbook), (qkv,)),
            "jax.nn, both ways": (both_ways(of_jax), (qkv,)),
        },
    }
    print(f"{device()}; {versions()}; {views} views, ms")
    for group, sides in groups.items():
        compiled = {name: (jax.jit(function), arguments) for name, (function, arguments) in sides.items()}
        found: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(rounds + 1):
            for name, (function, arguments) in compiled.items():
                seconds = timed(lambda: jax.block_until_ready(function(*arguments)))  # noqa: B023, called at once
                if number:  # the first compiles
                    found[name].append(seconds)
        print(group)
        for name, seconds in found.items():
            print(f"    {name:<36}{1e3 * statistics.median(seconds):>8.2f}")


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
