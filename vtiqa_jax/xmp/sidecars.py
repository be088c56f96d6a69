"""Sidecars, and the photo that each belongs to, by the names in their folder.

darktable and digiKam add `.xmp` to the whole name, `a.jpg.xmp`; Adobe puts it in the ending's place, `a.xmp`, for RAW
files alone. So `a.xmp` belongs to the RAW where there is one, else to the only photo of that name.
"""

import os
from pathlib import Path

from vtiqa_jax.photos import formats
from vtiqa_jax.xmp.rdf import Refused

ENDING = ".xmp"
CLAIMING = formats.PICTURES | formats.VIDEOS
"""Endings of what may have a sidecar."""


class Sidecars:
    """Finds sidecars. Each folder is listed once; names that differ in case alone count as one, as on many disks."""

    def __init__(self) -> None:
        self._names: dict[Path, dict[str, list[str]]] = {}

    def find(self, photo: Path, *, new: bool) -> list[Path]:
        """Returns the sidecars that a photo has.

        Args:
            photo: its file.
            new: without one, the one that is to be made is returned.

        Raises:
            Refused: another photo has a claim to one of them, or two files are one sidecar.
            OSError: the folder cannot be listed.
        """
        folder, name = photo.parent, photo.name
        found = list[Path]()
        for base in _bases(photo):
            there = self._with_base(folder, base)
            if there and name in (claimants := self._claimants(folder, base, name)):
                found.append(folder / _only(there, claimants, base + ENDING))
        if not found and new:
            usual = photo.stem if formats.suffix(name) in formats.RAW.suffixes else name
            made = usual + ENDING
            found = [folder / _only([made], self._claimants(folder, usual, name), made)]
        return found

    def list_candidates(self, photo: Path) -> list[Path]:
        """Returns the sidecars that a photo may have, whoever else has a claim to them."""
        return [photo.parent / name for base in _bases(photo) for name in self._with_base(photo.parent, base)]

    def _with_base(self, folder: Path, base: str) -> list[str]:
        return self._list(folder).get((base + ENDING).casefold(), [])

    def _claimants(self, folder: Path, base: str, asked: str) -> list[str]:
        """Lists the files to which the sidecar `base.xmp` may belong."""
        names = self._list(folder)
        stem = base.casefold()
        direct = [each for each in names.get(stem, []) if each == asked or formats.suffix(each) in CLAIMING]
        others = [each for each in self._with_stem(folder, stem) if each not in direct]
        raw = [each for each in others if formats.suffix(each) in formats.RAW.suffixes]
        return direct + raw or others

    def _with_stem(self, folder: Path, stem: str) -> list[str]:
        names = self._list(folder)
        return [each for ending in CLAIMING for each in names.get(stem + ending, [])]

    def _list(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._names:
            names = dict[str, list[str]]()
            for name in sorted(os.listdir(folder)):
                names.setdefault(name.casefold(), []).append(name)
            self._names[folder] = names
        return self._names[folder]


def _bases(photo: Path) -> list[str]:
    """Lists the beginnings of its sidecars' names, before `.xmp`."""
    return list(dict.fromkeys((photo.name, photo.stem)))


def _only(files: list[str], claimants: list[str], sidecar: str) -> str:
    if len(claimants) > 1:
        raise Refused(f"{sidecar} could belong to {' or '.join(sorted(claimants))}")
    if len(files) > 1:
        raise Refused(f"{sidecar} is there twice: {' and '.join(files)}")
    return files[0]
