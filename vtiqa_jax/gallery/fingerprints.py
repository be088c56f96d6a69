"""Near-identical shots of one scene: found whatever their exposure, colour cast, blur and a small shift.

How it was chosen and what it finds: docs/report.md.
"""

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
BLOCK = 1024
"""Photos compared with all others at a time: bounds the memory."""

Fingerprint = Float32[np.ndarray, "side side"]
Fingerprints = Float32[np.ndarray, "photos side side"]


def fingerprint(pixels: UInt8[np.ndarray, "height width 3"]) -> Fingerprint:
    """A photo or its thumbnail, shrunk and grey, its brightness and contrast made the same everywhere."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = resize_area(grey, (SIDE, SIDE)).astype(np.float32)
    details = small - cv2.GaussianBlur(small, (0, 0), SIGMA)
    contrast = np.sqrt(cv2.GaussianBlur(details * details, (0, 0), SIGMA))
    return details / (contrast + 1)  # 1 of 255 levels: noise in a flat area stays small


def _windows(fingerprints: Fingerprints, top: int, left: int) -> Float32[np.ndarray, "photos features"]:
    """The window that starts at (top, left) of each fingerprint, as vectors of length 1.

    Less the means of its rows and columns: otherwise a horizon alone makes all landscapes alike.
    """
    side = SIDE - 2 * SHIFT
    window = fingerprints[:, top : top + side, left : left + side]
    window = window - window.mean(1, keepdims=True) - window.mean(2, keepdims=True) + window.mean((1, 2), keepdims=True)
    vectors = window.reshape(len(window), side * side)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-6))


def group_similar(fingerprints: Fingerprints, similar: float = SIMILAR) -> Int[np.ndarray, " photos"]:
    """Groups the shots of one scene: those connected by pairs that correlate, at their best shift, by `similar`.

    Args:
        fingerprints: of all photos.
        similar: correlation from which two photos belong together.

    Returns:
        The number of each photo's group, from 0 in the photos' order; -1 for a photo like no other.
    """
    count = len(fingerprints)
    if not count:
        return np.empty(0, np.int64)
    middle = _windows(fingerprints, SHIFT, SHIFT)
    shifted = [_windows(fingerprints, top, left) for top in range(2 * SHIFT + 1) for left in range(2 * SHIFT + 1)]
    pairs: list[Int[np.ndarray, "2 pairs"]] = []
    for start in range(0, count, BLOCK):
        block = middle[start : start + BLOCK]
        alike: Bool[np.ndarray, "block others"] = np.zeros((len(block), count - start), bool)
        for others in shifted:
            alike |= block @ others[start:].T >= similar
        pairs.append(np.array(np.nonzero(alike)) + start)
    rows, columns = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(count, count))
    _, group = connected_components(graph, directed=False)
    several = np.bincount(group)[group] > 1
    numbers = np.full(count, -1)
    numbers[several] = np.unique(group[several], return_inverse=True)[1]
    return numbers
