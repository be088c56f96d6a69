"""Which files are photos: the endings that folders are searched for, and the extras that some formats need."""

import contextlib
import dataclasses
import os
from collections import Counter
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import features

from vtiqa_jax.errors import ImageError

SUFFIXES = frozenset(
    (".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
"""Endings, lower case, of the files that are read without an extra."""


@dataclasses.dataclass(frozen=True)
class Extra:
    """Formats that an optional package reads."""

    name: str
    """Of the extra in pyproject.toml."""
    module: str
    """Of the package that it installs."""
    photos: str
    """What they are called."""
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
            raise ImageError(f"{self.photos} needs a package that is not there: install vtiqa-jax[{self.name}]")
        try:
            return import_module(self.module)
        except ImportError as error:
            raise ImageError(f"{self.photos} needs {self.module}, which does not load here: {error}") from error


HEIF = Extra("heif", "pi_heif", "HEIC", frozenset((".heic", ".heics", ".heif", ".heifs", ".hif")))
RAW = Extra(
    "raw",
    "rawpy",
    "camera RAW",
    frozenset(
        [
            ".3fr",
            ".arw",
            ".cr2",
            ".cr3",
            ".crw",
            ".dcr",
            ".dng",
            ".erf",
            ".fff",
            ".iiq",
            ".kdc",
            ".mef",
            ".mos",
            ".mrw",
            ".nef",
            ".nrw",
            ".orf",
            ".pef",
            ".raf",
            ".raw",
            ".rw2",
            ".rwl",
            ".sr2",
            ".srf",
            ".srw",
            ".x3f",
        ]
    ),
)
EXTRAS = (HEIF, RAW)


def suffix(name: str | os.PathLike[str]) -> str:
    """Returns the ending of a file's name, lower case, with its point."""
    return os.path.splitext(os.fspath(name))[1].lower()


def find_images(paths: list[Path]) -> list[Path]:
    """The given files and, sorted by name, the images in the given folders and everything below them.

    In folders HEIC and camera RAW count where their packages are installed; see `count_left_out`.
    """
    suffixes = SUFFIXES.union(*(extra.suffixes for extra in EXTRAS if extra.is_installed))
    images: list[Path] = []
    for path in paths:
        if path.is_dir():
            images += sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file())
        else:
            images.append(path)
    return images


def count_left_out(paths: list[Path]) -> Counter[Extra]:
    """How many photos in the given folders `find_images` leaves out, by the extra that would read them."""
    missing = {suffix: extra for extra in EXTRAS if not extra.is_installed for suffix in extra.suffixes}
    counts: Counter[Extra] = Counter()
    for path in paths if missing else ():
        for _, _, names in os.walk(path):
            counts.update(missing[suffix] for name in names if (suffix := Path(name).suffix.lower()) in missing)
    return counts


RULES = 2
"""Version of this room's own rules: which picture of a file counts, and how its colours and its light are read."""


def decoder_versions() -> dict[str, str]:
    """The versions of all that decodes photos here: pixels, and scores, depend on them."""
    versions = {"rules": str(RULES)} | {name: version(name) for name in ("opencv-python-headless", "pillow")}
    versions |= {name: features.version(name) or "" for name in ("littlecms2", "avif", "libtiff")}
    with contextlib.suppress(ImageError):  # a package that is not there, or does not load, decodes nothing
        versions["libheif"] = HEIF.require().libheif_version()
    with contextlib.suppress(ImageError):
        versions["libraw"] = ".".join(map(str, RAW.require().libraw_version))
    installed = (extra.module for extra in EXTRAS if extra.is_installed)
    return versions | {module.replace("_", "-"): version(module) for module in installed}
