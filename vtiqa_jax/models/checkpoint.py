"""Models on disk: an Orbax checkpoint of the parameters whose metadata says everything else; or one small file."""

import dataclasses
import hashlib
import importlib.metadata
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from vtiqa_jax import atomic, sharding
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.params import Model, Params
from vtiqa_jax.models.vit import Implementation

# Imported where it is used: scoring with the packaged model does not wait for it.
if TYPE_CHECKING:
    from orbax.checkpoint import v1 as ocp

FORMAT = "vtiqa-jax 2"
HASHES = "sha256.json"
"""The hash of every other file of a checkpoint. Orbax itself reads a flipped byte as a weight, or as NaN."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A model: its config, parameters by name, label scale (None for a backbone), and where it came from."""

    config: ModelConfig
    params: Params
    scale: LabelScale | None
    provenance: dict[str, Any]
    """JSON: for converted weights the files' names and sha256, for trained ones the run's settings and results."""

    def model(self, dtype: ComputeDtype = "float32", implementation: Implementation = "xla") -> Model:
        """Returns the Flax module with these parameters, to call, to differentiate, to train."""
        graphdef, _ = parameters.abstract_model(self.config, dtype, implementation)
        return parameters.merge_params(graphdef, jax.tree.map(jax.numpy.asarray, self.params))


def package_versions() -> dict[str, str]:
    """Returns the versions of the packages that a model is made with."""
    packages = ("vtiqa-jax", "jax", "flax", "optax", "orbax-checkpoint", "numpy", "opencv-python-headless")
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}


def to_metadata(checkpoint: Checkpoint) -> dict[str, Any]:
    """Returns everything about a model but its parameters, as JSON."""
    return {
        "format": FORMAT,
        "config": dataclasses.asdict(checkpoint.config),
        "scale": dataclasses.asdict(checkpoint.scale) if checkpoint.scale else None,
        "source": checkpoint.provenance,
        "versions": package_versions(),
    }


def from_metadata(metadata: Any, params: Params, kind: type[ModelConfig] = ModelConfig) -> Checkpoint:
    """Returns the inverse of `to_metadata`.

    Args:
        metadata: as it was read.
        params: the parameters.
        kind: of the config.

    Raises:
        ValueError: the metadata is not of a model of this project.
    """
    try:
        if metadata["format"] != FORMAT:
            raise ValueError(f"its format is {metadata['format']!r}, this version reads {FORMAT!r}")
        scale = LabelScale(**metadata["scale"]) if metadata["scale"] else None
        return Checkpoint(kind.from_json(metadata["config"]), params, scale, metadata["source"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its metadata is not of a model of this project ({error})") from error


def _is_checkpoint(path: Path) -> bool:
    # Orbax's own is_orbax_checkpoint is true of any folder.
    return (path / "_CHECKPOINT_METADATA").is_file()


def check_overwrite(path: Path, *, force: bool) -> None:
    """Checks that a checkpoint may be written to `path`.

    Raises:
        UserError: `path` exists and must not be overwritten, or is no checkpoint of ours to overwrite.
    """
    if not path.is_file() and not atomic.entries(path):
        return
    if not force:
        raise UserError(f"{path} exists already; choose another name, or overwrite it with --force")
    if not _is_checkpoint(path):
        raise UserError(f"{path} is not a checkpoint, so --force does not replace it; remove it yourself")


def local_context() -> "ocp.Context":
    """Returns an Orbax context that reads in this process only, without waiting for the other processes of a run."""
    from orbax.checkpoint import v1 as ocp

    context, process = ocp.Context(), jax.process_index()
    context.multiprocessing.primary_host = process
    context.multiprocessing.active_processes = {process}
    context.multiprocessing.barrier_sync_key_prefix = f"process{process}"
    return context


def sha256(path: Path) -> str:
    """Returns the file's SHA-256, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hashes(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of every file below a folder, by relative name; without the file that holds them."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file != folder / HASHES)
    return {file.relative_to(folder).as_posix(): sha256(file) for file in files}


def save(path: Path, checkpoint: Checkpoint, *, force: bool = False) -> None:
    """Writes the model, complete or not at all. Of several processes all must call it; the main one writes.

    Raises:
        UserError: see `check_overwrite`.
        OSError: the disk is full.
    """
    from orbax.checkpoint import v1 as ocp

    check_overwrite(path, force=force)
    path = atomic.resolve(path)
    atomic.make_folder(path.parent)
    arrays = {name: np.asarray(array, np.float32) for name, array in checkpoint.params.items()}
    metadata = json.loads(json.dumps(to_metadata(checkpoint)))
    if not sharding.is_main_process():
        ocp.save(str(atomic.temporary_name(path)), arrays, custom_metadata=metadata)
        return
    atomic.check_disk_space(path.parent, sum(array.nbytes for array in arrays.values()) + (1 << 20))
    with atomic.atomic_replace(path) as temporary:
        ocp.save(str(temporary), arrays, custom_metadata=metadata)
        (temporary / HASHES).write_text(json.dumps(file_hashes(temporary)))


def load(path: Path, kind: type[ModelConfig] = ModelConfig) -> Checkpoint:
    """Reads a model.

    Args:
        path: the checkpoint.
        kind: of the config that it was saved with.

    Raises:
        UserError: `path` is no checkpoint of ours, or is damaged.
    """
    path = path.absolute()
    if not _is_checkpoint(path):
        inside = _is_checkpoint(path / "checkpoint")
        hint = (
            f"; is it {path / 'checkpoint'}?"
            if inside
            else "; `vtiqa train` makes one, and `vtiqa convert` from .pt files"
        )
        raise UserError(f"{path} is not a checkpoint{hint}")
    from orbax.checkpoint import v1 as ocp

    sharding.require_devices()  # Orbax reads into their memory
    # Whole files are Orbax's to read: what it raises about them is a bug and keeps its traceback.
    try:
        if json.loads((path / HASHES).read_text()) != file_hashes(path):
            raise ValueError("a file is missing, cut off or changed")
        metadata = ocp.metadata(str(path))
        described = from_metadata(metadata.custom_metadata, {}, kind)
        expected = parameters.param_shapes(described.config)
        stored = {name: leaf.shape for name, leaf in metadata.metadata.items()}
        if stored != expected:
            different = sorted(name for name in stored.keys() | expected if stored.get(name) != expected.get(name))
            raise ValueError(f"its arrays are not those of its config ({', '.join(different[:3])})")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged or not a checkpoint of this project: {error}") from error
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    arrays = {name: jax.ShapeDtypeStruct(shape, np.float32, sharding=device) for name, shape in expected.items()}
    with local_context():
        params = ocp.load(str(path), arrays)
    return dataclasses.replace(described, params=jax.device_get(params))
