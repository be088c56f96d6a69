"""Copies: files of one exposure, such as a RAW and its JPEG, or a photo exported, edited or enlarged."""

import os
from collections.abc import Iterator, Sequence
from itertools import combinations, groupby
from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from vtiqa_jax.choosing.fingerprints import SIMILAR, connect, correlate, fingerprint, flatten_light
from vtiqa_jax.choosing.shots import Shot, Timed

SIDE = 24
"""Side of the pictures by which copies are searched for, in pixels."""
FINE_SIDE = 48
"""Side of the pictures by which copies are compared, in pixels."""
EDITED = 0.9
"""Correlation at SIDE from which two files of one moment are one exposure, also with other light and contrast."""
SAME = 0.98
"""Correlation at FINE_SIDE from which two files are one exposure where nothing says so."""
IDENTICAL = 0.5
"""Grey levels by which sketches of one size differ at most that are of one exposure where nothing says so: what a
second JPEG changes. Frames from a tripod differ by more, since light is never quite still."""
SAME_SHAPE = 0.03
"""Share by which the proportions of copies may differ."""
MOMENT = 0.02
"""Seconds by which fractions may differ: some programs keep two digits."""
PARTNERS = 4
"""Photos that one without a time is compared with closely: those most like it."""
BLOCK = 512
"""Photos that are looked for at a time: bounds the memory."""
LESS_REAL = 0.7
"""Share of the largest real side from which a copy shows as much: an enlarged one seems to show up to 1.39 times as
much as its original, one of half the size at most .79 times (docs/choosing.md)."""

Vectors = Float32[np.ndarray, "shots features"]


def find_copies(shots: Sequence[Shot], lines: Sequence[Sequence[Timed]], timeless: Sequence[Shot]) -> list[list[Shot]]:
    """Finds which files are of one exposure.

    Args:
        shots: all of them.
        lines: of each camera, those with a time in their order.
        timeless: the others.

    Returns:
        The files of each exposure, most of them alone, in the shots' order.
    """
    row = {shot.position: row for row, shot in enumerate(shots)}
    pairs = [(first, second) for line in lines for first, second in _copies_by_time(line)]
    pairs += _copies_by_look(shots, timeless)
    ends = np.array([[row[shot.position] for shot in pair] for pair in pairs], np.int64).reshape(-1, 2).T
    exposure = connect(np.arange(len(shots)), ends)
    groups: dict[int, list[Shot]] = {}
    for shot, number in zip(shots, exposure.tolist(), strict=True):
        groups.setdefault(number, []).append(shot)
    return list(groups.values())


def choose_copy(copies: Sequence[Shot]) -> Shot:
    """Chooses the best file of one exposure: the camera's own, or the one that shows most, and never an enlarged one.

    The camera's own are RAW files, and those of the size which EXIF says the camera made: exports are smaller. Of
    several the largest file was compressed least, and lost no colour. Where no file is the camera's, what one really
    shows is its longer side times the scale up to which it holds. Of files that show about as much, the one with the
    fewest pixels has invented none; of those of one size, the largest file again. Where that is not known, the size
    that the camera gave it counts. A link is not kept in place of its file.
    """
    candidates = (
        [shot for shot in copies if shot.capture.is_raw]
        or [shot for shot in copies if shot.capture.size is not None and max(shot.capture.size) == max(shot.size)]
        or [shot for shot in copies if _size_by_camera(shot) <= 1 + SAME_SHAPE]
        or copies
    )
    shown = [max(shot.size) * shot.holds for shot in candidates if shot.holds is not None]
    if len(shown) == len(candidates):
        full = [shot for shot, much in zip(candidates, shown, strict=True) if much >= LESS_REAL * max(shown)]
        return min(full, key=lambda shot: (max(shot.size), *_by_file(shot)))
    return min(candidates, key=lambda shot: (abs(_size_by_camera(shot) - 1), *_by_file(shot)))


