"""Facts about each photo for finding stacks, and the order in which a camera took them."""

import dataclasses
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from vtiqa_jax.photos.capture import Capture
from vtiqa_jax.photos.sketch import Sketch
from vtiqa_jax.results.rank import rank_photo
from vtiqa_jax.results.results import ScoreResult

GAP = 30.0
"""Seconds after which a photo is no longer the next of a series, counted from the end of the exposure before."""
CLOSE_WEIGHT = 0.4
"""Weight of detail in `Shot.close_rank`. Chosen on photos of the training split and planted bursts: of 60 others it
finds the sharp, clean frame in 92 %, a tenth in 78 % (docs/choosing.md)."""
MAX_AT_ONCE = 100
"""Photos that a camera takes in one second, at most; of more its clock stands still, and says nothing."""


@dataclasses.dataclass(frozen=True, eq=False)
class Shot:
    """A scored photo."""

    position: int
    """Among the results."""
    name: str
    capture: Capture
    sketch: Sketch
    rank: float
    """See `rank.rank_photo`; a higher one is better."""
    close_rank: float
    """The same with more weight on detail, as for shots of one picture in one light."""
    size: tuple[int, int]
    """Width and height as it is looked at, pixels."""
    holds: float | None
    """See `ScoreResult.holds`."""

    @property
    def natural_name(self) -> tuple[Any, ...]:
        """The name with its numbers as numbers, by which 9 comes before 10."""
        parts = re.split(r"(\d{1,15})", self.name)
        return tuple((part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts)

    @property
    def stem(self) -> str:
        """The name without folder and ending, by which a RAW and its JPEG are one."""
        return PurePath(self.name).stem.casefold()


def list_shots(results: Sequence[ScoreResult], *, higher_is_better: bool = True) -> list[Shot]:
    """Lists the photos that can be in stacks: those with a score, of which a sketch is known."""
    sign = 1 if higher_is_better else -1
    return [
        Shot(
            position,
            os.fspath(result.image) if isinstance(result.image, str | os.PathLike) else str(position),
            result.capture or Capture(),
            Sketch.unpack(result.sketch),
            sign * rank_photo(result.score, result.detail),
            sign * rank_photo(result.score, result.detail, CLOSE_WEIGHT),
            (result.width or 0, result.height or 0),
            result.holds,
        )
        for position, result in enumerate(results)
        if result.score is not None and result.sketch is not None
    ]


Camera = tuple[str, str, str]
"""Make, model and serial number."""


def find_cameras(shots: Sequence[Shot]) -> list[Camera]:
    """Finds the camera of each shot. One without a serial number is of the only camera of its model that has one."""
    models = [(shot.capture.make.casefold(), shot.capture.model.casefold()) for shot in shots]
    serials: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for model, shot in zip(models, shots, strict=True):
        serials[model] |= {shot.capture.serial} - {""}
    only = {model: found.pop() for model, found in serials.items() if len(found) == 1}
    return [(*model, shot.capture.serial or only.get(model, "")) for model, shot in zip(models, shots, strict=True)]


@dataclasses.dataclass(frozen=True)
class Timed:
    """A shot on its camera's time line."""

    shot: Shot
    time: float
    """Seconds; comparable within the camera."""


def sort_by_time(shots: Sequence[Shot]) -> tuple[list[list[Timed]], list[Shot]]:
    """Sorts shots by camera and time.

    Where all photos of a camera say how far its clock was from UTC, that is what they are sorted by: clocks of phones
    jump by an hour twice a year, and by more on journeys.

    Returns:
        Of each camera the shots in their order, those of one moment by name; and the shots without a time.
    """
    lines: defaultdict[Camera, list[Shot]] = defaultdict(list)
    timeless = []
    for camera, shot in zip(find_cameras(shots), shots, strict=True):
        if shot.capture.time is None:
            timeless.append(shot)
        else:
            lines[camera].append(shot)
    found = []
    for line in lines.values():
        has_zones = all(shot.capture.zone is not None for shot in line)
        timed = [
            Timed(shot, (shot.capture.time or 0.0) - ((shot.capture.zone or 0.0) if has_zones else 0.0))
            for shot in line
        ]
        seconds = Counter(int(one.time) for one in timed)
        timeless += [one.shot for one in timed if seconds[int(one.time)] > MAX_AT_ONCE]
        timed = [one for one in timed if seconds[int(one.time)] <= MAX_AT_ONCE]
        found.append(sorted(timed, key=lambda one: (one.time, one.shot.natural_name)))
    return [line for line in found if line], sorted(timeless, key=lambda shot: shot.natural_name)


def gap(before: Timed, after: Timed) -> float:
    """Seconds between the end of an exposure and the start of the next one."""
    return after.time - before.time - (before.shot.capture.exposure_time or 0.0)
