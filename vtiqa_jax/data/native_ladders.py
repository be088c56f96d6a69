"""Photos made worse at their own pixels, step by step: what nobody has to score, since the order is known.

`distortions` makes photos of some 500 px worse as a whole screen shows it. Here sizes are pixels of a photo as the
camera made it: what one sees of it at 100 %.
"""

import dataclasses
import io
from collections.abc import Callable, Iterator
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from vtiqa_jax.data.camera_noise import Camera, add_camera_noise
from vtiqa_jax.data.light import round_values
from vtiqa_jax.photos.resize import Resized, resize_area

Photo = UInt8[np.ndarray, "height width 3"]
Cause = Literal["blur", "noise", "artefacts"]
"""Of `models.detail.CAUSES`."""
Kernel = Float32[np.ndarray, "rows columns"]


@dataclasses.dataclass(frozen=True)
class Ladder:
    """One way to make a photo worse: how, by how much, and what each step costs."""

    cause: Cause
    apply: Callable[[Photo, float, np.random.Generator], Photo]
    """`(photo, amount, rng)`: every step of a ladder is given the same draws."""
    amounts: tuple[float, ...]
    """Rising from what leaves the photo as it was, or as good as it gets this way."""
    octaves: tuple[float, ...]
    """Resolution lost at each step: enlarged by that many octaves, a sharp photo would be as bad.

    Of a blur this is optics; of the rest the enlargement that lowers the packaged model's score of good photos of
    512 px as much (experiments/ladder_octaves.py), and no less than shows at 100 %.
    """


def _in_light(photo: Photo, spread: Callable[[np.ndarray], np.ndarray]) -> Photo:
    """Spreads light, not sRGB's values: highlights grow as they do in a lens."""
    light = (np.arange(256, dtype=np.float32) / 255) ** np.float32(2.2)
    return round_values(255 * np.clip(spread(light[photo]), 0, 1) ** np.float32(1 / 2.2))


def gaussian_blur(photo: Photo, sigma: float, _: np.random.Generator) -> Photo:
    """Blurs by a Gaussian of `sigma` pixels."""
    return photo if sigma == 0 else cv2.GaussianBlur(photo, (0, 0), sigma)


def disc(radius: float) -> Kernel:
    """Returns what a lens makes of a point that is out of focus; its sum is 1."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return kernel / kernel.sum()


def defocus(photo: Photo, radius: float, _: np.random.Generator) -> Photo:
    """Spreads light over discs of `radius` pixels."""
    return photo if radius == 0 else _in_light(photo, lambda light: cv2.filter2D(light, -1, disc(radius)))


def path(length: float, rng: np.random.Generator) -> Kernel:
    """Returns what a shaken camera makes of a point: a curved path of `length` pixels; its sum is 1."""
    points = np.linspace(-0.5, 0.5, 8 * int(np.ceil(length)) + 1)
    angle, bend = rng.uniform(0, np.pi), rng.uniform(-0.4, 0.4)
    across = bend * (points**2 - np.mean(points**2)) * 4
    x = length * (points * np.cos(angle) - across * np.sin(angle))
    y = length * (points * np.sin(angle) + across * np.cos(angle))
    reach = int(np.ceil(max(np.abs(x).max(), np.abs(y).max()))) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    column, row = x + reach, y + reach
    left, top = np.floor(column).astype(int), np.floor(row).astype(int)
    for down in (0, 1):
        for right in (0, 1):
            share = np.abs(1 - down - (row - top)) * np.abs(1 - right - (column - left))
            np.add.at(kernel, (top + down, left + right), share)
    return kernel / kernel.sum()


def motion(photo: Photo, length: float, rng: np.random.Generator) -> Photo:
    """Smears light along a curved path of `length` pixels."""
    return photo if length == 0 else _in_light(photo, lambda light: cv2.filter2D(light, -1, path(length, rng)))


def camera_noise(photo: Photo, iso: float, rng: np.random.Generator) -> Photo:
    """Makes it as noisy as a camera's JPEG; the first step is developed and compressed, too, without noise."""
    quality = rng.uniform(70, 96)
    return coded(add_camera_noise(photo, iso, Camera.draw(rng), rng), "JPEG", quality)


def white_noise(photo: Photo, sigma: float, rng: np.random.Generator) -> Photo:
    """Adds noise of `sigma` grey levels, independent in every pixel and channel."""
    return (
        photo if sigma == 0 else round_values(photo + np.float32(sigma) * rng.standard_normal(photo.shape, np.float32))
    )


def grey_noise(photo: Photo, sigma: float, rng: np.random.Generator) -> Photo:
    """Adds noise of `sigma` grey levels, the same in all channels, its grains up to some pixels wide."""
    if sigma == 0:
        return photo
    grains = cv2.GaussianBlur(rng.standard_normal(photo.shape[:2], np.float32), (0, 0), rng.uniform(0.4, 1.8))
    return round_values(photo + np.float32(sigma) / grains.std() * grains[:, :, None])


def coded(photo: Photo, kind: str, quality: float) -> Photo:
    """Returns a photo as Pillow writes and reads it."""
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, kind, quality=round(quality), **({"speed": 9} if kind == "AVIF" else {}))
    return np.asarray(Image.open(buffer).convert("RGB"))


