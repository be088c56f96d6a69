"""Panoramas: pictures side by side, which overlap, for one wide picture made of all."""

import functools
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from vtiqa_jax.choosing.shots import GAP, Timed, gap

LEAST = 3
"""Pictures of a panorama."""
OVERLAP = (0.15, 0.75)
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
LEAST_PAUSE = 0.3
"""Seconds between two pictures: who turns a camera while it shoots faster follows something that moves."""

Direction = Literal["right", "left", "down", "up"]
"""On which side of a picture the next one lies."""
TURNS: dict[Direction, int] = {"right": 0, "down": 1, "left": 2, "up": 3}
"""Quarter turns, anticlockwise, after which a direction points to the right."""


def find_panoramas(line: Sequence[Timed]) -> list[list[Timed]]:
    """Finds panoramas among the shots of a camera: runs of which each lies beside the one before, all on one side.

    Args:
        line: the shots in their order, none of them a try at the picture of another.
    """
    runs: list[list[Timed]] = []
    heading: Direction | None = None
    for before, after in pairwise(line):
        found = find_direction(before, after)
        if found is None:
            heading = None
        elif found == heading:
            runs[-1].append(after)
        else:
            runs.append([before, after])
            heading = found
    return [run for run in runs if len(run) >= LEAST]


def find_direction(before: Timed, after: Timed) -> Direction | None:
    """Returns on which side of a shot the next one continues it, if it does."""
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


def match_edges(
    first: UInt8[np.ndarray, "rows columns"], second: UInt8[np.ndarray, "rows columns"]
) -> Direction | None:
    """Returns on which side of a picture another one of the same size continues it, if it does.

    Turning a camera shears what a wide lens shows; unrolled from a cylinder, neighbours fit again.
    """
    fits: dict[tuple[Direction, float | None], float] = {
        (direction, lens): _fit(*(_unroll(np.rot90(picture, turns), lens) for picture in (first, second)))
        for direction, turns in TURNS.items()
        for lens in LENSES
    }
    best = max(fits, key=lambda found: fits[found])
    return best[0] if fits[best] > 0 else None


def _unroll(grey: UInt8[np.ndarray, "rows columns"], lens: float | None) -> UInt8[np.ndarray, "rows columns"]:
    """Returns the picture as it is seen on a cylinder around a lens of this focal length; None leaves it flat."""
    if lens is None:
        return np.ascontiguousarray(grey)
    across, down = _cylinder(*grey.shape, lens)
    return cv2.remap(np.ascontiguousarray(grey), across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


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


def _fit(left: UInt8[np.ndarray, "rows columns"], right: UInt8[np.ndarray, "rows columns"]) -> float:
    """How well all that both pictures show is the same, if the second lies to the right of the first; 0 if it does not.

    The strip at the right picture's left edge is looked for in the left picture.
    """
    one, other = (_flatten(picture) for picture in (left, right))
    rows, columns = one.shape
    margin, width = round(TILT * rows), round(STRIP * columns)
    strip = other[margin : rows - margin, :width]
    if min(strip.shape) < 4 or strip.std() < LEAST_CONTRAST:
        return 0.0
    least, most = (round(share * columns) for share in OVERLAP)
    searched = one[:, columns - most : columns - least + width]
    found = cv2.matchTemplate(searched, strip, cv2.TM_CCOEFF_NORMED)
    row, column = np.unravel_index(int(np.argmax(found)), found.shape)
    if found[row, column] < ALIKE:
        return 0.0
    overlap, down = most - int(column), int(row) - margin
    shared = one[max(0, down) : rows + min(0, down), columns - overlap :]
    same = other[max(0, -down) : rows + min(0, -down), :overlap]
    return max(0.0, float(cv2.matchTemplate(shared, same, cv2.TM_CCOEFF_NORMED)[0, 0]) - RIGID)


def _flatten(grey: UInt8[np.ndarray, "rows columns"]) -> Float32[np.ndarray, "rows columns"]:
    small = grey.astype(np.float32)
    return small - cv2.GaussianBlur(small, (0, 0), SIGMA)
