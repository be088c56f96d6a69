"""Time and settings of the exposure, as a photo's file tells them: stacks are found by these.

Files are other people's: whatever stands in them, nothing is raised, and what makes no sense counts as not said.
"""

import dataclasses
import datetime
import math
import re

from vtiqa_jax.photos import boxes, heif, metadata, tiff
from vtiqa_jax.photos.headers import Format

BODY_SERIAL_NUMBER, DNG_SERIAL_NUMBER = 0xA431, 0xC62F
EXPOSURE_TIME, F_NUMBER, ISO, RECOMMENDED_INDEX = 0x829A, 0x829D, 0x8827, 0x8832
TIME_ORIGINAL, ZONE_ORIGINAL, FRACTION_ORIGINAL = 0x9003, 0x9011, 0x9291
EXPOSURE_BIAS, SUBJECT_DISTANCE, FOCAL_LENGTH, EXPOSURE_MODE = 0x9204, 0x9206, 0x920A, 0xA402
PIXELS_ACROSS, PIXELS_DOWN = 0xA002, 0xA003
AUTO_BRACKET = 2
"""Value of `EXPOSURE_MODE`."""
FIRST_YEAR = 1995
"""First year of EXIF: an earlier date is that of a clock which was never set, or of a scanned print."""
MAX_ISO = 65535
"""Largest number that `ISO` holds; from there on `RECOMMENDED_INDEX` has the number."""
XMP_BYTES = 1 << 18
"""Number of bytes, from a file's start, in which the distance of Adobe's programs is searched for."""

FOCUS_DISTANCE = re.compile(rb"""aux:ApproximateFocusDistance\s*(?:=\s*["']|>)\s*(\d{1,10})/(\d{1,10})""")
DATE = re.compile(r"(\d{4})[:/.-](\d\d)[:/.-](\d\d)[ T](\d\d):(\d\d):(\d\d)")
ZONE = re.compile(r"([+-])(\d\d):?(\d\d)")


@dataclasses.dataclass(frozen=True)
class Capture:
    """What a file says of the moment it was taken at; None is not said."""

    time: float | None = None
    """Time of the camera's clock, wherever on Earth, in seconds since the start of 1970, with fractions."""
    has_fraction: bool = False
    """Whether `time` is more exact than a second."""
    zone: float | None = None
    """Seconds by which the clock is ahead of UTC."""
    make: str = ""
    model: str = ""
    serial: str = ""
    exposure_bias: float | None = None
    """Stops by which the photographer had it brighter than measured."""
    is_auto_bracket: bool = False
    """Whether the camera took it as one of an exposure bracket."""
    exposure_time: float | None = None
    """Seconds."""
    f_number: float | None = None
    iso: float | None = None
    focal_length: float | None = None
    """Millimetres."""
    focus_distance: float | None = None
    """Metres."""
    size: tuple[int, int] | None = None
    """Width and height that the camera gave it, pixels."""
    is_raw: bool = False
    """Whether the file is the camera's RAW."""

    @property
    def exposure_value(self) -> float | None:
        """The light it was exposed for, in stops at ISO 100: one more is half as bright a picture of the same scene."""
        if self.exposure_time is None or self.f_number is None or self.iso is None:
            return None
        return math.log2(self.f_number**2 / self.exposure_time * 100 / self.iso)


def read_capture(data: bytes, kind: Format | None, *, is_raw: bool = False) -> Capture:
    """Reads what a file says.

    Args:
        data: the file.
        kind: its format, see `headers.find_format`.
        is_raw: whether it is a camera's RAW, see `raw.is_raw`.
    """
    main, exif = _find_directories(data, kind)
    capture = _read_directories(main, exif)
    adobe = FOCUS_DISTANCE.search(data, 0, XMP_BYTES)
    if capture.focus_distance is None and adobe:
        capture = dataclasses.replace(capture, focus_distance=_within(_divide(int(adobe[1]), int(adobe[2])), 1e-3, 1e5))
    return dataclasses.replace(capture, is_raw=is_raw)


def read_exif(exif: bytes) -> Capture:
    """Reads a block of EXIF data, with or without the name before it."""
    return _read_directories(*_split(exif))


