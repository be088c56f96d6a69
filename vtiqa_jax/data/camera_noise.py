"""Noise as a camera makes it: a photo is taken back to a sensor's mosaic, made noisy there, and developed again.

Noise on a sensor is independent from pixel to pixel. What a photo shows of it is not: demosaicing spreads it over
neighbours and channels, denoising smears it, the tone curve lifts it in shadows, JPEG rounds it. White noise added to a
photo has none of this, and teaches little about photos.

Source: T. Brooks et al., "Unprocessing images for learned raw denoising", CVPR 2019 (the pipeline, its ranges, and the
relation of read noise to shot noise); colour matrices: Adobe's, of the four cameras used there.
"""

import dataclasses
from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

Photo = UInt8[np.ndarray, "height width 3"]
Light = Float32[np.ndarray, "height width 3"]

SHOT_NOISE_AT_ISO_100 = 1e-4
"""Variance of shot noise by signal, of a signal of 0..1. ISO 12,800 is then at the end of the source's range."""
_XYZ_TO_CAMERA = np.array(
    [
        [[1.0234, -0.2969, -0.2266], [-0.5625, 1.6328, -0.0469], [-0.0703, 0.2188, 0.6406]],
        [[0.4913, -0.0541, -0.0202], [-0.613, 1.3513, 0.2906], [-0.1564, 0.2151, 0.7183]],
        [[0.838, -0.263, -0.0639], [-0.2887, 1.0725, 0.2496], [-0.0627, 0.1427, 0.5438]],
        [[0.6596, -0.2079, -0.0562], [-0.4782, 1.3016, 0.1933], [-0.097, 0.1581, 0.5181]],
    ]
)
_RGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


Sensor = Float32[np.ndarray, "height width"]
"""A mosaic: red and green in even rows, green and blue in odd ones; 0..1."""
Demosaicing = Callable[[Sensor], Light]


def bilinear(sensor: Sensor) -> Light:
    """Demosaics by the mean of neighbours."""
    return _by_opencv(sensor, cv2.COLOR_BayerBG2RGB)


def edge_aware(sensor: Sensor) -> Light:
    """Demosaics along edges."""
    return _by_opencv(sensor, cv2.COLOR_BayerBG2RGB_EA)


def variable_gradients(sensor: Sensor) -> Light:
    """Demosaics by variable numbers of gradients."""
    # OpenCV has it for 8 bits alone: before them the light is made even.
    bayer = np.rint(255 * np.sqrt(sensor)).astype(np.uint8)
    return (cv2.cvtColor(bayer, cv2.COLOR_BayerBG2RGB_VNG).astype(np.float32) / 255) ** 2


def _by_opencv(sensor: Sensor, code: int) -> Light:
    return cv2.cvtColor(np.rint(65535 * sensor).astype(np.uint16), code).astype(np.float32) / 65535


DEMOSAICINGS: tuple[Demosaicing, ...] = (bilinear, edge_aware, variable_gradients)


