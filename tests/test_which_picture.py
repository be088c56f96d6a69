"""Of several pictures in a file the photo counts, the right way up; RAW files are known whatever their names."""

import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.photo_files import HEIC, SECOND_HEIC, as_dng, encoded, exif, oriented, smooth, tiff, turned, with_chunk
from vtiqa_jax.errors import ImageError
from vtiqa_jax.photos import formats
from vtiqa_jax.photos import tiff as tiffs
from vtiqa_jax.photos.decode import decode

PHOTO = smooth(96, 128)
UPSIDE_DOWN = Image.fromarray(PHOTO[::-1, ::-1].copy())
PREVIEW = PHOTO[::8, ::8]
LAYOUTS: list[dict[str, Any]] = [{"byteorder": order, "bigtiff": big} for order in "<>" for big in (False, True)]


def distance(data: bytes, photo: np.ndarray, name: str = "") -> float:
    """Mean distance of a decoded file from a photo in levels."""
    found = decode(name, data).pixels
    assert found.shape == photo.shape
    return float(np.abs(found.astype(int) - photo).mean())


def raw_exif(orientation: int, compressed: bool) -> bytes:
    data = exif(orientation)
    text = b"\nexif\n%8d\n%s\n" % (len(data), data.hex().encode())
    return b"Raw profile type exif\0" + (b"\0" + zlib.compress(text) if compressed else text)


def still_and_moving(kind: str, orientation: int, **options: Any) -> list[bytes]:
    image = Image.fromarray(PHOTO)
    moving = {"save_all": True, "append_images": [UPSIDE_DOWN]}
    return [encoded(image, kind, exif=exif(orientation), **options, **more) for more in ({}, moving)]


WRITERS: dict[str, Callable[[int], list[bytes]]] = {
    "JPEG": lambda turn: [
        encoded(Image.fromarray(PHOTO), "JPEG", quality=95, exif=exif(turn), progressive=way) for way in (False, True)
    ],
    "MPO": lambda turn: still_and_moving("MPO", turn, quality=95)[1:],
    "PNG": lambda turn: still_and_moving("PNG", turn),
    "ImageMagick's PNG": lambda turn: [
        with_chunk(encoded(Image.fromarray(PHOTO), "PNG"), name, raw_exif(turn, name == b"zTXt"))
        for name in (b"tEXt", b"zTXt")
    ],
    "WebP": lambda turn: still_and_moving("WEBP", turn, lossless=True),
    "AVIF": lambda turn: [encoded(Image.fromarray(PHOTO), "AVIF", quality=95, exif=exif(turn))],
    "TIFF": lambda turn: [
        tiff((PHOTO.astype(np.uint16) * 257 if deep else PHOTO, {"extratags": oriented(turn)}), **layout)
        for layout in LAYOUTS
        for deep in (False, True)
    ],
    "transparent TIFF": lambda turn: [
        tiff((np.dstack([PHOTO, PHOTO[:, :, 0]]), {"extrasamples": ["unassalpha"], "extratags": oriented(turn)}))
    ],
}


@pytest.mark.parametrize("kind", WRITERS)
def test_the_first_frame_is_turned_all_eight_ways(kind: str) -> None:
    for orientation in range(1, 9):
        for number, data in enumerate(WRITERS[kind](orientation)):
            assert distance(data, turned(PHOTO, orientation)) < 4, (orientation, number)


def test_the_first_frame_of_an_animation_counts() -> None:
    for kind, options in (("GIF", {}), ("AVIF", {"quality": 95}), ("PNG", {}), ("WEBP", {"lossless": True})):
        data = encoded(Image.fromarray(PHOTO), kind, save_all=True, append_images=[UPSIDE_DOWN], **options)
        assert distance(data, PHOTO) < 5, kind


def test_the_primary_picture_of_a_heic_counts() -> None:
    assert distance(SECOND_HEIC.read_bytes(), PHOTO) < 2


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_the_photo_of_a_tiff_is_read_not_its_preview(layout: dict[str, Any]) -> None:
    small, other = {"subfiletype": 1}, PHOTO[::-1]
    for name, pages, expected in (
        ("a preview first", [(PREVIEW, small), (PHOTO, {})], PHOTO),
        ("one that is not marked", [(PREVIEW, {}), (PHOTO, {})], PHOTO),
        ("a large preview", [(PHOTO[:64, :80], small), (PHOTO, {})], PHOTO),
        ("the photo in a sub-directory", [(PREVIEW, small | {"subifds": 1}), (PHOTO, {})], PHOTO),
        ("16 bits", [(PREVIEW, small), (PHOTO.astype(np.uint16) * 257, {})], PHOTO),
        ("smaller versions below", [(PHOTO, {"subifds": 2}), (PREVIEW, small), (PREVIEW, small)], PHOTO),
        ("a document", [(PHOTO, {}), (other, {}), (PREVIEW, {})], PHOTO),
        ("a document's larger second page", [(PHOTO, {}), (np.pad(other, ((0, 60), (0, 80), (0, 0))), {})], PHOTO),
        ("nothing but a preview", [(PREVIEW, small)], PREVIEW),
        ("turned alone", [(PREVIEW, small | {"extratags": oriented(3)}), (PHOTO, {})], PHOTO),
        (
            "turned by the page above",
            [(PREVIEW, small | {"subifds": 1, "extratags": oriented(6)}), (PHOTO, {})],
            turned(PHOTO, 6),
        ),
        (
            "turned by itself",
            [(PREVIEW, small | {"subifds": 1, "extratags": oriented(6)}), (PHOTO, {"extratags": oriented(8)})],
            turned(PHOTO, 8),
        ),
    ):
        assert distance(tiff(*pages, **layout), expected) == 0, name