def _split(exif: bytes) -> tuple[tiff.Page | None, tiff.Page | None]:
    """Returns the main directory of a block, or of a file that is made like a TIFF, and that of EXIF."""
    pages = tiff.list_pages(exif.removeprefix(b"Exif\0\0"), most=1)
    return (pages[0], pages[0].directory(tiff.EXIF)) if pages else (None, None)


def _find_directories(data: bytes, kind: Format | None) -> tuple[tiff.Page | None, tiff.Page | None]:
    if kind in ("AVIF", "HEIC"):
        return _split(heif.read_exif(data, kind))
    if data.startswith(b"FUJIFILMCCD-RAW"):  # a JPEG lies in it, whose place the header tells
        start, length = (int.from_bytes(data[at : at + 4], "big") for at in (84, 88))
        return _split(metadata.read(data[start : start + length], "JPEG").exif)
    if data[4:12] == b"ftypcrx ":  # Canon's CR3 has the directories in boxes
        parts = boxes.read_canon(data)
        return _split(parts.get(b"CMT1", b""))[0], _split(parts.get(b"CMT2", b""))[0]
    if kind in ("JPEG", "PNG", "WebP"):
        return _split(metadata.read(data, kind).exif)
    return _split(data)


def _read_directories(main: tiff.Page | None, exif: tiff.Page | None) -> Capture:
    if main is None:
        return Capture()
    exif = main if exif is None else exif  # TIFF/EP has all in one
    time = _read_time(exif.text(TIME_ORIGINAL))
    fraction = re.match(r"\d{1,9}", exif.text(FRACTION_ORIGINAL))
    iso = exif.number(ISO, 0)
    size = exif.number(PIXELS_ACROSS, 0), exif.number(PIXELS_DOWN, 0)
    return Capture(
        time=time + float(f"0.{fraction[0]}") if time is not None and fraction else time,
        has_fraction=time is not None and fraction is not None,
        zone=_read_zone(exif.text(ZONE_ORIGINAL)),
        make=main.text(tiff.MAKE),
        model=main.text(tiff.MODEL),
        serial=exif.text(BODY_SERIAL_NUMBER) or main.text(DNG_SERIAL_NUMBER),
        exposure_bias=_within(exif.ratio(EXPOSURE_BIAS), -20.0, 20.0),
        is_auto_bracket=exif.number(EXPOSURE_MODE, 0) == AUTO_BRACKET,
        exposure_time=_within(exif.ratio(EXPOSURE_TIME), 1e-7, 1e5),
        f_number=_within(exif.ratio(F_NUMBER), 0.3, 500.0),
        iso=_within(float(exif.number(RECOMMENDED_INDEX, iso) if iso >= MAX_ISO else iso), 1.0, 1e8),
        focal_length=_within(exif.ratio(FOCAL_LENGTH), 0.1, 1e5),
        focus_distance=_within(exif.ratio(SUBJECT_DISTANCE), 1e-3, 1e5),
        size=size if min(size) > 0 else None,
    )


def _read_time(text: str) -> float | None:
    """Seconds since 1970; None of a clock that was evidently never set: 2000, first of January, midnight."""
    match = DATE.match(text)
    try:
        moment = datetime.datetime(*map(int, match.groups()), tzinfo=datetime.UTC) if match else None
    except ValueError:  # the thirteenth month
        return None
    if moment is None or moment.year < FIRST_YEAR:
        return None
    is_start_of_year = (moment.month, moment.day, moment.time()) == (1, 1, datetime.time())
    return None if is_start_of_year else moment.timestamp()


def _read_zone(text: str) -> float | None:
    match = ZONE.match(text)
    if not match or int(match[2]) > 14 or int(match[3]) > 59:
        return None
    return (1 if match[1] == "+" else -1) * (3600.0 * int(match[2]) + 60.0 * int(match[3]))


def _divide(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None


def _within(value: float | None, low: float, high: float) -> float | None:
    """Returns the value if it lies between the limits, else None."""
    return value if value is not None and low <= value <= high else None
