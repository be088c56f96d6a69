"""Panoramas: pictures side by side, which overlap, for one wide picture made of all."""

import functools
from collections.abc import Sequence
from typing import Literal, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from vtiqa_jax.choosing.shots import GAP, Timed, gap

LEAST = 3
"""Pictures of a panorama."""
LEAST_WIDER = 0.3
"""Share of a side by which a panorama shows more than its first picture: tries at one picture do not wander so far."""
OVERLAP = (0.15, 0.95)
"""Share of a side that two neighbours show both, least and most."""
STRIP = 0.15
"""Share of the side of the strip at one picture's edge that is looked for in the other."""
TILT = 0.2
"""Share of the other side by which neighbours may be shifted against each other."""
LENSES = (None, 0.78, 1.04)
"""Focal lengths of wide lenses, as shares of a picture's longer side: 28 and 37 mm on film; and none, for long ones."""
ALIKE = 0.7
"""Correlation of the strip where it fits best."""
RIGID = 0.35
"""Correlation of all that both show: of what moved by itself the strip fits, and the rest does not."""
SIGMA = 4.0
"""Of the neighbourhood whose brightness is taken away before pictures are compared, pixels of a sketch."""
LEAST_CONTRAST = 4.0
"""Grey levels of what is left of a strip: of a plain sky nobody can say where it fits."""
SAME_LIGHT = 1.0
"""Stops by which the exposures of neighbours may differ; many cameras measure each picture anew."""
LEAST_PAUSE = 0.4
"""Seconds between two pictures: who turns a camera while it shoots faster follows something that moves."""

Direction = Literal["right", "down", "left", "up"]
"""On which side of a picture the next one lies."""
TURNS: dict[Direction, int] = {"right": 0, "down": 1, "left": 2, "up": 3}
"""Quarter turns, anticlockwise, after which a direction points to the right."""
Grey = UInt8[np.ndarray, "rows columns"]
View = Float32[np.ndarray, "rows columns"]
"""A picture as a lens shows it, its brightness the same everywhere."""


class Neighbour(NamedTuple):
    """How a picture continues another one."""

    direction: Direction
    overlap: float
    """Share of the side that both show."""


def find_panoramas(line: Sequence[Timed]) -> list[list[Timed]]:
    """Finds panoramas among the shots of a camera: runs of which each lies beside the one before, all on one side.

    Args:
        line: the shots in their order.
    """
    runs: list[list[Timed]] = []
    wider: list[float] = []
    heading: Direction | None = None
    for at in range(1, len(line)):
        found = find_neighbour(line[at - 1], line[at])
        if found is None:
            heading = None
            continue
        if found.direction != heading:
            runs.append([line[at - 1]])
            wider.append(0.0)
        runs[-1].append(line[at])
        wider[-1] += 1 - found.overlap
        heading = found.direction
    panoramas: list[list[Timed]] = []
    for run, more in zip(runs, wider, strict=True):
        if panoramas and panoramas[-1][-1] is run[0]:  # which turned back; no shot is in two
            run = run[1:]
        if len(run) >= LEAST and more >= LEAST_WIDER:
            panoramas.append(run)
    return panoramas


def find_neighbour(before: Timed, after: Timed) -> Neighbour | None:
    """Returns how a shot is continued by the next one, if it is."""
    first, second = before.shot, after.shot
    taken, then = first.capture, second.capture
    is_one_series = (
        first.sketch.grey.shape == second.sketch.grey.shape
        and taken.focal_length == then.focal_length
        and abs((taken.exposure_value or 0.0) - (then.exposure_value or 0.0)) <= SAME_LIGHT
        and after.time - before.time >= LEAST_PAUSE
        and gap(before, after) <= GAP
    )
    return match_edges(first.sketch.grey, second.sketch.grey) if is_one_series else None


def match_edges(first: Grey, second: Grey) -> Neighbour | None:
    """Returns how a picture is continued by another one of the same size, if it is.

    Turning a camera shears what a wide lens shows; unrolled from a cylinder, neighbours fit again.
    """
    best, fit = None, 0.0
    for lens in LENSES:
        for turns in (0, 1):  # along rows, and along columns
            views = _view(first, turns, lens), _view(second, turns, lens)
            for direction in (name for name, needed in TURNS.items() if needed % 2 == turns):
                one, other = (view if TURNS[direction] < 2 else view[::-1, ::-1] for view in views)
                overlap, same = _fit(np.ascontiguousarray(one), np.ascontiguousarray(other))
                if same > max(fit, RIGID):
                    best, fit = Neighbour(direction, overlap), same
    return best


def _fit(left: View, right: View) -> tuple[float, float]:
    """Looks for the strip at the right picture's left edge in the left picture.

    Returns:
        The share of the side that both show if the second lies to the right of the first, and how well all of that is
        the same, as a correlation; 0 if the strip is nowhere.
    """
    rows, columns = left.shape
    margin, width = round(TILT * rows), round(STRIP * columns)
    strip = right[margin : rows - margin, :width]
    if min(strip.shape) < 4 or float(strip.std()) < LEAST_CONTRAST:
        return 0.0, 0.0
    least, most = (round(share * columns) for share in OVERLAP)
    found = cv2.matchTemplate(left[:, columns - most : columns - least + width], strip, cv2.TM_CCOEFF_NORMED)
    row, column = (int(place) for place in np.unravel_index(int(np.argmax(found)), found.shape))
    if found[row, column] < ALIKE:
        return 0.0, 0.0
    overlap, down = most - column, row - margin
    shared = left[max(0, down) : rows + min(0, down), columns - overlap :]
    same = right[max(0, -down) : rows + min(0, -down), :overlap]
    return overlap / columns, float(cv2.matchTemplate(shared, same, cv2.TM_CCOEFF_NORMED)[0, 0])


def _view(grey: Grey, turns: int, lens: float | None) -> View:
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
