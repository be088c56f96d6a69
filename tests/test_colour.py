"""Colours and light of files that are not sRGB's become sRGB's; those that are keep every bit."""

import struct

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.photo_files import PQ_HEIC, cmyk_profile, encoded, icc_profile, smooth, tiff, with_chunk
from vtiqa_jax.photos import boxes, hdr
from vtiqa_jax.photos.decode import decode, open_photo
from vtiqa_jax.photos.hdr import CodePoints

PHOTO = smooth(96, 128)
P3_TO_XYZ = np.array([[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]])
"""Linear Display P3 to XYZ under D50."""
SRGB_TO_XYZ = np.array([[0.4360, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
P3, GREY = icc_profile(P3_TO_XYZ, 2.2), icc_profile(SRGB_TO_XYZ, 1.4, b"GRAY")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LOSSLESS: dict[str, dict[str, object]] = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}
LOSSY: dict[str, dict[str, object]] = {"JPEG": {"quality": 95}, "AVIF": {"quality": 95}}


def linear(pixels: np.ndarray) -> np.ndarray:
    """sRGB's numbers to light."""
    share = pixels / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def levels(light: np.ndarray) -> np.ndarray:
    """Light to sRGB's numbers."""
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def from_p3(pixels: np.ndarray) -> np.ndarray:
    return levels((pixels / 255) ** 2.2 @ (np.linalg.inv(SRGB_TO_XYZ) @ P3_TO_XYZ).T)


@pytest.mark.parametrize("kind", [*LOSSLESS, *LOSSY])
def test_display_p3_becomes_srgb(kind: str) -> None:
    image = Image.fromarray(PHOTO)
    options = (LOSSLESS | LOSSY)[kind]
    plain, found = (decode("", encoded(image, kind, **options, icc_profile=profile)).pixels for profile in (None, P3))
    error = np.abs(found - from_p3(plain))
    assert error.max() < 4 and error.mean() < 0.7
    assert np.abs(found.astype(int) - plain).max() > 25, "colours of P3 are stronger than their numbers say"


@pytest.mark.parametrize("kind", [*LOSSLESS, *LOSSY, "GIF", "BMP"])
def test_srgb_and_broken_profiles_change_no_pixel(kind: str) -> None:
    image = Image.fromarray(PHOTO)
    options = (LOSSLESS | LOSSY).get(kind, {})
    plain = decode("", encoded(image, kind, **options)).pixels
    if kind not in ("AVIF", "GIF"):
        data = np.frombuffer(encoded(image, kind, **options), np.uint8)
        assert np.array_equal(plain, cv2.imdecode(data, cv2.IMREAD_COLOR_RGB))
    rounded = icc_profile(SRGB_TO_XYZ + 0.0004, linear(np.linspace(0, 255, 1024)))
    simple = icc_profile(SRGB_TO_XYZ, 2.2)
    for profile in (SRGB, rounded, P3[:300], P3[:160] + b"\xff" * 80 + P3[240:], b"no profile" * 50, GREY):
        assert np.array_equal(decode("", encoded(image, kind, **options, icc_profile=profile)).pixels, plain)
    if kind in LOSSLESS:  # a plain gamma is not sRGB's curve
        changed = decode("", encoded(image, kind, **options, icc_profile=simple)).pixels
        assert 4 < np.abs(changed.astype(int) - plain).max() < 12


def test_grey_and_cmyk_profiles_and_pillow_images() -> None:
    image = Image.fromarray(PHOTO)
    grey = image.convert("L")
    expected = levels((np.asarray(grey) / 255) ** 1.4)
    for kind, options in LOSSLESS.items():
        if kind == "WEBP":
            continue  # has no grey
        found = decode("", encoded(grey, kind, **options, icc_profile=GREY)).pixels
        assert np.abs(found - expected[:, :, None]).max() < 2, kind
    for photo, wanted in ((image, from_p3(PHOTO)), (grey, np.repeat(expected[:, :, None], 3, 2))):
        photo.info["icc_profile"] = P3 if photo is image else GREY
        assert np.abs(open_photo(photo).pixels - wanted).mean() < 0.7
    lab = ImageCms.profileToProfile(
        image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    assert np.abs(open_photo(lab).pixels.astype(int) - PHOTO).mean() < 2
    assert np.abs(decode("", encoded(lab, "TIFF")).pixels.astype(int) - PHOTO).mean() < 2


def test_cmyk_is_converted_by_its_press() -> None:
    """Black of this one is dark grey. Without a profile, or with a damaged one, it is black, and cyan the screen's."""
    profile = cmyk_profile()
    image = Image.fromarray(
        np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255]]], np.uint8).repeat(16, 0).repeat(16, 1), "CMYK"
    )
    patches = [(8, 8 + 16 * number) for number in range(3)]
    files = [(kind, {"quality": 95} if kind == "JPEG" else {}) for kind in ("JPEG", "TIFF")]
    converted = [decode("", encoded(image, kind, **options, icc_profile=profile)).pixels for kind, options in files]
    image.info["icc_profile"] = profile
    for found in (*converted, open_photo(image).pixels):
        paper, cyan, black = (found[place].astype(int) for place in patches)
        assert paper.min() > 250 and abs(cyan - (0, 224, 255)).max() < 12 and abs(black - (63, 63, 63)).max() < 12
    del image.info["icc_profile"]
    for kind, options in files:
        plain, damaged = (
            decode("", encoded(image, kind, **options, **more)).pixels for more in ({}, {"icc_profile": profile[:200]})
        )
        assert np.array_equal(plain, damaged)
        assert plain[patches[0]].min() > 250 and plain[patches[2]].max() < 5 and plain[patches[1]][1] > 250
    rgb = Image.fromarray(PHOTO)
    for kind, options in (LOSSLESS | LOSSY).items():
        plain, mismatched = (
            decode("", encoded(rgb, kind, **options, **more)).pixels for more in ({}, {"icc_profile": profile})
        )
        assert np.array_equal(plain, mismatched), kind


