"""When and how a photo was taken: from files of every kind, whatever nonsense they hold."""

import dataclasses
import datetime
import io
import struct
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import IFDRational

from vtiqa_jax.photos import capture, decode, heif
from vtiqa_jax.photos.capture import Capture
from vtiqa_jax.photos.headers import Format, find_format

TAKEN = {
    Base.DateTimeOriginal: "2024:05:17 18:42:07",
    Base.SubsecTimeOriginal: "25",
    Base.OffsetTimeOriginal: "+02:00",
    Base.ExposureBiasValue: IFDRational(-2, 3),
    Base.ExposureTime: IFDRational(1, 125),
    Base.FNumber: IFDRational(8, 1),
    Base.ISOSpeedRatings: 200,
    Base.FocalLength: IFDRational(35, 1),
    Base.SubjectDistance: IFDRational(13, 10),
    Base.ExposureMode: 2,
    Base.BodySerialNumber: "0042",
    Base.ExifImageWidth: 6000,
    Base.ExifImageHeight: 4000,
}
SECONDS = datetime.datetime(2024, 5, 17, 18, 42, 7, tzinfo=datetime.UTC).timestamp()
EXPECTED = Capture(
    time=SECONDS + 0.25, has_fraction=True, zone=7200.0, make="Maker", model="Camera", serial="0042",
    exposure_bias=-2 / 3, is_auto_bracket=True, exposure_time=1 / 125, f_number=8.0, iso=200.0, focal_length=35.0,
    focus_distance=1.3, size=(6000, 4000),
)  # fmt: skip


def exif_of(inner: dict[int, Any], **main: str) -> Image.Exif:
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Model] = main.get("make", "Maker"), main.get("model", "Camera")
    exif.get_ifd(IFD.Exif).update(inner)
    return exif


def photo(kind: str, inner: dict[int, Any], **main: str) -> bytes:
    """A file of 48 x 32 pixels with this EXIF data."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, kind, exif=exif_of(inner, **main).tobytes())
    return buffer.getvalue()


def read(data: bytes) -> Capture:
    return capture.read_capture(data, find_format(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "TIFF", "AVIF"])
def test_everything_is_read_from_every_format(kind: str) -> None:
    data = photo(kind, TAKEN)
    assert read(data) == EXPECTED
    assert decode.decode("a.jpg", data).capture == EXPECTED


def test_heic_files_are_asked_for_their_exif(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the box that pi-heif returns, with the name before it; no encoder of HEIC is free enough to depend on."""
    block = b"Exif\0\0" + exif_of(TAKEN).tobytes().removeprefix(b"Exif\0\0")

    def read_exif(data: bytes, kind: Format) -> bytes:
        return block if kind == "HEIC" else b""

    monkeypatch.setattr(heif, "read_exif", read_exif)
    assert capture.read_capture(b"any", "HEIC") == EXPECTED


def test_raw_files_of_every_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """TIFFs with another number in their header, Fuji's with a JPEG within, Canon's of boxes."""
    tiff = exif_of(TAKEN).tobytes().removeprefix(b"Exif\0\0")
    assert tiff[:4] == b"MM\0*" or tiff[:4] == b"II*\0"
    order = "<" if tiff[:2] == b"II" else ">"
    olympus = tiff[:2] + (b"RO" if order == "<" else b"OR") + tiff[4:]
    assert capture.read_capture(olympus, None, is_raw=True) == dataclasses.replace(EXPECTED, is_raw=True)
    jpeg = photo("JPEG", TAKEN)
    fuji = b"FUJIFILMCCD-RAW ".ljust(84, b"\0") + struct.pack(">LL", 100, len(jpeg)) + b"\0" * 8 + jpeg
    assert capture.read_capture(fuji, None) == EXPECTED

    def box(name: bytes, content: bytes) -> bytes:
        return struct.pack(">L", 8 + len(content)) + name + content

    outer = exif_of({}).tobytes().removeprefix(b"Exif\0\0")
    (directory,) = struct.unpack_from(order + "L", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, directory)
    entries = (struct.unpack_from(order + "HHLL", tiff, directory + 2 + 12 * at) for at in range(count))
    (inner,) = (value for tag, _, _, value in entries if tag == IFD.Exif)
    only_exif = tiff[:4] + struct.pack(order + "L", inner) + tiff[8:]
    uuid = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
    canon = box(b"ftyp", b"crx \0\0\0\1crx isom") + box(
        b"moov", box(b"uuid", b"\0" * 16) + box(b"uuid", uuid + box(b"CMT1", outer) + box(b"CMT2", only_exif))
    )
    assert capture.read_capture(canon, None) == EXPECTED


def test_a_photo_without_a_word_says_nothing() -> None:
    assert read(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()) == Capture()
    assert decode.open_photo(np.zeros((8, 8, 3), np.uint8)).capture == Capture()
    assert capture.read_capture(b"", None) == Capture()


def test_pillows_images_bring_theirs() -> None:
    image = Image.open(io.BytesIO(photo("JPEG", TAKEN)))
    assert decode.open_photo(image).capture == EXPECTED


