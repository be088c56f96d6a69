"""Near-identical shots of one scene: found whatever their exposure, colour cast, blur and a small shift.

How it was chosen and what it finds: docs/choosing.md.
"""

from collections.abc import Iterable

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vtiqa_jax.photos.resize import resize_area

SIDE = 20
"""Side of a fingerprint, pixels."""
SHIFT = 2
"""Pixels of a fingerprint by which two shots may be shifted: a tenth of the photo's side."""
SIGMA = 1.5
"""Of the neighbourhood whose brightness and contrast are divided out, pixels of a fingerprint."""
SIMILAR = 0.6
"""Correlation from which two photos are shots of one scene."""
BLOCK = 256
"""Photos compared with all others at a time: bounds the memory."""
PAIRS = 1 << 14
"""Pairs compared at a time, likewise."""

Fingerprint = Float32[np.ndarray, "side side"]
Fingerprints = Float32[np.ndarray, "photos side side"]
Pairs = Int[np.ndarray, "2 pairs"]


def flatten_light(grey: UInt8[np.ndarray, "rows columns"], side: int) -> Float32[np.ndarray, "side side"]:
    """Shrinks a grey picture to a square and makes its brightness and contrast the same everywhere."""
    small = resize_area(grey, (side, side)).astype(np.float32)
    details = small - cv2.GaussianBlur(small, (0, 0), SIGMA)
    contrast = np.sqrt(cv2.GaussianBlur(details * details, (0, 0), SIGMA))
    return details / (contrast + 1)  # 1 of 255 levels: noise in a flat area stays small


def fingerprint(grey: UInt8[np.ndarray, "rows columns"]) -> Fingerprint:
    """Makes the fingerprint of a photo's small grey picture, see `photos.sketch`."""
    return flatten_light(grey, SIDE)


def _windows(fingerprints: Fingerprints, top: int, left: int) -> Float32[np.ndarray, "photos features"]:
    """Returns the window that starts at (top, left) of each fingerprint, as vectors of length 1.

    Less the means of its rows and columns: otherwise a horizon alone makes all landscapes alike.
    """
    side = SIDE - 2 * SHIFT
    window = fingerprints[:, top : top + side, left : left + side]
    window = window - window.mean(1, keepdims=True) - window.mean(2, keepdims=True) + window.mean((1, 2), keepdims=True)
    vectors = window.reshape(len(window), side * side)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-6))


def _all_windows(fingerprints: Fingerprints) -> Iterable[Float32[np.ndarray, "photos features"]]:
    places = range(2 * SHIFT + 1)
    return (_windows(fingerprints, top, left) for top in places for left in places)


def correlate(fingerprints: Fingerprints, pairs: Pairs) -> Float32[np.ndarray, " pairs"]:
    """Correlates pairs of photos, each at its best shift."""
    middle = _windows(fingerprints, SHIFT, SHIFT)
    best = np.full(pairs.shape[1], -1, np.float32)
    for others in _all_windows(fingerprints):
        for start in range(0, len(best), PAIRS):
            first, second = pairs[:, start : start + PAIRS]
            correlations = np.einsum("pf,pf->p", middle[first], others[second])
            np.maximum(best[start : start + PAIRS], correlations, out=best[start : start + PAIRS])
    return best


def group_similar(fingerprints: Fingerprints, similar: float = SIMILAR) -> Int[np.ndarray, " photos"]:
    """Groups the shots of one scene: those connected by pairs that correlate, at their best shift, by `similar`.

    Args:
        fingerprints: of all photos.
        similar: correlation from which two photos belong together.

    Returns:
        The number of each photo's group, from 0 in the photos' order; -1 for a photo like no other.
    """
    count = len(fingerprints)
    group = np.arange(count)
    middle = _windows(fingerprints, SHIFT, SHIFT)
    shifted = list(_all_windows(fingerprints))
    for start in range(0, count, BLOCK):
        block = middle[start : start + BLOCK]
        alike: Bool[np.ndarray, "block others"] = np.zeros((len(block), count - start), bool)
        for others in shifted:
            alike |= block @ others[start:].T >= similar
        group = connect(group, np.array(np.nonzero(alike)) + start)
    return number_groups(group)


def connect(group: Int[np.ndarray, " photos"], pairs: Pairs) -> Int[np.ndarray, " photos"]:
    """Merges the groups that pairs of photos connect."""
    ends = group[pairs]
    graph = coo_array((np.ones(ends.shape[1], bool), (ends[0], ends[1])), shape=(len(group), len(group)))
    return connected_components(graph, directed=False)[1][group].astype(group.dtype)


def number_groups(group: Int[np.ndarray, " photos"]) -> Int[np.ndarray, " photos"]:
    """Numbers groups of several photos from 0, in the photos' order; -1 for a photo that is alone."""
    _, first, members, sizes = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
    several = sizes > 1
    order = np.argsort(np.where(several, first, len(group)), kind="stable")
    numbers = np.full(len(sizes), -1)
    numbers[order[: several.sum()]] = np.arange(several.sum())
    return numbers[members]
