"""Versions of a photo of which is known how much worse they are: what the detail head learns from.

Nobody scored them. Of a photo as a camera made it only the differences between its versions are known; shrunk to a
third it is sharp to the pixel, and then it is known how much is lost, too.
"""

import dataclasses
import itertools
from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Float32

from vtiqa_jax.data.light import round_values
from vtiqa_jax.data.native_ladders import FACTORS, FILTERS, LADDERS, Cause, Photo, climb, enlarge, shrink
from vtiqa_jax.photos.resize import Resized, resize_area

NATIVE_PART, SHRUNK_PART = (1152, 1536), (864, 1152)
"""Height and width of the parts of a photo that are made worse, pixels: as it is, and shrunk."""
ENLARGED_PARTS = {(576, 768): FACTORS[:6], (288, 384): (1.0, 2.0, 4.0, 6.0, 8.0)}
"""Height and width of the parts that are enlarged, and how often."""
SHRUNK = 2.0, 4.0
"""How often a photo is shrunk at least and at most to be sharp to the pixel."""
SMALLEST = 1100
"""Longer side of a shrunk photo at least, pixels."""
NARROWEST = 64
"""Shorter side of a photo at least, pixels, however it was shrunk: a part of fewer shows nothing."""
ALWAYS = "camera_noise"
"""The ladder that every photo shows: a sensor's noise is the hardest to tell from texture."""
NATIVE_LADDERS, SHRUNK_LADDERS = 6, 3
"""Ladders that are drawn for each photo."""
IMPERFECT_PART, IMPERFECT_ENLARGED_PART = (576, 768), (384, 512)
"""Height and width of the parts of photos that are bad to begin with, pixels."""
IMPERFECT_FACTORS = 1.0, 1.5, 2.0, 3.0, 4.0
IMPERFECT_LADDERS, IMPERFECT_ENLARGEMENTS = 2, 3
"""How many of them are drawn for each photo."""
LATEST_STEP = 3
"""Of the ladder that makes a photo bad to begin with."""
NOISY_PART = 512, 640
"""Height and width of the parts that show nothing but noise, and blur beneath it, pixels."""
NOISY_LADDERS = 2
"""Of each of both: a sensor's noise is the hardest to tell from texture, and each camera's looks otherwise."""
BENEATH = "gaussian", "defocus", "motion"
"""Ladders of what blurs a photo before its noise is made, as lenses and hands do."""
LEAST_ISO, MOST_ISO = 100.0, 3200.0
"""Of the noise over them: grain that is fine enough to pass for texture."""
PARTLY = "gaussian", "defocus"
"""Ladders of what blurs a part of a photo, as a lens does that is focused on the rest."""
LEAST_PARTLY = 2
"""Their first step that is taken: softer than what cameras leave."""
PARTLY_LADDERS = 3
"""Of each photo, as it is and shrunk."""
REACH = 0.07, 0.45
"""Half the height and width of the ellipse between both parts, as shares of the photo's: small ones are as frequent as
large ones, since a subject that fills one place in ten is judged by few of them."""
EDGE = 6.0
"""Pixels over which one part becomes the other."""
DRAWS = 6
"""Parts that are drawn, of which the one with the most in it is taken."""


@dataclasses.dataclass(frozen=True)
class Version:
    """A photo made worse."""

    pixels: Photo
    ladder: str
    """Versions of one ladder show the same; the first of them is the best."""
    cause: Cause
    """Of what makes it worse."""
    octaves: float
    """What this step costs, see `Ladder.octaves`."""
    beneath: float = 0.0
    """Octaves that it was blurred by before the ladder's own cause made it worse."""
    where: Float32[np.ndarray, "height width"] | None = None
    """Where it was: 0 nowhere, 1 fully. None: all over."""
    seen_as: Photo | None = None
    """The photo at whose places it is looked at, if not at its own: then places of a ladder can be compared."""
    factor: float = 1.0
    """How often it was enlarged."""
    is_sharp: bool = False
    """Whether the best version of the ladder has lost nothing."""


