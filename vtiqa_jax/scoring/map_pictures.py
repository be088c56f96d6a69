"""Maps as pictures: a photo beside itself under its maps."""

import io
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vtiqa_jax.evaluation.plots import literal_text
from vtiqa_jax.photos.own import DRAWN
from vtiqa_jax.photos.resize import Resized, Rgb, make_thumbnail
from vtiqa_jax.scoring.colours import quality_colours

PANEL_SIDE = 1200
"""Pixels of a photo's longer side in a picture: more would be lost, and take seconds."""


def shrink_for_picture(pixels: Rgb) -> Resized:
    """Returns a photo as pictures show it."""
    return make_thumbnail(pixels, PANEL_SIDE)


def set_panel_title(axes: Axes, title: str) -> None:
    """Says above a part of a picture what it shows."""
    axes.set_title(title, fontsize=11)


def paint_places(
    axes: Axes, photo: Rgb, values: Float32[np.ndarray, "rows columns"], most: float, title: str, label: str
) -> None:
    """Draws a photo under numbers of its places; what is not known is hatched.

    Args:
        axes: where to.
        photo: what the places fill.
        values: of the places; NaN where nothing is known.
        most: at which colours end; they begin at 0.
        title: above it.
        label: of the scale beside it.
    """
    shown = shrink_for_picture(photo)
    height, width = shown.shape[:2]
    axes.imshow(shown)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    colours = quality_colours(higher_is_better=False)
    drawn = axes.imshow(np.ma.masked_invalid(values), cmap=colours, alpha=0.65, vmin=0, vmax=most, extent=extent)
    side = height / values.shape[0]
    for row, column in np.argwhere(np.isnan(values)):
        corner = (column * side - 0.5, row * side - 0.5)
        axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor="0.5", linewidth=0, hatch="////"))
    set_panel_title(axes, title)
    axes.figure.colorbar(drawn, ax=axes, label=label, extend="max")


def draw_maps(photo: Rgb | None, painters: Sequence[Callable[[Axes], None]], title: str = "") -> bytes:
    """Draws a PNG: the photo, and beside it each of its maps.

    Args:
        photo: of the maps.
        painters: `paint` of each map.
        title: above all.

    Raises:
        ValueError: there is no photo.
    """
    if photo is None:
        raise ValueError("this map does not have its photo")
    panels = 1 + len(painters)
    columns = {4: 2, 6: 3}.get(panels, panels)
    rows = panels // columns
    ratio = min(3.0, max(0.4, photo.shape[0] / photo.shape[1]))  # a panorama's maps need room for their scales
    figure = Figure(figsize=(5.5 * columns, 0.8 + 5 * ratio * rows), layout="constrained")
    first, *others = figure.subplots(rows, columns, squeeze=False).flat
    first.imshow(shrink_for_picture(photo))
    set_panel_title(first, "photo")
    for axes in (first, *others):
        axes.set_axis_off()
    with literal_text():
        for axes, paint in zip(others, painters, strict=True):
            paint(axes)
        # The bytes of a name may be no text, and matplotlib wants text.
        figure.suptitle(title.encode(errors="surrogateescape").decode(errors="replace"))
        file = io.BytesIO()
        figure.savefig(file, dpi=100, format="png", metadata=DRAWN)
    return file.getvalue()
