"""Panoramas: pictures side by side, which overlap, for one wide picture made of all."""

from collections.abc import Sequence
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
TILT = 0.12
"""Share of the other side by which neighbours may be shifted against each other."""
ALIKE = 0.7
"""Correlation of the strip where it fits best."""
RIGID = 0.45
"""Correlation of all that both show: of what moved by itself the strip fits, and the rest does not."""
SIGMA = 3.0
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
    for before, after in zip(line, line[1:], strict=False):
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
    if first.sketch.grey.shape != second.sketch.grey.shape or taken.focal_length != then.focal_length:
        return None
    if taken.exposure_value is not None and then.exposure_value is not None:
        if abs(taken.exposure_value - then.exposure_value) > SAME_LIGHT:
            return None
    if not LEAST_PAUSE <= after.time - before.time or gap(before, after) > GAP:
        return None
    return match_edges(first.sketch.grey, second.sketch.grey)


def match_edges(
    first: UInt8[np.ndarray, "rows columns"], second: UInt8[np.ndarray, "rows columns"]
) -> Direction | None:
    """Returns on which side of a picture another one of the same size continues it, if it does."""
    fits = {direction: _fit(np.rot90(first, turns), np.rot90(second, turns)) for direction, turns in TURNS.items()}
    best = max(fits, key=lambda direction: fits[direction])
    return best if fits[best] > 0 else None


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
    small = np.ascontiguousarray(grey, np.float32)
    return small - cv2.GaussianBlur(small, (0, 0), SIGMA)
