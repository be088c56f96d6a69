"""Every kind of file a person has becomes the right RGB pixels, or a reason."""

import io
import os
import re
import struct
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import fuzz_images
import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.photo_files import HEIC, as_dng, encoded, tiff, with_chunk
from vtiqa_jax.errors import ImageError
from vtiqa_jax.models.config import deit_small
from vtiqa_jax.photos import damage, formats, headers, heif, limits, pillow
from vtiqa_jax.photos import tiff as tiff_pages
from vtiqa_jax.photos.decode import decode, open_photo, read
from vtiqa_jax.photos.resize import prepare
from vtiqa_jax.photos.stderr import quiet_decoders


@pytest.fixture
def picture(rng: np.random.Generator) -> np.ndarray:
    """20 x 30, smooth, no two corners alike."""
    y, x = np.mgrid[:20, :30]
    return np.stack([8 * y + 20, 8 * x, 4 * (x + y) + 10], -1).astype(np.uint8)


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
    found = decode("", data).pixels
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < 4, "JPEG's losses are 2 levels here, a wrong turn 40"


def test_every_kind_of_pixels_becomes_rgb(picture: np.ndarray) -> None:
    colour = Image.fromarray(picture)
    grey = np.asarray(colour.convert("L"))
    assert np.array_equal(decode("", encoded(colour, "PNG")).pixels, picture)
    assert np.array_equal(decode("", encoded(colour.convert("L"), "PNG")).pixels, np.repeat(grey[:, :, None], 3, 2))
    transparent = np.dstack([picture, np.full(picture.shape[:2], 7, np.uint8)])
    assert np.array_equal(decode("", encoded(Image.fromarray(transparent), "PNG")).pixels, picture)
    palette = colour.quantize(256)
    assert np.array_equal(decode("", encoded(palette, "PNG")).pixels, np.asarray(palette.convert("RGB")))
    deep = cv2.imencode(".png", picture[:, :, ::-1].astype(np.uint16) * 257)[1].tobytes()
    assert np.abs(decode("", deep).pixels.astype(int) - picture).max() <= 1
    cmyk = encoded(colour.convert("CMYK"), "JPEG", quality=95)
    assert np.abs(decode("", cmyk).pixels.astype(int) - picture).mean() < 6
    for kind in ("BMP", "WEBP", "TIFF", "GIF"):
        assert decode("", encoded(colour, kind)).pixels.shape == picture.shape, kind


def test_phones_and_cameras_files_are_read_and_turned(picture: np.ndarray, tmp_path: Path) -> None:
    upright = np.rot90(picture, -1)
    exif = Image.Exif()
    exif[0x0112] = 6
    avif = encoded(Image.fromarray(picture), "AVIF", exif=exif, quality=95)
    for data in (HEIC.read_bytes(), avif):
        found = decode("", data).pixels
        assert found.shape == upright.shape
        assert np.abs(found.astype(int) - upright).mean() < 4
    mosaic = np.full((64, 96), 9000, np.uint16)
    mosaic[:32, ::2][::2] = 60000  # the red cells of the upper half
    (tmp_path / "a.DNG").write_bytes(as_dng(mosaic, orientation=6))
    found = read(tmp_path / "a.DNG").pixels
    assert found.shape == (96, 64, 3)
    red = found[:, :, 0].astype(int) - found[:, :, 2]
    assert red[:, 40:].min() > 100 > 50 > np.abs(red[:, :24]).max(), "what was above is on the right"


