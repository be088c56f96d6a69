"""Which attention, and which LayerNorm? The project's beside JAX's, alone and within a training step.

    python benchmarks/layers.py                          # bfloat16; on a GPU cuDNN's attention too

One that the device does not have is left out and said so.
"""

import contextlib
import statistics
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from timing import device, on_gpu, photos, timed, versions

from vtiqa_jax import attention, devices, feed, layer_norm, model, params
from vtiqa_jax.config import ModelConfig, deit_small
from vtiqa_jax.model import ComputeDtype
from vtiqa_jax.recipe import Course
from vtiqa_jax.released import Released
from vtiqa_jax.training import Training

Function = Callable[..., jax.Array]
Part = Callable[[int], object]


def attention_of_jax(implementation: str) -> Function:
    """`jax.nn.dot_product_attention`."""

    def run(qkv: jax.Array, compute_dtype: str) -> jax.Array:
        q, k, v = (qkv[:, :, which].astype(compute_dtype) for which in range(3))
        found = jax.nn.dot_product_attention(q, k, v, implementation=implementation)  # type: ignore[arg-type]
        return found.astype(jnp.float32)

    return run


def layer_norm_of_jax(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """LayerNorm with the derivative that JAX finds."""
    centred = x - x.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt((centred * centred).mean(-1, keepdims=True) + layer_norm.EPSILON) * scale + bias


@contextlib.contextmanager
def replaced(module: ModuleType, name: str, function: Function) -> Iterator[None]:
    """`module.name` is `function` meanwhile: the model looks it up when it is traced."""
    before = getattr(module, name)
    setattr(module, name, function)
    try:
        yield
    finally:
        setattr(module, name, before)


def training_step(config: ModelConfig, size: int, compute_dtype: ComputeDtype, number: int) -> Part:
    """A full step, traced at its first call, anew for each `number`."""
    source = feed.Source(photos(size, config, 0), devices.data_mesh(), on_device=on_gpu())
    recipe = Released(batch_size=size, compute_dtype=compute_dtype, max_epochs=1000 + number)
    labels = np.linspace(1, 5, size).astype(np.float32)
    training = Training(config, recipe, params.drawn(config, 0), source, labels, np.arange(size))
    return lambda number: [m.loss.block_until_ready() for m in training.epoch(Course(epoch=number, lr=0.01))]


def main(batch: int = 0, rounds: int = 7, compute_dtype: ComputeDtype = "bfloat16") -> None:
    """Milliseconds of one layer for both views, and of a whole training step.

    Args:
        batch: photos; 0 takes 192 on a GPU and 8 on a CPU.
        rounds: of which the median is taken, the sides taking turns.
        compute_dtype: of the products.
    """
    size, config = batch or (192 if on_gpu() else 8), deit_small()
    qkv = jax.random.normal(jax.random.key(0), (2 * size, config.tokens, 3, config.heads, config.width // config.heads))
    rows = jax.random.normal(jax.random.key(1), (2 * size, config.tokens, config.width))
    affine = jnp.ones(config.width), jnp.zeros(config.width)
    sides: dict[str, tuple[ModuleType, str, Function]] = {
        "attention": (model, "attention", attention.attention),
        "attention, jax.nn, xla": (model, "attention", attention_of_jax("xla")),
        "attention, jax.nn, cudnn": (model, "attention", attention_of_jax("cudnn")),
        "LayerNorm": (layer_norm, "normalise", layer_norm.normalise),
        "LayerNorm, derived by JAX": (layer_norm, "normalise", layer_norm_of_jax),
    }
    works: dict[str, list[Part]] = {}
    for name, (module, attribute, function) in sides.items():
        inputs = (qkv,) if attribute == "attention" else (rows, *affine)

        def loss(*inputs: jax.Array, function: Function = function, name: str = attribute) -> jax.Array:
            return (function(*inputs, *[compute_dtype] * (name == "attention")) ** 2).sum()

        forward, backward = jax.jit(loss), jax.jit(jax.grad(loss, range(len(inputs))))
        parts: list[Part] = [
            lambda _, run=forward, inputs=inputs: jax.block_until_ready(run(*inputs)),
            lambda _, run=backward, inputs=inputs: jax.block_until_ready(run(*inputs)),
            training_step(config, size, compute_dtype, len(works)),
        ]
        try:
            with replaced(module, attribute, function):
                for part in parts:
                    part(0)
            works[name] = parts
        except Exception as error:  # no such kernel on this device
            print(f"{name}: left out ({(str(error).splitlines() or [repr(error)])[0][:120]})", file=sys.stderr)
    print(f"{device()}; {versions()}; {compute_dtype}, {size} photos")
    print(f"{'ms':<28}{'forward':>10}{'both ways':>11}{'training step':>15}")
    found: dict[str, list[list[float]]] = {name: [[], [], []] for name in works}
    for which in range(3):  # a layer after a whole step would find its memory taken away
        for number in range(1, rounds + 1):
            for name, parts in works.items():
                found[name][which].append(timed(lambda: parts[which](number)))  # noqa: B023
    for name, columns in found.items():
        forward, backward, step = (1e3 * statistics.median(seconds) for seconds in columns)
        print(f"{name:<28}{forward:>10.1f}{backward:>11.1f}{step:>15.1f}")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
