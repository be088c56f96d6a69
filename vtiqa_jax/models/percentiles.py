"""What a photo's numbers are compared with: percentiles that stand in what a model was made from."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from vtiqa_jax.errors import UserError

SCORES = ("trained", "percentiles", "scores")
"""Place of those of the scores of training photos."""
DETAIL = ("detail", "percentiles")
"""Place of those of the detail of large photos as cameras made them."""


def read_percentiles(provenance: Mapping[str, Any], place: tuple[str, ...]) -> Float[np.ndarray, " 101"] | None:
    """Reads percentiles, from the least number to the largest.

    Args:
        provenance: what a model was made from; files may have anything there.
        place: `SCORES` or `DETAIL`.

    Returns:
        None where there are none.

    Raises:
        UserError: what stands there is something else.
    """
    found: Any = provenance
    for name in place:
        if not isinstance(found, Mapping):
            raise _damaged(place)
        if name not in found:
            return None
        found = found[name]
    try:
        percentiles = np.array(found, np.float64)
    except (TypeError, ValueError) as error:
        raise _damaged(place) from error
    if percentiles.shape != (101,) or not np.isfinite(percentiles).all() or (np.diff(percentiles) < 0).any():
        raise _damaged(place)
    return percentiles


def _damaged(place: tuple[str, ...]) -> UserError:
    return UserError(f"the model's {'.'.join(place)} are not 101 rising numbers; make or fetch the model again")
