"""The formats of photos: their endings, lower case, and the extras that some of them need."""

import contextlib
import dataclasses
import os
from collections.abc import Container
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from PIL import features

from vtiqa_jax.distribution import DISTRIBUTION
from vtiqa_jax.errors import ImageError


def _endings(text: str) -> frozenset[str]:
    return frozenset(f".{ending}" for ending in text.split())


SUFFIXES = _endings(
    "apng avif avifs bmp dib gif insp jfi jfif jif jp2 jpe jpeg jpf jpg jpx mpo pbm pgm pjp pjpeg png pnm ppm tif tiff"
    " webp"
)
"""Suffixes of the files that are read without an extra."""
UNREAD = _endings(
    "ai bpg dcm dds djvu eps exr fit fits fpx gpr hdp hdr icns ico j2c j2k jpc jxl jxr kra lri ora pam pcd pcx pfm psb"
    " psd qoi sgi svg svgz tga wdp xbm xcf xpm"
)
"""Suffixes of pictures that are not read."""
VIDEOS = _endings("3g2 3gp asf avi braw flv insv lrv m2ts m4v mkv mov mp4 mpeg mpg mts mxf ogv r3d vob webm wmv")
ARCHIVES = _endings("7z rar tar tgz zip")


@dataclasses.dataclass(frozen=True)
class Extra:
    """Formats that an optional package reads."""

    name: str
    """Name of the extra in pyproject.toml."""
    module: str
    """Module of the package that it installs."""
    photos: str
    """Name of such photos."""
    suffixes: frozenset[str]

    @property
    def is_installed(self) -> bool:
        """Whether they can be read here."""
        return find_spec(self.module) is not None

    def require(self) -> Any:
        """Returns the package, imported.

        Raises:
            ImageError: it is missing; names the extra.
        """
        if not self.is_installed:
            raise ImageError(
                f'{self.photos} needs a package that is not installed: pip install "{DISTRIBUTION}[{self.name}]"'
            )
        try:
            return import_module(self.module)
        except ImportError as error:
            raise ImageError(f"{self.photos} needs {self.module}, which does not load here: {error}") from error


HEIF = Extra("heif", "pi_heif", "HEIC", _endings("heic heics heif heifs hif"))
RAW = Extra(
    "raw",
    "rawpy",
    "camera RAW",
    _endings(
        "3fr arw bay cr2 cr3 crw cs1 dcr dcs dng drf erf fff iiq k25 kc2 kdc mdc mef mos mrw nef nrw orf pef ptx pxn"
        " raf raw rw2 rwl rwz sr2 srf srw x3f"
    ),
)
EXTRAS = (HEIF, RAW)
PICTURES = SUFFIXES.union(UNREAD, *(extra.suffixes for extra in EXTRAS))


def suffix(name: str | os.PathLike[str]) -> str:
    """Returns the ending of a file's name, lower case, with its point."""
    return os.path.splitext(os.fspath(name))[1].lower()


RULES = 3
"""Version of this room's own rules: which picture of a file counts, and how its colours and its light are read."""


def decoder_versions(suffixes: Container[str] | None = None) -> dict[str, str]:
    """Lists the versions of what decodes photos here: pixels, and scores, depend on them.

    Args:
        suffixes: endings of the photos; an extra that reads none of them does not count. All extras when not given.
    """
    used = [extra for extra in EXTRAS if suffixes is None or any(suffix in suffixes for suffix in extra.suffixes)]
    versions = {"rules": str(RULES)} | {name: version(name) for name in ("opencv-python-headless", "pillow")}
    versions |= {name: features.version(name) or "" for name in ("littlecms2", "avif", "libtiff")}
    with contextlib.suppress(ImageError):  # a package that is not there, or does not load, decodes nothing
        versions |= {"libheif": HEIF.require().libheif_version()} if HEIF in used else {}
    with contextlib.suppress(ImageError):
        versions |= {"libraw": ".".join(map(str, RAW.require().libraw_version))} if RAW in used else {}
    installed = (extra.module for extra in used if extra.is_installed)
    return versions | {module.replace("_", "-"): version(module) for module in installed}
