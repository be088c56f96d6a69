"""Maps as pictures: a photo beside itself under its maps."""

import io
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vtiqa_jax.evaluation.plots import literal_text
from vtiqa_jax.photos.own import DRAWN
from vtiqa_jax.photos.resize import Resized, Rgb, make_thumbnail

PANEL_SIDE = 1200
"""Pixels of a photo's longer side in a picture: more would be lost, and take seconds."""


@runtime_checkable
class PhotoMap(Protocol):
    """What can be drawn over its photo."""

    def paint(self, axes: Axes) -> None:
        """Draws the photo under the map, with the map's scale beside it."""
        ...


def shrink_for_picture(pixels: Rgb) -> Resized:
    """Returns a photo as pictures show it."""
    return make_thumbnail(pixels, PANEL_SIDE)


def draw_maps(photo: Rgb | None, maps: Sequence[PhotoMap], title: str = "") -> bytes:
    """Draws a PNG: the photo, and beside it each of its maps.

    Raises:
        ValueError: there is no photo.
    """
    if photo is None:
        raise ValueError("this map does not have its photo")
    columns = 2 if len(maps) in (1, 3) else 1 + len(maps)
    rows = -(-(1 + len(maps)) // columns)
    ratio = min(3.0, max(0.4, photo.shape[0] / photo.shape[1]))  # a panorama's maps need room for their scales
    figure = Figure(figsize=(5.5 * columns, 0.8 + 5 * ratio * rows), layout="constrained")
    first, *others = figure.subplots(rows, columns, squeeze=False).flat
    first.imshow(shrink_for_picture(photo))
    for axes in (first, *others):
        axes.set_axis_off()
    with literal_text():
        for axes, found in zip(others, maps, strict=True):
            found.paint(axes)
        # The bytes of a name may be no text, and matplotlib wants text.
        figure.suptitle(title.encode(errors="surrogateescape").decode(errors="replace"))
        file = io.BytesIO()
        figure.savefig(file, dpi=100, format="png", metadata=DRAWN)
    return file.getvalue()
