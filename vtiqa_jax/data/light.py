"""Between a photo's values and light, where lenses, exposure and haze act."""

import numpy as np
from jaxtyping import Float, UInt8

GAMMA = 2.2
"""Which sRGB's is taken for."""

Photo = UInt8[np.ndarray, "height width 3"]
Values = Float[np.ndarray, "height width 3"]


def round_values(values: Values) -> Photo:
    """Rounds values of 0 to 255, and clips those beyond."""
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def to_light(photo: Photo) -> Values:
    """Returns light, 0 to 1."""
    return (photo / np.float32(255)) ** np.float32(GAMMA)


def from_light(light: Values) -> Photo:
    """Returns the photo of light; what is brighter than 1 is white."""
    return np.rint(255 * np.clip(light, 0, 1) ** (1 / GAMMA)).astype(np.uint8)
