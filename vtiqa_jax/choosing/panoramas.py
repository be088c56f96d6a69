"""Panoramas: pictures side by side, which overlap, for one wide picture made of all."""

import functools
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Literal, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from vtiqa_jax.choosing.shots import GAP, Timed, gap

LEAST = 3
"""Pictures of a panorama."""
MIN_WIDER = 0.3
"""Share of a side by which a panorama shows more than its first picture: tries at one picture do not wander so far."""
OVERLAP = (0.15, 0.95)
"""Share of a side that two neighbours show both, least and most."""
STRIP = 0.15
"""Share of the side of the strip at one picture's edge that is looked for in the other."""
TILT = 0.2
"""Share of the other side by which neighbours may be shifted against each other."""
LENSES = (None, 0.78, 1.04)
"""Focal lengths of wide lenses, as shares of a picture's longer side: 28 and 37 mm on film; and none, for long ones."""
STEADY = 0.5
"""Correlation as they stand from which pictures show the same and lie on top of each other."""
ALIKE = 0.7
"""Correlation of the strip where it fits best."""
RIGID = 0.35
"""Correlation of all that both show: of what moved by itself the strip fits, and the rest does not."""
SIGMA = 4.0
"""Sigma of the neighbourhood whose brightness is taken away before pictures are compared, in pixels of a sketch."""
MIN_CONTRAST = 4.0
"""Grey levels of what is left of a strip: of a plain sky nobody can say where it fits."""
SAME_LIGHT = 1.0
"""Stops by which the exposures of neighbours may differ; many cameras measure each picture anew."""
MIN_PAUSE = 0.4
"""Seconds between two pictures: who turns a camera while it shoots faster follows something that moves."""

MAX_STILL = 0.02
"""Share of what neighbours both show that does not move with the rest, at the median of a panorama: chance and what is
near leave .00 in most, a bird of a third of the picture's width .08."""
STILL = 0.5
"""Largest difference of a still place when unmoved: its difference as a share of that when it moves with the rest."""
MIN_DIFFERENCE = 6.0
"""Grey levels of the latter, below which both fit."""
CELL = 5
"""Pixels of a sketch over which differences are averaged."""

Direction = Literal["right", "down", "left", "up"]
"""On which side of a picture the next one lies."""
AXES: tuple[tuple[Direction, Direction], ...] = (("right", "left"), ("down", "up"))
TURNS: dict[Direction, int] = {"right": 0, "down": 1}
"""Quarter turns, anticlockwise, after which a direction points to the right."""
Grey = UInt8[np.ndarray, "rows columns"]
View = Float32[np.ndarray, "rows columns"]
"""A picture as a lens shows it, its brightness the same everywhere."""


class Neighbour(NamedTuple):
    """How a picture continues another one."""

    direction: Direction
    overlap: float
    """Share of the side that both show."""
    still: float
    """Share of what both show that has not moved with the rest: what the camera followed."""


def find_panoramas(line: Sequence[Timed]) -> list[list[Timed]]:
    """Finds panoramas among the shots of a camera: runs of which each lies beside the one before, all on one side.

    Args:
        line: the shots in their order.
    """
    found = [find_neighbour(before, after) for before, after in pairwise(line)]
    panoramas: list[list[Timed]] = []
    start = 0
    for heading, pairs in groupby(found, key=lambda neighbour: neighbour and neighbour.direction):
        neighbours = list(pairs)
        run = line[start : start + len(neighbours) + 1]
        start += len(neighbours)
        if panoramas and panoramas[-1][-1] is run[0]:  # where it turned back; no shot is in two
            run = run[1:]
        if heading is not None and len(run) >= LEAST and _is_wide_and_still(neighbours):
            panoramas.append(list(run))
    return panoramas


def _is_wide_and_still(neighbours: Sequence[Neighbour | None]) -> bool:
    """Returns whether pictures show together much more than one of them, and nothing moved with the camera."""
    pairs = [neighbour for neighbour in neighbours if neighbour is not None]
    wider = sum(1 - neighbour.overlap for neighbour in pairs)
    return wider >= MIN_WIDER and float(np.median([neighbour.still for neighbour in pairs])) <= MAX_STILL


def find_neighbour(before: Timed, after: Timed) -> Neighbour | None:
    """Returns how a shot is continued by the next one, if it is."""
    first, second = before.shot, after.shot
    now, then = first.capture, second.capture
    is_one_series = (
        first.sketch.grey.shape == second.sketch.grey.shape
        and now.focal_length == then.focal_length
        and abs((now.exposure_value or 0.0) - (then.exposure_value or 0.0)) <= SAME_LIGHT
        and after.time - before.time >= MIN_PAUSE
        and gap(before, after) <= GAP
    )
    return match_edges(first.sketch.grey, second.sketch.grey) if is_one_series else None