def test_a_long_jpeg_profile_is_put_together() -> None:
    """Of pieces in the file, in the order of their numbers, which need not be the file's."""
    profile = P3 + bytes(70_000)
    profile = struct.pack(">L", len(profile)) + profile[4:]
    data = encoded(Image.fromarray(PHOTO), "JPEG", quality=95, icc_profile=profile)
    first = data.find(b"\xff\xe2")
    second = data.find(b"\xff\xe2", first + 60_000)
    end = second + 2 + int.from_bytes(data[second + 2 : second + 4], "big")
    exchanged = data[:first] + data[second:end] + data[first:second] + data[end:]
    expected = decode("", encoded(Image.fromarray(PHOTO), "JPEG", quality=95, icc_profile=P3)).pixels
    for whole in (data, exchanged):
        assert np.array_equal(decode("", whole).pixels, expected)


# ---- HDR ----

TO_BT2020 = np.linalg.inv(
    np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
)


def as_pq(pixels: np.ndarray) -> np.ndarray:
    """An sRGB picture whose white is 203 nits as PQ's numbers from 0 to 1."""
    light = (np.maximum(linear(pixels) @ TO_BT2020.T, 0) * 203 / 10_000) ** (1305 / 8192)
    return ((3424 / 4096 + 2413 / 128 * light) / (1 + 2392 / 128 * light)) ** (2523 / 32)


def as_hlg(pixels: np.ndarray) -> np.ndarray:
    shown = np.maximum(linear(pixels) @ TO_BT2020.T, 0) * 0.203
    luminance = (shown @ np.array((0.2627, 0.6780, 0.0593)))[..., None]
    scene = shown * np.maximum(luminance, 1e-9) ** (1 / 1.2 - 1)
    upper = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), upper)


@pytest.mark.parametrize("transfer", [hdr.PQ, hdr.HLG])
def test_hdr_light_becomes_an_ordinary_picture(transfer: int) -> None:
    signal = (as_pq if transfer == hdr.PQ else as_hlg)(PHOTO)
    dark = (linear(PHOTO) < hdr.KNEE).all(-1)
    assert 0.5 < dark.mean() < 0.95
    for depth, tolerance in ((16, 1.0), (8, 5.0)):
        stored = np.rint(signal * (2**depth - 1)).astype(np.uint16 if depth == 16 else np.uint8)
        png = cv2.imencode(".png", stored[:, :, ::-1])[1].tobytes()
        found = decode("", with_chunk(png, b"cICP", bytes((hdr.BT2020, transfer, 0, 1)))).pixels
        error = np.abs(found.astype(int) - PHOTO)
        assert error[dark].mean() < tolerance
        assert error[~dark].max() < 30, "white paper becomes a little darker, to leave room above"
        assert np.abs(decode("", png).pixels.astype(int) - PHOTO)[dark].mean() > 10


