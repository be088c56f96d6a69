"""Preparation of a photo for a model."""

import dataclasses
import math

import numpy as np

from vtiqa_jax.photos.native import NativeViews
from vtiqa_jax.photos.resize import Cut, Resized, Rgb, prepare, shrink


@dataclasses.dataclass(frozen=True)
class Preparation:
    """Which arrays are made of a photo for a model."""

    screen_side: int | None
    """See `resize.shrink`."""
    cuts: tuple[Cut, ...]
    """Views of the photo as a screen shows it."""
    native: NativeViews | None
    """Views of the photo at its own pixels; None for a model without detail."""

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the arrays."""
        cuts = [(len(cut.rows), len(cut.columns), 3) for cut in self.cuts]
        return [*cuts, *self.native.shapes] if self.native else cuts

    @property
    def dtypes(self) -> list[type[np.generic]]:
        """The types of the arrays."""
        cuts: list[type[np.generic]] = [np.uint8] * len(self.cuts)
        return [*cuts, np.uint8, np.float32] if self.native else cuts

    @property
    def bytes(self) -> int:
        """The bytes of the arrays of one photo."""
        sizes = zip(self.shapes, self.dtypes, strict=True)
        return sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in sizes)

    def make(self, pixels: Rgb, screen: Resized | None = None) -> list[np.ndarray]:
        """Makes the arrays of a photo.

        Args:
            pixels: the photo, of any size.
            screen: what `resize.shrink` makes of it, where that is known.
        """
        screen = shrink(pixels, self.screen_side) if screen is None else screen
        arrays = prepare(screen, None, self.cuts)
        return [*arrays, *self.native.make(pixels, screen)] if self.native else arrays