def _draw_part(photo: Photo, size: tuple[int, int], rng: np.random.Generator) -> Resized:
    """Returns a part of the photo that shows something."""
    height, width = (min(want, have) for want, have in zip(size, photo.shape, strict=False))
    parts = []
    for _ in range(DRAWS):
        top, left = (rng.integers(0, have - want + 1) for have, want in zip(photo.shape, (height, width), strict=False))
        part = photo[top : top + height, left : left + width]
        parts.append((np.abs(np.diff(resize_area(part, (64, 64)).astype(np.int16), axis=1)).mean(), part))
    return np.ascontiguousarray(max(parts, key=lambda found: found[0])[1])


def _ladders(part: Photo, where: str, count: int, rng: np.random.Generator) -> Iterator[Version]:
    others = rng.permutation([name for name in LADDERS if name != ALWAYS])
    for name in (ALWAYS, *others[: count - 1]):
        for octaves, pixels in climb(LADDERS[name], part, int(rng.integers(1 << 32))):
            yield Version(pixels, f"{where} {name}", LADDERS[name].cause, octaves, is_sharp=where == "shrunk")


def _enlargements(photo: Photo, where: str, rng: np.random.Generator) -> Iterator[Version]:
    for (height, width), factors in ENLARGED_PARTS.items():
        part, name = _draw_part(photo, (height, width), rng), rng.choice(list(FILTERS))
        for factor in factors:
            yield Version(
                enlarge(part, factor, name),
                f"{where} enlarged {width}",
                "blur",
                0.0,
                factor=factor,
                is_sharp=where == "shrunk",
            )


def _shrunk_and_enlarged(part: Photo, rng: np.random.Generator) -> Iterator[Version]:
    height, width, _ = part.shape
    yield Version(part, "shrunk and enlarged", "blur", 0.0, is_sharp=True)
    for factor in FACTORS[2:]:
        name = rng.choice([name for name in FILTERS if name != "nearest"])
        pixels = FILTERS[name](shrink(part, factor, rng), (width, height))
        yield Version(pixels, "shrunk and enlarged", "blur", 0.0, factor=factor, is_sharp=True)


def _spoil(part: Photo, name: str, rng: np.random.Generator) -> Photo:
    """Climbs to one of the first steps of a ladder."""
    step = int(rng.integers(1, LATEST_STEP + 1))
    _, pixels = next(itertools.islice(climb(LADDERS[name], part, int(rng.integers(1 << 32))), step, None))
    return pixels


def _imperfect(photo: Photo, where: str, rng: np.random.Generator) -> Iterator[Version]:
    """Makes worse what was bad to begin with: many a photo is soft, noisy or compressed as its camera made it."""
    for number in range(IMPERFECT_LADDERS):
        first, second = rng.permutation(list(LADDERS))[:2]
        if second == "smeared":  # noise that is smeared may be the better photo
            first, second = second, first
        part = _spoil(_draw_part(photo, IMPERFECT_PART, rng), first, rng)
        for octaves, pixels in climb(LADDERS[second], part, int(rng.integers(1 << 32))):
            yield Version(pixels, f"{where} {number} {first} {second}", LADDERS[second].cause, octaves)
    for number in range(IMPERFECT_ENLARGEMENTS):
        first, name = rng.choice(list(LADDERS)), rng.choice(list(FILTERS))
        part = _spoil(_draw_part(photo, IMPERFECT_ENLARGED_PART, rng), first, rng)
        for factor in IMPERFECT_FACTORS:
            yield Version(enlarge(part, factor, name), f"{where} {number} {first} enlarged", "blur", 0.0, factor=factor)


def _noisy(photo: Photo, where: str, rng: np.random.Generator) -> Iterator[Version]:
    """Shows what cameras' noise is like, and that grain over a blurred photo is no texture."""
    noise, is_sharp = LADDERS[ALWAYS], where == "shrunk"
    for number in range(NOISY_LADDERS):
        part, seed = _draw_part(photo, NOISY_PART, rng), int(rng.integers(1 << 32))
        for octaves, pixels in climb(noise, part, seed):
            yield Version(pixels, f"{where} {number} noisy", noise.cause, octaves, is_sharp=is_sharp)
    for number in range(NOISY_LADDERS):
        part, seed = _draw_part(photo, NOISY_PART, rng), int(rng.integers(1 << 32))
        blur = LADDERS[str(rng.choice(BENEATH))]
        iso = float(np.exp(rng.uniform(np.log(LEAST_ISO), np.log(MOST_ISO))))
        octaves, ladder = float(np.interp(iso, noise.amounts, noise.octaves)), f"{where} {number} soft and noisy"
        pixels = noise.apply(part, 0.0, np.random.default_rng(seed))
        yield Version(pixels, ladder, noise.cause, 0.0, is_sharp=is_sharp)
        for beneath, soft in climb(blur, part, seed):
            pixels = noise.apply(soft, iso, np.random.default_rng(seed))
            yield Version(pixels, ladder, noise.cause, octaves, beneath, is_sharp=is_sharp)


