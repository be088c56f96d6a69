"""Baselines without a model: how well a file's size, pixels, sharpness or source alone agree with people."""

import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from vtiqa_jax.cpus import available_cpus
from vtiqa_jax.errors import ImageError
from vtiqa_jax.photos import decode

MEASURED = ("bytes", "pixels", "sharpness")
"""The fields of `Measures`."""
BASELINES = ("subset", *MEASURED)
"""All baselines, in the order of tables."""


@dataclasses.dataclass(frozen=True)
class Measures:
    """What is measured of a photo; NaN where it cannot be read."""

    bytes: float = np.nan
    """Size of its file."""
    pixels: float = np.nan
    sharpness: float = np.nan
    """The variance of its Laplacian, the common measure of blur (J. L. Pech-Pacheco et al., ICPR 2000)."""


def measure(photo: Path) -> Measures:
    """Measures a photo."""
    try:
        pixels, size = decode.read(photo).pixels, photo.stat().st_size
    except (ImageError, OSError):
        return Measures()
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return Measures(float(size), float(grey.size), float(cv2.Laplacian(grey, cv2.CV_32F).var()))


def measure_all(photos: Sequence[Path]) -> Iterator[Measures]:
    """Measures photos on all CPUs, in their order."""
    with ThreadPoolExecutor(available_cpus()) as pool:
        yield from pool.map(measure, photos)


def subset_means(groups: Sequence[str], mos: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Returns the mean of each photo's subset: all that whoever knows the subset alone can say."""
    labels = np.asarray(groups)
    means = {group: mos[labels == group].mean() for group in np.unique(labels)}
    return np.array([means[group] for group in labels], np.float64)
