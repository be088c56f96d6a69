"""Search for public data sets below a folder, which are known by their files."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from vtiqa_jax.data import datasets
from vtiqa_jax.data.datasets.info import Dataset
from vtiqa_jax.errors import UserError

DEPTH = 5
"""Folders below the given one that are looked into."""
ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".tgz", ".tar.gz")
SHOWN = 4
"""Archives that a message names."""


@dataclasses.dataclass(frozen=True)
class Found:
    """What lies below a folder."""

    folder: Path
    releases: dict[str, tuple[Path, ...]]
    """The folders that look like a release of each data set that was found, by its name in `datasets.READERS`."""
    archives: tuple[Path, ...]
    """Files that have not been unpacked."""

    def tell_archives(self, below: Path) -> str:
        """Says what to do with archives below a folder; nothing without any."""
        names = [str(path) for path in self.archives if path.is_relative_to(below)]
        more = ", ..." if len(names) > SHOWN else ""
        return f"; not unpacked: {', '.join(names[:SHOWN])}{more}" if names else ""


def find_releases(folder: Path) -> Found:
    """Finds releases by `DatasetInfo.marks`, at any depth down to `DEPTH`, behind links too.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; name the one that holds data sets")
    marks = {
        Path(mark).name.casefold(): (name, len(Path(mark).parts))
        for name, reader in datasets.READERS.items()
        for mark in reader.INFO.marks
    }
    places: dict[str, dict[Path, Path]] = {}  # by where they really are: a link leads to no second copy
    archives: list[Path] = []
    for path in _walk(folder):
        if path.name.casefold() in marks:
            name, depth = marks[path.name.casefold()]
            parents = [parent for parent in path.parents if parent.is_relative_to(folder)]
            release = parents[min(depth, len(parents)) - 1]
            places.setdefault(name, {}).setdefault(release.resolve(), release)
        elif path.name.casefold().endswith(ARCHIVES):
            archives.append(path)
    releases = {
        name: tuple(found[real] for real in sorted(found) if not found.keys() & set(real.parents))
        for name, found in sorted(places.items())
    }
    return Found(folder, releases, tuple(archives))


def _walk(folder: Path) -> Iterator[Path]:
    """Walks the files in a folder and below it, each real folder once. What cannot be listed holds nothing."""
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        depth = len(Path(parent).relative_to(folder).parts)
        if real in seen or depth >= DEPTH:
            folders.clear()
        if real in seen:
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if name != "__MACOSX" and not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(files))


def read_found(name: str, found: Found, *, partial: bool = False) -> Dataset:
    """Reads a data set that was found, by the folder of its table or, where the photos lie beside that, the one above.

    Args:
        name: the data set.
        found: what lies below the folder.
        partial: see `datasets.read`.

    Raises:
        UserError: it is there twice, or not whole; says what to do.
    """
    place, *others = found.releases[name]
    if others:
        raise UserError(
            f"{datasets.dataset_info(name).title} is there {1 + len(others)} times: {place},"
            f" {', '.join(map(str, others))}; name the folder of one, or move the others away"
        )
    try:
        return datasets.read(name, place, partial=partial)
    except UserError as error:
        if place != found.folder:
            with contextlib.suppress(UserError):
                return datasets.read(name, place.parent, partial=partial)
        raise UserError(f"{error}{found.tell_archives(place)}") from error
