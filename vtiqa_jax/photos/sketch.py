"""A photo as a few thousand numbers: what stacks of photos are found by when its pixels are gone."""

import dataclasses
import struct

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from vtiqa_jax.photos.resize import Resized, make_thumbnail

SIDE = 96
"""Longer side of the small picture, pixels."""
SCREEN = 1024
"""Longer side at which sharpness is looked at, at most, pixels."""
CELLS = 16
"""Rows and columns of the grid of sharpness."""
STEPS = 16
"""Of sharpness to an octave: what a byte of it counts."""
_SIZES = struct.Struct("<BB")


@dataclasses.dataclass(frozen=True, eq=False)
class Sketch:
    """A photo's small picture, and how sharp its parts are."""

    grey: UInt8[np.ndarray, "rows columns"]
    """Shrunk to SIDE; a smaller photo as it is."""
    sharpness: Float32[np.ndarray, "cells cells"]
    """Of each part of the photo, which the cells divide evenly: the mean steepness of its finest structure on a screen,
    in octaves."""

    def pack(self) -> bytes:
        """Returns the sketch as bytes, some 6 kB."""
        rows, columns = self.grey.shape
        steps = np.clip(np.rint(self.sharpness * STEPS), 0, 255).astype(np.uint8)
        return _SIZES.pack(rows, columns) + self.grey.tobytes() + steps.tobytes()

    @classmethod
    def unpack(cls, packed: bytes) -> "Sketch":
        """Returns the sketch that `pack` made bytes of."""
        rows, columns = _SIZES.unpack_from(packed)
        numbers = np.frombuffer(packed, np.uint8, offset=_SIZES.size)
        grey, steps = np.split(numbers, [rows * columns])
        return cls(grey.reshape(rows, columns), steps.reshape(CELLS, CELLS).astype(np.float32) / STEPS)


def make_sketch(screen: Resized) -> Sketch:
    """Makes the sketch of a photo.

    Args:
        screen: the photo as `resize.shrink` leaves it for a screen, or the photo itself.
    """
    grey = cv2.cvtColor(make_thumbnail(screen, SCREEN), cv2.COLOR_RGB2GRAY)
    steepness = np.abs(cv2.Laplacian(grey, cv2.CV_16S))
    cells = cv2.resize(steepness.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return Sketch(make_thumbnail(grey, SIDE), np.log2(1 + cells))