@dataclasses.dataclass(frozen=True)
class Camera:
    """How one camera develops its photos."""

    rgb_to_camera: Float32[np.ndarray, "3 3"]
    gain: float
    """Of all channels: how much brighter the photo is than the sensor's signal."""
    red_gain: float
    blue_gain: float
    demosaic: Demosaicing
    denoising: float
    """0 leaves noise alone, 1 smears most of it."""
    sharpening: float
    """Of the brightness, after denoising: what is left of the noise is sharpened, too, and then looks like texture."""
    read_noise: float
    """How far read noise is from its mean, in logarithms."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Camera":
        """Draws a camera from the ranges of the source."""
        weights = rng.uniform(1e-8, 1e8, 4)
        matrix = np.einsum("m,mij->ij", weights / weights.sum(), _XYZ_TO_CAMERA) @ _RGB_TO_XYZ
        return cls(
            rgb_to_camera=(matrix / matrix.sum(1, keepdims=True)).astype(np.float32),
            gain=float(1 / np.clip(rng.normal(0.8, 0.1), 0.5, 1.1)),
            red_gain=float(rng.uniform(1.9, 2.4)),
            blue_gain=float(rng.uniform(1.5, 1.9)),
            demosaic=DEMOSAICINGS[rng.integers(len(DEMOSAICINGS))],
            denoising=float(np.clip(rng.uniform(-0.3, 1), 0, 1)),
            sharpening=float(rng.uniform(0, 1.5)),
            read_noise=float(rng.normal(0, 0.26)),
        )


def _to_sensor(photo: Photo, camera: Camera) -> Light:
    """Undoes tone curve, gamma, colours and white balance."""
    values = photo.astype(np.float32) / np.float32(255)
    values = np.float32(0.5) - np.sin(np.arcsin(np.clip(1 - 2 * values, -1, 1)) / 3)
    values = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)
    values = values @ camera.rgb_to_camera.T
    gains = np.array([1 / camera.red_gain, 1, 1 / camera.blue_gain], np.float32) / np.float32(camera.gain)
    # Where all is bright the sensor was full: there the gains go to 1, as the photo's highlights stay white.
    bright = np.clip((values.mean(2, keepdims=True) - 0.9) / 0.1, 0, 1) ** 2
    return values * np.maximum(bright + (1 - bright) * gains, gains)


def _mosaic(light: Light) -> Sensor:
    """Keeps one colour of each pixel: red and green in even rows, green and blue in odd ones."""
    sensor = light[:, :, 1].copy()
    sensor[::2, ::2] = light[::2, ::2, 0]
    sensor[1::2, 1::2] = light[1::2, 1::2, 2]
    return sensor


def _denoise(photo: Photo, strength: float, sigma: float) -> Photo:
    """Smears noise of about `sigma` grey levels, colour more than brightness."""
    luma, *chroma = cv2.split(cv2.cvtColor(photo, cv2.COLOR_RGB2YCrCb))
    luma = cv2.bilateralFilter(luma, 7, 3 * strength * sigma, 0.5 + 2 * strength)
    chroma = [cv2.bilateralFilter(plane, 9, 5 * strength * sigma + 1, 1 + 3 * strength) for plane in chroma]
    return cv2.cvtColor(cv2.merge([luma, *chroma]), cv2.COLOR_YCrCb2RGB)


def _sharpen(photo: Photo, amount: float) -> Photo:
    """Adds what a blur takes from the brightness."""
    luma = photo.mean(2, dtype=np.float32)
    edges = np.float32(amount) * (luma - cv2.GaussianBlur(luma, (0, 0), 1))
    return np.rint(np.clip(photo + edges[:, :, None], 0, 255)).astype(np.uint8)


def _develop(sensor: Sensor, camera: Camera) -> Light:
    """Develops a sensor's values: white balance, demosaicing, colours, gamma and tone curve; 0..1."""
    gains = np.full(sensor.shape, camera.gain, np.float32)
    gains[::2, ::2] *= camera.red_gain
    gains[1::2, 1::2] *= camera.blue_gain
    balanced = np.clip(sensor * gains, 0, 1)
    light = camera.demosaic(balanced)
    light = np.clip(light @ np.linalg.inv(camera.rgb_to_camera).T.astype(np.float32), 0, 1)
    light = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (3 * light**2 - 2 * light**3).astype(np.float32)


def add_camera_noise(photo: Photo, iso: float, camera: Camera, rng: np.random.Generator) -> Photo:
    """Makes a photo as noisy as a camera's at a sensitivity.

    Args:
        photo: a clean one.
        iso: 0 is no noise: the photo, demosaiced and developed. Compare with that, not with the photo itself.
        camera: of `Camera.draw`.
        rng: draws the noise.
    """
    sensor = _mosaic(_to_sensor(photo, camera))
    shot = SHOT_NOISE_AT_ISO_100 * iso / 100
    read = 0.0
    if iso:
        read = np.exp(2.18 * np.log(shot) + 1.2 + camera.read_noise)
        variance = np.maximum(sensor, 0) * shot + read
        sensor = sensor + np.sqrt(variance).astype(np.float32) * rng.standard_normal(sensor.shape, np.float32)
    developed = np.rint(255 * _develop(sensor, camera)).astype(np.uint8)
    if camera.denoising and iso:
        developed = _denoise(developed, camera.denoising, 255 * float(np.sqrt(shot * 0.2 + read)) * camera.gain * 1.5)
    return _sharpen(developed, camera.sharpening)
