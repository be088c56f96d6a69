"""Photos between Ray's tasks: decoded rows as Arrow tables. Without JAX: a process that decodes starts at once."""

import math

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8

from vtiqa_jax.bulk import sources
from vtiqa_jax.data import images
from vtiqa_jax.errors import ImageError


def decode(table: pa.Table, sides: tuple[int, int]) -> pa.Table:
    """Rows of `sources.SCHEMA` to decoded ones: the photo in both `ModelConfig.stored_sides`, and its own size.

    Where it cannot be read, `error` says why and the photo is black.
    The photos are resized into memory that the table then has for its own: on a CPU, copies of two megabytes a photo
    would cost more than decoding.
    """
    count = len(table)
    small, large = (np.zeros((count, side, side, 3), np.uint8) for side in sides)
    errors: list[str | None] = table["error"].to_pylist()
    sizes: list[tuple[int | None, int | None]] = [(None, None)] * count
    for row, (path, data) in enumerate(zip(table["path"].to_pylist(), table["data"], strict=True)):
        if errors[row] is None:
            try:
                pixels = images.decode(data.as_py() if data.is_valid else sources.read_file(path))
                small[row], large[row] = images.resize_pair(pixels, sides)
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
