"""The pipeline from files to Parquet files of scores: tasks decode, actors score, and checkpoints are written."""

import dataclasses
import functools
import itertools
import logging
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pyarrow as pa
import ray
from pyarrow import fs
from ray.data import ActorPoolStrategy, DataContext
from ray.data.checkpoint import CheckpointConfig

from vtiqa_jax.bulk import decoding, sources
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.fingerprint import Identity, fingerprint
from vtiqa_jax.photos.preparation import Preparation
from vtiqa_jax.results.columns import Column, arrow_schema, bulk_columns
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.scoring.scorer import Scorer
from vtiqa_jax.scoring.steps import ACCELERATOR_BATCH, CPU_BATCH, pass_size

FILES_PER_TASK = 128
DECODE_ROWS = 16
"""Photos that a task decodes at a time."""
GPU_ROWS, CORE_ROWS = ACCELERATOR_BATCH, 4 * CPU_BATCH
"""Photos, whole passes, that an actor on a GPU or on a core is handed at a time, and that a decoded block has."""
DECODING = {"num_cpus": 0.5, "memory": 512 << 20}
"""Resources of a task that reads and decodes. As it differs from an actor's, Ray keeps the two apart. Half a core, for
reading waits."""
MIN_FREE_CPUS, FREE_CPU_SHARE = 1.5, 0.25
"""CPUs kept free on each machine for tasks that read, decode and write: a minimum, and a share of the machine's.

A run that goes on has an actor of Ray's own, with one of them, that leaves
out what is done: beside it and our actors a task must still find room, or all of them wait for ever.
"""
ACTOR_MEMORY = 1 << 30
"""Bytes that an actor on a core takes at most."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What is scored, with what, and where to."""

    files: list[str]
    keyed_by: str | None
    """The column of Parquet files that tells their photos apart, see `sources.key_column`."""
    model: Checkpoint
    identity: Identity
    """Identity of the model, see `models.fingerprint`."""
    compute_dtype: ComputeDtype
    batch_size: int | None
    rows_per_file: int
    false_alarms: float
    """Share of good photos of which any reason is named."""
    reasons: bool
    """Whether the result has the probabilities of reasons, too."""
    system: fs.FileSystem
    out: str
    """The folder of the result, on `system`."""
    done: str
    """The folder in which Ray Data notes which rows have been written, on `system`."""


