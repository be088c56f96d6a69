"""From photos to scores: decoding in threads while the devices compute, every batch of one shape."""

import dataclasses
import functools
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from vtiqa_jax import devices, feed, images
from vtiqa_jax import params as parameters
from vtiqa_jax.config import LabelScale, ModelConfig
from vtiqa_jax.errors import UserError
from vtiqa_jax.model import ComputeDtype, Scorable, is_multiplied

CPU_BATCH = 4
"""Photos that a CPU computes together at most: more of them leave its caches (docs/performance.md)."""
GPU_BATCH = 64
"""Photos that a GPU computes together when no batch size is given."""


@dataclasses.dataclass(frozen=True)
class Scored:
    """One photo's score, on the model's label scale, or why there is none."""

    image: Any
    score: float | None
    error: str | None


@functools.cache
def _compiled(config: ModelConfig, compute_dtype: ComputeDtype, mesh: Mesh) -> Callable[..., Array]:
    """`(params, global_versions, local_versions) -> scores`, once for all scorers of this kind of model."""
    graphdef, _ = parameters.abstract(config, compute_dtype)

    @jax.jit(out_shardings=devices.whole(mesh))
    def score(params: parameters.Params, global_versions: Array, local_versions: Array) -> Array:
        # Of kernels stored in bfloat16 nothing remains of this: XLA drops a cast there and back.
        params = {path: array.astype(jnp.float32) for path, array in params.items()}
        model: Scorable = parameters.merge(graphdef, params)  # type: ignore[assignment]
        # Full float32 products also where the hardware would round them (TF32), for parity.
        with jax.default_matmul_precision("highest"):
            return model.score(global_versions, local_versions)

    return score


class Scorer:
    """A trained model ready to judge photos, the batch divided over all devices of this machine or the given ones."""

    def __init__(
        self,
        config: ModelConfig,
        params: parameters.Params,
        scale: LabelScale,
        *,
        compute_dtype: ComputeDtype = "float32",
        over: Sequence[jax.Device] | None = None,
    ) -> None:
        """`params` are the model's, by dotted path. Errors: UserError when the model has no head to score with."""
        if config.kind == "backbone":
            raise UserError(
                "this checkpoint is a backbone without a head; train one with: train.py ... --init CHECKPOINT"
            )
        self.config = config
        self.scale = scale
        self._mesh = devices.data_mesh(over)
        self._dtype: ComputeDtype = compute_dtype
        self.set_params(params)
        self._score = _compiled(config, compute_dtype, self._mesh)

    def set_params(self, params: parameters.Params) -> None:
        """Scores with other parameters of the same model from now on; nothing is compiled again."""
        # What is multiplied in bfloat16 is rounded once, here, and not for each batch.
        rounded = {path: np.asarray(array, self._dtype) for path, array in params.items() if is_multiplied(path)}
        self._params = devices.replicated(params | rounded, self._mesh)

    def _size(self, batch_size: int | None, count: int) -> int:
        """Photos of one pass, on all devices. Errors: UserError for a batch size below 1."""
        if batch_size is not None and batch_size < 1:
            raise UserError(f"the batch size must be at least 1, not {batch_size}")
        on_cpu = self._mesh.devices.flat[0].platform == "cpu"
        own = (CPU_BATCH if on_cpu else GPU_BATCH) * self._mesh.size
        chosen = min(batch_size or own, own) if on_cpu else batch_size or own
        return devices.round_up(min(chosen, count), self._mesh)

    def _dispatch(self, versions: Sequence[images.Versions], size: int) -> Array:
        """Starts one batch, padded to `size` by repeating the last photo; its scores come when they are ready."""
        padded = [*versions, *[versions[-1]] * (size - len(versions))]
        small, large = (np.stack([pair[which] for pair in padded]) for which in (0, 1))
        return self._score(self._params, devices.divided(small, self._mesh), devices.divided(large, self._mesh))

    def stream(self, photos: Sequence[Any], *, batch_size: int | None = None) -> Iterator[Scored]:
        """Scores photos (see `images.as_rgb` for what one may be) in their order, two batches decoded ahead.

        A photo that cannot be read is yielded with its reason and stops no other. Memory does not grow with the
        number of photos. Errors: UserError for a batch size below 1.
        """
        if not photos:
            return
        size = self._size(batch_size, len(photos))
        running: deque[tuple[list[tuple[int, str | None]], Array | None]] = deque()
        waiting: deque[Future[images.Versions]] = deque()

        def load(photo: Any) -> images.Versions:
            return images.versions(images.as_rgb(photo), self.config)

        def finish() -> Iterator[Scored]:
            rows, scores = running.popleft()
            values = iter([] if scores is None else np.asarray(scores).tolist())
            for index, error in rows:
                value = None if error else next(values)
                if value is not None and not math.isfinite(value):
                    value, error = None, "its score is not a finite number; the weights may be damaged"
                yield Scored(photos[index], value, error)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            position = 0
            try:
                while position < len(photos):
                    ahead = min(len(photos), position + 3 * size)
                    waiting.extend(pool.submit(load, photo) for photo in photos[position + len(waiting) : ahead])
                    rows: list[tuple[int, str | None]] = []
                    ready: list[images.Versions] = []
                    while waiting and len(ready) < size:
                        try:
                            ready.append(waiting.popleft().result())
                            rows.append((position, None))
                        except images.ImageError as error:
                            rows.append((position, str(error)))
                        position += 1
                    running.append((rows, self._dispatch(ready, size) if ready else None))
                    if len(running) > 1:  # the device works on the newest batch while the one before is read back
                        yield from finish()
                while running:
                    yield from finish()
            finally:
                for future in waiting:
                    future.cancel()

    def score(self, photos: Sequence[Any], *, batch_size: int | None = None) -> Float[np.ndarray, " n"]:
        """Scores of photos: paths, uint8 arrays [height, width, 3] in RGB, or Pillow images; float32.

        Errors: images.ImageError that names the first photo that cannot be read; `stream` goes on instead.
        """
        scores = []
        for position, scored in enumerate(self.stream(photos, batch_size=batch_size)):
            if scored.score is None:
                name = scored.image if isinstance(scored.image, str | os.PathLike) else f"photo {position}"
                raise images.ImageError(f"{name}: {scored.error}")
            scores.append(scored.score)
        return np.array(scores, np.float32)

    def score_stored(
        self, source: feed.Source, rows: Int[np.ndarray, " rows"], *, batch_size: int | None = None
    ) -> Float[np.ndarray, " rows"]:
        """Scores of the given prepared photos, float32; the source has this scorer's devices. Of several processes each
        reads its share, and all get all scores."""
        size = self._size(batch_size, max(1, len(rows)))
        pending: deque[tuple[Array, int]] = deque()
        scores: list[np.ndarray] = []
        for start in range(0, len(rows), size):
            chosen = rows[start : start + size]
            batch = source.read(feed.filled(chosen, size))
            pending.append((self._score(self._params, *batch), len(chosen)))
            while len(pending) > int(start + size < len(rows)):  # the next batch is read while this one is computed
                values, count = pending.popleft()
                scores.append(np.asarray(values)[:count])
        return np.concatenate(scores) if scores else np.empty(0, np.float32)
