"""The part of the model that a recipe trains: all of it (`whole_model.py`), or the head alone (`features.py`)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Int

from vtiqa_jax.data.loader import Batch, ImageStore, Store
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.params import Params


@runtime_checkable
class Learner(Protocol):
    """What learns, and what it sees of a photo in training and in evaluation."""

    def open(
        self, images: ImageStore, count: int, params: Params, folder: Path, should_stop: Callable[[int], bool]
    ) -> Store:
        """Returns what batches are read from.

        Args:
            images: the stored photos.
            count: how many there are.
            params: of the whole model as it starts, on the devices.
            folder: where what is computed of these photos and these parameters is kept.
            should_stop: asked while something is computed, see `stop_on_sigterm`.
        """
        ...

    def see(self, key: Array, batch: Batch) -> tuple[Array, ...]:
        """Returns the arguments that a training step calls the model with, drawn by the key; within `jax.jit`."""
        ...

    def merge(self, params: Params) -> Callable[..., Any]:
        """Returns the module with these parameters, called with what `see` returns and `rngs`; within `jax.jit`."""
        ...

    def score(
        self, params: Params, store: Any, rows: Int[np.ndarray, " n"], dtype: ComputeDtype
    ) -> Float[np.ndarray, " n"]:
        """Scores photos, without dropout and augmentation.

        Args:
            params: of the whole model, on the devices.
            store: of `open`.
            rows: which photos.
            dtype: what the transformer multiplies in, where it still has something to compute.
        """
        ...
