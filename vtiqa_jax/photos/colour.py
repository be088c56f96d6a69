"""Colours in an ICC profile's space turned into sRGB by LittleCMS, which comes with Pillow."""

import functools
import io

import numpy as np
from PIL import Image, ImageCms

from vtiqa_jax.photos.resize import Rgb

SPACES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK", b"Lab ": "LAB"}
"""Pillow's modes, by the name in a profile's header."""
SAME = 4
"""Levels that a profile may change and still be sRGB: its makers round its curve and primaries differently."""
ROWS = 1024
"""Rows that are converted at a time, to hold no further copy of a large photo."""


def space(profile: bytes) -> str | None:
    """Returns the Pillow mode of the pixels that a profile is for."""
    return SPACES.get(profile[16:20])


def is_of_press(profile: bytes) -> bool:
    """Returns whether a profile converts CMYK."""
    return space(profile) == "CMYK" and _transform(profile) is not None


def to_srgb(pixels: Rgb, profile: bytes) -> Rgb:
    """Converts decoded pixels with the profile of their file.

    They come back as they are if the profile is damaged, for other pixels than grey and RGB, or sRGB's own.
    """
    mode = space(profile)
    transform = _transform(profile) if mode in ("RGB", "L") else None
    if transform is None or (mode == "L" and not _is_grey(pixels)):
        return pixels
    converted = np.empty_like(pixels)
    for top in range(0, len(pixels), ROWS):
        strip = pixels[top : top + ROWS]
        image = Image.fromarray(np.ascontiguousarray(strip if mode == "RGB" else strip[:, :, 0]))
        converted[top : top + ROWS] = np.asarray(ImageCms.applyTransform(image, transform))
    return converted


def _is_grey(pixels: Rgb) -> bool:
    return all(np.array_equal(pixels[:, :, 0], pixels[:, :, other]) for other in (1, 2))


def image_to_srgb(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Converts a Pillow image of the profile's own mode; None where the profile is of no use."""
    transform = _transform(profile) if space(profile) == image.mode else None
    return ImageCms.applyTransform(image, transform) if transform else None


@functools.lru_cache(1)
def lab_profile() -> bytes:
    """Returns the profile of Pillow's mode LAB."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


@functools.lru_cache(32)
def _transform(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """Makes the transform of a profile's space to sRGB; None for a damaged one, and for one that is sRGB itself."""
    mode = space(profile)
    if mode is None:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        return None if mode in ("RGB", "L") and _changes_nothing(transform, mode) else transform
    except (OSError, ImageCms.PyCMSError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Returns whether all greys, and colours from all of the space, stay as they are."""
    greys = np.arange(256, dtype=np.uint8)
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 3)
    probe = greys[None] if mode == "L" else np.concatenate([np.stack([greys] * 3, -1), colours])[None]
    converted = np.asarray(ImageCms.applyTransform(Image.fromarray(probe), transform)).astype(int)
    return int(np.abs(converted - (probe[..., None] if mode == "L" else probe)).max()) <= SAME