class ScorePhotos:
    """A model on one GPU, or on one core, that scores decoded rows: Ray's actor."""

    def __init__(
        self,
        shared: Any,
        fingerprint: str,
        compute_dtype: ComputeDtype,
        batch_size: int | None,
        cache: str | None,
        false_alarms: float,
        columns: Sequence[Column],
    ) -> None:
        model: Checkpoint = ray.get(shared)  # from the driver: no machine needs the checkpoint's folder
        assert model.scale is not None
        if not ray.get_gpu_ids():
            # XLA's threads, read when JAX first computes. Cores apart score a tenth faster than cores together.
            os.environ["NPROC"] = "1"
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        self._scorer = Scorer(
            model.config,
            model.params,
            model.scale,
            provenance=model.provenance,
            compute_dtype=compute_dtype,
            false_alarms=false_alarms,
        )
        self._fingerprint, self._columns = fingerprint, columns
        # Every pass has this size, however few photos are left: nothing is compiled twice.
        self._size = pass_size(self._scorer.mesh, 1 << 30, batch_size)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Turns rows of `decoding.decode_rows` into rows of the result, see `columns.bulk_columns`."""
        errors = table["error"].to_pylist()
        photos = decoding.unpack(table, self._scorer.config.preparation)
        shapes = zip(table["height"].to_pylist(), table["width"].to_pylist(), strict=True)
        is_readable = [error is None for error in errors]
        results = self._scorer.score_prepared(
            list(itertools.compress(photos, is_readable)), list(itertools.compress(shapes, is_readable)), self._size
        )
        scored = [
            next(results).warned(warning) if error is None else ScoreResult(None, None, error)
            for error, warning in zip(errors, table["warning"].to_pylist(), strict=True)
        ]
        copied = {name: table[name] for name in ("path", "key")}
        copied["model"] = pa.array([self._fingerprint] * len(scored), pa.string())
        schema = arrow_schema(self._columns)
        arrays = [
            copied[column.name]
            if column.name in copied
            else pa.array([column.value(result) for result in scored], schema.field(column.name).type)
            for column in self._columns
        ]
        return pa.table(arrays, schema=schema)


def plan_actors(machines: Sequence[Mapping[str, float]], batch_size: int | None) -> tuple[int, int, dict[str, Any]]:
    """Plans the actors that a cluster has room for: one a GPU, or, where there is none, one a core.

    Args:
        machines: what each has, as Ray counts it.
        batch_size: photos that a GPU computes together.

    Returns:
        Their number, the photos that one is handed at a time, and what Ray is to give it.

    Raises:
        UserError: no machine has what an actor and the tasks beside it take.
    """

    def free_cpus(machine: Mapping[str, float]) -> float:
        return machine.get("CPU", 0) - max(MIN_FREE_CPUS, FREE_CPU_SHARE * machine.get("CPU", 0))

    def floor(share: float) -> float:
        return math.floor(share * 1e4) / 1e4  # Ray counts ten thousandths

    if with_gpu := [machine for machine in machines if machine.get("GPU", 0) >= 1]:
        share = floor(min(1.0, *(free_cpus(machine) / int(machine["GPU"]) for machine in with_gpu)))
        if share > 0:
            count = sum(int(machine["GPU"]) for machine in with_gpu)
            return count, batch_size or GPU_ROWS, {"num_gpus": 1, "num_cpus": share}
    elif eligible := [m for m in machines if free_cpus(m) > 0 and m.get("memory", 0) >= 2 * ACTOR_MEMORY]:
        # What Ray calls an actor's share is less than the core it computes on: the largest machine has one on each.
        largest = max(eligible, key=free_cpus)
        share = floor(free_cpus(largest) / largest["CPU"])
        counts = [min(int(free_cpus(m) / share), int(m["memory"] / ACTOR_MEMORY) - 1) for m in eligible]
        return sum(counts), CORE_ROWS, {"num_cpus": share, "memory": ACTOR_MEMORY}
    raise UserError(
        "no machine of the Ray cluster can score; start a worker with two free CPUs and 2 GB of memory, or with a GPU"
        " and two free CPUs"
    )


def drop_half_written_checkpoints(system: fs.FileSystem, done: str) -> None:
    """Deletes "done" notes of files whose second write is still pending, so that Ray writes them again.

    A worker that dies between noting a file as done and saying so has its task repeated. When the driver dies in that
    repetition, too, the file is noted both as begun and as done: Ray Data would remove it and believe that it is done.

    Args:
        system: where the notes are.
        done: their folder, `Job.done`.
    """
    names = {info.path for info in system.get_file_info(fs.FileSelector(done, allow_not_found=True))}
    for name in names:
        finished = name.replace(".pending.parquet", ".parquet")
        if finished != name and finished in names:
            system.delete_file(finished)


def decode_photos(files: list[str], keyed_by: str | None, preparation: Preparation, rows: int) -> ray.data.Dataset:
    """Returns decoded rows of all photos in files, in blocks of `rows` as far as they go."""
    # A block of a few rows more would leave an actor a pass that is nearly empty.
    DataContext.get_current().target_max_block_size = rows * preparation.bytes
    photos = ray.data.read_datasource(
        sources.PhotoSource(files, keyed_by, FILES_PER_TASK),
        override_num_blocks=max(1, len(files) // FILES_PER_TASK),
        **DECODING,
    )
    return photos.map_batches(
        functools.partial(decoding.decode_rows, preparation=preparation),
        batch_size=DECODE_ROWS,
        batch_format="pyarrow",
        **DECODING,
    )


def run(job: Job) -> None:
    """Scores what is not yet scored. Ray is connected already.

    Raises:
        ray.exceptions.RayError: the cluster cannot go on; calling again does.
    """
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what goes wrong is raised, too
    drop_half_written_checkpoints(job.system, job.done)
    DataContext.get_current().checkpoint_config = CheckpointConfig(
        id_column="path", checkpoint_path=job.done, override_filesystem=job.system, delete_checkpoint_on_success=False
    )
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    count, rows, resources = plan_actors(machines, job.batch_size)
    cache = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    model = ray.put(dataclasses.replace(job.model, params=jax.tree.map(np.asarray, job.model.params)))
    scored = decode_photos(job.files, job.keyed_by, job.model.config.preparation, rows).map_batches(
        ScorePhotos,
        batch_size=rows,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=count),
        fn_constructor_args=(
            model,
            fingerprint(job.identity),
            job.compute_dtype,
            job.batch_size,
            cache,
            job.false_alarms,
            bulk_columns(reasons=job.reasons),
        ),
        **resources,
    )
    scored.write_parquet(
        job.out, filesystem=job.system, min_rows_per_file=job.rows_per_file, ray_remote_args={"num_cpus": 0.5}
    )
