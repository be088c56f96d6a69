"""Versions of good photos with planted faults, and innocent ones that must not be taken for faults."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from jaxtyping import Float32

from vtiqa_jax.data import native_ladders
from vtiqa_jax.data.planted_faults import PLANTED, Photo, plant
from vtiqa_jax.errors import ImageError
from vtiqa_jax.models.faults import FAULTS
from vtiqa_jax.photos.resize import Resized, resize_area

LARGEST_PART, SCREEN_PART = (896, 1200), (1500, 2000)
"""Height and width of the parts of larger photos, pixels; and of parts as large as what is looked at on a screen."""
HARDEST = ("enlarged", "luminance_noise", "colour_cast")
"""Faults that are told worst in large photos, which have some of them by themselves."""
STRONGEST, WEAKEST = 3.6, 0.4
"""Strengths that are planted."""
SHARES = (0.15, 0.6, 0.2, 0.05)
"""Of the versions with no fault, one, two and three."""
INNOCENT = 0.5
"""Share of the versions with an innocent change before any fault."""
SMALLEST = 300
"""Shorter side of a photo at least, pixels: a smaller one shows no faults of its own pixels."""
OPPOSITE = {("too_dark", "clipped_highlights"), ("defocus", "motion"), ("defocus", "enlarged"), ("motion", "enlarged")}
"""Faults of which only one is planted: the other would hide it."""


@dataclasses.dataclass(frozen=True)
class Faulty:
    """A version of a photo."""

    pixels: Photo
    strengths: Float32[np.ndarray, " faults"]
    """Of each of `FAULTS`; 0 where it was not planted."""


def _shallow_depth(photo: Photo, rng: np.random.Generator) -> Photo:
    """Blurs all but an ellipse: a subject in focus before a background that is not."""
    height, width, _ = photo.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    row, column = rng.uniform(0.25, 0.75, 2) * (height, width)
    down, across = rng.uniform(0.18, 0.4, 2) * (height, width)
    distance = np.hypot((y - row) / down, (x - column) / across)
    sigma = rng.uniform(1.5, 6) * max(1, min(height, width) / 800)
    share = np.clip((distance - 1) / rng.uniform(0.1, 0.6), 0, 1)[:, :, None].astype(np.float32)
    blurred = native_ladders.defocus(photo, 2 * sigma, rng)
    return np.rint(photo + share * (blurred.astype(np.float32) - photo)).astype(np.uint8)


def _monochrome(photo: Photo, _: np.random.Generator) -> Photo:
    return cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _vignette(photo: Photo, rng: np.random.Generator) -> Photo:
    height, width, _ = photo.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    return (photo * (1 - rng.uniform(0.1, 0.45) * (x**2 + y**2) / 2)[:, :, None]).astype(np.uint8)


def _retouched(photo: Photo, rng: np.random.Generator) -> Photo:
    """Changes brightness, contrast, colour and sharpness as a careful person does."""
    grey = photo.mean(2, keepdims=True, dtype=np.float32)
    vivid = grey + (photo - grey) * np.float32(rng.uniform(0.7, 1.35))
    curved = 128 + (vivid - 128) * rng.uniform(0.9, 1.2) + rng.uniform(-12, 12)
    warmed = curved * (1 + rng.uniform(-0.03, 0.03) * np.array([1, 0, -1]))
    sharp = np.rint(np.clip(warmed, 0, 255)).astype(np.uint8)
    return native_ladders.halos(sharp, float(rng.uniform(0, 0.5)), rng)


def _saved(photo: Photo, rng: np.random.Generator) -> Photo:
    return native_ladders.coded(photo, "JPEG", rng.uniform(84, 97))


INNOCENT_CHANGES: dict[str, tuple[float, Callable[[Photo, np.random.Generator], Photo]]] = {
    "shallow depth of field": (0.35, _shallow_depth),
    "monochrome": (0.1, _monochrome),
    "vignette": (0.1, _vignette),
    "retouched": (0.25, _retouched),
    "saved": (0.2, _saved),
}
"""How often each is drawn, and how it is done."""


def _draw_part(photo: Photo, largest: tuple[int, int], rng: np.random.Generator) -> Resized:
    """Returns a part of the photo, as it is or shrunk, that is at most as large as `largest`."""
    height, width, _ = photo.shape
    fit = min(1.0, max(largest[0] / height, largest[1] / width))
    if fit < 1 and rng.random() < 0.4:
        factor = rng.uniform(fit, 1) if rng.random() < 0.5 else fit
        photo = resize_area(photo, (round(height * factor), round(width * factor)))
    return _cut_part(photo, largest, rng)


def _cut_part(photo: Photo, largest: tuple[int, int], rng: np.random.Generator) -> Resized:
    height, width = (min(want, have) for want, have in zip(largest, photo.shape, strict=False))
    top, left = (
        int(rng.integers(0, have - want + 1)) for have, want in zip(photo.shape, (height, width), strict=False)
    )
    return np.ascontiguousarray(photo[top : top + height, left : left + width])


def draw_strengths(rng: np.random.Generator) -> dict[str, float]:
    """Draws which faults a version has, and how strong they are."""
    drawn: dict[str, float] = {}
    for fault in rng.permutation(list(PLANTED))[: rng.choice(len(SHARES), p=SHARES)]:
        if not any({fault, other} == set(pair) for other in drawn for pair in OPPOSITE):
            drawn[str(fault)] = float(rng.uniform(WEAKEST, STRONGEST))
    return drawn


def make_faulty(photo: Photo, count: int, seed: int, largest: tuple[int, int]) -> Iterator[Faulty]:
    """Makes versions of a photo, the first of them without any change.

    Args:
        photo: good.
        count: of versions.
        seed: draws all.
        largest: height and width of the parts of larger photos.

    Raises:
        ImageError: the photo is too small.
    """
    if min(photo.shape[:2]) < SMALLEST:
        raise ImageError(f"its shorter side has fewer than {SMALLEST} pixels")
    rng = np.random.default_rng(seed)
    names, (shares, changes) = list(INNOCENT_CHANGES), zip(*INNOCENT_CHANGES.values(), strict=True)
    for number in range(count):
        part = _draw_part(photo, largest, rng)
        drawn = draw_strengths(rng) if number else {}
        if number and rng.random() < INNOCENT:
            change = rng.choice(len(names), p=shares)
            if not (names[change] == "shallow depth of field" and drawn.keys() & {"motion", "defocus", "enlarged"}):
                part = changes[change](part, rng)
        yield _plant(part, drawn, rng)


def make_faulty_parts(photo: Photo, seed: int) -> Iterator[Faulty]:
    """Makes versions of a large photo in parts as large as what is looked at.

    The first is without any change, one each has one of `HARDEST`, and two are drawn as `make_faulty` draws them.

    Args:
        photo: may have faults of its own.
        seed: draws all.

    Raises:
        ImageError: the photo is too narrow.
    """
    drawn = itertools.islice(make_faulty(photo, 3, seed, SCREEN_PART), 1, None)
    rng = np.random.default_rng(seed + 1)
    for fault in (None, *HARDEST):
        part = _cut_part(photo, SCREEN_PART, rng)
        yield _plant(part, {fault: float(rng.uniform(WEAKEST, STRONGEST))} if fault else {}, rng)
    yield from drawn


def _plant(part: Photo, strengths: dict[str, float], rng: np.random.Generator) -> Faulty:
    return Faulty(plant(part, strengths, rng), np.array([strengths.get(fault, 0) for fault in FAULTS], np.float32))
