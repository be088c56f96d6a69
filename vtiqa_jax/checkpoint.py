"""Models on disk: an Orbax checkpoint of the parameters whose metadata says everything else. The only user of Orbax."""

import dataclasses
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from vtiqa_jax import atomic, devices
from vtiqa_jax import params as parameters
from vtiqa_jax.config import LabelScale, ModelConfig
from vtiqa_jax.errors import UserError

# Imported where it is used: scoring with the packaged model does not wait for it.
if TYPE_CHECKING:
    from orbax.checkpoint import v1 as ocp

FORMAT = "vtiqa-jax 1"
HASHES = "sha256.json"
"""The hash of every other file of a checkpoint. Orbax itself reads a flipped byte as a weight, or as NaN."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A model: its config, parameters by dotted path, label scale (None for a backbone), and where it came from."""

    config: ModelConfig
    params: parameters.Params
    scale: LabelScale | None
    source: dict[str, Any]
    """JSON: for converted weights the files' names and sha256, for trained ones the run's settings and results."""


def versions() -> dict[str, str]:
    """The versions of what a model was made with."""
    packages = ("vtiqa-jax", "jax", "flax", "optax", "orbax-checkpoint", "numpy", "opencv-python-headless")
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}


def card(checkpoint: Checkpoint) -> dict[str, Any]:
    """Everything about a model but its parameters, as JSON."""
    return {
        "format": FORMAT,
        "config": dataclasses.asdict(checkpoint.config),
        "scale": dataclasses.asdict(checkpoint.scale) if checkpoint.scale else None,
        "source": checkpoint.source,
        "versions": versions(),
    }


def from_card(told: Any, params: parameters.Params) -> Checkpoint:
    """The inverse of `card`. Errors: TypeError, KeyError or ValueError when the card is not one of ours."""
    if told["format"] != FORMAT:
        raise ValueError(f"its format is {told['format']!r}, this version reads {FORMAT!r}")
    scale = LabelScale(**told["scale"]) if told["scale"] else None
    readout = tuple(told["config"].get("readout", ()))  # JSON has lists
    return Checkpoint(ModelConfig(**{**told["config"], "readout": readout}), params, scale, told["source"])


def _is_checkpoint(path: Path) -> bool:
    # Orbax's own is_orbax_checkpoint is true of any folder.
    return (path / "_CHECKPOINT_METADATA").is_file()


def check_free(path: Path, *, force: bool) -> None:
    """Errors: UserError when `path` exists and must not be overwritten, or is no checkpoint of ours to overwrite."""
    if not path.exists():
        return
    if not force:
        raise UserError(f"{path} exists already; choose another name, or overwrite it with --force")
    if not _is_checkpoint(path):
        raise UserError(f"{path} is not a checkpoint, so --force does not replace it; remove it yourself")


def alone() -> "ocp.Context":
    """Orbax reading in this process only, without waiting for the other processes of a run."""
    from orbax.checkpoint import v1 as ocp

    context, own = ocp.Context(), jax.process_index()
    context.multiprocessing.primary_host = own
    context.multiprocessing.active_processes = {own}
    context.multiprocessing.barrier_sync_key_prefix = f"process{own}"
    return context


def hashes(path: Path) -> dict[str, str]:
    """The SHA-256 of every file below `path`, by relative name, but of the file that holds them."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and file != path / HASHES)
    return {str(file.relative_to(path)): sha256(file) for file in files}


def sha256(path: Path) -> str:
    """The file's SHA-256, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save(path: Path, checkpoint: Checkpoint, *, force: bool = False) -> None:
    """Writes the model, complete or not at all. Of several processes all must call it, and the first writes.

    Errors: UserError, see `check_free`; OSError when the disk is full.
    """
    from orbax.checkpoint import v1 as ocp

    check_free(path, force=force)
    path = path.absolute()
    atomic.make_folder(path.parent)
    arrays = {key: np.asarray(array, np.float32) for key, array in checkpoint.params.items()}
    told = json.loads(json.dumps(card(checkpoint)))
    if not devices.first_process():
        ocp.save(str(atomic.part_of(path)), arrays, custom_metadata=told)
        return
    atomic.reserve(path.parent, sum(array.nbytes for array in arrays.values()) + (1 << 20))
    with atomic.replacing(path) as part:
        ocp.save(str(part), arrays, custom_metadata=told)
        (part / HASHES).write_text(json.dumps(hashes(part)))


def load(path: Path) -> Checkpoint:
    """Reads a model. Errors: UserError when `path` is no checkpoint of ours or is damaged."""
    path = path.absolute()
    if not _is_checkpoint(path):
        inside = _is_checkpoint(path / "checkpoint")
        hint = f"; is it {path / 'checkpoint'}?" if inside else "; train.py and `python -m convert` write them"
        raise UserError(f"{path} is not a checkpoint{hint}")
    from orbax.checkpoint import v1 as ocp

    try:
        if json.loads((path / HASHES).read_text()) != hashes(path):
            raise ValueError("a file is missing, cut off or changed")
        told = from_card(ocp.metadata(str(path)).custom_metadata, {})
        wanted = parameters.abstract(told.config)[1]
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        shapes = {key: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here) for key, leaf in wanted.items()}
        with alone():
            params = ocp.load(str(path), shapes)
    except Exception as error:  # Orbax raises plain Exception for a missing array
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} is damaged or not a checkpoint of this project: {reason}") from error
    return dataclasses.replace(told, params=jax.device_get(params))


def read_out(checkpoint: Checkpoint, blocks: Sequence[int]) -> Checkpoint:
    """The backbone of a model with the blocks after the last of `blocks` (counted from 1) dropped, and its config for
    a VT-IQA whose head sees the class tokens of them all. Errors: UserError when there are no such blocks."""
    config = checkpoint.config
    if list(blocks) != sorted(set(blocks)) or not blocks or blocks[0] < 1 or blocks[-1] > config.depth:
        raise UserError(f"--readout takes rising numbers of the checkpoint's {config.depth} blocks, not {list(blocks)}")
    prefix = "" if config.kind == "backbone" else "backbone."
    shorter = config.replace(kind="backbone", depth=blocks[-1], readout=(), mosaics=1)
    params = {key: checkpoint.params[prefix + key] for key in parameters.abstract(shorter)[1]}
    several = tuple(blocks) if len(blocks) > 1 else ()
    told = shorter.replace(kind="vtiqa", readout=several)
    return dataclasses.replace(checkpoint, config=told, params={f"backbone.{key}": v for key, v in params.items()})
