"""Every kind of file a person has becomes the right RGB pixels, or a reason."""

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from vtiqa_jax.data import formats, images
from vtiqa_jax.errors import ImageError
from vtiqa_jax.models.vtiqa import deit_small


@pytest.fixture
def picture(rng: np.random.Generator) -> np.ndarray:
    """20 x 30, smooth, no two corners alike."""
    y, x = np.mgrid[:20, :30]
    return np.stack([8 * y + 20, 8 * x, 4 * (x + y) + 10], -1).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(picture: np.ndarray, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(picture), "JPEG", exif=exif, quality=95)
    upright = {
        1: picture,
        2: picture[:, ::-1],
        3: picture[::-1, ::-1],
        4: picture[::-1],
        5: picture.transpose(1, 0, 2),
        6: np.rot90(picture, -1),
        7: picture[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(picture),
    }[orientation]
    found = images.decode(data)
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < 4, "JPEG's losses are 2 levels here, a wrong turn 40"


def test_every_kind_of_pixels_becomes_rgb(picture: np.ndarray) -> None:
    colour = Image.fromarray(picture)
    grey = np.asarray(colour.convert("L"))
    assert np.array_equal(images.decode(encoded(colour, "PNG")), picture)
    assert np.array_equal(images.decode(encoded(colour.convert("L"), "PNG")), np.repeat(grey[:, :, None], 3, 2))
    transparent = np.dstack([picture, np.full(picture.shape[:2], 7, np.uint8)])
    assert np.array_equal(images.decode(encoded(Image.fromarray(transparent), "PNG")), picture)
    palette = colour.quantize(256)
    assert np.array_equal(images.decode(encoded(palette, "PNG")), np.asarray(palette.convert("RGB")))
    deep = cv2.imencode(".png", picture[:, :, ::-1].astype(np.uint16) * 257)[1].tobytes()
    assert np.abs(images.decode(deep).astype(int) - picture).max() <= 1
    cmyk = encoded(colour.convert("CMYK"), "JPEG", quality=95)
    assert np.abs(images.decode(cmyk).astype(int) - picture).mean() < 6
    for kind in ("BMP", "WEBP", "TIFF", "GIF"):
        assert images.decode(encoded(colour, kind)).shape == picture.shape, kind


def test_damaged_files_give_a_reason(picture: np.ndarray, tmp_path: Path) -> None:
    large = Image.fromarray(np.kron(picture, np.ones((20, 20, 1), np.uint8)))
    thumbnail = encoded(large.resize((16, 16)), "JPEG")
    whole = encoded(large, "JPEG")
    # A thumbnail inside the header has an end marker of its own, which must not pass for the photo's.
    with_thumbnail = whole[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + whole[2:]
    assert images.decode(with_thumbnail).shape == (400, 600, 3)
    assert images.decode(whole + b"camera makers append data").shape == (400, 600, 3)
    for data in (whole, with_thumbnail, encoded(large, "JPEG", progressive=True)):
        with pytest.raises(ImageError, match="truncated"):
            images.decode(data[: len(data) * 2 // 3])
    for data, reason in (
        (b"", "empty"),
        (b"not a picture", "not an image"),
        (encoded(large, "PNG")[:300], "the PNG is damaged or cut off"),
        (b"\xff\xd8\xff", "truncated"),
    ):
        with pytest.raises(ImageError, match=reason):
            images.decode(data)
    with pytest.raises(ImageError, match="No such file"):
        images.read(tmp_path / "missing.jpg")
    with pytest.raises(ImageError, match="Is a directory"):
        images.read(tmp_path)


def test_arrays_and_pillow_images_are_photos_too(picture: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    turned = Image.fromarray(picture)
    turned.getexif()[0x0112] = 6
    grey = picture[:, :, 0]
    for photo, expected in (
        (picture, picture),
        (str(tmp_path / "a.png"), picture),
        (tmp_path / "a.png", picture),
        (Image.fromarray(picture), picture),
        (turned, np.rot90(picture, -1)),
        (grey, np.repeat(grey[:, :, None], 3, 2)),
        (grey[:, :, None], np.repeat(grey[:, :, None], 3, 2)),
        (np.dstack([picture, grey]), picture),
    ):
        assert np.array_equal(images.open_photo(photo).pixels, expected)
    for wrong, said in (
        (picture.astype(np.float32), "not float32"),
        (picture[:, :, :2], r"not uint8 \(20, 30, 2\)"),
        (np.zeros((0, 5, 3), np.uint8), r"\(0, 5, 3\)"),
        (None, "not NoneType"),
    ):
        with pytest.raises(ImageError, match=said):
            images.open_photo(wrong)


def test_stored_sizes_are_opencvs_cubic(rng: np.random.Generator) -> None:
    photo = cv2.GaussianBlur(rng.integers(0, 256, (500, 400, 3), np.uint8), (0, 0), 1)
    small, large = images.resize_pair(photo, deit_small())
    assert np.array_equal(small, cv2.resize(photo, (244, 244), interpolation=cv2.INTER_CUBIC))
    assert np.array_equal(large, cv2.resize(photo, (768, 768), interpolation=cv2.INTER_CUBIC))
    pillow = np.asarray(Image.fromarray(photo).resize((244, 244), Image.Resampling.BICUBIC))
    assert np.abs(small.astype(int) - pillow).max() > 10, "the wrong resize would be noticed"


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 3000, 3), (5, 2, 3)])
def test_any_size_can_be_stored(shape: tuple[int, int, int]) -> None:
    small, large = images.resize_pair(np.full(shape, 9, np.uint8), deit_small())
    assert small.shape == (244, 244, 3)
    assert large.shape == (768, 768, 3)
    assert (large == 9).all()


def test_folders_are_searched_at_any_depth_in_order(tmp_path: Path) -> None:
    (tmp_path / "b" / "deep").mkdir(parents=True)
    for name in ("z.jpg", "b/deep/a.PNG", "b/notes.txt", "b/c.tiff"):
        (tmp_path / name).touch()
    found = formats.find_images([tmp_path, tmp_path / "b" / "notes.txt"])
    assert [str(path.relative_to(tmp_path)) for path in found] == ["b/c.tiff", "b/deep/a.PNG", "z.jpg", "b/notes.txt"]
