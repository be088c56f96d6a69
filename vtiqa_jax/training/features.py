"""The head alone learns: a frozen backbone computes the features of a photo once, which then take minutes."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int
from tqdm import tqdm

from vtiqa_jax import atomic, sharding
from vtiqa_jax.data import image_cache
from vtiqa_jax.data.loader import Batch, ImageStore, pad_rows
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.errors import Terminated
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models.compute_dtype import ComputeDtype, DtypeChoice, resolve_dtype
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.params import Params, param_group
from vtiqa_jax.models.vit import select_implementation
from vtiqa_jax.models.vtiqa import VTIQA, QualityHead
from vtiqa_jax.scoring.steps import pass_size

FEATURE_COLUMN = "features"
CHUNK = 256
"""Photos whose features are in one file. A run that is stopped loses no more than these."""

Features = Float[Array, "batch views features"]
"""Features of the global view, and of each mosaic that the model scores a photo by."""


def compute_features(
    images: ImageStore,
    count: int,
    params: Params,
    config: ModelConfig,
    dtype: ComputeDtype,
    folder: Path,
    should_stop: Callable[[int], bool],
) -> Float[np.ndarray, "n views features"]:
    """Computes what is not in the folder yet. The global view is the centre crop, the mosaics are the model's own.

    Args:
        images: the photos.
        count: how many there are.
        params: of the whole model, on the devices.
        config: of the model.
        dtype: what the transformer multiplies in.
        folder: of these photos and this backbone; all processes of a run share it.
        should_stop: asked after each file, see `stop_on_sigterm`.

    Returns:
        Of the global view, and of each mosaic that the model scores a photo by.

    Raises:
        Terminated: the run is to stop; the files that are written are kept.
        OSError: the disk takes no more.
    """
    mesh = images.mesh
    starts = range(0, count, CHUNK)
    files = [folder / f"{start:07}.npy" for start in starts]
    shapes = [(min(CHUNK, count - start), 1 + config.eval_mosaics, config.feature_dim) for start in starts]
    if sharding.is_main_process():
        atomic.make_folder(folder)
    # The main process says which there are: a file system may show them to the others later.
    whole = [image_cache.is_complete(file, shape, "f4") for file, shape in zip(files, shapes, strict=True)]
    done = sharding.broadcast_from_main(whole.index(False) if False in whole else len(files))
    graphdef, _ = parameters.abstract_model(config, dtype, select_implementation(mesh.devices.flat[0], dtype))

    @jax.jit(out_shardings=sharding.replicated_sharding(mesh))
    def encode(params: Params, batch: Batch) -> Features:
        model: VTIQA = parameters.merge_params(graphdef, params)  # type: ignore[assignment]
        return model.encode(batch["global_images"], batch["local_images"]).swapaxes(0, 1)

    chunks = [np.load(file) for file in files[:done]]
    size = min(pass_size(mesh, count, None), sharding.round_up(CHUNK, mesh))
    for number in tqdm(range(done, len(files)), "features", len(files), initial=done, unit="chunk", disable=None):
        rows = np.arange(number * CHUNK, min(count, (number + 1) * CHUNK))
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        features: list[Array] = []
        for part in parts:
            features.append(encode(params, images.read(pad_rows(part, size))))
            jax.block_until_ready(features[-2:-1])  # the next photos are read while these are computed
        chunks.append(np.concatenate(features)[: len(rows)])
        if sharding.is_main_process():
            atomic.check_disk_space(folder, chunks[-1].nbytes + 128)  # NumPy does not say why it could not write
            with atomic.atomic_replace(files[number]) as temporary, temporary.open("wb") as file:
                np.save(file, chunks[-1])
        if number + 1 < len(files) and should_stop(number):
            raise Terminated("stopped while features were computed; the same command continues from there")
    return np.concatenate(chunks)


@dataclasses.dataclass
class FeatureStore:
    """The features of stored photos by row, as sharded arrays."""

    features: Float[np.ndarray, "n views features"]
    """See `compute_features`."""
    mesh: Mesh

    def read(self, rows: Int[np.ndarray, " n"]) -> Batch:
        """Reads `features` of the given photos (a multiple of the mesh)."""
        local = rows[sharding.local_slice(len(rows), self.mesh)]
        return {FEATURE_COLUMN: sharding.shard_batch(self.features[local], self.mesh)}


@dataclasses.dataclass(frozen=True)
class HeadAlone:
    """The head, which sees the features of the global view and of one of the mosaics, drawn anew each time."""

    config: ModelConfig
    mesh: Mesh
    dtype: DtypeChoice
    """Type that the backbone multiplies in."""
    head_dropout: float

    def open(
        self, images: ImageStore, count: int, params: Params, folder: Path, should_stop: Callable[[int], bool]
    ) -> FeatureStore:
        """See `Learner` and `compute_features`."""
        dtype = resolve_dtype(self.dtype, self.mesh.devices.flat[0].platform)
        features = compute_features(images, count, params, self.config, dtype, folder, should_stop)
        return FeatureStore(features, self.mesh)

    def see(self, key: Array, batch: Batch) -> tuple[Float[Array, "batch both"]]:
        """Draws a mosaic of each photo."""
        features = batch[FEATURE_COLUMN]
        number = jax.random.randint(key, (len(features),), 1, features.shape[1])
        mosaic = jnp.take_along_axis(features, number[:, None, None], axis=1)[:, 0]
        return (jnp.concatenate([features[:, 0], mosaic], axis=1),)

    def merge(self, params: Params) -> QualityHead:
        """Returns the head among the parameters."""
        return parameters.merge_head(self.config, params, self.head_dropout)

    def score(
        self, params: Params, store: FeatureStore, rows: Int[np.ndarray, " n"], dtype: ComputeDtype
    ) -> Float[np.ndarray, " n"]:
        """See `Learner`; the features are in the type that they were computed in."""
        head = {name: array for name, array in params.items() if param_group(name)[0] == "head"}
        return np.asarray(_score(self.config, head, store.features[rows]))


@jax.jit(static_argnums=0)
def _score(config: ModelConfig, params: Params, features: Features) -> Float[Array, " batch"]:
    return parameters.merge_head(config, params)(jnp.concatenate([features[:, 0], features[:, 1:].mean(1)], axis=1))


def features_key(identity: dict[str, Any], photos: Manifest) -> str:
    """Names the features of a run: the same for the same photos, backbone and precision.

    Args:
        identity: of `run_identity`.
        photos: all photos, distorted versions too.
    """
    names = ("init", "recipe.compute_dtype", *(name for name in identity if name.startswith("model.")))
    made_of = [[name, identity[name]] for name in names] + [image_cache.fingerprint(photos)]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]
