"""Photos between Ray's tasks: decoded rows as Arrow tables. Without JAX: a process that decodes starts at once."""

import dataclasses
import math
import os

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from vtiqa_jax.bulk import sources
from vtiqa_jax.errors import ImageError
from vtiqa_jax.photos.decode import decode
from vtiqa_jax.photos.resize import Cut, prepare


@dataclasses.dataclass(frozen=True)
class Preparation:
    """What a model sees of a photo, see `photos.resize.prepare`."""

    screen_side: int | None
    cuts: tuple[Cut, ...]

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """Of a photo's arrays."""
        return [(len(cut.rows), len(cut.columns), 3) for cut in self.cuts]

    @property
    def columns(self) -> list[str]:
        """Of a decoded table, with a photo's arrays."""
        return [f"view{number}" for number in range(len(self.cuts))]


def decode_rows(table: pa.Table, preparation: Preparation) -> pa.Table:
    """Decodes rows of `sources.SCHEMA`: what the model sees of each photo, its own size and what is wrong with it.

    Where it cannot be read, `error` says why and its views are black.
    The photos are resized into memory that the table then has for its own: on a CPU, copies of them would cost time.
    """
    count = len(table)
    views = [np.zeros((count, *shape), np.uint8) for shape in preparation.shapes]
    errors: list[str | None] = table["error"].to_pylist()
    warnings: list[str | None] = [None] * count
    sizes: list[tuple[int | None, int | None]] = [(None, None)] * count
    for row, (given, data) in enumerate(zip(table["name"].to_pylist(), table["data"], strict=True)):
        if errors[row] is None:
            name = os.fsdecode(given)
            try:
                photo = decode(name, data.as_py() if data.is_valid else sources.read_file(name))
            except ImageError as reason:
                errors[row] = str(reason)
                continue
            prepared = prepare(photo.pixels, preparation.screen_side, preparation.cuts)
            for column, view in zip(views, prepared, strict=True):
                column[row] = view
            sizes[row], warnings[row] = (photo.pixels.shape[1], photo.pixels.shape[0]), photo.warning
    return pa.table(
        {
            "path": table["path"],
            "key": table["key"],
            **dict(zip(preparation.columns, map(_pack, views), strict=True)),
            "error": pa.array(errors, pa.string()),
            "warning": pa.array(warnings, pa.string()),
            "width": pa.array([width for width, _ in sizes], pa.int32()),
            "height": pa.array([height for _, height in sizes], pa.int32()),
        }
    )


def _pack(photos: UInt8[np.ndarray, "n rows columns 3"]) -> pa.FixedSizeBinaryArray:
    """Returns photos of one size as a column, without copying them."""
    kind = pa.binary(math.prod(photos.shape[1:]))
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(photos), [None, pa.py_buffer(photos)])


def unpack(column: pa.ChunkedArray, shape: tuple[int, int, int]) -> list[UInt8[np.ndarray, "rows columns 3"]]:
    """Returns the photos of a column of `decode_rows`, without copying them."""
    size = math.prod(shape)
    photos: list[np.ndarray] = []
    for chunk in column.chunks:
        flat = np.frombuffer(chunk.buffers()[1], np.uint8, len(chunk) * size, chunk.offset * size)
        photos.extend(flat.reshape(-1, *shape))
    return photos
