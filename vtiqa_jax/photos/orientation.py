"""Turns pixels as EXIF's orientation says."""

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray as Array


def turn(pixels: Shaped[Array, "h w *rest"], orientation: int) -> Shaped[Array, "h2 w2 *rest"]:
    """Turns and mirrors pixels upright.

    Args:
        pixels: as they lie in the file.
        orientation: EXIF's, 1 to 8; of any other nothing is turned.
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