def test_directories_that_lie_end_the_walk() -> None:
    """Circles, offsets out of the file, and counts that would take for ever."""

    def directory(count: int, entries: bytes, following: int) -> bytes:
        return b"II*\0\x08\0\0\0" + struct.pack("<H", count) + entries + struct.pack("<L", following)

    width = struct.pack("<HHLL", 256, 3, 1, 5)
    circle = struct.pack("<HHLL", tiffs.SUB_DIRECTORIES, 4, 1, 8)
    endless = struct.pack("<HHLL", tiffs.SUB_DIRECTORIES, 4, 0xFFFFFFFF, 4)
    for name, data, pages in (
        ("itself next", directory(1, width, 8), 1),
        ("itself below", directory(1, circle, 0), 1),
        ("four billion below", directory(1, endless, 0) + bytes(9000), 1),
        ("out of the file", directory(1, width, 0xFFFFFFF0), 1),
        ("into the header", directory(1, width, 4), 1),
        ("more entries than bytes", directory(60000, width, 0), 0),
        ("half an entry", directory(1, width[:5], 0)[:-4], 0),
    ):
        assert len(tiffs.list_pages(data)) == pages, name
        with pytest.raises(ImageError, match="the TIFF is damaged: its header cannot be read"):
            decode("", data)
    # Thousands of pages, each the next one's neighbour.
    step = 2 + 12 + 4
    chain = b"".join(directory(1, width, 8 + step * (number + 1))[8:] for number in range(5000))
    assert len(tiffs.list_pages(b"II*\0\x08\0\0\0" + chain)) == tiffs.MAX_PAGES


def test_a_raw_file_is_known_by_its_content(monkeypatch: pytest.MonkeyPatch) -> None:
    mosaic = np.full((64, 96), 9000, np.uint16)
    preview = smooth(8, 12)
    for data in (as_dng(mosaic), as_dng(mosaic, preview=preview)):
        for name in ("a.dng", "a.tif", "a.JPG", "a.nef", "", "photos/000017.jpg"):
            assert decode(name, data).pixels.shape == (64, 96, 3), name
    image = Image.fromarray(PHOTO)
    for kind in ("JPEG", "PNG", "TIFF"):
        assert distance(encoded(image, kind, quality=95), PHOTO, name="a.nef") < 3, f"a {kind} named .nef"
    assert decode("a.cr3", HEIC.read_bytes()).pixels.shape == (30, 20, 3)
    monkeypatch.setattr(formats, "find_spec", lambda module: None)
    heads = {
        "Fuji": b"FUJIFILMCCD-RAW 0201",
        "Olympus": b"IIRO\x08\0\0\0",
        "Panasonic": b"IIU\0\x18\0\0\0",
        "Sigma": b"FOVb\0\0\2\0",
        "Minolta": b"\0MRM\0\0\0\0",
        "Canon, 2004": b"II*\0\x10\0\0\0CR\2\0",
        "Canon, 2018": b"\0\0\0\x18ftypcrx \0\0\0\1",
        "Phase One": b"II*\0\x08\0\0\0IIII",
        "DNG": as_dng(mosaic, preview=preview),
    }
    for maker, head in heads.items():
        with pytest.raises(ImageError, match=r"camera RAW needs .*: pip install .vtiqa-jax\[raw\]"):
            decode("a.jpg", head + bytes(100))
            pytest.fail(maker)
    # A file that does not show what it is, but for a camera's name in it and a RAW ending.
    unclear = tiff((PREVIEW, {"extratags": [(271, "s", 0, "Maker", True)]}))
    with pytest.raises(ImageError, match="camera RAW needs"):
        decode("a.srf", unclear)
    assert distance(unclear, PREVIEW, name="a.tif") == 0


def test_a_raw_photo_has_the_light_of_the_cameras_own_picture() -> None:
    """Dark pictures stay dark; without a preview, or with one of another shape, LibRaw makes them bright."""
    camera = (smooth(96, 128) * 0.3).astype(np.uint8)
    linear = (camera / 255.0) ** 2.2 * 60000
    mosaic = np.zeros(camera.shape[:2], np.uint16)
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[row::2, column::2] = linear[row::2, column::2, channel]

    def level(preview: np.ndarray | None = None, behind: bytes = b"") -> float:
        return float(decode("", as_dng(mosaic, preview=preview) + behind).pixels.max(-1).mean())

    wanted, small = camera.max(-1).mean(), camera[::4, ::4]
    assert abs(level(small) - wanted) < 3
    barred, flat = np.pad(small, ((4, 4), (0, 0), (0, 0))), np.full_like(small, 90)
    bright = level()
    assert bright == level(barred) == level(flat) > 2 * wanted
    # Most cameras write it as a JPEG, somewhere in the file, and a smaller one with bars beside it.
    image = Image.fromarray(camera)
    upright, lying = (encoded(picture, "JPEG", quality=95) for picture in (image, image.rotate(90, expand=True)))
    bars = encoded(Image.fromarray(barred), "JPEG")
    for behind in (upright, lying, bars + upright, upright + bars, upright[:-2] + bars):
        assert abs(level(behind=bytes(7) + behind) - wanted) < 3
    for behind in (bars, b"\xff\xd8\xff" * 1000, upright[:100], upright[:300] + bytes(500)):
        assert level(behind=behind) == bright
