"""Stacks: photos that belong together, what they are, and which of them to keep."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Int

from vtiqa_jax.choosing.brackets import find_brackets
from vtiqa_jax.choosing.bursts import choose_shot, split_burst
from vtiqa_jax.choosing.copies import choose_copy, find_copies
from vtiqa_jax.choosing.fingerprints import SIMILAR, Fingerprints, connect, correlate, fingerprint, group_similar
from vtiqa_jax.choosing.focus import is_focus_stack
from vtiqa_jax.choosing.panoramas import find_panoramas
from vtiqa_jax.choosing.shots import GAP, Shot, Timed, gap, list_shots, sort_by_time
from vtiqa_jax.results.results import ScoreResult

Kind = Literal["burst", "copies", "exposure bracket", "focus stack", "panorama"]
KEPT_WHOLE: tuple[Kind, ...] = ("exposure bracket", "focus stack", "panorama")
"""Kinds of which no member is worse than another: together they make one picture."""
NEIGHBOURS = 16
"""Shots of a camera that each is compared with, at most: those that follow it."""
BLACK, WHITE = 12.0, 243.0
"""Mean grey levels beyond which a picture shows too little to be compared."""

Item = TypeVar("Item", Shot, Timed)


class Found(NamedTuple):
    """A stack of exposures, before the files of each are gathered."""

    kind: Kind
    scene: list[Shot]
    """Its shots, in their order."""


@dataclasses.dataclass(frozen=True)
class Stack:
    """Photos that belong together, by their positions among the results."""

    kind: Kind
    members: tuple[int, ...]
    """Positions of its photos, in the results' order."""
    best: tuple[int, ...]
    """Those to keep: one, or all of a kind that is kept whole."""


def find_stacks(results: Sequence[ScoreResult], *, higher_is_better: bool = True) -> list[Stack]:
    """Finds the stacks among scored photos.

    Args:
        results: of `Scorer.stream`; those without a score are in no stack.
        higher_is_better: see `LabelScale`.

    Returns:
        The stacks, by their first members. No photo is in two.
    """
    shots = list_shots(results, higher_is_better=higher_is_better)
    lines, timeless = sort_by_time(shots)
    timed = {one.shot.position for line in lines for one in line}
    # An exposure stands where one of its files has a time, whichever of them is kept.
    files = {
        next((copy for copy in copies if copy.position in timed), copies[0]).position: copies
        for copies in find_copies(shots, lines, timeless)
    }
    stacks: list[Found] = []
    for line in lines:
        stacks += _find_in_line([one for one in line if one.shot.position in files])
    stacks += _find_by_look([shot for shot in timeless if shot.position in files])
    stacked = {shot.position for _, scene in stacks for shot in scene}
    alone = [shot for shot in shots if shot.position in files and shot.position not in stacked]
    stacks += [Found("copies", [shot]) for shot in alone if len(files[shot.position]) > 1]
    return sorted((_gather(stack, files) for stack in stacks), key=lambda stack: stack.members)


def _gather(found: Found, files: dict[int, list[Shot]]) -> Stack:
    """Makes a stack of all files of its exposures."""
    members = tuple(sorted(copy.position for shot in found.scene for copy in files[shot.position]))
    kept = [choose_copy(files[shot.position]) for shot in found.scene]
    best = members if found.kind in KEPT_WHOLE else (choose_shot(kept).position,)
    return Stack(found.kind, members, best)


def mark_stacks(results: Sequence[ScoreResult], stacks: Sequence[Stack]) -> list[ScoreResult]:
    """Returns the results with `stack`, `stack_kind` and `best`; the stacks are numbered from 1."""
    marked = [dataclasses.replace(result, best=None if result.score is None else True) for result in results]
    for number, stack in enumerate(stacks, 1):
        for position in stack.members:
            marked[position] = dataclasses.replace(
                marked[position], stack=number, stack_kind=stack.kind, best=position in stack.best
            )
    return marked


def say_stack(result: ScoreResult) -> str:
    """Says of a photo which stack it is in, and whether to keep it; nothing of one in no stack."""
    if result.stack is None or result.stack_kind is None:
        return ""
    place = f"{result.stack_kind} {result.stack}"
    if result.stack_kind in KEPT_WHOLE:
        return place
    return f"best of {place}" if result.best else f"in {place}"


