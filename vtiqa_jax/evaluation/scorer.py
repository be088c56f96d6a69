"""From photos to scores: decoding in threads while the devices compute, every batch of one shape."""

import dataclasses
import functools
import hashlib
import json
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from vtiqa_jax import sharding
from vtiqa_jax.data import formats, images
from vtiqa_jax.data.loader import ImageStore, pad_rows
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.evaluation.quality_map import QualityMap, make_quality_map
from vtiqa_jax.evaluation.results import ScoreResult, ScoreTable, thumbnail
from vtiqa_jax.evaluation.spread import Spread, score_draws
from vtiqa_jax.models import catalog
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models.checkpoint import LabelScale
from vtiqa_jax.models.params import Params, ScoringModel
from vtiqa_jax.models.vtiqa import VTIQA, ComputeDtype, ModelConfig, select_implementation

CPU_BATCH = 4
"""Photos that a CPU computes together at most: more of them leave its caches (docs/performance.md)."""
ACCELERATOR_BATCH = 64
"""Photos that a GPU or TPU computes together when no batch size is given."""

ScoreStep = Callable[[Params, Array, Array], Array]


@functools.cache
def make_score_step(config: ModelConfig, dtype: ComputeDtype, mesh: Mesh) -> ScoreStep:
    """The jitted `(params, global_images, local_images) -> scores`, compiled once for all models of this kind.

    The batch is sharded over the mesh, every device gets all scores.
    """
    implementation = select_implementation(mesh.devices.flat[0], dtype)
    graphdef, _ = parameters.abstract_model(config, dtype, implementation)

    @jax.jit(out_shardings=sharding.replicated_sharding(mesh))
    def score_step(params: Params, global_images: Array, local_images: Array) -> Array:
        model: ScoringModel = parameters.merge_params(graphdef, params)  # type: ignore[assignment]
        return model.score(global_images, local_images)

    return score_step


@functools.cache
def make_spread_step(config: ModelConfig, dtype: ComputeDtype, mesh: Mesh, spread: Spread) -> ScoreStep:
    """As `make_score_step`, but `-> [batch, 1 + draws]`: the score, then those of the drawn mosaics."""
    rows, cols = spread.offsets(config)
    graphdef, _ = parameters.abstract_model(config, dtype, select_implementation(mesh.devices.flat[0], dtype))

    @jax.jit(out_shardings=sharding.replicated_sharding(mesh))
    def spread_step(params: Params, global_images: Array, local_images: Array) -> Array:
        model = parameters.merge_params(graphdef, params)
        assert isinstance(model, VTIQA)
        return score_draws(model, global_images, local_images, jnp.asarray(rows), jnp.asarray(cols))

    return spread_step


@functools.partial(jax.jit, static_argnames="dtype")
def round_weights(params: Params, dtype: ComputeDtype) -> Params:
    """The parameters with every matrix in the dtype it is multiplied in: rounded once, and not for each batch."""
    return {name: a.astype(dtype) if parameters.is_matmul_weight(name) else a for name, a in params.items()}


def pass_size(mesh: Mesh, count: int, batch_size: int | None = None) -> int:
    """Photos of one pass over all devices.

    Args:
        mesh: the devices.
        count: photos there are to score.
        batch_size: photos asked for; a CPU takes CPU_BATCH of them at most.

    Raises:
        UserError: the batch size is below 1.
    """
    if batch_size is not None and batch_size < 1:
        raise UserError(f"the batch size must be at least 1, not {batch_size}")
    if mesh.devices.flat[0].platform == "cpu":
        size = min(batch_size or math.inf, CPU_BATCH * mesh.size)
    else:
        size = batch_size or ACCELERATOR_BATCH * mesh.size
    return sharding.round_up(int(min(size, count)), mesh)


def score_store(
    step: ScoreStep,
    params: Params,
    store: ImageStore,
    rows: Int[np.ndarray, " rows"],
    batch_size: int | None = None,
) -> Float[np.ndarray, " rows"]:
    """Scores of stored photos.

    Args:
        step: of `make_score_step`, for the store's mesh.
        params: on the devices of the mesh.
        store: the photos.
        rows: which of them. Of several processes each reads its share, and all get all scores.
        batch_size: see `pass_size`.

    Returns:
        float32 scores.
    """
    size = pass_size(store.mesh, max(1, len(rows)), batch_size)
    pending: deque[tuple[Array, int]] = deque()
    scores: list[np.ndarray] = []
    for start in range(0, len(rows), size):
        selected = rows[start : start + size]
        batch = store.read(pad_rows(selected, size))
        pending.append((step(params, batch["global_images"], batch["local_images"]), len(selected)))
        while len(pending) > int(start + size < len(rows)):  # the next batch is read while this one is computed
            values, count = pending.popleft()
            scores.append(np.asarray(values)[:count])
    return np.concatenate(scores) if scores else np.empty(0, np.float32)