def _size_by_camera(shot: Shot) -> float:
    """Returns the longer side as a share of the one that the camera gave it; 1 where that is not known."""
    return max(shot.size) / max(shot.capture.size or shot.size)


def _by_file(shot: Shot) -> tuple[Any, ...]:
    try:
        size = os.stat(shot.name).st_size
    except (OSError, ValueError):  # it is no file, but pixels
        size = 0
    return os.path.islink(shot.name), -size, -shot.rank, shot.natural_name


def _copies_by_time(line: Sequence[Timed]) -> Iterator[tuple[Shot, Shot]]:
    """Pairs of one camera and one moment that show the same."""
    for _, same in groupby(line, key=lambda timed: int(timed.time)):
        for first, second in combinations(same, 2):
            if is_one_exposure(first.shot, second.shot, abs(first.time - second.time)):
                yield first.shot, second.shot


def is_one_exposure(first: Shot, second: Shot, apart: float) -> bool:
    """Returns whether two files of a camera are of one exposure.

    Args:
        first: a shot.
        second: another one.
        apart: seconds between them, as their files say.
    """
    if not _have_same_shape(first, second):
        return False
    is_exact = first.capture.has_fraction and second.capture.has_fraction
    if is_exact and apart > MOMENT:
        return False
    if first.stem == second.stem and first.capture.is_raw != second.capture.is_raw:
        prints = np.stack([fingerprint(shot.sketch.grey) for shot in (first, second)])
        return bool(correlate(prints, np.array([[0], [1]]))[0] >= SIMILAR)
    if is_exact:
        return _correlate(first, second, SIDE) >= EDITED
    return _is_one_picture(first, second)


def _is_one_picture(first: Shot, second: Shot) -> bool:
    """Returns whether two files are of one exposure where their times do not say it."""
    is_of_one_size = first.size == second.size and first.sketch.grey.shape == second.sketch.grey.shape
    if is_of_one_size and (first.capture.time is None) == (second.capture.time is None):
        difference = np.int16(first.sketch.grey) - second.sketch.grey
        return float(np.abs(difference).mean()) <= IDENTICAL and float(first.sketch.grey.std()) > 1
    return _correlate(first, second, FINE_SIDE) >= SAME


def _have_same_shape(first: Shot, second: Shot) -> bool:
    (width, height), (other_width, other_height) = first.size, second.size
    return abs(width * other_height - other_width * height) <= SAME_SHAPE * width * other_height


def _correlate(first: Shot, second: Shot, side: int) -> float:
    return float(_vector(first, side) @ _vector(second, side))


def _vector(shot: Shot, side: int) -> Float32[np.ndarray, " features"]:
    flat = flatten_light(shot.sketch.grey, side).ravel()
    flat = flat - flat.mean()
    return flat / max(float(np.linalg.norm(flat)), 1e-6)


def _copies_by_look(shots: Sequence[Shot], timeless: Sequence[Shot]) -> list[tuple[Shot, Shot]]:
    """Pairs of which one has no time: each such photo and the one most like it that is the same picture."""
    if not timeless:
        return []
    vectors: Vectors = np.stack([_vector(shot, SIDE) for shot in shots])
    row = {shot.position: row for row, shot in enumerate(shots)}
    pairs = []
    for start in range(0, len(timeless), BLOCK):
        block = timeless[start : start + BLOCK]
        rows: Int[np.ndarray, " block"] = np.array([row[shot.position] for shot in block])
        alike = vectors[rows] @ vectors.T
        alike[np.arange(len(rows)), rows] = -1
        partners = np.argsort(-alike, axis=1)[:, :PARTNERS]
        for shot, near, others in zip(block, alike, partners, strict=True):
            for other in others:
                candidate = shots[other]
                if near[other] < EDITED:
                    break
                if _have_same_shape(shot, candidate) and _is_one_picture(shot, candidate):
                    pairs.append((shot, candidate))
                    break
    return pairs
