"""The RAW files of cameras: how they are told from the TIFFs and videos that they look like, and their development."""

import io
import os

import numpy as np
from jaxtyping import Float64, Integer, UInt16
from numpy import ndarray as Array

from vtiqa_jax.errors import ImageError
from vtiqa_jax.photos import formats, headers, limits, raw_preview, tiff
from vtiqa_jax.photos.resize import Rgb

MAGIC = {
    0: (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM", b"II\x1a\0\0\0HEAPCCDR"),
    4: (b"ftypcrx ",),  # CR3
    8: (b"CR\2", b"IIII", b"MMMM"),  # CR2; Phase One
}
"""Bytes by which RAW files that are no plain TIFF are known, and their places: Fuji, Olympus, Panasonic, Sigma,
Minolta, Canon."""
SRGB_GAMMA = (2.4, 12.92)
"""Exponent and slope; LibRaw's own are those of television."""
QUANTILES = np.array([0.01, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95, 0.99])
"""Points of the curve that gives a photo the light of the camera's own picture."""
SAMPLES = 500
"""Rows and columns, at most about twice as many, that are looked at for it."""


def is_raw(name: str | os.PathLike[str], data: bytes, kind: headers.Format | None) -> bool:
    """Returns whether a file is a camera's RAW, whatever its name.

    Most are TIFFs, in which a mosaic of colours, unprocessed light or DNG's version shows it. Some show nothing of the
    kind; of a file that names a camera, or is of no format, a RAW ending decides.
    """
    if any(data.startswith(magic, start) for start, many in MAGIC.items() for magic in many) and kind in (None, "TIFF"):
        return True
    has_raw_name = formats.suffix(name) in formats.RAW.suffixes
    if kind != "TIFF":
        return kind is None and has_raw_name
    pages = tiff.list_pages(data)
    return any(
        tiff.DNG_VERSION in page.entries
        or page.number(tiff.PHOTOMETRIC, 0) in (tiff.CFA, tiff.LINEAR_RAW)
        or (has_raw_name and tiff.MAKE in page.entries)
        for page in pages
    )


def develop(data: bytes, max_pixels: int) -> Rgb:
    """Develops a RAW file by LibRaw: the camera's white balance, sRGB, highlights cut off, upright.

    The light is the camera's own: a curve brings it to that of the preview in the file, which the camera made as it
    makes its JPEGs. Without a preview of the photo's shape LibRaw sets the light so that 1 % of the pixels are white.
    Noise and sharpness are not the camera's: LibRaw neither removes the one nor adds the other.

    Tried on made-up DNGs only, not on the files of cameras.

    Raises:
        ImageError: the extra is missing, the file is damaged or too large, or LibRaw does not know its camera.
    """
    libraw = formats.RAW.require()
    try:
        with libraw.imread(io.BytesIO(data)) as raw:
            pixels = raw.sizes.raw_width * raw.sizes.raw_height
            limits.check_size(raw.sizes.raw_width, raw.sizes.raw_height, max_pixels)
            with limits.one_large_photo(pixels):
                preview = raw_preview.find(data, raw.sizes.width, raw.sizes.height)
                if preview is None:
                    return raw.postprocess(use_camera_wb=True, gamma=SRGB_GAMMA)
                light = _light(preview)
                del preview  # it may be as large as the photo
                deep = raw.postprocess(use_camera_wb=True, gamma=SRGB_GAMMA, output_bps=16, no_auto_bright=True)
                return _give_light(deep, light)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError("the RAW file is damaged, or of a camera that LibRaw does not know") from error


def _light(pixels: Integer[Array, "height width 3"]) -> Float64[Array, " quantiles"]:
    """Returns the distribution of the brightest of each pixel's colours."""
    step = max(1, len(pixels) // SAMPLES)
    return np.quantile(pixels[::step, ::step].max(-1), QUANTILES)


def _give_light(deep: UInt16[Array, "height width 3"], wanted: Float64[Array, " quantiles"]) -> Rgb:
    """Gives pixels of 16 bits this distribution of light in 8, by one curve for all colours."""
    values, kept = np.unique(_light(deep), return_index=True)
    curve = np.interp(np.arange(65536), np.r_[0, values, 65535], np.r_[0, wanted[kept], 255])
    return np.rint(curve).astype(np.uint8)[deep]
