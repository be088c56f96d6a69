"""Focus stacks: one scene, sharp at another distance in each shot, for one picture made of all."""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float32

from vtiqa_jax.choosing.shots import Shot
from vtiqa_jax.photos.sketch import CELLS

MIN_BY_DISTANCE = 3
"""Shots of a stack whose focus distances are known."""
MIN_BY_SHARPNESS = 4
"""Shots of a stack that only sharpness tells."""
SAME_LIGHT = 0.5
"""Stops by which exposures of a stack may differ; light, by daylight, does."""
SAME_FRAMING = 0.92
"""Correlation of neighbours as they stand: who has the camera in the hand for tries at one picture does not keep it so
still, and the picture of what moves does not stay the same."""
CHANGE = 0.5
"""Octaves between a cell's sharpest and its least sharp shot, from which focus has moved there."""
MIN_CHANGED = 0.2
"""Share of the cells where it has."""
MIN_SMOOTH = 0.8
"""Share of these whose sharpness only rises and then only falls; and how nearly it does."""
MIN_PEAKS = 4
"""Shots that are the sharpest in several cells each: of a shaken burst one or two are sharpest everywhere."""
MIN_OF_PEAK = 0.04
"""Share of the changed cells, of several."""
UNMOVED = 16.0
"""Grey levels by which a cell may change its mean where only focus moves."""
MIN_UNMOVED = 0.75
"""Share of the changed cells that do not change by more."""


def is_focus_stack(scene: Sequence[Shot]) -> bool:
    """Returns whether focus moves through similar shots, given in their order, and nothing else does."""
    if len(scene) < MIN_BY_DISTANCE or not _is_same_light(scene) or not _is_same_framing(scene):
        return False
    distances = [shot.capture.focus_distance for shot in scene]
    known = [distance for distance in distances if distance is not None]
    if len(known) == len(scene):
        steps = np.sign(np.diff(known))
        if abs(int(steps.sum())) == len(steps):
            return True
    return len(scene) >= MIN_BY_SHARPNESS and _does_focus_move(scene)


def _is_same_light(scene: Sequence[Shot]) -> bool:
    values = [shot.capture.exposure_value for shot in scene]
    known = [value for value in values if value is not None]
    return not known or max(known) - min(known) <= SAME_LIGHT


def _is_same_framing(scene: Sequence[Shot]) -> bool:
    if len({shot.sketch.grey.shape for shot in scene}) > 1:
        return False
    pictures = [shot.sketch.grey for shot in scene]
    return all(
        float(cv2.matchTemplate(before, after, cv2.TM_CCOEFF_NORMED)[0, 0]) >= SAME_FRAMING
        for before, after in pairwise(pictures)
    )


def _does_focus_move(scene: Sequence[Shot]) -> bool:
    """Returns whether parts of the picture become sharp and blurred again in turn, without changing otherwise."""
    sharpness = np.stack([shot.sketch.sharpness.ravel() for shot in scene])
    changed = np.ptp(sharpness, axis=0) >= CHANGE
    if changed.mean() < MIN_CHANGED:
        return False
    series: Float32[np.ndarray, "shots changed"] = sharpness[:, changed]
    way = np.abs(np.diff(series, axis=0)).sum(0)
    is_smooth = 2 * series.max(0) - series[0] - series[-1] >= MIN_SMOOTH * way
    peaks = np.bincount(series.argmax(0), minlength=len(scene))
    light = np.stack([_cells(shot).ravel() for shot in scene])
    light = light[:, changed] * (light.mean() / light.mean(1, keepdims=True))
    is_unmoved = np.ptp(light, axis=0) <= UNMOVED
    return bool(
        is_smooth.mean() >= MIN_SMOOTH
        and (peaks >= MIN_OF_PEAK * changed.sum()).sum() >= MIN_PEAKS
        and is_unmoved.mean() >= MIN_UNMOVED
    )


def _cells(shot: Shot) -> Float32[np.ndarray, "cells cells"]:
    return cv2.resize(shot.sketch.grey.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA)
