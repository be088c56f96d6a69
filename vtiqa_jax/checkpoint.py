"""Models on disk: an Orbax checkpoint of the parameters whose metadata says everything else. The only user of Orbax."""

import dataclasses
import hashlib
import importlib.metadata
import json
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from vtiqa_jax import params as parameters
from vtiqa_jax.config import LabelScale, ModelConfig
from vtiqa_jax.errors import UserError

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
    return Checkpoint(ModelConfig(**told["config"]), params, scale, told["source"])


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


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; what is there then takes `path`'s place, or nothing changes."""
    part, old = (path.with_name(f".{path.name}.{what}") for what in ("part", "old"))
    for left_over in (part, old):
        shutil.rmtree(left_over, ignore_errors=True)
    try:
        yield part
        if path.exists():
            path.rename(old)
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _hashes(path: Path) -> dict[str, str]:
    files = sorted(file for file in path.rglob("*") if file.is_file() and file != path / HASHES)
    return {str(file.relative_to(path)): sha256(file) for file in files}


def sha256(path: Path) -> str:
    """The file's SHA-256, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save(path: Path, checkpoint: Checkpoint, *, force: bool = False) -> None:
    """Writes the model, complete or not at all. Errors: UserError, see `check_free`."""
    check_free(path, force=force)
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {key: np.asarray(array, np.float32) for key, array in checkpoint.params.items()}
    with _replacing(path) as part:
        ocp.save(str(part), arrays, custom_metadata=json.loads(json.dumps(card(checkpoint))))
        (part / HASHES).write_text(json.dumps(_hashes(part)))


def load(path: Path) -> Checkpoint:
    """Reads a model. Errors: UserError when `path` is no checkpoint of ours or is damaged."""
    path = path.absolute()
    if not _is_checkpoint(path):
        raise UserError(f"{path} is not a checkpoint; train.py and `python -m convert` write them")
    try:
        if json.loads((path / HASHES).read_text()) != _hashes(path):
            raise ValueError("a file is missing, cut off or changed")
        told = from_card(ocp.metadata(str(path)).custom_metadata, {})
        wanted = parameters.abstract(told.config)[1]
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        shapes = {key: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here) for key, leaf in wanted.items()}
        params = ocp.load(str(path), shapes)
    except Exception as error:  # Orbax raises plain Exception for a missing array
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} is damaged or not a checkpoint of this project: {reason}") from error
    return dataclasses.replace(told, params=jax.device_get(params))


def shortened(checkpoint: Checkpoint, depth: int) -> Checkpoint:
    """The model with only its first `depth` blocks. Errors: UserError when it has fewer."""
    if not 1 <= depth <= checkpoint.config.depth:
        raise UserError(f"--depth {depth}, but the checkpoint has {checkpoint.config.depth} blocks")
    config = checkpoint.config.replace(depth=depth)
    wanted = parameters.abstract(config)[1]
    return dataclasses.replace(checkpoint, config=config, params={key: checkpoint.params[key] for key in wanted})
