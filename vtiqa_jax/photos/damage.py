"""Damage of files that decoders read nevertheless: they fill in missing parts and say nothing."""

import io

import simplejpeg
from PIL.TiffImagePlugin import TiffImageFile

from vtiqa_jax.errors import ImageError
from vtiqa_jax.photos.headers import Format
from vtiqa_jax.photos.metadata import jpeg_segments

REPAIRED = "the file is damaged; what could not be read of it was filled in"
SCAN, END = 0xDA, b"\xff\xd9"
PNG_SIGNATURE, PNG_END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB\x60\x82"
_GIF_HEAD = 13
"""Bytes of a GIF before its palette, of which the third last are flags."""


def mend_jpeg(data: bytes) -> bytes:
    """Removes stray bytes between the segments of a JPEG's header, and adds an end marker that is missing.

    Not all decoders pass over such bytes; what is missing before an end they fill with grey. Within the picture's
    data FF D9 cannot occur but as the end marker; in the header, a thumbnail may have its own.

    Raises:
        ImageError: more is missing than the marker.
    """
    segments = list(jpeg_segments(data))
    if not segments or segments[-1][0] != SCAN:
        raise ImageError("the JPEG is truncated")
    ends = [2, *(end for _, _, end in segments)]
    if any(start - 4 != end for (_, start, _), end in zip(segments, ends, strict=False)):
        data = data[:2] + b"".join(data[start - 4 : end] for _, start, end in segments) + data[ends[-1] :]
        return mend_jpeg(data)
    if data.find(END, segments[-1][1]) >= 0:
        return data
    if _decodes(data + END, strict=True) and _has_all_bits(data):
        return data + END
    raise ImageError("the JPEG is truncated")


def mend_gif(data: bytes) -> bytes:
    """Ends a GIF after its first picture, which is the photo: what follows may be cut off, or the end mark missing."""
    at = _GIF_HEAD + _palette_size(data, _GIF_HEAD - 3)
    while data[at : at + 1] == b"!":  # an extension
        at = _skip_blocks(data, at + 2)
    if data[at : at + 1] != b",":
        return data
    at = _skip_blocks(data, at + 11 + _palette_size(data, at + 9))
    return data[:at] + b";" if at <= len(data) else data


def _palette_size(data: bytes, at: int) -> int:
    """Returns the bytes of the palette that the flags at a place of a GIF announce."""
    flags = data[at] if at < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_blocks(data: bytes, at: int) -> int:
    """Returns the place behind a GIF's blocks of data, the last of which is empty; one behind the file without it."""
    while at < len(data):
        size = data[at]
        at += 1 + size
        if not size:
            return at
    return len(data) + 1


def mend_png(data: bytes) -> bytes:
    """Ends a PNG of which only the end mark is missing: all chunks before it are whole."""
    at = len(PNG_SIGNATURE)
    while at + 8 <= len(data):
        name, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4], "big")
        if name == b"IEND" or end > len(data):
            break
        at = end
    return data[:at] + PNG_END if PNG_END.startswith(data[at:]) else data


def _has_all_bits(data: bytes) -> bool:
    """Returns whether the scans of a JPEG bring all of its numbers: progressive ones do so little by little."""
    missing: dict[int, set[int]] = {}  # frequencies whose last bit has not come, by component
    for marker, start, end in jpeg_segments(data, all_scans=True):
        if marker in (0xC0, 0xC1, 0xC2):  # with Huffman's codes: in arithmetic ones libjpeg sees no end
            missing = {data[at]: set(range(64)) for at in range(start + 6, end, 3)}
        elif marker == SCAN:
            components, (first, last, bit) = data[start + 1 : end - 3 : 2], data[end - 3 : end]
            for component in components if bit & 15 == 0 else ():
                missing.get(component, set()).difference_update(range(first, last + 1))
    return bool(missing) and not any(missing.values())


def find_damage(data: bytes, kind: Format) -> str | None:
    """Finds damage that the decoder has to repair, as a warning to people; None without any.

    JPEG and TIFF are looked at: decoders refuse other damaged files, or cannot tell.
    """
    is_repaired = (kind == "JPEG" and _is_repaired_jpeg(data)) or (kind == "TIFF" and _is_repaired_tiff(data))
    return REPAIRED if is_repaired else None


def _is_repaired_jpeg(data: bytes) -> bool:
    """Returns whether libjpeg warns, which OpenCV hides; a JPEG that only OpenCV reads decodes neither way."""
    return not _decodes(data, strict=True) and _decodes(data, strict=False)


def _decodes(data: bytes, strict: bool) -> bool:
    """Returns whether libjpeg decodes all of a file, at an eighth of its size; strictly, without a warning."""
    try:
        _, _, space, _ = simplejpeg.decode_jpeg_header(data, strict=False)
        simplejpeg.decode_jpeg(data, "CMYK" if space in ("CMYK", "YCCK") else "GRAY", min_factor=8, strict=strict)
    except Exception:  # ValueError, and KeyError on a header without a picture
        return False
    return True


def _is_repaired_tiff(data: bytes) -> bool:
    """Returns whether Pillow, which goes on after no error, cannot decode what OpenCV could."""
    try:
        image = TiffImageFile(io.BytesIO(data))
    except Exception:  # a kind of TIFF that only OpenCV reads
        return False
    try:
        image.load()
    except Exception:  # mostly OSError; damaged files make it raise others
        return True
    return False
