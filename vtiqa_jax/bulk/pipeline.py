"""From files to a Parquet data set of scores: decoding in tasks, scoring in actors, writing with checkpoints."""

import dataclasses
import functools
import math
from typing import Any

import jax
import numpy as np
import pyarrow as pa
import ray
from jaxtyping import UInt8
from pyarrow import fs
from ray.data import ActorPoolStrategy, DataContext
from ray.data.checkpoint import CheckpointConfig

from vtiqa_jax.bulk import sources
from vtiqa_jax.data import images
from vtiqa_jax.errors import ImageError
from vtiqa_jax.evaluation.results import ScoreResult
from vtiqa_jax.evaluation.scorer import Scorer, pass_size
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.vtiqa import ComputeDtype, ModelConfig

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


def decode(table: pa.Table, config: ModelConfig) -> pa.Table:
    """Rows of `sources.SCHEMA` to decoded ones: both stored sizes, black where `error` says why, and the photo's own.

    The photos are resized into memory that the table then has for its own: on a CPU, copies of two megabytes a photo
    would cost more than decoding.
    """
    count = len(table)
    small, large = (np.zeros((count, side, side, 3), np.uint8) for side in (config.global_resize, config.local_resize))
    errors: list[str | None] = table["error"].to_pylist()
    sizes: list[tuple[int | None, int | None]] = [(None, None)] * count
    for row, (path, data) in enumerate(zip(table["path"].to_pylist(), table["data"], strict=True)):
        if errors[row] is None:
            try:
                pixels = images.decode(data.as_py() if data.is_valid else sources.read_file(path))
                small[row], large[row] = images.resize_pair(pixels, config)
                sizes[row] = (pixels.shape[1], pixels.shape[0])
            except ImageError as reason:
                errors[row] = str(reason)
    return pa.table(
        {
            "path": table["path"],
            "global_image": _pack(small),
            "local_image": _pack(large),
            "error": pa.array(errors, pa.string()),
            "width": pa.array([width for width, _ in sizes], pa.int32()),
            "height": pa.array([height for _, height in sizes], pa.int32()),
        }
    )


def _pack(photos: UInt8[np.ndarray, "n side side 3"]) -> pa.FixedSizeBinaryArray:
    """Photos of one size as a column, without copying them."""
    kind = pa.binary(math.prod(photos.shape[1:]))
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(photos), [None, pa.py_buffer(photos)])


def unpack(column: pa.ChunkedArray, side: int) -> list[UInt8[np.ndarray, "side side 3"]]:
    """The photos of a column of `decode`, without copying them."""
    photos: list[np.ndarray] = []
    for chunk in column.chunks:
        flat = np.frombuffer(chunk.buffers()[1], np.uint8, len(chunk) * side**2 * 3, chunk.offset * side**2 * 3)
        photos.extend(flat.reshape(-1, side, side, 3))
    return photos


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
        """Rows of `decode` to rows of OUTPUT."""
        config, errors = self._scorer.config, table["error"].to_pylist()
        small = unpack(table["global_image"], config.global_resize)
        large = unpack(table["local_image"], config.local_resize)
        pairs = [pair for pair, error in zip(zip(small, large, strict=True), errors, strict=True) if error is None]
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
        functools.partial(decode, config=job.model.config),
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
