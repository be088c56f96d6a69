"""Photos between Ray's tasks: decoded rows as Arrow tables. Without JAX: a process that decodes starts at once."""

import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from vtiqa_jax.bulk import sources
from vtiqa_jax.errors import ImageError
from vtiqa_jax.photos.decode import decode
from vtiqa_jax.photos.preparation import Preparation


def columns_of(preparation: Preparation) -> list[str]:
    """Returns the columns of a decoded table that hold a photo's arrays."""
    return [f"array{number}" for number in range(len(preparation.shapes))]


def decode_rows(table: pa.Table, preparation: Preparation) -> pa.Table:
    """Decodes rows of `sources.SCHEMA`: what the model sees of each photo, its own size and what is wrong with it.

    Where it cannot be read, `error` says why and its arrays are zeros.
    The photos are resized into memory that the table then has for its own: on a CPU, copies of them would cost time.
    """
    count = len(table)
    arrays = [
        np.zeros((count, *shape), dtype) for shape, dtype in zip(preparation.shapes, preparation.dtypes, strict=True)
    ]
    errors: list[str | None] = table["error"].to_pylist()
    warnings: list[str | None] = [None] * count
    sizes: list[tuple[int | None, int | None]] = [(None, None)] * count
    for row, (encoded_name, data) in enumerate(zip(table["name"].to_pylist(), table["data"], strict=True)):
        if errors[row] is None:
            name = os.fsdecode(encoded_name)
            try:
                photo = decode(name, data.as_py() if data.is_valid else sources.read_file(name))
            except ImageError as reason:
                errors[row] = str(reason)
                continue
            for column, array in zip(arrays, preparation.make(photo.pixels), strict=True):
                column[row] = array
            sizes[row], warnings[row] = (photo.pixels.shape[1], photo.pixels.shape[0]), photo.warning
    return pa.table(
        {
            "path": table["path"],
            "key": table["key"],
            **dict(zip(columns_of(preparation), map(_pack, arrays), strict=True)),
            "error": pa.array(errors, pa.string()),
            "warning": pa.array(warnings, pa.string()),
            "width": pa.array([width for width, _ in sizes], pa.int32()),
            "height": pa.array([height for _, height in sizes], pa.int32()),
        }
    )


def _pack(arrays: np.ndarray) -> pa.FixedSizeBinaryArray:
    """Returns arrays of one shape as a column, without copying them."""
    kind = pa.binary(math.prod(arrays.shape[1:]) * arrays.itemsize)
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(arrays), [None, pa.py_buffer(arrays)])


def unpack(table: pa.Table, preparation: Preparation) -> Iterator[tuple[np.ndarray, ...]]:
    """Yields the arrays of each photo of `decode_rows`, without copying them."""
    named = zip(columns_of(preparation), preparation.shapes, preparation.dtypes, strict=True)
    return zip(*(_unpack(table[name], shape, np.dtype(dtype)) for name, shape, dtype in named), strict=True)


def _unpack(column: pa.ChunkedArray, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Iterator[np.ndarray]:
    count = math.prod(shape)
    for chunk in column.chunks:
        offset = chunk.offset * count * dtype.itemsize
        yield from np.frombuffer(chunk.buffers()[1], dtype, len(chunk) * count, offset).reshape(-1, *shape)
