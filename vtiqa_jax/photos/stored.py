"""Pixels as they are stored in a file: by OpenCV, whose JPEG decoder is part of the published model, or by Pillow.

Pillow is for vtiqa-onnx, which comes without `opencv.py`. Both decode to the same pixels but for 16-bit TIFFs, which
OpenCV rounds to 8 bits and Pillow cuts.
"""

from importlib.util import find_spec

from jaxtyping import UInt16
from numpy import ndarray as Array

from vtiqa_jax.errors import ImageError
from vtiqa_jax.photos import pillow
from vtiqa_jax.photos.headers import Format
from vtiqa_jax.photos.resize import Rgb

if find_spec("vtiqa_jax.photos.opencv"):
    from vtiqa_jax.photos import opencv
else:
    opencv = None


def decode(data: bytes, kind: Format) -> Rgb | None:
    """Decodes to 8 bits, not turned upright but for TIFF; None for what is not read."""
    return pillow.decode_stored(data, kind) if opencv is None else opencv.decode(data)


def decode_deep(data: bytes, kind: Format) -> Rgb | UInt16[Array, "h w 3"] | None:
    """Decodes with all bits that the file has, as `decode` otherwise.

    Raises:
        ImageError: the file has more than 8 bits, which Pillow does not decode.
    """
    if opencv is not None:
        return opencv.decode_deep(data)
    if kind == "PNG" and data[24:25] <= b"\x08":  # bits of a sample
        return pillow.decode_stored(data, kind)
    raise ImageError(f"a {kind} whose light or depth needs more than 8 bits; vtiqa-jax reads it, vtiqa-onnx does not")
