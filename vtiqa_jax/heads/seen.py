"""Features of photos with planted faults, kept on disk: the heads learn from them."""

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float16, Float32

from vtiqa_jax.data import camera_noise, light, native_ladders, planted_faults
from vtiqa_jax.heads import faulty
from vtiqa_jax.heads.faulty import Faulty
from vtiqa_jax.heads.kept import read_or_make, without_heads
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models import reasons
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.fingerprint import identify
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.reasons import measure_tones
from vtiqa_jax.models.vit import select_implementation
from vtiqa_jax.models.vtiqa import VTIQA
from vtiqa_jax.padding import stack_padded
from vtiqa_jax.photos import native, resize

CHUNK = 4
"""Versions computed together: more of them leave a CPU's caches."""
_CODE = hashlib.sha256(
    b"".join(
        Path(str(module.__file__)).read_bytes()
        for module in (camera_noise, light, native_ladders, planted_faults, faulty, native, resize, reasons)
    )
).hexdigest()
"""Hash of the code that plants and measures: other code makes other features."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a model sees of versions of photos, and the faults they have."""

    tokens: Float16[np.ndarray, "versions scales places features"]
    structure: Float32[np.ndarray, "versions scales places"]
    screen: Float32[np.ndarray, "versions screen"]
    """Features of the global view."""
    tones: Float32[np.ndarray, "versions tones"]
    strengths: Float32[np.ndarray, "versions faults"]

    def take(self, rows: np.ndarray) -> "Seen":
        """Returns some of the versions."""
        return Seen(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))

    @classmethod
    def concatenate(cls, parts: "list[Seen]") -> "Seen":
        """Joins what is seen of several photos."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@functools.cache
def _make_reader(config: ModelConfig) -> Any:
    graphdef, _ = parameters.abstract_model(config, "float32", select_implementation(jax.devices()[0], "float32"))

    @jax.jit
    def read(params: Params, global_view: Array, native_views: Array) -> tuple[Array, Array, Array]:
        vtiqa = parameters.merge_params(graphdef, params)
        assert isinstance(vtiqa, VTIQA)
        tokens = jax.lax.map(vtiqa.read_places, native_views.swapaxes(0, 1)).swapaxes(0, 1)
        return tokens.astype(jnp.float16), vtiqa.encode_views([global_view])[0], measure_tones(global_view)

    return read


def see_versions(model: Checkpoint, params: Params, versions: Iterable[Faulty]) -> Seen:
    """Looks at versions as the model does when it scores, but at the first view of each factor alone.

    Args:
        model: with native views.
        params: its parameters, on the device.
        versions: at least one.
    """
    config, read, found = model.config, _make_reader(model.config), []
    waiting = iter(versions)
    while chunk := list(itertools.islice(waiting, CHUNK)):
        prepared = [config.preparation.make(version.pixels) for version in chunk]
        global_view, *_, native_views, structure = stack_padded(prepared, CHUNK)
        seen = (np.asarray(array)[: len(chunk)] for array in read(params, global_view, native_views))
        tokens, screen, tones = seen
        strengths = np.stack([version.strengths for version in chunk])
        found.append(Seen(tokens, structure[: len(chunk)], screen, tones, strengths))
    return Seen.concatenate(found)


class SeenCache:
    """A folder with a file for each photo; a build that is stopped goes on where it was."""

    def __init__(self, folder: Path, model: Checkpoint) -> None:
        """Opens the folder.

        Args:
            folder: made when the first photo is read.
            model: which sees the versions, with native views; what another backbone sees is kept apart.
        """
        config = without_heads(model.config)
        used = {
            name: array for name, array in model.params.items() if name.startswith(("backbone.", "head.", "detail."))
        }
        self._model = dataclasses.replace(model, config=config, params=used)
        self._params = {name: jnp.asarray(array) for name, array in used.items()}
        backbone = {name: array for name, array in used.items() if name.startswith("backbone.")}
        identity = identify(dataclasses.replace(model, params=backbone), "float32")
        self._key = hashlib.sha256(f"faults {identity['weights']} {config} {_CODE}".encode()).hexdigest()[:16]
        self._folder = folder

    def read(self, data: bytes, recipe: str, make: Callable[[], Iterator[Faulty]]) -> Seen:
        """Returns what is seen of versions of a photo.

        Args:
            data: the bytes of the photo's file.
            recipe: tells versions of one photo apart.
            make: makes them, if they were not seen before.

        Raises:
            ImageError: the photo cannot be read, or is too small.
            OSError: the disk takes no more.
        """
        digest = hashlib.sha256(data + f"{self._key} {recipe}".encode()).hexdigest()[:24]
        return read_or_make(
            self._folder / f"{digest}.npz", Seen, lambda: see_versions(self._model, self._params, make())
        )
