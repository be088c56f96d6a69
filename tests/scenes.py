"""Photos of stacks, made up from a few real ones: what a photographer's card may hold."""

import functools
from typing import Any

import cv2
import numpy as np

from vtiqa_jax.data import demo
from vtiqa_jax.photos.capture import Capture
from vtiqa_jax.photos.resize import Rgb
from vtiqa_jax.photos.sketch import make_sketch
from vtiqa_jax.results.results import ScoreResult

START = 1.7e9
"""Seconds since 1970."""
CAMERA = Capture(
    time=START, has_fraction=True, make="Maker", model="Camera", serial="1", exposure_bias=0.0, exposure_time=1 / 125,
    f_number=8.0, iso=100.0, focal_length=35.0,
)  # fmt: skip


@functools.cache
def scene(name: str) -> Rgb:
    """A photograph of the demonstration, 640 pixels wide."""
    pixels = demo.originals()[name]
    return cv2.resize(pixels, (640, 640 * pixels.shape[0] // pixels.shape[1]), interpolation=cv2.INTER_AREA)


def taken(pixels: Rgb, seconds: float | None = 0.0, name: str = "a.jpg", rank: float = 3.0, **said: Any) -> ScoreResult:
    """The result of a photo that was taken so many seconds after the first; others of its fields may be given, too."""
    of_result = {field: said.pop(field) for field in ("width", "height", "holds", "detail") if field in said}
    time = None if seconds is None else START + seconds
    said = {"time": time, "has_fraction": time is not None} | said
    capture = Capture(**vars(CAMERA) | said)
    size = {"height": pixels.shape[0], "width": pixels.shape[1]}
    return ScoreResult(name, rank, capture=capture, sketch=make_sketch(pixels).pack(), **size | of_result)


def exposed(pixels: Rgb, stops: float) -> Rgb:
    """As a camera exposes it so many stops longer."""
    linear = (pixels / 255.0) ** 2.2
    return np.uint8(np.rint(255 * np.clip(linear * 2**stops, 0, 1) ** (1 / 2.2)))


def shaken(pixels: Rgb, seed: int, most: int = 10) -> Rgb:
    """As from the hand: a little elsewhere, a little turned, a little noise, and perhaps blurred."""
    rng = np.random.default_rng(seed)
    height, width = pixels.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-1, 1), 1.05)
    turn[:, 2] += rng.uniform(-most, most, 2)
    moved = cv2.warpAffine(pixels, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
    blurred = cv2.GaussianBlur(moved, (0, 0), rng.uniform(0.3, 2.5))
    return np.uint8(np.clip(blurred + rng.normal(0, 4, blurred.shape), 0, 255))


def focused(pixels: Rgb, shots: int) -> list[Rgb]:
    """A focus stack: the picture's left is near and its right is far, and each shot is sharp in a band."""
    width = pixels.shape[1]
    levels = [cv2.GaussianBlur(pixels, (0, 0), sigma) if sigma else pixels for sigma in (0, 1.5, 3.0, 4.5, 6.0)]
    depth = np.linspace(0, 1, width)
    found = []
    for shot in range(shots):
        blur = np.clip(np.abs(depth - (shot + 0.5) / shots) * 8, 0, len(levels) - 1)
        low = np.minimum(blur.astype(int), len(levels) - 2)
        mixed = np.empty_like(pixels)
        for column in range(width):
            share = blur[column] - low[column]
            one, other = levels[low[column]][:, column], levels[low[column] + 1][:, column]
            mixed[:, column] = np.rint((1 - share) * one + share * other)
        found.append(mixed)
    return found


def panned(pixels: Rgb, shots: int, overlap: float, *, down: bool = False) -> list[Rgb]:
    """Pictures of a panorama, side by side or one below the other, each a little tilted and brighter or darker."""
    whole = np.rot90(pixels) if down else pixels
    width = int(whole.shape[1] / (1 + (shots - 1) * (1 - overlap)))
    found = []
    for shot in range(shots):
        left = round(shot * (1 - overlap) * width)
        part = np.ascontiguousarray(whole[:, left : left + width])
        part = shaken(part, shot, most=3)
        found.append(np.ascontiguousarray(np.rot90(part, -1)) if down else part)
    return found
