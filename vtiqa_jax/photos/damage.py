"""What is wrong with a file that decoders read nevertheless: they fill in what is missing and say nothing."""

import io

import simplejpeg

from vtiqa_jax.photos.headers import Format

REPAIRED = "the file is damaged; what could not be read of it was filled in"


def is_truncated_jpeg(data: bytes) -> bool:
    """Whether a JPEG stops before its end marker; decoders fill the missing part with grey.

    Walks the header's segments to the start of the picture's data, so that the end marker of an embedded
    thumbnail is not mistaken for the photo's. Within that data FF D9 cannot occur but as the end marker.
    """
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # padding before a marker
            position += 1
            continue
        if marker == 0xDA:
            return data.find(b"\xff\xd9", position) < 0
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return True


def find_damage(data: bytes, kind: Format) -> str | None:
    """What a person should know of a photo that can be decoded: that the decoder has to repair it, or None.

    JPEG and TIFF are looked at: decoders refuse other damaged files, or cannot tell.
    """
    is_repaired = (kind == "JPEG" and _is_repaired_jpeg(data)) or (kind == "TIFF" and _is_repaired_tiff(data))
    return REPAIRED if is_repaired else None


def _is_repaired_jpeg(data: bytes) -> bool:
    """Whether libjpeg warns, which OpenCV lets it do unheard. An eighth of the size: all of the file is still read."""

    def decodes(strict: bool) -> bool:
        try:
            _, _, space, _ = simplejpeg.decode_jpeg_header(data, strict=False)
            simplejpeg.decode_jpeg(data, "CMYK" if space in ("CMYK", "YCCK") else "GRAY", min_factor=8, strict=strict)
        except Exception:  # ValueError, and KeyError on a header without a picture
            return False
        return True

    return not decodes(strict=True) and decodes(strict=False)  # neither: a kind of JPEG that only OpenCV reads


def _is_repaired_tiff(data: bytes) -> bool:
    """Whether Pillow, which goes on after no error, cannot decode what OpenCV could."""
    from PIL.TiffImagePlugin import TiffImageFile

    try:
        image = TiffImageFile(io.BytesIO(data))
    except Exception:  # a kind of TIFF that only OpenCV reads
        return False
    try:
        image.load()
    except Exception:  # mostly OSError; damaged files make it raise others
        return True
    return False
