"""A photo's map of detail on the page, and the regions of it that are shown at 1:1."""

import dataclasses
from collections.abc import Callable

import numpy as np

from vtiqa_jax.photos.jpeg import encode_jpeg
from vtiqa_jax.photos.resize import Rgb
from vtiqa_jax.scoring.detail_map import DetailMap

SIDE = 448
"""Side of a region in pixels: two views a side."""
MOST = 8
"""Regions of a photo."""


Explain = Callable[..., DetailMap]
"""`Scorer.explain_detail_pixels` of one photo: `()` maps all of it, `(at=point, side=pixels)` a square at 1:1."""


@dataclasses.dataclass(frozen=True)
class Zoom:
    """A region at 1:1."""

    found: DetailMap
    picture: bytes
    """Part of the photo that the map's places fill, as a JPEG file."""


@dataclasses.dataclass(frozen=True)
class ZoomedMap:
    """The map of a whole photo, and regions of it at 1:1."""

    whole: DetailMap
    zooms: tuple[Zoom, ...]


def choose_points(found: DetailMap) -> list[tuple[float, float]]:
    """Chooses what of a photo is worth a look at 1:1: the places that count most, and the worst of those that count.

    Args:
        found: the map of the whole photo.

    Returns:
        Middles of regions that do not overlap, as shares of the photo's height and width; the worst is the last.
    """
    weights, columns = found.weights.ravel(), found.weights.shape[1]
    if not weights.any():
        return []
    counting = np.flatnonzero(weights >= np.median(weights[weights > 0]))
    by_weight = counting[np.argsort(-weights[counting], kind="stable")]
    by_octaves = counting[np.argsort(-found.octaves.ravel()[counting], kind="stable")]
    chosen: list[tuple[float, float]] = []
    for order, most in ((by_weight, MOST - 1), (by_octaves, MOST)):
        for place in order:
            if len(chosen) == most:
                break
            point = found.middle(*divmod(int(place), columns))
            if all(_apart(point, other, found) for other in chosen):
                chosen.append(point)
    return chosen


def _apart(a: tuple[float, float], b: tuple[float, float], found: DetailMap) -> bool:
    """Tells whether the regions around two points do not overlap."""
    return abs(a[0] - b[0]) * found.height >= SIDE or abs(a[1] - b[1]) * found.width >= SIDE


def make_zoomed_map(pixels: Rgb, explain: Explain) -> ZoomedMap:
    """Makes what the page shows of a photo's detail.

    Args:
        pixels: the photo.
        explain: makes its maps.
    """
    whole = explain()
    maps = [explain(at=point, side=SIDE) for point in choose_points(whole)]
    return ZoomedMap(whole, tuple(Zoom(found, encode_jpeg(found.region.cut(pixels))) for found in maps))