def _ellipse(height: int, width: int, rng: np.random.Generator) -> Float32[np.ndarray, "height width"]:
    """Draws where a photo's subject may be: 1 inside, 0 outside, with a soft edge."""
    middle, reach = rng.uniform(0.25, 0.75, 2), np.exp(rng.uniform(np.log(REACH[0]), np.log(REACH[1]), 2))
    rows, columns = (np.arange(side, dtype=np.float32) / side for side in (height, width))
    away = ((rows[:, None] - middle[0]) / reach[0]) ** 2 + ((columns - middle[1]) / reach[1]) ** 2
    return cv2.GaussianBlur((away < 1).astype(np.float32), (0, 0), EDGE)


def _partly_blurred(photo: Photo, size: tuple[int, int], where: str, rng: np.random.Generator) -> Iterator[Version]:
    """Blurs what lies inside an ellipse, what lies around it, and both: a place must be judged by itself."""
    for number in range(PARTLY_LADDERS):
        part = _draw_part(photo, size, rng)
        ladder, (height, width, _) = LADDERS[str(rng.choice(PARTLY))], part.shape
        step, inside = int(rng.integers(LEAST_PARTLY, len(ladder.amounts))), _ellipse(height, width, rng)
        soft, octaves = ladder.apply(part, ladder.amounts[step], rng), ladder.octaves[step]
        name, is_sharp = f"{where} {number} partly blurred", where == "shrunk"
        yield Version(part, name, ladder.cause, 0.0, is_sharp=is_sharp)
        for share in (inside, 1 - inside):
            mixed = round_values(part + share[:, :, None] * (soft.astype(np.float32) - part))
            yield Version(mixed, name, ladder.cause, 0.0, octaves, share, part, is_sharp=is_sharp)
        yield Version(soft, name, ladder.cause, 0.0, octaves, seen_as=part, is_sharp=is_sharp)


def make_versions(photo: Photo, *, is_native: bool, seed: int) -> Iterator[Version]:
    """Makes the versions of a photo.

    Args:
        photo: clean, of any size.
        is_native: whether it has the pixels that a camera gave it; others may have been shrunk and sharpened.
        seed: draws parts, ladders and filters.
    """
    rng, others, noisy, partly = (np.random.default_rng(draws) for draws in (seed, (seed, 1), (seed, 2), (seed, 3)))
    is_native = is_native and min(photo.shape[:2]) >= NARROWEST
    clean = [(photo, "native")] if is_native else []
    if is_native:
        yield from _ladders(_draw_part(photo, NATIVE_PART, rng), "native", NATIVE_LADDERS, rng)
        yield from _enlargements(photo, "native", rng)
    largest = min(SHRUNK[1], max(photo.shape) / SMALLEST, min(photo.shape[:2]) / NARROWEST)
    if largest >= SHRUNK[0]:
        shrunk = shrink(photo, float(rng.uniform(SHRUNK[0], largest)), rng)
        clean.append((shrunk, "shrunk"))
        part = _draw_part(shrunk, SHRUNK_PART, rng)
        yield from _ladders(part, "shrunk", SHRUNK_LADDERS, rng)
        yield from _shrunk_and_enlarged(part, rng)
        yield from _enlargements(shrunk, "shrunk", rng)
        if not is_native:
            yield from _imperfect(shrunk, "shrunk and imperfect", others)
    if is_native:
        yield from _imperfect(photo, "native and imperfect", others)
    for pixels, where in clean:
        yield from _noisy(pixels, where, noisy)
    for pixels, where in clean:
        yield from _partly_blurred(pixels, NATIVE_PART if where == "native" else SHRUNK_PART, where, partly)
