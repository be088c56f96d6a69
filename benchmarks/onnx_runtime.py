"""Compares the speed of this package and of its ONNX file in onnxruntime, from pixels to scores, on the CPU.

For example:

    python benchmarks/onnx_runtime.py

The photos are made up and in memory. The benchmark times resizing, cutting the views and the model, but not decoding.
The sides take turns, in an order that changes from round to round. The table shows each side's median after a warm-up.
"""

import os
import statistics
from collections.abc import Callable
from importlib.metadata import version

os.environ["JAX_PLATFORMS"] = "cpu"  # as onnxruntime's plain package

import numpy as np
import onnxruntime
from timing import device, timed, versions

import vtiqa_jax
from vtiqa_jax import cli
from vtiqa_jax.export import onnx_vtiqa
from vtiqa_jax.models import catalog


def main(
    batches: tuple[int, ...] = (1, 4, 32), width: int = 1024, height: int = 768, photos: int = 32, rounds: int = 7
) -> None:
    """Prints photos a second.

    Args:
        batches: Numbers of photos that are scored together.
        width: Width of the photos in pixels.
        height: Height of the photos in pixels.
        photos: Number of photos of each batch size in a round.
        rounds: Number of turns of each side; the median is taken.
    """
    made = catalog.load()
    pixels = np.random.default_rng(0).integers(0, 256, (photos, height, width, 3), np.uint8)
    sides: dict[str, Callable[[np.ndarray], object]] = {}
    for dtype in ("float32", "bfloat16"):
        scorer = vtiqa_jax.load(compute_dtype=dtype)
        sides[f"vtiqa-jax {dtype}"] = lambda batch, scorer=scorer: scorer.score(list(batch))
    for storage in ("float32", "float16", "int8"):
        model = onnx_vtiqa.build(made.config, made.params, storage).SerializeToString()
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        sides[f"onnxruntime, {storage} file"] = lambda batch, session=session: session.run(None, {"photos": batch})
    print(f"{device()}; {versions()}; onnxruntime {version('onnxruntime')}; photos of {width} x {height}")
    print(f"{'photos/s':<28}" + "".join(f"{f'batch {batch}':>12}" for batch in batches))
    rates: dict[str, list[float]] = {side: [] for side in sides}
    for size in batches:
        parts = [pixels[start : start + size] for start in range(0, photos, size)]
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        for score in sides.values():
            score(parts[0])
        for number in range(rounds):
            order = list(sides)
            for side in order[number % len(order) :] + order[: number % len(order)]:
                seconds[side].append(timed(lambda: [sides[side](part) for part in parts]))  # noqa: B023, called at once
        for side, found in seconds.items():
            rates[side].append(photos / statistics.median(found))
    for side, found in rates.items():
        print(f"{side:<28}" + "".join(f"{rate:>12.1f}" for rate in found))


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