def jpeg(photo: Photo, loss: float, _: np.random.Generator) -> Photo:
    """Compresses by JPEG; `loss` is 100 less its quality."""
    return photo if loss == 0 else coded(photo, "JPEG", 100 - loss)


def webp(photo: Photo, loss: float, _: np.random.Generator) -> Photo:
    """Compresses by WebP; `loss` is 100 less its quality."""
    return photo if loss == 0 else coded(photo, "WEBP", 100 - loss)


def halos(photo: Photo, amount: float, rng: np.random.Generator) -> Photo:
    """Sharpens too much."""
    soft = cv2.GaussianBlur(photo, (0, 0), rng.uniform(1, 2.5)).astype(np.float32)
    return round_values(photo + np.float32(amount) * (photo - soft))


def smeared(photo: Photo, strength: float, rng: np.random.Generator) -> Photo:
    """Smears fine texture as a denoiser does that is set too strong; edges stay."""
    if strength == 0:
        return photo
    space = rng.uniform(1.5, 3)
    return cv2.bilateralFilter(photo, 0, strength, space)


def blur_octaves(sigma: float) -> float:
    """Returns what a blur of `sigma` pixels costs: enlarging a photo f times spreads its pixels by about f / 2."""
    return float(np.log2(1 + (2 * sigma) ** 2) / 2)


SIGMAS = (0.0, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)
RADII = (0.0, 1.2, 2.0, 3.5, 6.0)
LADDERS = {
    "gaussian": Ladder("blur", gaussian_blur, SIGMAS, tuple(map(blur_octaves, SIGMAS))),
    "defocus": Ladder("blur", defocus, RADII, tuple(blur_octaves(radius / 2) for radius in RADII)),
    "motion": Ladder("blur", motion, (0.0, 4.0, 7.0, 11.0, 17.0, 28.0), (0.0, 1.07, 1.61, 1.96, 2.18, 2.37)),
    "camera_noise": Ladder(
        "noise", camera_noise, (0.0, 400.0, 1000.0, 2500.0, 6000.0, 15000.0), (0.0, 0.96, 1.56, 2.21, 2.98, 3.1)
    ),
    "white_noise": Ladder("noise", white_noise, (0.0, 3.0, 6.0, 10.0, 16.0, 28.0), (0.0, 0.4, 1.05, 2.05, 2.8, 3.1)),
    "grey_noise": Ladder("noise", grey_noise, (0.0, 3.0, 6.0, 10.0, 16.0, 28.0), (0.0, 0.35, 0.65, 0.95, 1.35, 2.07)),
    "jpeg": Ladder("artefacts", jpeg, (0.0, 35.0, 55.0, 68.0, 80.0, 90.0), (0.0, 0.25, 0.74, 0.9, 1.7, 2.63)),
    "webp": Ladder("artefacts", webp, (0.0, 40.0, 65.0, 85.0, 97.0), (0.0, 0.3, 0.6, 1.0, 1.6)),
    "halos": Ladder("artefacts", halos, (0.0, 1.0, 2.0, 4.0, 8.0), (0.0, 0.5, 1.45, 2.61, 3.1)),
    "smeared": Ladder("artefacts", smeared, (0.0, 15.0, 30.0, 60.0), (0.0, 0.35, 0.7, 1.1)),
}
"""Those that show the same part of a photo at every step."""

FILTERS: dict[str, Callable[[Photo, tuple[int, int]], Resized]] = {
    "nearest": lambda photo, size: cv2.resize(photo, size, interpolation=cv2.INTER_NEAREST),
    "bilinear": lambda photo, size: cv2.resize(photo, size, interpolation=cv2.INTER_LINEAR),
    "cubic": lambda photo, size: cv2.resize(photo, size, interpolation=cv2.INTER_CUBIC),
    "bicubic": lambda photo, size: np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC)),
    "lanczos": lambda photo, size: np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS)),
    "hamming": lambda photo, size: np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.HAMMING)),
}
FACTORS = (1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)


def enlarge(photo: Photo, factor: float, filter_name: str) -> Resized:
    """Enlarges each side `factor` times."""
    height, width, _ = photo.shape
    return photo if factor == 1 else FILTERS[filter_name](photo, (round(width * factor), round(height * factor)))


def shrink(photo: Photo, factor: float, rng: np.random.Generator) -> Resized:
    """Shrinks each side `factor` times, by one of the filters that keep a photo sharp."""
    height, width, _ = photo.shape
    size = max(8, round(width / factor)), max(8, round(height / factor))
    name = str(rng.choice(["area", "bicubic", "lanczos", "hamming"]))
    return resize_area(photo, size[::-1]) if name == "area" else FILTERS[name](photo, size)


def climb(ladder: Ladder, photo: Photo, seed: int) -> Iterator[tuple[float, Photo]]:
    """Yields the octaves that each step costs, and the photo at it."""
    for amount, octaves in zip(ladder.amounts, ladder.octaves, strict=True):
        yield octaves, ladder.apply(photo, amount, np.random.default_rng(seed))
