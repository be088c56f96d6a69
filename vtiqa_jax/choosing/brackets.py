"""Exposure brackets: one scene, brighter and darker on purpose, for one picture made of all."""

from collections.abc import Sequence
from itertools import pairwise

from vtiqa_jax.choosing.shots import Shot

BIAS_STEP = 0.25
"""Stops between two exposures that the photographer asked for, at least; cameras count in thirds."""
LIGHT_STEP = 0.6
"""Stops between two exposures of which nobody says that they were asked for: two thirds, and what cameras round."""
MIN_RISE = 12.0
"""Grey levels by which the brightest of such a series is brighter than its darkest."""
SLACK = 1.0
"""Grey levels by which a longer exposure may be darker: both are almost black, or white."""


def find_brackets(scene: Sequence[Shot]) -> list[list[Shot]]:
    """Finds the exposure brackets among similar shots.

    A bracket is a run of exposures of which no two are alike: 0, -2, +2, 0, -2, +2 are two of three. Two are enough
    where the camera says so, or where the scene has no other shots. Of exposures that nobody asked for, the pictures
    must be as much brighter as they were exposed longer: else the light has changed, and the camera followed.

    Args:
        scene: the shots in their order.
    """
    biases = [shot.capture.exposure_bias for shot in scene]
    known = [bias for bias in biases if bias is not None]
    if len(known) == len(scene) and max(known) - min(known) >= BIAS_STEP:
        runs = _runs_apart(scene, known, BIAS_STEP)
        return [run for run in runs if len(run) > 2 or (len(run) == 2 and (len(scene) == 2 or _is_asked_for(run)))]
    values = [shot.capture.exposure_value for shot in scene]
    exposures = [value for value in values if value is not None]
    if len(exposures) < len(scene):
        return []
    runs = [run for run in _runs_apart(scene, exposures, LIGHT_STEP) if len(run) > 2 or _is_asked_for(run)]
    return [run for run in runs if len(run) > 1 and _is_brighter_by_exposure(run)]


def _runs_apart(scene: Sequence[Shot], levels: Sequence[float], step: float) -> list[list[Shot]]:
    """Cuts a scene into runs within which all levels are at least a step from each other."""
    runs: list[list[Shot]] = []
    seen: list[float] = []
    for shot, level in zip(scene, levels, strict=True):
        if not runs or any(abs(level - other) < step for other in seen):
            runs.append([])
            seen = []
        runs[-1].append(shot)
        seen.append(level)
    return runs


def _is_asked_for(run: Sequence[Shot]) -> bool:
    return all(shot.capture.is_auto_bracket for shot in run)


def _is_brighter_by_exposure(run: Sequence[Shot]) -> bool:
    """Returns whether longer exposures are brighter pictures."""
    darkest_first = sorted(run, key=lambda shot: -(shot.capture.exposure_value or 0.0))
    light = [float(shot.sketch.grey.mean()) for shot in darkest_first]
    rises = all(after >= before - SLACK for before, after in pairwise(light))
    return rises and light[-1] - light[0] >= MIN_RISE
