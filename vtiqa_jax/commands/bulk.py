"""`vtiqa bulk`: as many photos as a cluster can score."""

import contextlib
import importlib.util
import json
import logging
import multiprocessing
import os
import secrets
import socket
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import jax
from cyclopts import Parameter
from filelock import FileLock, Timeout

from vtiqa_jax import atomic, sharding
from vtiqa_jax.commands.sigterm import raise_on_sigterm
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import catalog
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.false_alarms import DEFAULT_RATE, choose_thresholds
from vtiqa_jax.models.fingerprint import identify
from vtiqa_jax.photos import formats
from vtiqa_jax.photos.files import LeftOut
from vtiqa_jax.photos.own import BEGUN, PROGRESS
from vtiqa_jax.photos.stderr import quiet_decoders
from vtiqa_jax.results.columns import replace_undecodable
from vtiqa_jax.results.identities import differences
from vtiqa_jax.terminal import visible

if TYPE_CHECKING:
    from vtiqa_jax.bulk import pipeline

MIN_CPUS = 2
"""Least number of CPUs that Ray is to count on this machine: with fewer, see `pipeline.MIN_FREE_CPUS`, nothing would
ever run."""
ANSWER_SECONDS = 10
"""Time in which a cluster's machine must answer."""
MAX_NAMED = 20
"""Photos that could not be read whose names are printed."""


def bulk(
    source: str,
    out: str,
    /,
    *,
    checkpoint: Annotated[str, Parameter(metavar="DIR")] = "default",
    key: str | None = None,
    address: str | None = None,
    batch_size: int | None = None,
    compute_dtype: ComputeDtype = "float32",
    rows_per_file: int = 5000,
    reasons: bool = False,
    false_alarms: float = DEFAULT_RATE,
) -> int:
    """Scores photos on all GPUs or cores of a machine, or of a Ray cluster.

    Example: vtiqa bulk s3://bucket/photos scores

    After a crash the same command continues. Exit status: 0 all scored, 1 some could not be read, 2 bad arguments.
    What a score means: docs/meaning.md

    Args:
        source: Photos: a folder, a glob (in quotes), a text file of paths, a WebDataset tar or a Parquet file, also on
            s3:// or gs://. Folders, globs and lists may hold all of these. The same files count as photos as for `vtiqa
            score`.
        out: Folder of the result, Parquet, also on s3:// or gs://. docs/scale.md describes its columns.
        checkpoint: Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model.
        key: Column of the Parquet files that becomes the result's `key`. When not given, the first of uid, id, key,
            __key__ and url that exists, or else the row's number.
        address: Address of a running Ray cluster: HOST:PORT, ray://HOST:PORT or auto. This machine alone when not
            given.
        batch_size: Photos computed together: at most 4 on a CPU; 64 on a GPU when not given.
        compute_dtype: Type of the model's products. bfloat16 is faster on hardware that multiplies it, and less exact.
        rows_per_file: Least number of photos in a file of the result. A crash loses the photos of unfinished files.
        reasons: Add the probability of each fault, in columns of its own.
        false_alarms: Rate of false alarms: the share of good photos that get any reason, 0.005 to 0.1.
    """
    if importlib.util.find_spec("ray") is None:
        raise UserError('vtiqa bulk needs Ray Data: pip install "vtiqa-jax[bulk]"')
    if rows_per_file < 1 or (batch_size is not None and batch_size < 1):
        raise UserError("--rows-per-file and --batch-size must be at least 1")
    if address is None:
        keep_ray_to_this_machine()
        check_devices()
    else:
        check_address(address)
    from vtiqa_jax.bulk import outcome, pipeline, sources

    # Here the model is only read: a GPU is for the actor that gets it.
    jax.config.update("jax_platforms", "cpu")
    name = sources.normalize_uri(out)
    if name != sources.as_text(name):
        raise UserError(f"{sources.as_text(name)} is not a name in UTF-8, which Parquet data sets need; choose another")
    left_out = LeftOut()
    photos = sources.find(source, left_out)
    if left_out.counts:
        print(visible(left_out), file=sys.stderr)
    files = [file for file in photos if not file.startswith((f"{name}/", f"{name}{PROGRESS}/"))]
    if not files:
        raise UserError(f"{source} holds no photos besides the result itself; name another source")
    packed = next((file for file in files if file.lower().endswith(sources.PARQUET)), None)
    if packed is not None:
        sources.check_parquet(packed, key)
    elif key is not None:
        raise UserError(f"--key {key} names a column of Parquet files, but {source} holds none; leave out --key")
    model = catalog.load(checkpoint)
    if model.scale is None:
        raise UserError(f"{checkpoint} is a backbone without a head and cannot score; train a head first")
    if model.config.reasons:
        choose_thresholds(model.params["reasons.thresholds"], false_alarms)  # a wrong rate is told before Ray starts
    elif reasons:
        raise UserError(f"--reasons: {checkpoint} cannot name faults; leave out --reasons or choose another model")
    system, folder = sources.open_filesystem(name)
    job = pipeline.Job(
        files, key, model, identify(model, compute_dtype), compute_dtype, batch_size, rows_per_file, false_alarms,
        reasons, system, folder, f"{folder}{PROGRESS}/done",
    )  # fmt: skip
    _check_same(job, name)
    with only_run(name):
        if not outcome.is_finished(job):
            with quiet_decoders():  # Ray's core tells of restarts that would fail, and do not
                warnings.simplefilter("ignore")  # of Ray's own defaults, and JAX's of how Ray starts processes
                with _ray(address), raise_on_sigterm():  # Ray's own answer to SIGTERM is to abort
                    _begin(job)
                    print(f"{len(files):,} files in {source}; {model.scale}", file=sys.stderr)
                    pipeline.run(job)
    rows, failed = outcome.count_rows(job)
    for path, error in outcome.list_failed(job, MAX_NAMED):
        print(visible(f"{path}: {error}"), file=sys.stderr)
    if failed > MAX_NAMED:
        print(f"and {failed - MAX_NAMED:,} more; the column `error` lists all", file=sys.stderr)
    print(f"{out}: {rows:,} photos, {failed:,} of them could not be read")
    return 1 if failed else 0


