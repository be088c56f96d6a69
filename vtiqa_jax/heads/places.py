"""Features at the places of native views, computed once for each photo's versions and kept on disk."""

import dataclasses
import functools
import hashlib
import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float16, Float32, Int, UInt8

from vtiqa_jax.data import camera_noise, images, light, native_ladders
from vtiqa_jax.errors import ImageError
from vtiqa_jax.heads import versions
from vtiqa_jax.heads.kept import read_or_make, without_heads
from vtiqa_jax.heads.versions import Version, make_versions
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models import views
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.detail import CAUSES
from vtiqa_jax.models.fingerprint import identify
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.pixels import cut_squares
from vtiqa_jax.models.vit import select_implementation
from vtiqa_jax.photos import metadata, native, resize
from vtiqa_jax.photos.native import choose_places, cut_places
from vtiqa_jax.photos.resize import shrink

CHUNK = 4
"""Views computed together: more of them leave a CPU's caches."""
KEPT = 24
"""Places of a photo that are kept: the others say the same, and pixels take room."""
LOOKED_AT = 2
"""Side of the square that decides in which part of a photo a place lies, in patches: what the first two scales see."""
UNTOUCHED = 0.05
"""Share of a place that may lie in the other part."""
_CODE = hashlib.sha256(
    b"".join(
        Path(str(module.__file__)).read_bytes()
        for module in (camera_noise, light, native_ladders, versions, native, resize)
    )
).hexdigest()
"""Places of versions that other code made are not the same."""


@dataclasses.dataclass(frozen=True)
class Places:
    """Places of versions of photos, one row a version."""

    tokens: Float16[np.ndarray, "versions scales places features"]
    squares: UInt8[np.ndarray, "versions scales places patch patch 3"]
    """The places themselves."""
    structure: Float32[np.ndarray, "versions scales places"]
    ladder: Int[np.ndarray, " versions"]
    """Rows of one ladder have one number and stand together, the best of them first."""
    cause: Int[np.ndarray, " versions"]
    """The number of the cause in `CAUSES`."""
    octaves: Float32[np.ndarray, " versions"]
    beneath: Float32[np.ndarray, "versions places"]
    """Octaves that each place was blurred by beneath its ladder's cause; NaN for a place that only a part of was."""
    factor: Float32[np.ndarray, " versions"]
    is_sharp: Bool[np.ndarray, " versions"]

    @property
    def spans(self) -> tuple[Int[np.ndarray, " ladders"], Int[np.ndarray, " ladders"]]:
        """The first row of each ladder, and how many rows it has."""
        starts = np.flatnonzero(np.diff(self.ladder, prepend=-1))
        return starts, np.diff(starts, append=len(self.ladder))

    @classmethod
    def concatenate(cls, parts: "list[Places]") -> "Places":
        """Joins the places of several photos; their ladders are numbered anew."""
        starts = np.cumsum([0, *(part.ladder[-1] + 1 for part in parts[:-1])])
        moved = [
            dataclasses.replace(part, ladder=part.ladder + start) for part, start in zip(parts, starts, strict=True)
        ]
        return cls(
            *(np.concatenate([getattr(part, field.name) for part in moved]) for field in dataclasses.fields(cls))
        )


@functools.cache
def make_reader(config: ModelConfig) -> Any:
    """Makes what reads the places of views: `(params of the backbone, uint8 images) -> [images, places, features]`."""
    implementation = select_implementation(jax.devices()[0], "float32")
    shapes = nnx.eval_shape(lambda: config.make_backbone(implementation=implementation, rngs=nnx.Rngs(0)))
    graphdef = nnx.split(shapes, nnx.Param)[0]

    @jax.jit
    def read(params: Params, images: Array) -> Array:
        backbone = parameters.merge_params(graphdef, params)
        return backbone.read_places(views.normalize(images), config.native_blocks, config.mosaic_patch)

    return read


