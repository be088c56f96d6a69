"""What the speed benchmarks share: the device's name, made-up photos, seconds."""

import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vtiqa_jax.config import ModelConfig
from vtiqa_jax.prepared import Prepared


def device() -> str:
    """What everything is measured on."""
    kind = jax.devices()[0].device_kind
    if kind != "cpu":
        return kind
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{model[0].split(': ')[1] if model else platform.processor()}, {len(model)} cores"


def on_gpu() -> bool:
    """Whether JAX computes on something else than a CPU."""
    return jax.devices()[0].platform != "cpu"


def versions() -> dict[str, str]:
    """What is compared."""
    found = {"python": platform.python_version()}
    for package in ("jax", "torch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def photos(count: int, config: ModelConfig, seed: int) -> Prepared:
    """Random stored photos."""
    rng = np.random.default_rng(seed)
    sides = (config.global_size, config.local_size)
    return Prepared(*(rng.integers(0, 256, (count, side, side, 3), np.uint8) for side in sides))


def timed(work: Callable[[], Any]) -> float:
    """Seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
