"""Faults planted in good photos at known strengths: what the head that names reasons learns from.

Amounts are those that one sees at 100 %: pixels of blur, grey levels of noise. A strength of 1 is slight, 2 plain and 3
severe; between them amounts grow by equal factors.
"""

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float32

from vtiqa_jax.data import native_ladders
from vtiqa_jax.data.camera_noise import Camera, add_camera_noise
from vtiqa_jax.data.light import from_light, round_values, to_light
from vtiqa_jax.data.native_ladders import FILTERS, Photo

AMOUNTS: dict[str, tuple[float, float, float]] = {
    "defocus": (1.0, 2.0, 4.0),
    "motion": (7.0, 15.0, 31.0),
    "luminance_noise": (4.0, 8.0, 20.0),
    "chroma_noise": (4.0, 8.0, 20.0),
    "compression": (60.0, 80.0, 90.0),
    "enlarged": (1.5, 2.0, 4.0),
    "too_dark": (1.0, 1.5, 3.0),
    "clipped_highlights": (1.0, 1.5, 3.0),
    "low_contrast": (0.25, 0.45, 0.65),
    "colour_cast": (0.1, 0.2, 0.4),
}
"""Of a slight, a plain and a severe fault: the blur's sigma and the path's length in pixels, noise in grey levels, 100
less JPEG's quality, times enlarged, stops, the share of the veil, and the change of a channel's gain."""
NOISIEST = 12800.0
"""ISO at which noise is drawn; it is scaled to its amount then."""


def amount_of(fault: str, strength: float) -> float:
    """Returns the amount of a fault at a strength from 0 on; beyond 3 it grows on."""
    slight, plain, severe = AMOUNTS[fault]
    if strength <= 2:
        return slight * (plain / slight) ** (strength - 1)
    return plain * (severe / plain) ** (strength - 2)


def defocus(photo: Photo, sigma: float, rng: np.random.Generator) -> Photo:
    """Blurs by a disc or a Gaussian as wide as one of `sigma` pixels."""
    blur, width = [(native_ladders.gaussian_blur, 1.0), (native_ladders.defocus, 2.0)][rng.integers(2)]
    return blur(photo, sigma * width, rng)


def _sensor_noise(photo: Photo, rng: np.random.Generator) -> tuple[Photo, Float32[np.ndarray, "height width 3"]]:
    """Returns the photo as a camera develops it without noise, and the noise that it would have in the dark."""
    camera, seed = Camera.draw(rng), int(rng.integers(1 << 32))
    clean, noisy = (
        add_camera_noise(photo, iso, camera, np.random.default_rng(seed))
        for iso in (0.0, rng.uniform(0.1, 1) * NOISIEST)
    )
    return clean, noisy.astype(np.float32) - clean


def luminance_noise(photo: Photo, sigma: float, rng: np.random.Generator) -> Photo:
    """Adds the brightness of a sensor's noise, `sigma` grey levels."""
    clean, noise = _sensor_noise(photo, rng)
    grey = noise.mean(2, keepdims=True)
    return round_values(clean + grey * np.float32(sigma / max(float(grey.std()), 0.1)))


def chroma_noise(photo: Photo, sigma: float, rng: np.random.Generator) -> Photo:
    """Adds the colour of a sensor's noise, `sigma` grey levels, in grains or in blotches."""
    clean, noise = _sensor_noise(photo, rng)
    colour = noise - noise.mean(2, keepdims=True)
    if rng.random() < 0.6:
        colour = cv2.GaussianBlur(colour, (0, 0), rng.uniform(0.6, 3.0))
    return round_values(clean + colour * np.float32(sigma / max(float(colour.std()), 0.1)))


def compression(photo: Photo, loss: float, rng: np.random.Generator) -> Photo:
    """Compresses by JPEG, or by WebP to what looks as bad."""
    if rng.random() < 0.75:
        return native_ladders.jpeg(photo, min(loss, 98.0), rng)
    return native_ladders.webp(photo, min(loss + 8.0, 100.0), rng)


def enlarged(photo: Photo, factor: float, rng: np.random.Generator) -> Photo:
    """Shrinks a photo and enlarges it again; half of them are sharpened after it."""
    height, width, _ = photo.shape
    small = native_ladders.shrink(photo, factor, rng)
    large = FILTERS[str(rng.choice(list(FILTERS)))](small, (width, height))
    return native_ladders.halos(large, float(rng.uniform(0.3, 1.5)), rng) if rng.random() < 0.4 else large


def too_dark(photo: Photo, stops: float, _: np.random.Generator) -> Photo:
    """Takes light away, as a shorter exposure does."""
    return from_light(to_light(photo) * np.float32(2.0**-stops))


def clipped_highlights(photo: Photo, stops: float, _: np.random.Generator) -> Photo:
    """Adds light, as a longer exposure does: what is too bright is white."""
    return from_light(to_light(photo) * np.float32(2.0**stops))


def low_contrast(photo: Photo, veil: float, rng: np.random.Generator) -> Photo:
    """Lays a grey veil over the photo, or draws its values together."""
    veil = min(veil, 0.9)
    if rng.random() < 0.5:
        air = rng.uniform(150, 235) + rng.normal(0, 4, 3)
        return round_values((1 - veil) * photo.astype(np.float32) + np.float32(veil) * air.astype(np.float32))
    middle = np.float32(photo.mean())
    return round_values(middle + (photo - middle) * np.float32(1 - veil))


def colour_cast(photo: Photo, change: float, rng: np.random.Generator) -> Photo:
    """Multiplies the channels as a wrong white balance does; the brightness stays."""
    warm, green = np.array([1, 0, -1]), np.array([-0.6, 1, -0.6])
    tint = [warm, -warm, green, -green][rng.choice(4, p=[0.35, 0.3, 0.2, 0.15])]
    gains = (1 + min(change, 0.8) * tint).astype(np.float32)
    light = (photo / np.float32(255)) * gains
    brightness = photo.mean() / max(255 * float(light.mean()), 1)
    return round_values(255 * light * np.float32(brightness))


PLANTED: dict[str, Callable[[Photo, float, np.random.Generator], Photo]] = {
    "defocus": defocus,
    "motion": native_ladders.motion,
    "luminance_noise": luminance_noise,
    "chroma_noise": chroma_noise,
    "compression": compression,
    "enlarged": enlarged,
    "too_dark": too_dark,
    "clipped_highlights": clipped_highlights,
    "low_contrast": low_contrast,
    "colour_cast": colour_cast,
}
"""`(photo, amount, rng)`, in the order in which a camera and a program would plant several: `plant` sorts them."""
ORDER = (
    "defocus", "motion", "too_dark", "clipped_highlights", "low_contrast", "luminance_noise", "chroma_noise",
    "colour_cast", "enlarged", "compression",
)  # fmt: skip


def plant(photo: Photo, strengths: dict[str, float], rng: np.random.Generator) -> Photo:
    """Plants faults: lens and light first, then the sensor, then the program that saves the photo.

    Args:
        photo: good.
        strengths: by the names of `AMOUNTS`, above 0.
        rng: draws how.
    """
    for fault in sorted(strengths, key=ORDER.index):
        photo = PLANTED[fault](photo, amount_of(fault, strengths[fault]), rng)
    return photo
