"""From files to a Parquet data set of scores: decoding in tasks, scoring in actors, writing with checkpoints."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
import pyarrow as pa
import ray
from pyarrow import fs
from ray.data import ActorPoolStrategy, DataContext
from ray.data.checkpoint import CheckpointConfig

from vtiqa_jax.bulk import decoding, sources
from vtiqa_jax.evaluation.results import ScoreResult
from vtiqa_jax.evaluation.scorer import Scorer, pass_size
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.vtiqa import ComputeDtype

CORES_PER_ACTOR = 4
"""Of a machine without GPUs; more of them score no faster together than apart."""
FILES_PER_TASK = 128
DECODE_ROWS, SCORE_ROWS = 16, 64
"""Photos that a task decodes, and an actor is handed, at a time."""
DECODING = {"num_cpus": 0.5, "memory": 512 << 20}
"""What a task that reads and decodes is given. As it differs from an actor's, Ray keeps the two apart.

Half a core, for reading waits. A run that goes on has an actor of Ray's own, with a core, that leaves out what is done:
beside it an actor of ours and a task must still find room on two cores, or all of them wait for ever.
"""
OUTPUT = pa.schema(
    [
        ("path", pa.string()),
        ("score", pa.float32()),
        ("percentile", pa.float32()),
        ("error", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("model", pa.string()),
    ]
)
"""A row of the result. `model` is the SHA-256 of the model's parameters."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What is scored, with what, and where to."""

    files: list[str]
    model: Checkpoint
    digest: str
    compute_dtype: ComputeDtype
    batch_size: int | None
    rows_per_file: int
    system: fs.FileSystem
    out: str
    """The folder of the result, on `system`."""
    done: str
    """The folder in which Ray Data notes which rows have been written, on `system`."""


class ScorePhotos:
    """A model on one GPU, or on a share of a machine's cores, that scores decoded rows: Ray's actor."""

    def __init__(
        self, shared: Any, digest: str, compute_dtype: ComputeDtype, batch_size: int | None, cache: str | None
    ) -> None:
        model: Checkpoint = ray.get(shared)  # from the driver: no machine needs the checkpoint's folder
        assert model.scale is not None
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        self._scorer = Scorer(
            model.config, model.params, model.scale, provenance=model.provenance, compute_dtype=compute_dtype
        )
        self._digest = digest
        # Every pass has this size, however few photos are left: nothing is compiled twice.
        self._size = pass_size(self._scorer.mesh, 1 << 30, batch_size)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Rows of `decoding.decode` to rows of OUTPUT."""
        columns, errors = (table["global_image"], table["local_image"]), table["error"].to_pylist()
        photos = zip(*map(decoding.unpack, columns, self._scorer.config.stored_sides), strict=True)
        pairs = [pair for pair, error in zip(photos, errors, strict=True) if error is None]
        results = self._scorer.score_pairs(pairs, self._size)
        found = [next(results) if error is None else ScoreResult(None, None, error) for error in errors]
        return pa.table(
            {
                "path": table["path"],
                "score": [row.score for row in found],
                "percentile": [row.percentile for row in found],
                "error": [row.error for row in found],
                "width": table["width"],
                "height": table["height"],
                "model": [self._digest] * len(found),
            },
            schema=OUTPUT,
        )


def _actors() -> tuple[int, dict[str, Any]]:
    """How many actors the cluster has room for, and what Ray is to give each: a GPU, or a share of the cores."""
    gpus = int(ray.cluster_resources().get("GPU", 0))
    if gpus:
        return gpus, {"num_gpus": 1, "num_cpus": 1}
    cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    share = min(CORES_PER_ACTOR, max(1, max(cores) // 2))
    count = sum(max(1, (number - 1) // share) for number in cores if number >= share)
    given: dict[str, Any] = {"num_cpus": share - 0.5}
    if any((number - 1) // share > 1 for number in cores):  # else what does not decode may compute
        given["runtime_env"] = {"env_vars": {"NPROC": str(share)}}  # XLA's threads
    return count, given


def undo_unclear(system: fs.FileSystem, done: str) -> None:
    """Makes Ray write those files again that were written twice and not finished the second time.

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


def run(job: Job) -> None:
    """Scores what is not yet scored. Ray is connected already.

    Raises:
        ray.exceptions.RayError: the cluster cannot go on; calling again does.
    """
    undo_unclear(job.system, job.done)
    context = DataContext.get_current()
    context.checkpoint_config = CheckpointConfig(
        id_column="path", checkpoint_path=job.done, override_filesystem=job.system, delete_checkpoint_on_success=False
    )
    count, given = _actors()
    cache = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    model = ray.put(dataclasses.replace(job.model, params=jax.tree.map(np.asarray, job.model.params)))
    photos = ray.data.read_datasource(
        sources.PhotoSource(job.files, FILES_PER_TASK),
        override_num_blocks=max(1, len(job.files) // FILES_PER_TASK),
        **DECODING,
    )
    decoded = photos.map_batches(
        functools.partial(decoding.decode, sides=job.model.config.stored_sides),
        batch_size=DECODE_ROWS,
        batch_format="pyarrow",
        **DECODING,
    )
    scored = decoded.map_batches(
        ScorePhotos,
        batch_size=SCORE_ROWS,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=count),
        fn_constructor_args=(model, job.digest, job.compute_dtype, job.batch_size, cache),
        **given,
    )
    scored.write_parquet(
        job.out, filesystem=job.system, min_rows_per_file=job.rows_per_file, ray_remote_args={"num_cpus": 0.5}
    )


def count_rows(job: Job) -> tuple[int, int]:
    """Rows of the result, and how many of them have no score."""
    from pyarrow import dataset

    found = dataset.dataset(job.out, schema=OUTPUT, filesystem=job.system, format="parquet")
    return found.count_rows(), found.count_rows(filter=dataset.field("error").is_valid())
