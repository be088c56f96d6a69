"""Batches of one size, whatever is left for the last one: each size would be compiled anew."""

from collections.abc import Sequence

import numpy as np


def stack_padded(rows: Sequence[Sequence[np.ndarray]], size: int) -> list[np.ndarray]:
    """Stacks the arrays of rows, the last row repeated until there are `size`.

    Args:
        rows: at least one and at most `size`, each of the same arrays.
        size: of the batch.

    Returns:
        For each of a row's arrays, those of all rows; what stands behind the given rows means nothing.
    """
    padded = [*rows, *[rows[-1]] * (size - len(rows))]
    return [np.stack(same) for same in zip(*padded, strict=True)]