def match_edges(first: Grey, second: Grey) -> Neighbour | None:
    """Returns how a picture is continued by another one of the same size, if it is.

    Turning a camera shears what a wide lens shows; unrolled from a cylinder, neighbours fit again.
    """
    if _correlate(_view(first, 0, None), _view(second, 0, None)) >= STEADY:
        return None
    best, fit = None, RIGID
    for lens in LENSES:
        for directions in AXES:
            views = [_view(picture, TURNS[directions[0]], lens) for picture in (first, second)]
            for direction in directions:
                left, right = views if direction == directions[0] else (_turn_back(view) for view in views)
                place = _find_strip(left, right)
                if place is None:
                    continue
                shared = _Shared.cut(left, right, *place)
                if (same := shared.correlation) > fit:
                    best, fit = Neighbour(direction, place[0] / left.shape[1], shared.still), same
    return best


class _Shared(NamedTuple):
    """What two pictures both show, if the second lies to the right of the first."""

    first: View
    second: View
    unmoved: View
    """Pixels of the first at the places of the second."""

    @classmethod
    def cut(cls, left: View, right: View, overlap: int, down: int) -> "_Shared":
        """Cuts it out of pictures that overlap by so many columns, the second so many rows below the first."""
        rows, columns = left.shape
        upper, lower = slice(max(0, down), rows + min(0, down)), slice(max(0, -down), rows + min(0, -down))
        return cls(left[upper, columns - overlap :], right[lower, :overlap], left[lower, :overlap])

    @property
    def correlation(self) -> float:
        """The correlation of the two pictures where they overlap."""
        return _correlate(self.first, self.second)

    @property
    def still(self) -> float:
        """The share that fits better where it was in the picture."""
        moved, unmoved = (
            cv2.blur(np.abs(picture - self.second), (CELL, CELL)) for picture in (self.first, self.unmoved)
        )
        is_still = (unmoved < STILL * moved) & (moved > MIN_DIFFERENCE)
        return float(cv2.morphologyEx(is_still.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).mean())


def _find_strip(left: View, right: View) -> tuple[int, int] | None:
    """Looks for the strip at the right picture's left edge in the left picture.

    Returns:
        By how many columns they overlap, and by how many rows the right one lies below; None if it is nowhere.
    """
    rows, columns = left.shape
    margin, width = round(TILT * rows), round(STRIP * columns)
    strip = right[margin : rows - margin, :width]
    if min(strip.shape) < 4 or float(strip.std()) < MIN_CONTRAST:
        return None
    least, most = (round(share * columns) for share in OVERLAP)
    correlations = cv2.matchTemplate(left[:, columns - most : columns - least + width], strip, cv2.TM_CCOEFF_NORMED)
    row, column = (int(place) for place in np.unravel_index(int(np.argmax(correlations)), correlations.shape))
    return (most - column, row - margin) if correlations[row, column] >= ALIKE else None


def _correlate(first: View, second: View) -> float:
    return float(cv2.matchTemplate(first, second, cv2.TM_CCOEFF_NORMED)[0, 0])


def _turn_back(view: View) -> View:
    return np.ascontiguousarray(view[::-1, ::-1])


def _view(grey: Grey, turns: int, lens: float | None) -> Float32[np.ndarray, "down across"]:
    """Turns a picture, unrolls it from a cylinder around a lens of a focal length, and takes its brightness away."""
    turned = np.ascontiguousarray(np.rot90(grey, turns), np.float32)
    if lens is not None:
        across, down = _cylinder(*turned.shape, lens)
        turned = cv2.remap(turned, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return turned - cv2.GaussianBlur(turned, (0, 0), SIGMA)


@functools.cache
def _cylinder(
    rows: int, columns: int, lens: float
) -> tuple[Float32[np.ndarray, "rows columns"], Float32[np.ndarray, "rows columns"]]:
    """Returns the columns and rows of a flat picture that are seen at the pixels of a cylinder."""
    focal = lens * max(rows, columns)
    y, x = np.mgrid[:rows, :columns] - np.array([(rows - 1) / 2, (columns - 1) / 2])[:, None, None]
    angle = x / focal
    across, down = focal * np.tan(angle) + (columns - 1) / 2, y / np.cos(angle) + (rows - 1) / 2
    return across.astype(np.float32), down.astype(np.float32)