def test_an_extra_that_is_missing_is_named(
    picture: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b.HEIC", "d.CR3"):
        (tmp_path / name).write_bytes(b"no photo" if name == "d.CR3" else HEIC.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(formats, "find_spec", lambda module: None)
        with pytest.raises(
            ImageError, match=r'HEIC needs a package that is not installed: pip install "vtiqa-jax\[heif\]"'
        ):
            read(tmp_path / "b.HEIC")
        with pytest.raises(ImageError, match=r"camera RAW needs .*: pip install .vtiqa-jax\[raw\]"):
            read(tmp_path / "d.CR3")
    with pytest.raises(ImageError, match="RAW file is damaged, or of a camera that LibRaw does not know"):
        read(tmp_path / "d.CR3")
    for data in (HEIC.read_bytes()[:700], encoded(Image.fromarray(picture), "AVIF")[:300]):
        with pytest.raises(ImageError, match="is damaged or cut off"):
            decode("", data)


FORMATS = [*fuzz_images.ENDINGS, "heic", "dng"]


def in_format(ending: str) -> bytes:
    """A photo of 30 x 20 pixels; LibRaw takes none of fewer than 22."""
    pixels = np.zeros((20, 30, 3), np.uint8)
    if ending == "dng":
        return as_dng(np.zeros((24, 25), np.uint16))
    return HEIC.read_bytes() if ending == "heic" else fuzz_images.encode(pixels, ending)


@pytest.mark.parametrize("ending", FORMATS)
def test_a_photo_with_too_many_pixels_is_refused_by_its_header(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decoder(*arguments: object, **options: object) -> None:
        raise AssertionError("it was decoded")

    path = tmp_path / f"a.{ending}"
    path.write_bytes(in_format(ending))
    limit = 64 * 64 if ending == "heic" else 600  # whole blocks, of which 20 x 30 are shown
    assert read(path, max_pixels=limit).pixels.size == 1800
    with pytest.raises(ImageError, match=f"are more than max-pixels, {limit - 1:,}"):
        read(path, max_pixels=limit - 1)
    path.write_bytes(fuzz_images.claim_size(path.read_bytes(), 30_000, 20_000))
    monkeypatch.setattr(cv2, "imdecode", decoder)
    monkeypatch.setattr(heif, "decode", decoder)
    monkeypatch.setattr(pillow, "decode", decoder)
    with pytest.raises(ImageError, match="30000 x 20000 pixels are more than max-pixels, 210,000,000"):
        read(path)


def test_no_lie_about_the_size_gets_past(tmp_path: Path) -> None:
    """Sizes that say less than the decoder will go by, and numbers that overflow or never end."""
    pixels = np.zeros((20, 30, 3), np.uint8)
    jp2 = fuzz_images.encode(pixels, "jp2")
    box = jp2.find(b"ihdr") + 4
    with pytest.raises(ImageError, match="the JPEG 2000 is damaged"):
        decode("", jp2[:box] + bytes([0, 0, 0, 1] * 2) + jp2[box + 8 :])
    assert headers.read_size(fuzz_images.claim_size(fuzz_images.encode(pixels, "gif"), 65535, 40000), "GIF") == (
        65535,
        40000,
    )
    os2 = b"BM" + bytes(12) + struct.pack("<LHHHH", 12, 30, 20, 1, 24) + bytes(20 * 92)
    os2 = os2[:10] + struct.pack("<L", 26) + os2[14:]
    assert headers.read_size(os2, "BMP") == (30, 20)
    with pytest.raises(ImageError, match="header cannot be read"):
        decode("", b"P6 " + b"1" * 5_000_000)


def test_a_folder_of_large_photos_is_decoded_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, running, most = encoded(Image.new("RGB", (30, 20)), "PNG"), [0], [0]
    real = cv2.imdecode

    def counted(*arguments: Any) -> np.ndarray:
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.02)
        running[0] -= 1
        return real(*arguments)

    monkeypatch.setattr(cv2, "imdecode", counted)
    for large, expected in ((599, 1), (600, 4)):
        monkeypatch.setattr(limits, "LARGE", large)
        most[0] = 0
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(decode, [""] * 8, [photo] * 8))
        assert (most[0] == 1) == (expected == 1)


def test_repaired_files_say_so(tmp_path: Path, rng: np.random.Generator) -> None:
    photo = Image.fromarray(cv2.GaussianBlur(rng.integers(0, 256, (160, 240, 3), np.uint8), (0, 0), 1))
    whole = {
        "plain": encoded(photo, "JPEG"),
        "progressive": encoded(photo, "JPEG", progressive=True),
        "grey": encoded(photo.convert("L"), "JPEG"),
        "cmyk": encoded(photo.convert("CMYK"), "JPEG"),
        "trailing": encoded(photo, "JPEG") + b"camera makers append data",
        "tiff": encoded(photo, "TIFF", compression="tiff_adobe_deflate"),
        "deep tiff": cv2.imencode(".tiff", np.zeros((20, 30, 3), np.uint16))[1].tobytes(),
        "png": encoded(photo, "PNG"),
    }
    path = tmp_path / "a.jpg"
    for name, data in whole.items():
        path.write_bytes(data)
        opened = open_photo(path)
        assert opened.warning is None, name
        assert np.array_equal(opened.pixels, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB))
    # In a JPEG's data FF D0 restarts, where nothing restarts; in the TIFF's a byte of the compressed rows is another.
    scans = {name: data.find(b"\xff\xda") + 200 for name, data in whole.items() if data.startswith(b"\xff\xd8")}
    for name, at in scans.items():
        path.write_bytes(whole[name][:at] + b"\xff\xd0" + whole[name][at:])
        assert open_photo(path).warning == damage.REPAIRED, name
    without_picture = whole["plain"].replace(b"\xff\xda", b"\xff\xe4")
    assert damage.find_damage(without_picture, "JPEG") is None, "OpenCV tells what is wrong with it"
    tiff = bytearray(whole["tiff"])
    tiff[5000] ^= 0x10
    path.write_bytes(tiff)
    assert open_photo(path).warning == damage.REPAIRED


