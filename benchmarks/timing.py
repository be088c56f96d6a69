"""What the speed benchmarks share: the device's name, made-up photos, a model in training, seconds."""

import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vtiqa_jax import sharding
from vtiqa_jax.data.image_cache import ImageCache
from vtiqa_jax.data.loader import ImageStore, epoch_batches, load_batches
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.vtiqa import ModelConfig
from vtiqa_jax.train import init_state, make_train_step
from vtiqa_jax.training.recipe import Recipe, ScheduleState


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


def photos(count: int, config: ModelConfig, seed: int) -> ImageCache:
    """Random stored photos."""
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
        self._config, self._recipe, self._store, self._rows = config, recipe, store, rows
        self._columns = {"labels": labels.astype(np.float32)}
        self._size = sharding.round_up(min(recipe.batch_size, len(rows)), store.mesh)
        self._state, self._frozen = init_state(recipe, config, params, store.mesh)
        key = sharding.replicate(jax.random.key_data(jax.random.key(recipe.seed)), store.mesh)
        self._key = jax.random.wrap_key_data(key)

    @property
    def params(self) -> Params:
        """The model as it stands, on the devices."""
        return self._frozen | self._state.eval_params

    def epoch(self, number: int, *, head_only: bool = False) -> None:
        """Trains one epoch and waits for it."""
        recipe, store = self._recipe, self._store
        step = make_train_step(recipe, self._config, store.mesh, head_only)
        batches = epoch_batches(self._rows, recipe.batch_size, recipe.seed, number)
        schedule = ScheduleState(epoch=number, lr=0.01, head_only=head_only)
        loaded = load_batches(store, self._columns, batches, self._size)
        for index, batch in enumerate(loaded, start=number * len(batches)):
            lr = np.float32(recipe.learning_rate(schedule, index, len(batches)))
            self._state, _ = step(self._state, self._frozen, self._key, lr, batch)
        jax.block_until_ready(self._state.step)
