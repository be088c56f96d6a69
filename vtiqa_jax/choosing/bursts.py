"""Bursts: several tries at one picture, of which one is kept. What goes on for long is none."""

from collections.abc import Sequence

import numpy as np

from vtiqa_jax.choosing.shots import Shot, Timed
from vtiqa_jax.data.light import GAMMA

LONGEST = 120.0
"""Seconds from the first to the last shot of a burst."""
MIN_OF_INTERVALS = 8
"""Shots of which equal intervals are no chance."""
REGULAR = 0.9
"""Share of the intervals of a time-lapse that are equal; now and then a camera misses one."""
DRIFT = 0.1
"""Share of an interval by which equal ones may differ."""
TICK = 1.0
"""Seconds by which they may differ besides where the clock counts whole seconds."""
SAME_LIGHT = 0.5
"""Stops by which the light of shots differs at most, that more weight is on detail. Where it differs by more, people
choose by light (docs/choosing.md)."""
DARKEST = 1e-4
"""Least light that counts, from 0 to 1: a picture may be black."""


def choose_shot(burst: Sequence[Shot]) -> Shot:
    """Chooses the shot to keep; of equal ones the first by name."""
    means = [float(((shot.sketch.grey / 255.0) ** GAMMA).mean()) for shot in burst]
    is_even = np.ptp(np.log2(np.maximum(means, DARKEST))) <= SAME_LIGHT
    return min(burst, key=lambda shot: (-(shot.close_rank if is_even else shot.rank), shot.natural_name))


def split_burst(scene: Sequence[Timed]) -> list[list[Timed]]:
    """Cuts similar shots that go on for long at their longest pauses, until none lasts longer than LONGEST.

    The pictures of an intervalometer are no tries at one picture: of them there is no burst.

    Args:
        scene: the shots in their order.

    Returns:
        Bursts of two shots or more.
    """
    waiting, bursts = [] if is_time_lapse(scene) else [list(scene)], []
    while waiting:
        burst = waiting.pop()
        if burst[-1].time - burst[0].time <= LONGEST:
            bursts.append(burst)
            continue
        cut = 1 + int(np.argmax(np.diff([timed.time for timed in burst])))
        waiting += [burst[:cut], burst[cut:]]
    return sorted((burst for burst in bursts if len(burst) > 1), key=lambda burst: burst[0].time)


def is_time_lapse(scene: Sequence[Timed]) -> bool:
    """Returns whether shots follow each other at equal intervals, for longer than anybody tries at one picture."""
    if len(scene) < MIN_OF_INTERVALS or scene[-1].time - scene[0].time <= LONGEST:
        return False
    intervals = np.diff([timed.time for timed in scene])
    usual = float(np.median(intervals))
    tick = 0.0 if all(timed.shot.capture.has_fraction for timed in scene) else TICK
    return float((np.abs(intervals - usual) <= DRIFT * usual + tick).mean()) >= REGULAR
