"""Which attention? The project's own beside JAX's, alone and within a training step of the released model.

    python benchmarks/attention.py                       # bfloat16; on a GPU cuDNN's kernel too

One that the device does not have is left out and said so.
"""

import statistics
import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from timing import device, on_gpu, photos, timed, versions

from vtiqa_jax import attention, devices, feed, model, params
from vtiqa_jax.config import deit_small
from vtiqa_jax.model import ComputeDtype
from vtiqa_jax.recipe import Course
from vtiqa_jax.released import Released
from vtiqa_jax.training import Training

Attention = Callable[[jax.Array, str], jax.Array]


def of_jax(implementation: str) -> Attention:
    """`jax.nn.dot_product_attention`."""

    def run(qkv: jax.Array, compute_dtype: str) -> jax.Array:
        q, k, v = (qkv[:, :, which].astype(compute_dtype) for which in range(3))
        found = jax.nn.dot_product_attention(q, k, v, implementation=implementation)  # type: ignore[arg-type]
        return found.astype(jnp.float32)

    return run


def main(batch: int = 0, rounds: int = 7, compute_dtype: ComputeDtype = "bfloat16") -> None:
    """Milliseconds for all 12 blocks of both views, and of a whole training step.

    Args:
        batch: photos; 0 takes 192 on a GPU and 8 on a CPU.
        rounds: of which the median is taken, the sides taking turns.
        compute_dtype: of the products.
    """
    size, config = batch or (192 if on_gpu() else 8), deit_small()
    shape = (2 * size, config.tokens, 3, config.heads, config.width // config.heads)
    qkv = jax.random.normal(jax.random.key(0), shape)
    source = feed.Source(photos(size, config, 0), devices.data_mesh(), on_device=on_gpu())
    sides: dict[str, Attention] = {"the project's": attention.attention}
    sides |= {f"jax.nn, {name}": of_jax(name) for name in ("xla", "cudnn")}
    works: dict[str, list[Callable[[int], object]]] = {}
    for name, side in sides.items():

        def loss(qkv: jax.Array, side: Attention = side) -> jax.Array:
            return (side(qkv, compute_dtype) ** 2).sum()

        forward, backward = jax.jit(loss), jax.jit(jax.grad(loss))
        model.attention = side  # the model looks it up when its step is traced, once for each recipe
        recipe = Released(batch_size=size, compute_dtype=compute_dtype, max_epochs=1000 + len(works))
        labels = np.linspace(1, 5, size).astype(np.float32)
        step = Training(config, recipe, params.drawn(config, 0), source, labels, np.arange(size))

        def train(number: int, step: Training = step) -> object:
            return [measured.loss.block_until_ready() for measured in step.epoch(Course(epoch=number, lr=0.01))]

        parts = [
            lambda _, forward=forward: forward(qkv).block_until_ready(),
            lambda _, backward=backward: backward(qkv).block_until_ready(),
            train,
        ]
        try:
            for part in parts:
                part(0)
            works[name] = parts
        except Exception as error:  # no such kernel on this device
            print(f"{name}: left out ({(str(error).splitlines() or [repr(error)])[0][:120]})", file=sys.stderr)
    print(f"{device()}; {versions()}; {compute_dtype}, {size} photos")
    print(f"{'ms':<22}{'12 x forward':>14}{'12 x both ways':>16}{'training step':>15}")
    found = {name: [[timed(lambda: part(0)) for part in parts]] for name, parts in works.items()}  # noqa: B023
    for number in range(1, rounds):
        for name, parts in works.items():
            found[name].append([timed(lambda: part(number)) for part in parts])  # noqa: B023
    for name, seconds in found.items():
        forward, backward, step = (1e3 * statistics.median(column) for column in zip(*seconds, strict=True))
        print(f"{name:<22}{12 * forward:>14.1f}{12 * backward:>16.1f}{step:>15.1f}")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
