"""The one way from a file's name and bytes to pixels: formats, orientation, colours, damage, limits, decoders."""

import dataclasses
import io
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vtiqa_jax.errors import ImageError
from vtiqa_jax.photos import colour, damage, formats, hdr, headers, heif, limits, metadata, pillow, raw, stored, tiff
from vtiqa_jax.photos.capture import Capture, read_capture, read_exif
from vtiqa_jax.photos.orientation import turn
from vtiqa_jax.photos.resize import Rgb

MAX_PIXELS = 210_000_000
"""A photo of more is not decoded unless asked for: three bytes for each, and as much again for some decoders."""


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photo that was read."""

    pixels: Rgb
    warning: str | None = None
    """Defect of its file, which was read nevertheless."""
    capture: Capture = Capture()
    """Time and settings of the exposure, as the file tells them."""


@dataclasses.dataclass(frozen=True)
class PhotoFile:
    """A file of a photo that was read and not decoded, as tables of photos hold it."""

    data: bytes = dataclasses.field(repr=False)
    name: str = ""
    """See `decode`."""


def decode(name: str | os.PathLike[str], data: bytes, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Turns a file's name and bytes into the sRGB pixels of the photo in it, upright.

    EXIF orientation is applied; grey, palette and CMYK are turned into colour, 16 bit cut to 8, transparency dropped,
    colours converted by the file's ICC profile, HDR light (PQ, HLG) to that of an ordinary screen. Of several pictures
    the photo counts, not its preview; of several pages, or of an animation, the first.

    Args:
        name: the file's name. Its ending counts only for RAW files that do not show what they are.
        data: its bytes.
        max_pixels: more of them are not decoded; the header is asked.

    Raises:
        ImageError: the data is no whole image, has too many pixels, or needs an extra.
    """
    if not data:
        raise ImageError("the file is empty")
    kind = headers.find_format(data)
    if raw.is_raw(name, data, kind):
        return Photo(raw.develop(data, max_pixels), capture=read_capture(data, kind, is_raw=True))
    if kind is None:
        raise ImageError("not an image, or in a format that cannot be read")
    if kind == "HEIC":
        formats.HEIF.require()
    taken, turned = read_capture(data, kind), 1
    if kind == "JPEG":
        data = damage.mend_jpeg(data)
    elif kind == "GIF":
        data = damage.mend_gif(data)
    elif kind == "PNG":
        data = damage.mend_png(data)
    elif kind == "TIFF":
        data, turned = _photo_of_tiff(data)
    width, height = headers.read_size(data, kind)
    limits.check_size(width, height, max_pixels)
    with limits.one_large_photo(width * height):
        warning = damage.find_damage(data, kind)  # while no pixels are held
        pixels = heif.decode(data, kind) if kind in ("AVIF", "HEIC") else _decode(data, kind)
        if pixels is not None:
            return Photo(turn(pixels, turned), warning, taken)
    if width * height > 1 << 28:
        raise ImageError(f"the {kind} has {width} x {height} pixels, which may be more than its decoder takes")
    raise ImageError(f"the {kind} is damaged or cut off, or of a kind that cannot be read")


def _photo_of_tiff(data: bytes) -> tuple[bytes, int]:
    """Returns the file with its photo as the first page, and the orientation that the page does not name itself."""
    page = tiff.find_photo(tiff.list_pages(data))
    if page is None:
        raise ImageError("the TIFF is damaged: its header cannot be read")
    if any(kind not in (1, 4) for kind in page.numbers(tiff.SAMPLE_FORMAT)):
        raise ImageError("the TIFF holds signed or fractional numbers, so white is unknown; save it with 8 or 16 bits")
    compression = page.number(tiff.COMPRESSION, 1)
    if compression not in tiff.COMPRESSIONS.union(tiff.RARE_COMPRESSIONS):
        raise ImageError(f"the TIFF is compressed in a way that cannot be read, number {compression}; save it with LZW")
    return tiff.put_first(page), page.inherited_orientation


