"""Photos with more light and colour than sRGB has, brought to what an ordinary screen shows."""

import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer
from numpy import ndarray as Array

from vtiqa_jax.photos.resize import Rgb

WHITE = 203.0
"""Candela per square metre of white paper in an HDR picture (ITU-R BT.2408)."""
KNEE = 0.6
"""Share of white up to which light is kept as it is; what is brighter is pressed together below 1."""
HLG_PEAK = 1000.0
"""Candela per square metre of the screen that HLG's numbers are shown on."""
ROWS = 256
"""Rows that are mapped at a time: they are float32 meanwhile."""

BT2020, DISPLAY_P3 = 9, 12
PQ, HLG = 16, 18

_TO_SRGB = {
    BT2020: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
    DISPLAY_P3: ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979)),
}
"""Linear colours to linear colours, by the primaries."""


class CodePoints(NamedTuple):
    """What numbers mean, in the numbers of ITU-T H.273; all but those named here count as sRGB."""

    primaries: int
    transfer: int

    @property
    def is_hdr(self) -> bool:
        """Whether white is not the brightest there is."""
        return self.transfer in (PQ, HLG)

    @property
    def is_srgb(self) -> bool:
        """Whether the pixels are left as they are."""
        return not self.is_hdr and self.primaries not in _TO_SRGB


def to_srgb(pixels: Integer[Array, "h w 3"], code_points: CodePoints) -> Rgb:
    """Maps colours to sRGB, and the light of PQ and HLG to that of an ordinary screen.

    Light up to `KNEE` of `WHITE` stays as it is. Of what is brighter all three colours are taken back alike, so that
    hues stay: white paper becomes 0.85, and the brightest lights come near to 1. Colours outside sRGB are cut off.

    Args:
        pixels: uint8, or uint16 that fill their 16 bits.
        code_points: what they mean.
    """
    light = _curve(code_points.transfer, int(np.iinfo(pixels.dtype).max))
    matrix = np.array(_TO_SRGB.get(code_points.primaries, np.eye(3)), np.float32)
    mapped = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), ROWS):
        linear = light[pixels[top : top + ROWS]]
        if code_points.transfer == HLG:  # the screen's own gamma, of luminance
            luminance = linear @ np.array((0.2627, 0.6780, 0.0593), np.float32)
            linear *= (luminance**0.2)[..., None] * np.float32(HLG_PEAK / WHITE)
        linear = np.maximum(linear @ matrix.T, 0)
        if code_points.is_hdr:
            brightest = linear.max(-1, keepdims=True)
            linear *= _shoulder(brightest) / np.maximum(brightest, 1e-6)
        mapped[top : top + ROWS] = np.rint(255 * _encode(np.minimum(linear, 1)))
    return mapped


def _shoulder(light: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    over = np.maximum(light - KNEE, 0) / (1 - KNEE)
    return np.minimum(light, KNEE) + (1 - KNEE) * (1 - np.exp(-over))


def _encode(linear: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Applies the curve of sRGB."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-6) ** (1 / 2.4) - 0.055)


@functools.lru_cache(8)
def _curve(transfer: int, largest: int) -> Float[Array, " n"]:
    """Returns the light of each number from 0 to `largest`: 1 is white, for HLG the camera's 1."""
    signal = np.linspace(0, 1, largest + 1)
    if transfer == PQ:  # SMPTE ST 2084
        powered = signal ** (32 / 2523)
        light = np.maximum(powered - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * powered)
        light = 10_000 / WHITE * light ** (8192 / 1305)
    elif transfer == HLG:  # ITU-R BT.2100
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    else:
        light = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)
