"""Damages photos for the benchmarks, with code of its own: not that which plants faults to train heads."""

import io

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from vtiqa_jax.photos.decode import decode

Photo = UInt8[np.ndarray, "height width 3"]


def clipped(values: Float[np.ndarray, "height width 3"]) -> Photo:
    """Rounds values to grey levels, cut off at black and white."""
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def motion(photo: Photo, length: float, rng: np.random.Generator) -> Photo:
    """Smears light along a straight path, drawn by OpenCV and turned."""
    side = int(length) | 1
    kernel = np.zeros((side, side), np.float32)
    kernel[int(length) // 2] = 1
    center = (int(length) // 2, int(length) // 2)
    turned = cv2.warpAffine(kernel, cv2.getRotationMatrix2D(center, rng.uniform(0, 180), 1), kernel.shape)
    return cv2.filter2D(photo, -1, turned / turned.sum())


def jpeg(photo: Photo, quality: float, _: np.random.Generator) -> Photo:
    """Compresses as JPEG by OpenCV."""
    coded = cv2.imencode(".jpg", photo[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return decode(".jpg", coded.tobytes()).pixels


def jpeg2000(photo: Photo, rate: float, _: np.random.Generator) -> Photo:
    """Compresses as JPEG 2000 by Pillow, so many times smaller."""
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG2000", quality_mode="rates", quality_layers=[rate])
    return np.asarray(Image.open(buffer).convert("RGB"))


def middle(photo: Photo, height: int, width: int) -> Photo:
    """Cuts the middle of a photo, as much as there is."""
    top, left = (max(0, (have - want) // 2) for have, want in zip(photo.shape, (height, width), strict=False))
    return np.ascontiguousarray(photo[top : top + height, left : left + width])
