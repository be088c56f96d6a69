"""Pillow decodes files to the pixels that OpenCV decodes them to: vtiqa-onnx has no OpenCV."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.photo_files import encoded, exif, with_chunk
from vtiqa_jax.errors import ImageError
from vtiqa_jax.photos import stored
from vtiqa_jax.photos.decode import decode


def picture() -> Image.Image:
    """Colours with edges and grain: chroma is stored with fewer pixels, and enlarged in more than one way."""
    rng = np.random.default_rng(0)
    blobs = cv2.resize(rng.integers(0, 256, (9, 9, 3), np.uint8), (131, 94), interpolation=cv2.INTER_NEAREST)
    return Image.fromarray(np.clip(blobs + rng.normal(0, 12, blobs.shape), 0, 255).astype(np.uint8))


def deep(colour: bool) -> np.ndarray:
    shape = (40, 56, 3) if colour else (40, 56)
    return np.random.default_rng(1).integers(0, 65536, shape, np.uint16)


def written(ending: str, pixels: np.ndarray) -> bytes:
    return cv2.imencode(ending, pixels)[1].tobytes()


def palette(kind: str) -> bytes:
    return encoded(picture().quantize(60), kind, transparency=3)


FILES: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: encoded(picture(), "JPEG", quality=92),
    "JPEG, chroma whole": lambda: encoded(picture(), "JPEG", subsampling=0),
    "JPEG, chroma halved across": lambda: encoded(picture(), "JPEG", subsampling=1),
    "JPEG, progressive": lambda: encoded(picture(), "JPEG", progressive=True),
    "JPEG, coarse": lambda: encoded(picture(), "JPEG", quality=8),
    "JPEG, grey": lambda: encoded(picture().convert("L"), "JPEG"),
    "JPEG, CMYK": lambda: encoded(picture().convert("CMYK"), "JPEG"),
    "JPEG, lying": lambda: encoded(picture(), "JPEG", exif=exif(6)),
    "JPEG, bytes behind": lambda: encoded(picture(), "JPEG") + b"maker's notes",
    "PNG": lambda: encoded(picture(), "PNG"),
    "PNG, transparent": lambda: encoded(picture().convert("RGBA").rotate(20), "PNG"),
    "PNG, grey and transparent": lambda: encoded(picture().convert("LA").rotate(20), "PNG"),
    "PNG, palette": lambda: palette("PNG"),
    "PNG, one bit": lambda: encoded(picture().convert("1"), "PNG"),
    "PNG, 16 bits": lambda: written(".png", deep(colour=True)),
    "PNG, grey of 16 bits": lambda: written(".png", deep(colour=False)),
    "BMP": lambda: encoded(picture(), "BMP"),
    "GIF": lambda: encoded(picture(), "GIF"),
    "WebP": lambda: encoded(picture(), "WEBP", quality=80),
    "WebP, exact": lambda: encoded(picture(), "WEBP", lossless=True),
    "JPEG 2000": lambda: encoded(picture(), "JPEG2000"),
    "PNM": lambda: encoded(picture(), "PPM"),
    "PNM, grey": lambda: encoded(picture().convert("L"), "PPM"),
    "TIFF": lambda: encoded(picture(), "TIFF"),
    "TIFF, LZW": lambda: encoded(picture(), "TIFF", compression="tiff_lzw"),
    "TIFF, grey": lambda: encoded(picture().convert("L"), "TIFF"),
}


@pytest.mark.parametrize("name", FILES)
def test_both_decode_to_the_same_pixels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = FILES[name]()
    ours = decode(name, data).pixels
    monkeypatch.setattr(stored, "opencv", None)
    np.testing.assert_array_equal(decode(name, data).pixels, ours)
    assert np.ptp(ours) > 100


def test_a_tiff_of_16_bits_is_cut_where_opencv_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(".tiff", deep(colour=True))
    ours = decode("", data).pixels.astype(int)
    monkeypatch.setattr(stored, "opencv", None)
    assert np.abs(decode("", data).pixels - ours).max() == 1


def test_a_damaged_file_has_the_same_error_or_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encoded(picture(), "JPEG")
    scan = whole.find(b"\xff\xda") + 200
    files = {
        "cut off": whole[: len(whole) // 2],
        "repaired": whole[:scan] + b"\xff\xd0" + whole[scan:],
        "without an end": whole[:-2],
        "PNG cut off": encoded(picture(), "PNG")[:2000],
        "header alone": whole[:20],
    }

    def outcome(data: bytes) -> object:
        try:
            found = decode("", data)
        except ImageError as error:
            return str(error)
        return found.warning, found.pixels.tobytes()

    ours = {name: outcome(data) for name, data in files.items()}
    assert isinstance(ours["cut off"], str) and not isinstance(ours["repaired"], str)
    monkeypatch.setattr(stored, "opencv", None)
    assert {name: outcome(data) for name, data in files.items()} == ours


def test_light_of_more_than_8_bits_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    pq = bytes((9, 16, 0, 1))  # BT.2020, PQ
    shallow, bright = (
        with_chunk(data, b"cICP", pq) for data in (encoded(picture(), "PNG"), written(".png", deep(True)))
    )
    ours = decode("", shallow).pixels
    monkeypatch.setattr(stored, "opencv", None)
    np.testing.assert_array_equal(decode("", shallow).pixels, ours)
    with pytest.raises(ImageError, match="a PNG whose light or depth needs more than 8 bits; vtiqa-jax reads it"):
        decode("", bright)