def test_decoders_keep_quiet_and_we_do_not(
    capfd: pytest.CaptureFixture[str], rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy = encoded(Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)), "JPEG")
    at = noisy.find(b"\xff\xda") + 50
    noisy = noisy[:at] + b"\xff\xd0" + noisy[at:]
    decode("", noisy)
    assert "Corrupt JPEG data" in capfd.readouterr().err, "libjpeg would be heard"
    before = os.fstat(2).st_ino
    monkeypatch.setattr(sys, "stderr", os.fdopen(2, "w", closefd=False))  # as it is without pytest
    with quiet_decoders():
        decode("", noisy)
        warnings.warn_explicit("Corrupt EXIF data", UserWarning, "TiffImagePlugin.py", 1, module="PIL.TiffImagePlugin")
        print("a word of ours", file=sys.stderr)
    assert os.fstat(2).st_ino == before
    assert capfd.readouterr().err == "a word of ours\n"
    with pytest.raises(KeyError), quiet_decoders():
        raise KeyError
    os.write(2, b"heard again")
    assert capfd.readouterr().err == "heard again"


def test_damaged_files_give_a_reason(picture: np.ndarray, tmp_path: Path) -> None:
    large = Image.fromarray(np.kron(picture, np.ones((20, 20, 1), np.uint8)))
    thumbnail = encoded(large.resize((16, 16)), "JPEG")
    whole = encoded(large, "JPEG")
    # A thumbnail inside the header has an end marker of its own, which must not pass for the photo's.
    with_thumbnail = whole[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + whole[2:]
    assert decode("", with_thumbnail).pixels.shape == (400, 600, 3)
    assert decode("", whole + b"camera makers append data").pixels.shape == (400, 600, 3)
    for data in (whole, with_thumbnail, encoded(large, "JPEG", progressive=True)):
        with pytest.raises(ImageError, match="truncated"):
            decode("", data[: len(data) * 2 // 3])
    for data, reason in (
        (b"", "empty"),
        (b"not a picture", "not an image"),
        (encoded(large, "PNG")[:300], "the PNG is damaged or cut off"),
        (b"\xff\xd8\xff", "truncated"),
    ):
        with pytest.raises(ImageError, match=reason):
            decode("", data)
    with pytest.raises(ImageError, match="No such file"):
        read(tmp_path / "missing.jpg")
    with pytest.raises(ImageError, match="Is a directory"):
        read(tmp_path)
    with pytest.raises(ImageError, match="no file can have this name"):
        read("a\0.jpg")


def test_a_jpeg_needs_its_last_number_but_not_its_end_marker(rng: np.random.Generator) -> None:
    """Every byte before the marker counts: cut there, and between the scans of a progressive file."""
    image = Image.fromarray(cv2.GaussianBlur(rng.integers(0, 256, (60, 80, 3), np.uint8), (0, 0), 2))
    for kind in ("RGB", "L", "CMYK"):
        for options in ({}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 2}):
            if kind == "CMYK" and "subsampling" in options:
                continue  # libjpeg-turbo's interface, which tells what is missing, does not read it
            whole = encoded(image.convert(kind), "JPEG", quality=90, **options)
            expected = decode("", whole)
            assert expected.warning is None
            for missing in (1, 2):
                found = decode("", whole[:-missing])
                assert np.array_equal(found.pixels, expected.pixels) and found.warning is None
            for missing in (4, 5, 10, 100, len(whole) // 2):
                with pytest.raises(ImageError, match="truncated"):
                    decode("", whole[:-missing])
            scans = [found.start() for found in re.finditer(b"\xff\xda", whole)]
            for scan in scans:
                with pytest.raises(ImageError, match="truncated"):
                    decode("", whole[:scan])
            assert len(scans) > 1 or "progressive" not in options


def test_bytes_between_a_jpegs_segments_are_passed_over(picture: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = encoded(Image.fromarray(picture), "JPEG", quality=95, exif=exif)
    expected, position = decode("", whole).pixels, 2
    while whole[position + 1] != 0xDA:
        for between in (bytes(1), bytes(4), b"\xff", b"\xff\xff\xff", b"\0\x12"):
            data = whole[:position] + between + whole[position:]
            assert np.array_equal(decode("", data).pixels, expected), (position, between)
        position += 2 + int.from_bytes(whole[position + 2 : position + 4], "big")


def test_of_gif_and_png_too_the_end_marker_alone_may_be_missing(picture: np.ndarray) -> None:
    """And of an animation all that follows the first picture; but not a byte of that."""
    image = Image.fromarray(picture).quantize(64)
    shown, turned = np.asarray(image.convert("RGB")), image.rotate(180)
    moving = encoded(image, "GIF", save_all=True, append_images=[turned, image])
    png = encoded(Image.fromarray(picture), "PNG")
    for whole, cut, expected in (
        (encoded(image, "GIF"), 1, shown),
        (moving, 1, shown),
        (moving, 40, shown),
        (png, 1, picture),
        (png, 4, picture),
        (png, 12, picture),
    ):
        assert np.array_equal(decode("", whole).pixels, expected)
        assert np.array_equal(decode("", whole[:-cut]).pixels, expected), cut
    for whole, missing in ((encoded(image, "GIF"), (2, 3, 20)), (png, (13, 16, 17, 30, len(png) - 33))):
        for cut in missing:
            with pytest.raises(ImageError, match="damaged or cut off"):
                decode("", whole[:-cut])
    # Two pieces of the picture's data, of which the first alone is there: no chunk is cut.
    size = struct.unpack(">L", png[33:37])[0]
    half = with_chunk(png[:33], b"IDAT", png[41 : 41 + size // 2])
    for end in (b"", png[-12:]):
        with pytest.raises(ImageError, match="damaged or cut off"):
            decode("", half + end)


@pytest.mark.parametrize("white", [1, 100, 255, 1023, 4095, 65535])
def test_the_white_of_a_pnm_is_the_one_it_names(picture: np.ndarray, white: int) -> None:
    numbers = np.rint(picture / 255 * white).astype(int)
    kind = ">u2" if white > 255 else "u1"
    for name, values in (("6", numbers), ("5", numbers[:, :, 1])):
        head = f"# made up\n30 20 # across and down\n{white}\n".encode()
        plain = f"P{int(name) - 3}\n".encode() + head + " ".join(map(str, values.ravel())).encode()
        expected = values if values.ndim == 3 else np.repeat(values[:, :, None], 3, 2)
        for data in (f"P{name}\n".encode() + head + values.astype(kind).tobytes(), plain):
            found = decode("", data).pixels
            assert np.abs(found - expected / white * 255).max() <= 1, data[:2]


def test_a_tiff_in_an_unknown_compression_is_no_black_picture(picture: np.ndarray) -> None:
    plain = tiff((picture, {}))
    entry = tiff_pages.list_pages(plain)[0].entries[tiff_pages.COMPRESSION]
    for number in (0, 9, 34712, 50002):
        data = plain[: entry.position] + struct.pack("<H", number) + plain[entry.position + 2 :]
        with pytest.raises(ImageError, match=f"in a way that cannot be read, number {number}; save it"):
            decode("", data)


def test_tiffs_of_every_kind(picture: np.ndarray) -> None:
    """Transparency leaves colours as they are; rare compressions; numbers that are no picture's are refused."""
    image, alpha = Image.fromarray(picture), np.repeat(np.linspace(0, 255, 30).astype(np.uint8)[None], 20, 0)
    grey = np.repeat(np.asarray(image.convert("L"))[:, :, None], 3, 2)
    shown = np.rint(picture * (alpha[:, :, None] / 255)).astype(np.uint8)
    half = alpha >= 128
    for scale in (1, 257):
        as_stored = (lambda pixels: pixels) if scale == 1 else (lambda pixels: pixels.astype(np.uint16) * 257)
        for order in "<>":
            for compression in (None, "zlib"):
                options: dict[str, Any] = {"compression": compression}
                clear = tiff(
                    (as_stored(np.dstack([picture, alpha])), {"extrasamples": ["unassalpha"], **options}),
                    byteorder=order,
                )
                assert np.array_equal(decode("", clear).pixels, picture)
                multiplied = tiff(
                    (as_stored(np.dstack([shown, alpha])), {"extrasamples": ["assocalpha"], **options}), byteorder=order
                )
                assert np.abs(decode("", multiplied).pixels.astype(int) - picture)[half].max() <= 2
                two = {"photometric": "minisblack", "extrasamples": ["unassalpha"], **options}
                grey_alpha = tiff((as_stored(np.dstack([grey[:, :, 0], alpha])), two), byteorder=order)
                assert np.array_equal(decode("", grey_alpha).pixels, grey)
    selections = {"extrasamples": ["unspecified", "unspecified"]}  # as Photoshop saves them with a picture
    assert np.array_equal(decode("", tiff((np.dstack([picture, alpha, alpha]), selections))).pixels, picture)
    for compression in ("zstd", "lzma", "tiff_lzw", "packbits", "tiff_deflate"):
        assert np.array_equal(decode("", encoded(image, "TIFF", compression=compression)).pixels, picture), compression
    for kind in (np.float32, np.float16, np.int16, np.int8):
        with pytest.raises(ImageError, match="signed or fractional numbers"):
            decode("", tiff((picture.astype(kind), {})))
    with pytest.raises(ImageError, match="of a kind that cannot be read"):
        decode("", tiff((picture.astype(np.uint32), {})))


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
        assert np.array_equal(open_photo(photo).pixels, expected)
    for wrong, said in (
        (picture.astype(np.float32), "not float32"),
        (picture[:, :, :2], r"not uint8 \(20, 30, 2\)"),
        (np.zeros((0, 5, 3), np.uint8), r"\(0, 5, 3\)"),
        (None, "not NoneType"),
    ):
        with pytest.raises(ImageError, match=said):
            open_photo(wrong)


def test_pillow_images_of_every_mode(picture: np.ndarray) -> None:
    image = Image.fromarray(picture)
    for mode in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"):
        source = image.convert({"La": "LA", "RGBa": "RGBA"}.get(mode, mode)).convert(mode)
        expected = np.asarray(source.convert({"La": "LA", "RGBa": "RGBA"}.get(mode, mode)).convert("RGB"))
        assert np.array_equal(open_photo(source).pixels, expected), mode
    clear = image.quantize(64)
    clear.info["transparency"] = 3
    assert np.array_equal(open_photo(clear).pixels, np.asarray(image.quantize(64).convert("RGB")))
    empty = np.dstack([picture, np.zeros(picture.shape[:2], np.uint8)])
    assert np.array_equal(open_photo(Image.fromarray(empty)).pixels, picture)

    grey = picture[:, :, 1]
    deep = grey.astype(np.uint16) * 256 + 255
    expected = np.repeat(grey[:, :, None], 3, 2)
    size = (grey.shape[1], grey.shape[0])
    for mode, order in (("I;16", "<u2"), ("I;16L", "<u2"), ("I;16B", ">u2"), ("I;16N", "=u2")):
        assert np.array_equal(open_photo(Image.frombytes(mode, size, deep.astype(order).tobytes())).pixels, expected)
    assert np.array_equal(open_photo(Image.fromarray(deep.astype(np.int32))).pixels, expected)
    for kind in ("PNG", "TIFF"):
        data = encoded(Image.fromarray(deep), kind)
        with Image.open(io.BytesIO(data)) as opened:
            assert np.array_equal(open_photo(opened).pixels, decode("", data).pixels)
    data = tiff((~deep, {"photometric": "miniswhite"}))  # 0 is white
    with Image.open(io.BytesIO(data)) as opened:
        assert np.array_equal(open_photo(opened).pixels, expected)
    turned = Image.fromarray(deep)
    turned.getexif()[0x0112] = 6
    assert np.array_equal(open_photo(turned).pixels, np.rot90(expected, -1))
    for wrong, said in (
        (Image.fromarray(grey.astype(np.int32)), "mode I with numbers from 0 to 232 is none of 16 bits"),
        (Image.fromarray(grey.astype(np.int32) * 1000), "mode I with numbers"),
        (Image.fromarray(deep.astype(np.int32) - 500), "mode I with numbers from -"),
        (Image.fromarray(grey.astype(np.float32) / 255), "mode F does not say which of its numbers is white"),
    ):
        with pytest.raises(ImageError, match=said):
            open_photo(wrong)
    with pytest.raises(ImageError, match="not uint16"):
        open_photo(deep)
    data = encoded(image, "JPEG")
    with Image.open(io.BytesIO(data[:-20])) as cut, pytest.raises(ImageError, match="Pillow cannot decode"):
        open_photo(cut)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 3000, 3), (5, 2, 3)])
def test_any_size_can_be_stored(shape: tuple[int, int, int]) -> None:
    small, large = prepare(np.full(shape, 9, np.uint8), deit_small().screen_side, deit_small().stored_cuts)
    assert small.shape == (244, 244, 3)
    assert large.shape == (768, 768, 3)
    assert (large == 9).all()


def test_all_that_decodes_is_in_the_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = formats.decoder_versions()
    assert {"opencv-python-headless", "pillow", "littlecms2", "avif", "libtiff"} < set(versions)
    assert {"pi-heif", "libheif", "rawpy", "libraw"} < set(versions)
    assert all(re.match(r"\d+", version) for version in versions.values()), versions
    plain = formats.decoder_versions({".jpg", ".png"})
    assert not {"pi-heif", "libheif", "rawpy", "libraw"} & set(plain), "an extra that reads none of them"
    assert formats.decoder_versions({".jpg", ".heic"}).keys() - plain.keys() == {"pi-heif", "libheif"}
    monkeypatch.setattr(formats, "find_spec", lambda module: None)
    assert not {"pi-heif", "libheif", "rawpy", "libraw"} & set(formats.decoder_versions())

    def broken(module: str) -> None:
        raise ImportError("libgomp.so.1: cannot open shared object file")

    monkeypatch.undo()
    monkeypatch.setattr(formats, "import_module", broken)
    assert "libraw" not in formats.decoder_versions()
    with pytest.raises(ImageError, match=r"camera RAW needs rawpy, which does not load here: libgomp.so.1"):
        decode("", as_dng(np.zeros((24, 25), np.uint16)))


def test_a_device_is_no_photo() -> None:
    """/dev/zero never ends."""
    with pytest.raises(ImageError, match="it is a device, not a file"):
        read("/dev/zero")


def test_pillows_preview_is_not_taken_for_the_photo(picture: np.ndarray, tmp_path: Path) -> None:
    """Pillow opens the first page of a TIFF, which may be marked as a preview."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(picture[::4, ::4], subfiletype=1, photometric="rgb")
        file.write(picture, photometric="rgb")
    assert open_photo(tmp_path / "a.tif").pixels.shape == picture.shape
    with Image.open(tmp_path / "a.tif") as image, pytest.raises(ImageError, match=r"opened the preview in .*a\.tif"):
        open_photo(image)
    tifffile.imwrite(tmp_path / "b.tif", picture, photometric="rgb")
    with Image.open(tmp_path / "b.tif") as image:
        np.testing.assert_array_equal(open_photo(image).pixels, picture)