def test_brighter_light_is_never_darker_and_keeps_its_hue() -> None:
    code = CodePoints(1, hdr.PQ)
    ramp = np.repeat(np.arange(0, 65536, 64, dtype=np.uint16)[None, :, None], 3, 2)
    grey = hdr.to_srgb(ramp, code)[0, :, 0].astype(int)
    assert (np.diff(grey) >= 0).all() and grey[0] == 0 and grey[-1] == 255
    assert 215 < np.interp(203, 10_000 * hdr._curve(hdr.PQ, 65535)[::64] * 203 / 10_000, grey) < 245
    lamp = np.array([[[50000, 40000, 30000]]], np.uint16)
    shown = linear(hdr.to_srgb(lamp, code)[0, 0])
    meant = hdr._curve(hdr.PQ, 65535)[lamp[0, 0]]
    assert np.allclose(shown / shown.max(), meant / meant.max(), atol=0.02)


def test_avif_and_heic_say_it_in_their_boxes() -> None:
    stored = np.rint(as_pq(PHOTO) * 1023).astype(np.uint16)
    options = [cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 95]
    avif = cv2.imencode(".avif", stored[:, :, ::-1], options)[1].tobytes()
    at = avif.find(b"colrnclx") + 8
    data = avif[:at] + struct.pack(">HH", hdr.BT2020, hdr.PQ) + avif[at + 4 :]
    assert boxes.read_avif_coding(avif) == boxes.Coding(CodePoints(1, 13), 10)
    assert boxes.read_avif_coding(data) == boxes.Coding(CodePoints(hdr.BT2020, hdr.PQ), 10)
    dark = (linear(PHOTO) < hdr.KNEE).all(-1)
    assert np.abs(decode("", data).pixels.astype(int) - PHOTO)[dark].mean() < 2
    meant = hdr.to_srgb(PHOTO.astype(np.uint16) * 257, CodePoints(hdr.BT2020, hdr.PQ))
    assert np.abs(decode("", PQ_HEIC.read_bytes()).pixels.astype(int) - meant).mean() < 2
    # Display P3 without a profile.
    p3 = avif[:at] + struct.pack(">HH", hdr.DISPLAY_P3, 13) + avif[at + 4 :]
    plain = decode("", avif).pixels
    expected = levels(linear(plain) @ (np.linalg.inv(SRGB_TO_XYZ) @ P3_TO_XYZ).T)
    assert np.abs(decode("", p3).pixels - expected).mean() < 1 < np.abs(plain - expected).mean()


def test_what_another_picture_of_an_avif_is_coded_like_does_not_count() -> None:
    """A gain map beside the photo: the numbers of its properties are not the primary's."""
    avif = encoded(Image.fromarray(PHOTO), "AVIF")
    assert boxes.read_avif_coding(avif).code_points == CodePoints(1, 13)
    at = avif.find(b"pitm") + 8
    other = avif[:at] + struct.pack(">H", 77) + avif[at + 2 :]
    assert boxes.read_avif_coding(other) == boxes.Coding()
    rng = np.random.default_rng(0)
    for _ in range(300):  # whatever is damaged: an answer
        damaged = bytearray(avif[:400])
        for place in rng.integers(len(damaged), size=4):
            damaged[place] = rng.integers(256)
        assert isinstance(boxes.read_avif_coding(bytes(damaged)), boxes.Coding)


# ---- bits ----


def test_numbers_that_do_not_fill_their_16_bits() -> None:
    for bits in (10, 12, 14):
        short = PHOTO.astype(np.uint16) << (bits - 8)
        png = cv2.imencode(".png", short[:, :, ::-1])[1].tobytes()
        filled = cv2.imencode(".png", (PHOTO.astype(np.uint16) * 257)[:, :, ::-1])[1].tobytes()
        for name, data in (
            ("PNG", with_chunk(png, b"sBIT", bytes([bits] * 3))),
            ("PNG as the standard says", with_chunk(filled, b"sBIT", bytes([bits] * 3))),
            ("TIFF", tiff((short, {"extratags": [(281, "H", 3, (2**bits - 1,) * 3, True)]}))),
        ):
            assert np.array_equal(decode("", data).pixels, PHOTO), (name, bits)
        assert decode("", png).pixels.max() < 64, "nothing tells it"
    brightest = tiff((PHOTO.astype(np.uint16) * 257, {"extratags": [(281, "H", 3, (60_000,) * 3, True)]}))
    assert np.array_equal(decode("", brightest).pixels, PHOTO)
