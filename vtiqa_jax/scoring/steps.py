"""What a model computes of batches of photos, compiled: their scores, all judgements, or features."""

import functools
import math
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int

from vtiqa_jax import sharding
from vtiqa_jax.data.loader import ImageStore, pad_rows
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.vit import select_implementation
from vtiqa_jax.scoring.mosaic_sampling import MosaicSampling, score_samples

CPU_BATCH = 4
"""Photos that a CPU computes together at most: more of them leave its caches (docs/performance.md)."""
ACCELERATOR_BATCH = 64
"""Photos that a GPU or TPU computes together when no batch size is given."""

ScoreStep = Callable[..., Array]
"""`(params, global_images, local_images) -> scores`."""
Judgements = dict[str, Array]
"""Outputs of a model for a batch of photos, by the names of fields of `ScoreResult`; `novelty`, see `Novelty`; and the
`strengths` and `probabilities` of faults, see `VTIQA.judge_reasons`."""
JudgeStep = Callable[..., Judgements]
"""`(params, *arrays) -> judgements`, of the arrays that `ModelConfig.preparation` makes."""
Output = TypeVar("Output", Array, Judgements)


def _compile_step(
    config: ModelConfig, dtype: ComputeDtype, mesh: Mesh, compute: Callable[..., Output]
) -> Callable[..., Output]:
    """Jits `compute(model, *arrays)`: the batch is sharded over the mesh, every device gets the whole result."""
    graphdef, _ = parameters.abstract_model(config, dtype, select_implementation(mesh.devices.flat[0], dtype))

    @jax.jit(out_shardings=sharding.replicated_sharding(mesh))
    def step(params: Params, *arrays: Array) -> Output:
        return compute(parameters.merge_params(graphdef, params), *arrays)

    return step


@functools.cache
def make_score_step(config: ModelConfig, dtype: ComputeDtype, mesh: Mesh) -> ScoreStep:
    """Makes the step `(params, global_images, local_images) -> scores` of stored photos."""
    return _compile_step(config, dtype, mesh, lambda model, *images: model.score(*images))


@functools.cache
def make_judge_step(
    config: ModelConfig, dtype: ComputeDtype, mesh: Mesh, sampling: MosaicSampling | None = None
) -> JudgeStep:
    """Makes the step by which photos are judged.

    Args:
        config: of the model.
        dtype: that it computes in.
        mesh: the devices.
        sampling: mosaics to score by, too: `mosaic_scores` are theirs. The step then takes `config.stored_cuts` of the
            screen instead of `config.eval_cuts`, since its mosaics may come from anywhere.
    """
    offsets = [jnp.asarray(axis) for axis in sampling.offsets(config)] if sampling else None
    if config.kind != "vtiqa":
        return _compile_step(config, dtype, mesh, lambda model, *images: {"score": model.score(*images)})

    def judge(model: Any, *arrays: Array) -> Judgements:
        images, native = (arrays[:-2], arrays[-2:]) if config.native else (arrays, ())
        shown = model.cut_views(*images) if offsets else images
        features, subject = model.see_views(shown)
        pair = features[0], features[1:].mean(0)
        judgements = {"score": model.score_features(*pair)}
        if offsets:
            judgements["mosaic_scores"] = score_samples(model, pair[0], images[1], *offsets)
        if config.novelty:
            judgements["novelty"] = model.judge_novelty(*pair)
        if config.intervals:
            sureness = model.judge_intervals(judgements["score"], *pair)._asdict()
            judgements |= {name: values for name, values in sureness.items() if values is not None}
        if native:
            readings = model.read_native(*native, subject)
            judgements["detail"], holds = model.judge_detail(readings)
            judgements["holds"] = 100 * holds
            if config.reasons:
                reasons = model.judge_reasons(readings.summaries, pair[0], shown[0])
                judgements["strengths"], judgements["probabilities"] = reasons
        return judgements

    return _compile_step(config, dtype, mesh, judge)


@functools.cache
def make_feature_step(config: ModelConfig, dtype: ComputeDtype, mesh: Mesh) -> JudgeStep:
    """Makes the step `(params, *images) -> {"features": ...}`, what the head sees of photos."""

    def encode(model: Any, *images: Array) -> Judgements:
        features = model.encode_views(images)
        return {"features": jnp.concatenate([features[0], features[1:].mean(0)], axis=1)}

    return _compile_step(config, dtype, mesh, encode)


@functools.partial(jax.jit, static_argnames="dtype")
def round_weights(params: Params, dtype: ComputeDtype) -> Params:
    """Rounds every matrix to the dtype it is multiplied in: once, and not for each batch."""
    return {name: a.astype(dtype) if parameters.is_matmul_weight(name) else a for name, a in params.items()}


def pass_size(mesh: Mesh, count: int, batch_size: int | None = None) -> int:
    """Returns the number of photos of one pass over all devices.

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
    """Scores stored photos.

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