class Scorer:
    """A trained model ready to score photos, the batch sharded over all devices of this machine or the given ones."""

    def __init__(
        self,
        config: ModelConfig,
        params: Params,
        scale: LabelScale,
        *,
        provenance: dict[str, Any] | None = None,
        compute_dtype: ComputeDtype = "float32",
        devices: Sequence[jax.Device] | None = None,
    ) -> None:
        """Puts the model on the devices.

        Args:
            config: the model's sizes.
            params: its parameters by name.
            scale: what its scores mean.
            provenance: what the model was made from.
            compute_dtype: "bfloat16" is faster where the hardware multiplies it, and less exact.
            devices: all of this machine when not given.
        """
        self.config = config
        self.scale = scale
        self.provenance = provenance or {}
        known = self.provenance.get("trained", {}).get("percentiles")
        self.percentiles: Float[np.ndarray, " 101"] | None = np.array(known["scores"]) if known else None
        """Of the scores of training photos; None for a model that was not trained here."""
        self.compute_dtype: ComputeDtype = compute_dtype
        self.mesh = sharding.data_mesh(devices)
        self._params = round_weights(sharding.replicate(params, self.mesh), compute_dtype)
        self._step = make_score_step(config, compute_dtype, self.mesh)

    @classmethod
    def load(cls, path: str | Path = "default", *, compute_dtype: ComputeDtype = "float32") -> "Scorer":
        """A model read from disk, see `vtiqa_jax.load`.

        Raises:
            UserError: `path` is no checkpoint, or a backbone without a head.
        """
        made = catalog.load(path)
        if made.scale is None:
            raise UserError(
                f"{path} is a backbone without a head; train one with: vtiqa train manifest ... --init {path}"
            )
        return cls(made.config, made.params, made.scale, provenance=made.provenance, compute_dtype=compute_dtype)

    def settings(self, spread: Spread | None = None) -> dict[str, Any]:
        """All that a photo's result depends on but the photo, as JSON: equal settings give equal results."""
        percentiles = None if self.percentiles is None else self.percentiles.tolist()
        card = (dataclasses.asdict(self.config), dataclasses.asdict(self.scale), percentiles)
        weights = parameters.hash_params(jax.device_get(self._params))
        return {
            "model": hashlib.sha256((weights + json.dumps(card)).encode()).hexdigest()[:16],
            "compute_dtype": self.compute_dtype,
            "spread": dataclasses.asdict(spread) if spread else None,
            "decoders": formats.decoder_versions(),
        }

    def _dispatch(self, step: ScoreStep, pairs: Sequence[images.ImagePair], size: int) -> Array:
        """Starts one batch, padded to `size` by repeating the last photo; its scores come when they are ready."""
        padded = [*pairs, *[pairs[-1]] * (size - len(pairs))]
        small, large = (np.stack([pair[which] for pair in padded]) for which in (0, 1))
        return step(self._params, sharding.shard_batch(small, self.mesh), sharding.shard_batch(large, self.mesh))

    def _result(self, photo: Any, scores: Float[np.ndarray, " scores"]) -> ScoreResult:
        """What the scores of a photo, by the mosaic and by drawn ones, say."""
        value, *draws = scores.tolist()
        if not np.isfinite(scores).all():
            return ScoreResult(photo, None, "its score is not a finite number; the weights may be damaged")
        share, outside = None, None
        if self.percentiles is not None:
            share = float(self.percentile(np.array([value]))[0])
            outside = "below" if value < self.percentiles[0] else "above" if value > self.percentiles[-1] else None
        mean, spread = (float(np.mean(draws)), float(np.std(draws, ddof=1))) if draws else (None, None)
        return ScoreResult(photo, value, None, share, outside, mean, spread, tuple(draws))

    def score_pairs(self, pairs: Sequence[images.ImagePair], size: int) -> Iterator[ScoreResult]:
        """Scores photos at their stored sizes, `size` together, see `pass_size`; the last batch is filled up.

        Yields:
            A result for each, whose `image` is its position.
        """
        started = deque(self._dispatch(self._step, pairs[at : at + size], size) for at in range(0, len(pairs), size))
        values = (value for scores in started for value in np.asarray(scores)[:, None])
        yield from (self._result(position, value) for position, value in zip(range(len(pairs)), values, strict=False))

    def stream(
        self,
        photos: Sequence[Any],
        *,
        batch_size: int | None = None,
        inspect: Callable[[images.Rgb, images.ImagePair], Any] | None = None,
        spread: Spread | None = None,
        known: Callable[[Any], ScoreResult | None] | None = None,
        max_pixels: int = images.MAX_PIXELS,
    ) -> Iterator[ScoreResult]:
        """Scores photos in their order, two batches decoded ahead; memory does not grow with their number.

        Args:
            photos: see `images.open_photo` for what a photo may be.
            batch_size: photos computed together, see `pass_size`.
            inspect: called with each photo's pixels and stored sizes in the threads that decode; the result has what
                it returned.
            spread: mosaics to score each photo by, too.
            known: called with each photo in these threads; the result of a photo that need not be scored, or None.
            max_pixels: a file of more pixels is not decoded, and has that for its reason.

        Yields:
            A result for each photo. One that cannot be read has its reason and stops no other.

        Raises:
            UserError: the batch size is below 1, or there can be no spread.
        """
        step = make_spread_step(self.config, self.compute_dtype, self.mesh, spread) if spread else self._step
        if not photos:
            return
        size = pass_size(self.mesh, len(photos), batch_size)
        running: deque[tuple[list[tuple[int, ScoreResult | None, str | None, Any]], Array | None]] = deque()
        waiting: deque[Future[tuple[images.ImagePair | ScoreResult, str | None, Any]]] = deque()

        def load(photo: Any) -> tuple[images.ImagePair | ScoreResult, str | None, Any]:
            result = known(photo) if known else None
            if result is not None and inspect is None:
                return result, result.warning, None
            opened = images.open_photo(photo, max_pixels=max_pixels)
            pair = images.resize_pair(opened.pixels, self.config.stored_sides)
            return result or pair, opened.warning, inspect and inspect(opened.pixels, pair)

        def finish() -> Iterator[ScoreResult]:
            rows, scores = running.popleft()
            values = iter([] if scores is None else np.asarray(scores).reshape(size, -1))
            for index, result, warning, inspected in rows:
                found = self._result(photos[index], next(values)) if result is None else result
                yield dataclasses.replace(found, image=photos[index], warning=warning, inspected=inspected)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            position = 0
            try:
                while position < len(photos):
                    ahead = min(len(photos), position + 3 * size)
                    waiting.extend(pool.submit(load, photo) for photo in photos[position + len(waiting) : ahead])
                    rows: list[tuple[int, ScoreResult | None, str | None, Any]] = []
                    ready: list[images.ImagePair] = []
                    while waiting and len(ready) < size:
                        try:
                            found, warning, inspected = waiting.popleft().result()
                            if isinstance(found, ScoreResult):
                                rows.append((position, found, warning, inspected))
                            else:
                                ready.append(found)
                                rows.append((position, None, warning, inspected))
                        except ImageError as error:
                            rows.append((position, ScoreResult(photos[position], None, str(error)), None, None))
                        position += 1
                    running.append((rows, self._dispatch(step, ready, size) if ready else None))
                    if len(running) > 1:  # the device works on the newest batch while the one before is read back
                        yield from finish()
                while running:
                    yield from finish()
            finally:
                for future in waiting:
                    future.cancel()

    def score(self, photos: Sequence[Any], *, batch_size: int | None = None) -> Float[np.ndarray, " n"]:
        """Scores of photos: paths, uint8 arrays [height, width, 3] in RGB, or Pillow images; float32.

        Raises:
            ImageError: names the first photo that cannot be read; `stream` goes on instead.
        """
        scores = []
        for position, result in enumerate(self.stream(photos, batch_size=batch_size)):
            if result.score is None:
                name = result.image if isinstance(result.image, str | os.PathLike) else f"photo {position}"
                raise ImageError(f"{name}: {result.error}")
            scores.append(result.score)
        return np.array(scores, np.float32)

    def explain(self, photo: Any) -> QualityMap:
        """Where a photo is bad: its score with the local view cut from one region alone, region by region.

        Takes as long as two dozen scores, on the first device.

        Args:
            photo: see `score`.

        Raises:
            ImageError: it cannot be read.
            UserError: the model is the paper's, which selects regions itself.
        """
        pixels = images.open_photo(photo).pixels
        pair = images.resize_pair(pixels, self.config.stored_sides)
        return dataclasses.replace(self.explain_pair(pair), photo=pixels)

    def explain_pair(self, pair: images.ImagePair) -> QualityMap:
        """`explain` for a photo in both stored sizes; the map does not have its photo.

        Raises:
            UserError: the model is the paper's, which selects regions itself.
        """
        if self.config.kind != "vtiqa":
            raise UserError("the paper's model selects its regions itself; maps are made by a VT-IQA as released")
        return make_quality_map(pair, self._params, self.config, self.scale, self.compute_dtype)

    def table(self, photos: Sequence[Any], *, spread: Spread | None = None) -> ScoreTable:
        """Results that a notebook shows as a table with thumbnails; arguments as of `stream`."""
        return ScoreTable(tuple(self.stream(photos, inspect=thumbnail, spread=spread)), self.scale)

    def percentile(self, scores: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """The share of training photos that a photo of this score is better than, in percent.

        Raises:
            UserError: the model does not say how training photos score.
        """
        if self.percentiles is None:
            raise UserError("this model does not say how the photos it was trained on score")
        below = np.interp(scores, self.percentiles, np.arange(101.0))
        return below if self.scale.higher_is_better else 100 - below

    def score_store(
        self, store: ImageStore, rows: Int[np.ndarray, " rows"], *, batch_size: int | None = None
    ) -> Float[np.ndarray, " rows"]:
        """Scores of stored photos, see `score_store`; the store has this scorer's devices."""
        return score_store(self._step, self._params, store, rows, batch_size)