def say_stacks(stacks: Sequence[Stack]) -> str:
    """Says in a line how many stacks there are of each kind."""
    counts = Counter(stack.kind for stack in stacks)
    plurals = {"copies": "of copies"}
    kinds = [f"{counts[kind]} {plurals.get(kind, kind + 's' * (counts[kind] > 1))}" for kind in counts]
    rejects = sum(len(stack.members) - len(stack.best) for stack in stacks)
    return f"{', '.join(kinds)}; {rejects} photos are not the best of theirs"


def _find_by_look(shots: Sequence[Shot]) -> list[Found]:
    """Stacks of shots whose time is not known, given in the order of their names."""
    if not shots:
        return []
    groups = group_similar(_fingerprints(shots))
    found: list[Found] = []
    for scene in _members(shots, groups):
        brackets = find_brackets(scene)
        inside = {shot.position for bracket in brackets for shot in bracket}
        found += [Found("exposure bracket", bracket) for bracket in brackets]
        rest = [shot for shot in scene if shot.position not in inside]
        if len(rest) > 1:
            found.append(Found("focus stack" if is_focus_stack(rest) else "burst", rest))
    return found


def _find_in_line(line: Sequence[Timed]) -> list[Found]:
    """Stacks among the shots of a camera, given in their order."""
    found: list[Found] = []
    pairs = _similar_neighbours(line)
    bridged = np.concatenate([pairs, _blank_neighbours(line)], axis=1)
    for scene in _members(line, connect(np.arange(len(line)), bridged)):
        found += [Found("exposure bracket", bracket) for bracket in find_brackets([timed.shot for timed in scene])]
    rest = _without(line, found)
    found += [Found("panorama", [timed.shot for timed in run]) for run in find_panoramas(rest)]
    free = {timed.shot.position for timed in _without(line, found)}
    is_free = np.array([timed.shot.position in free for timed in line], bool)
    pairs = pairs[:, is_free[pairs].all(0)]
    for scene in _members(line, connect(np.arange(len(line)), pairs)):
        if is_focus_stack([timed.shot for timed in scene]):
            found.append(Found("focus stack", [timed.shot for timed in scene]))
        else:
            found += [Found("burst", [timed.shot for timed in burst]) for burst in split_burst(scene)]
    return found


def _without(line: Sequence[Timed], found: Sequence[Found]) -> list[Timed]:
    """Returns the shots that are in no stack yet."""
    positions = {shot.position for _, scene in found for shot in scene}
    return [timed for timed in line if timed.shot.position not in positions]


def _similar_neighbours(line: Sequence[Timed]) -> Int[np.ndarray, "2 pairs"]:
    """Pairs of a camera's shots that follow each other soon and show one scene."""
    pairs = [
        (at, after)
        for at in range(len(line))
        for after in range(at + 1, min(at + 1 + NEIGHBOURS, len(line)))
        if gap(line[at], line[after]) <= GAP
    ]
    rows = np.array(pairs, np.int64).reshape(-1, 2).T
    prints = _fingerprints([timed.shot for timed in line])
    return rows[:, correlate(prints, rows) >= SIMILAR]


def _blank_neighbours(line: Sequence[Timed]) -> Int[np.ndarray, "2 pairs"]:
    """Pairs of which one is black or white: the ends of an exposure bracket may be, and show no scene."""
    is_blank = [not BLACK < timed.shot.sketch.grey.mean() < WHITE for timed in line]
    pairs = [
        (at, at + 1)
        for at in range(len(line) - 1)
        if (is_blank[at] or is_blank[at + 1]) and gap(line[at], line[at + 1]) <= GAP
    ]
    return np.array(pairs, np.int64).reshape(-1, 2).T


def _fingerprints(shots: Sequence[Shot]) -> Fingerprints:
    return np.stack([fingerprint(shot.sketch.grey) for shot in shots])


def _members(items: Sequence[Item], groups: Int[np.ndarray, " items"]) -> list[list[Item]]:
    """Returns the members of each group of two or more, in their order."""
    members_of: dict[int, list[Item]] = {}
    for item, group in zip(items, groups.tolist(), strict=True):
        if group >= 0:
            members_of.setdefault(group, []).append(item)
    return [members for members in members_of.values() if len(members) > 1]