@pytest.mark.parametrize(
    ("tag", "value", "field"),
    [
        (Base.DateTimeOriginal, "0000:00:00 00:00:00", "time"),
        (Base.DateTimeOriginal, "2024:13:45 99:99:99", "time"),
        (Base.DateTimeOriginal, "    :  :     :  :  ", "time"),
        (Base.DateTimeOriginal, "yesterday", "time"),
        (Base.DateTimeOriginal, "1970:01:01 00:00:00", "time"),  # clocks that were never set
        (Base.DateTimeOriginal, "1980:01:01 00:07:12", "time"),
        (Base.DateTimeOriginal, "2000:01:01 00:00:00", "time"),
        (Base.DateTimeOriginal, "2015:01:01 00:00:00", "time"),
        (Base.OffsetTimeOriginal, "+99:99", "zone"),
        (Base.OffsetTimeOriginal, "CEST", "zone"),
        (Base.ExposureTime, (1, 0), "exposure_time"),
        (Base.ExposureTime, (0, 1), "exposure_time"),
        (Base.FNumber, (0, 10), "f_number"),
        (Base.ExposureBiasValue, (2**31 - 1, 1), "exposure_bias"),
        (Base.SubjectDistance, (2**32 - 1, 1), "focus_distance"),  # infinity
        (Base.ISOSpeedRatings, 0, "iso"),
        (Base.FocalLength, (0, 0), "focal_length"),
    ],
)
def test_what_makes_no_sense_is_not_said(tag: int, value: Any, field: str) -> None:
    value = IFDRational(*value) if isinstance(value, tuple) else value
    nothing = {field: None} | ({"has_fraction": False} if field == "time" else {})
    assert read(photo("TIFF", TAKEN | {tag: value})) == dataclasses.replace(EXPECTED, **nothing)


def test_an_iso_that_two_bytes_cannot_hold() -> None:
    isos = {Base.ISOSpeedRatings: 65535, Base.RecommendedExposureIndex: 204800}
    assert read(photo("TIFF", TAKEN | isos)).iso == 204800


def test_the_light_that_a_photo_was_exposed_for() -> None:
    """In stops: twice the time, or half the number squared, or twice the ISO, is a stop less."""
    taken = Capture(exposure_time=1 / 125, f_number=8.0, iso=100.0)
    assert taken.exposure_value == pytest.approx(np.log2(64 * 125))
    for change in ({"exposure_time": 2 / 125}, {"f_number": 8 / 2**0.5}, {"iso": 200.0}):
        other = dataclasses.replace(taken, **change)
        assert taken.exposure_value - other.exposure_value == pytest.approx(1)
    assert dataclasses.replace(taken, iso=None).exposure_value is None


def test_a_fraction_needs_a_time_and_digits() -> None:
    without = {tag: value for tag, value in TAKEN.items() if tag != Base.DateTimeOriginal}
    found = read(photo("JPEG", without))
    assert (found.time, found.has_fraction) == (None, False)
    found = read(photo("JPEG", TAKEN | {Base.SubsecTimeOriginal: "  "}))
    assert (found.time, found.has_fraction) == (SECONDS, False)
    assert read(photo("JPEG", TAKEN | {Base.SubsecTimeOriginal: "007   "})).time == SECONDS + 0.007


@pytest.mark.parametrize("form", ['aux:ApproximateFocusDistance="123/100"', "<aux:ApproximateFocusDistance>123/100</"])
def test_the_distance_of_adobes_programs(form: str) -> None:
    packet = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>" + form.encode() + b"</x:xmpmeta>"
    segment = b"\xff\xe1" + struct.pack(">H", len(packet) + 2) + packet
    jpeg = photo("JPEG", {Base.DateTimeOriginal: "2024:05:17 18:42:07"})
    assert read(jpeg[:2] + segment + jpeg[2:]).focus_distance == 1.23
    broken = segment.replace(b"/100", b"/000")
    assert read(jpeg[:2] + broken + jpeg[2:]).focus_distance is None


def test_counts_of_gigabytes_are_not_followed() -> None:
    """Of text, of numbers, of directories; each entry of the data claims as much as a count can hold."""
    tiff = bytearray(exif_of(TAKEN).tobytes().removeprefix(b"Exif\0\0"))
    order = "<" if tiff[:2] == b"II" else ">"
    for start in range(8, len(tiff) - 8, 2):
        (kind,) = struct.unpack_from(order + "H", tiff, start)
        if kind in (2, 3, 4, 5, 10):
            struct.pack_into(order + "L", tiff, start + 2, 0xFFFFFFFF)
    found = capture.read_capture(bytes(tiff) + bytes(1 << 20), "TIFF")
    assert len(found.make) <= 256


@given(st.data())
def test_damaged_exif_never_raises(data: st.DataObject) -> None:
    block = bytearray(exif_of(TAKEN).tobytes())
    for _ in range(data.draw(st.integers(1, 8))):
        block[data.draw(st.integers(6, len(block) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(block)))
    for damaged in (bytes(block), bytes(block[:cut])):
        found = capture.read_exif(damaged)
        assert found.time is None or abs(found.time) < 1e12
        assert found.exposure_value is None or np.isfinite(found.exposure_value)


STARTS = (b"FUJIFILMCCD-RAW", b"\0\0\0\x18ftypcrx ", b"II*\0", b"\xff\xd8\xff\xe1", b"")


@given(st.binary(max_size=400), st.sampled_from(STARTS))
def test_any_bytes_never_raise(content: bytes, start: bytes) -> None:
    data = start + content
    assert isinstance(capture.read_capture(data, find_format(data)), Capture)