def _find_shares(
    where: Float32[np.ndarray, "height width"], chosen: native.Places, patch: int
) -> Float32[np.ndarray, " places"]:
    """Finds how much of each place lies in a part of a photo: 0 or 1, or NaN where its edge goes through the place."""
    side = patch * LOOKED_AT
    levels = np.repeat(np.rint(255 * where).astype(np.uint8)[:, :, None], 3, axis=2)
    grid = round(len(chosen.centres) ** 0.5)
    squares = cut_places(levels, chosen, side, 1).reshape(grid, side, grid, side, 3)
    shares = squares.mean((1, 3, 4)).ravel() / 255
    return np.select([shares < UNTOUCHED, shares > 1 - UNTOUCHED], [0, 1], np.nan).astype(np.float32)


def read_places(config: ModelConfig, params: Params, made: Iterator[Version], seed: int) -> Places:
    """Reads the places of versions of a photo.

    Args:
        config: of the model, with native views.
        params: of its backbone.
        made: at least one version.
        seed: draws which places are kept, the same of all versions.
    """
    read, plan = make_reader(config), config.native
    assert plan is not None
    rows: list[tuple[Any, ...]] = []
    ladders: dict[str, int] = {}
    kept = np.sort(np.random.default_rng(seed).permutation(plan.grid**2)[:KEPT])
    for version in made:
        seen_as = version.pixels if version.seen_as is None else version.seen_as
        screen = shrink(seen_as, config.screen_side)
        images, structure = plan.make(version.pixels, screen)
        shown = jnp.asarray(images)
        tokens = read(params, shown).astype(jnp.float16)[:, kept]
        squares = cut_squares(shown, plan.grid)[:, kept]
        number = ladders.setdefault(version.ladder, len(ladders))
        cause = CAUSES.index(version.cause)
        beneath = np.full(plan.grid**2, version.beneath)
        if version.where is not None:
            beneath *= _find_shares(version.where, choose_places(screen, plan.grid), plan.patch)
        known = version.octaves, beneath[kept], version.factor, version.is_sharp
        rows.append((tokens, squares, structure[:, kept], number, cause, *known))
    tokens, squares, structure, *others = zip(*rows, strict=True)
    dtypes = (np.int32, np.int32, np.float32, np.float32, np.float32, np.bool_)
    return Places(np.stack(tokens), np.stack(squares), np.stack(structure), *map(np.asarray, others, dtypes))


class PlacesCache:
    """A folder with a file for each photo; a build that is stopped goes on where it was."""

    def __init__(self, folder: Path, model: Checkpoint) -> None:
        """Opens the folder.

        Args:
            folder: made when the first photo is read.
            model: whose backbone sees the places; those of another one are kept apart.
        """
        self._config = without_heads(model.config)
        backbone = parameters.backbone_params(model.params)
        self._params = {name: jnp.asarray(array) for name, array in backbone.items()}
        identity = identify(dataclasses.replace(model, params=backbone), "float32")
        self._key = hashlib.sha256(f"{identity['weights']} {self._config} {KEPT} {_CODE}".encode()).hexdigest()[:16]
        self._folder = folder

    def read(self, path: Path) -> Places:
        """Returns the places of a photo's versions.

        Raises:
            ImageError: the photo cannot be read, or is too small to learn from.
            OSError: the disk takes no more.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ImageError(error.strerror or str(error)) from error
        name = hashlib.sha256(data + self._key.encode()).hexdigest()[:24]

        def make() -> Places:
            photo = images.decode(data, path.name)
            seed = zlib.crc32(data)
            made = make_versions(photo, is_native=metadata.is_as_taken(data, photo.shape), seed=seed)
            first = next(made, None)
            if first is None:
                raise ImageError("it is neither as a camera made it nor large enough to be shrunk")
            return read_places(self._config, self._params, itertools.chain([first], made), seed)

        return read_or_make(self._folder / f"{name}.npz", Places, make)
