"""How a photo looks on a screen, in a few numbers: by these the page chooses pairs, and a taste is described."""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

LOOKS = ("brightness", "contrast", "colour", "fine structure")
"""What is measured."""


def measure_looks(pixels: UInt8[np.ndarray, "height width 3"]) -> Float32[np.ndarray, " looks"]:
    """Measures `LOOKS`: mean and deviation of grey, mean chroma, and the logarithm of the Laplacian's deviation.

    Args:
        pixels: of a thumbnail; how finely a photo is structured depends on its size.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    chroma = pixels.max(-1).astype(np.float32) - pixels.min(-1)
    fine = np.log1p(cv2.Laplacian(grey, cv2.CV_32F).std())
    return np.array([grey.mean(), grey.std(), chroma.mean(), fine], np.float32)
