"""Holds what the speed benchmarks share: the device's name, made-up photos, a model in training, seconds."""

import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vtiqa_jax.data.batches import BatchPlan
from vtiqa_jax.data.image_cache import ImageCache
from vtiqa_jax.data.loader import ImageStore
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.params import Params
from vtiqa_jax.training.loop import train_epoch
from vtiqa_jax.training.recipe import Recipe, ScheduleState
from vtiqa_jax.training.step import init_state, make_key, make_train_step


def device() -> str:
    """Describes the device that everything is measured on."""
    kind = jax.devices()[0].device_kind
    if kind != "cpu":
        return kind
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{model[0].split(': ')[1] if model else platform.processor()}, {len(model)} cores"


def on_gpu() -> bool:
    """Returns whether JAX computes on something else than a CPU."""
    return jax.devices()[0].platform != "cpu"


def versions() -> dict[str, str]:
    """Lists the versions of what is compared."""
    found = {"python": platform.python_version()}
    for package in ("jax", "torch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def photos(count: int, config: ModelConfig, seed: int) -> ImageCache:
    """Makes random stored photos."""
    rng = np.random.default_rng(seed)
    sides = (config.global_resize, config.local_resize)
    return ImageCache(*(rng.integers(0, 256, (count, side, side, 3), np.uint8) for side in sides))


def timed(work: Callable[[], Any]) -> float:
    """Seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class Trainer:
    """A model in training, as `vtiqa_jax.train` trains it: batches from a store, one step after the other."""

    def __init__(
        self,
        config: ModelConfig,
        recipe: Recipe,
        params: Params,
        store: ImageStore,
        labels: np.ndarray,
        rows: np.ndarray,
    ) -> None:
        self._config, self._recipe, self._store = config, recipe, store
        self._plan = BatchPlan(rows, recipe.batch_size, recipe.seed, {"labels": labels.astype(np.float32)})
        self._state, self._frozen = init_state(recipe, config, params, store.mesh)
        self._key = make_key(recipe.seed, store.mesh)

    @property
    def params(self) -> Params:
        """The model as it stands, on the devices."""
        return self._frozen | self._state.eval_params

    def epoch(self, number: int, *, head_only: bool = False) -> None:
        """Trains one epoch and waits for it."""
        step = make_train_step(self._recipe, self._config, self._store.mesh, head_only)
        schedule = ScheduleState(epoch=number, lr=0.01, head_only=head_only)
        self._state = train_epoch(
            step, self._state, self._frozen, self._key, self._store, self._plan, self._recipe, schedule
        )
        jax.block_until_ready(self._state.step)