def keep_ray_to_this_machine() -> None:
    """Prepares the environment for a Ray that is started here; a cluster's is its owner's."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # by itself Ray reports to its makers
    # Ray's processes show it to each other; by itself Ray keeps one in the user's home, and there may be none.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def check_address(address: str) -> None:
    """Checks that something answers at a cluster's address: Ray itself waits for minutes, and cannot be interrupted.

    Raises:
        UserError: nothing does.
    """
    if address == "auto":
        return
    try:
        place = urlsplit(f"//{address.removeprefix('ray://')}")
        with socket.create_connection((place.hostname, place.port), ANSWER_SECONDS):
            pass
    except (OSError, ValueError) as error:  # ValueError: the port is no number
        raise _no_cluster(address) from error


def _no_cluster(address: str) -> UserError:
    return UserError(f"--address {address}: no Ray cluster answers there; start one, or correct the address")


def check_devices() -> None:
    """Checks that the devices are there that JAX_PLATFORMS asks for.

    In a process of its own, for this one is not to take a GPU's memory from an actor.

    Raises:
        UserError: they are not.
    """
    if os.environ.get("JAX_PLATFORMS"):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            process.submit(sharding.require_devices).result()


@contextlib.contextmanager
def only_run(name: str) -> Iterator[None]:
    """Keeps a second process of this machine from writing the same result: both would score every photo."""
    if "://" in name:
        yield
        return
    folder = Path(name + PROGRESS)
    atomic.make_folder(folder)
    try:
        with FileLock(folder / "lock", timeout=0):
            yield
    except Timeout as error:
        raise UserError(f"another process is writing {name}; wait for it or end it") from error


@contextlib.contextmanager
def _ray(address: str | None) -> Iterator[None]:
    """Connects to the cluster, or starts Ray on this machine and ends it again."""
    import ray

    ours = not ray.is_initialized()
    try:
        if ours:
            settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
            settings |= {"address": address} if address else {"address": "local", "include_dashboard": False}
            sys.argv = [replace_undecodable(word) for word in sys.argv]  # Ray notes the command, as UTF-8
            ray.init(**settings)
            # What Ray counts, a container's share for instance, is right; but the system shares out a single core, too.
            if not address and ray.cluster_resources().get("CPU", 0) < MIN_CPUS:
                ray.shutdown()
                ray.init(num_cpus=MIN_CPUS, **settings)
    except (ConnectionError, ValueError, RuntimeError) as error:
        if address is None:
            raise UserError(f"Ray cannot be started on this machine: {' '.join(str(error).split())}") from error
        raise _no_cluster(address) from error
    try:
        yield
    finally:
        if ours:
            ray.shutdown()


def _note(job: "pipeline.Job") -> tuple[str, dict[str, Any]]:
    """Returns the file that says what a result was begun with, and what this run would say there."""
    return f"{job.out}{PROGRESS}/{BEGUN}", {
        **job.identity,
        "decoders": formats.decoder_versions(),
        "key": job.keyed_by,
        "reasons": job.reasons,
        "false_alarms": job.false_alarms,
    }


def _check_same(job: "pipeline.Job", name: str) -> None:
    """Checks that what is at OUT was begun with this model and these settings, or is nothing.

    Raises:
        UserError: it was not.
    """
    from pyarrow import fs

    (note, begun), system = _note(job), job.system
    if system.get_file_info(note).type == fs.FileType.File:
        with system.open_input_stream(note) as file:
            before = json.loads(file.read())
        if different := differences(before, begun):
            raise UserError(
                f"{name} was begun with another model or other settings ({', '.join(different)}); choose another name"
            )
        return
    kind = system.get_file_info(job.out).type
    if kind == fs.FileType.File or (kind == fs.FileType.Directory and system.get_file_info(fs.FileSelector(job.out))):
        raise UserError(f"{name} exists already and was not written by vtiqa bulk; choose another name")


def _begin(job: "pipeline.Job") -> None:
    note, begun = _note(job)
    job.system.create_dir(job.out, recursive=True)
    job.system.create_dir(f"{job.out}{PROGRESS}", recursive=True)
    with job.system.open_output_stream(f"{note}.part") as file:
        file.write(json.dumps(begun).encode())
    job.system.move(f"{note}.part", note)