def _decode(data: bytes, kind: headers.Format) -> Rgb | None:
    """Decodes all formats but AVIF and HEIC."""
    known = metadata.read(data, kind)
    if known.is_for_pillow and (pixels := pillow.decode(data, kind)) is not None:
        return pixels
    points = None if known.code_points is None or known.code_points.is_srgb else known.code_points
    is_deep = points is not None or known.bits < 16
    pixels = stored.decode_deep(data, kind) if is_deep else stored.decode(data, kind)
    if pixels is None:
        return None
    if pixels.dtype == np.uint16 and known.bits < 16 and pixels.max() < 1 << known.bits:
        pixels = pixels << (16 - known.bits)
    if points is not None:
        pixels = hdr.to_srgb(pixels, points)
    elif pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    return turn(colour.to_srgb(pixels, known.profile) if points is None else pixels, known.orientation)


def read(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Reads and decodes a file, see `decode`.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        if stat.S_ISCHR(_stat(path).st_mode):  # /dev/zero never ends
            raise ImageError("it is a device, not a file")
        return decode(path, Path(path).read_bytes(), max_pixels=max_pixels)
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error
    except MemoryError as error:
        raise ImageError("it needs more memory than there is") from error


def _stat(path: str | os.PathLike[str]) -> os.stat_result:
    try:
        return os.stat(path)
    except ValueError as error:  # it holds a NUL, or letters that the system has no bytes for
        raise ImageError(f"no file can have this name: {error}") from error


def open_photo(image: Any, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Opens a photo given in any form.

    Args:
        image: a path, a `PhotoFile`, a uint8 array [h, w], [h, w, 1], [h, w, 3] or [h, w, 4] (RGB order), or a Pillow
            image. Arrays of other types do not say which of their numbers is white, and are refused.
        max_pixels: a file of more pixels is not decoded.

    Raises:
        ImageError: it is something else, or cannot be read.
    """
    if isinstance(image, str | os.PathLike):
        return read(image, max_pixels=max_pixels)
    if isinstance(image, PhotoFile):
        return decode(image.name, image.data, max_pixels=max_pixels)
    if hasattr(image, "getexif"):
        return _open_pillow(image)
    if not isinstance(image, np.ndarray):
        raise ImageError(f"a photo is a path, a uint8 array or a Pillow image, not {type(image).__name__}")
    if image.ndim == 2:
        image = image[:, :, None]
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3, 4) or not image.size:
        raise ImageError(f"a photo is a uint8 array [height, width, 3], not {image.dtype} {image.shape}")
    return Photo(np.repeat(image, 3, axis=2) if image.shape[2] == 1 else np.ascontiguousarray(image[:, :, :3]))


def _open_pillow(image: Any) -> Photo:
    _refuse_preview(image)
    try:
        return Photo(pillow.to_rgb(image), capture=read_exif(image.info.get("exif") or b""))
    except (OSError, ValueError, SyntaxError) as error:  # it is decoded only now, and the file may be cut off
        raise ImageError(f"Pillow cannot decode it: {error}") from error


def _refuse_preview(image: Any) -> None:
    """Checks that a Pillow image is not the preview of a TIFF or RAW file: Pillow opens whatever comes first.

    Raises:
        ImageError: the file holds the photo itself beside.
    """
    name = getattr(image, "filename", "")
    if getattr(image, "format", None) != "TIFF" or not os.path.isfile(name):
        return
    data = Path(name).read_bytes()
    if raw.is_raw(name, data, headers.find_format(data)) or _photo_of_tiff(data)[0] != data:
        raise ImageError(f"Pillow opened the preview in {name}, which holds the photo beside it; give the file's path")


def list_photos(photos: Any) -> list[Any]:
    """Lists photos given in any form that `open_photo` takes: one, several, an iterator or an array [n, h, w, 3].

    Raises:
        ImageError: they are no photos.
    """
    if (
        isinstance(photos, str | os.PathLike)
        or hasattr(photos, "getexif")
        or getattr(photos, "ndim", None) in (0, 2, 3)
    ):
        return [photos]
    # A file, its bytes and a dictionary could be gone through, but what they give is no photo.
    if isinstance(photos, Iterable) and not isinstance(photos, bytes | bytearray | Mapping | io.IOBase):
        return list(photos)
    raise ImageError(
        f"a photo, or a list of photos, is needed, not {type(photos).__name__}: a path, a uint8 array or a Pillow image"
    )
