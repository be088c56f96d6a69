"""Search for photos in folders, globs, tars and buckets, and the reasons why other files are left out."""

import collections
import fnmatch
import os
from collections.abc import Iterable, Mapping, Sequence

from vtiqa_jax.distribution import DISTRIBUTION
from vtiqa_jax.photos import formats, headers, own

NO_PICTURE = ""
"""The reason to leave out notes, tables and sidecars, of which nothing is said."""
HIDDEN, FOREIGN = "hidden", "made by systems and other programs"
NO_ENDING = "names without an ending"
UNREADABLE = "cannot be opened"
NO_FILE = "links to nothing and devices"
OWN = "made by vtiqa"
SHOWN = 10
"""Folders that cannot be opened are named, this many at most. Of all others one is named."""

FOREIGN_FOLDERS = frozenset(
    [
        "#recycle", "#snapshot", "$recycle.bin", "@__thumb", "@eadir", "@recently-snapshot", "@recycle", "@snapshot",
        "@tmp", "__macosx", "lost+found", "network trash folder", "recycled", "recycler", "system volume information",
        "temporary items",
    ]
)  # fmt: skip
"""Folders of systems and of storage boxes, lower case; those with a point before the name are hidden already."""
LIBRARIES = (".aplibrary", ".migratedphotolibrary", ".photolibrary", ".photoslibrary")
"""Endings of Apple's libraries. The photos are in one of ORIGINALS, all else is made from them."""
ORIGINALS = ("masters", "originals")
PREVIEWS = (".lrdata",)
"""Endings of Lightroom's folders of previews."""

_Folder = tuple[int, int]
"""A folder whatever its name: device and inode."""
_Place = tuple[_Folder | str, str]
"""A file's name in its folder, which is a path where there is no such folder."""


class LeftOut:
    """What a search leaves out: how many files and folders for each reason, and an example."""

    def __init__(self) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self._names: dict[str, list[str]] = {}

    def add(self, reason: str, name: str) -> None:
        """Counts a file or folder."""
        if reason == NO_PICTURE:
            return
        self.counts[reason] += 1
        names = self._names.setdefault(reason, [])
        if len(names) < (SHOWN if reason == UNREADABLE else 1):
            names.append(name)

    def __str__(self) -> str:
        """Returns one line; empty when nothing was left out."""

        def tell(reason: str, count: int) -> str:
            names = self._names[reason]
            return f"{reason} {count:,} ({', '.join([*names, '...'] if count > len(names) else names)})"

        said = [tell(reason, count) for reason, count in self.counts.items()]
        return f"left out: {'; '.join(said)}" if said else ""


def judge_endings() -> dict[str, str | None]:
    """Returns what is to be done with each ending: None for a photo that can be read here, else why it is left out."""
    reasons: dict[str, str | None] = dict.fromkeys(formats.SUFFIXES)
    for extra in formats.EXTRAS:
        missing = f"{extra.photos} that needs {DISTRIBUTION}[{extra.name}]"
        reasons |= dict.fromkeys(extra.suffixes, None if extra.is_installed else missing)
    reasons |= dict.fromkeys(formats.VIDEOS, "videos") | dict.fromkeys(formats.ARCHIVES, "archives")
    reasons |= {ending: f"{ending} that cannot be read" for ending in formats.UNREAD}
    return reasons


def judge_file(name: str, endings: Mapping[str, str | None], containers: tuple[str, ...] = ()) -> str | None:
    """Returns why a file of this name is left out, None for a photo.

    Args:
        name: without folders.
        endings: of `judge_endings`.
        containers: further endings of files that are taken, lower case.
    """
    if name.lower().endswith(containers):
        return HIDDEN if name.startswith(".") else None
    ending = formats.suffix(name)
    if name.startswith("."):  # a Mac's `._a.jpg`, too
        return HIDDEN if ending in endings else NO_PICTURE
    return endings.get(ending, NO_PICTURE) if ending else NO_ENDING


def judge_folder(name: str, parent: str) -> str | None:
    """Returns why a folder of this name is left out, None for one that is searched."""
    if name.startswith("."):
        return HIDDEN
    lower = name.lower()
    if lower in FOREIGN_FOLDERS or lower.endswith(PREVIEWS):
        return FOREIGN
    return FOREIGN if parent.lower().endswith(LIBRARIES) and lower not in ORIGINALS else None


def judge_path(path: str, endings: Mapping[str, str | None], containers: tuple[str, ...] = ()) -> str | None:
    """Returns why a file of a tar or a bucket is left out, None for a photo.

    Args:
        path: below what is searched, with slashes.
        endings: of `judge_endings`.
        containers: further endings of files that are taken, lower case.
    """
    *folders, name = path.split("/")
    reason = judge_file(name, endings, containers)
    if reason == NO_PICTURE:
        return reason
    shown = [folder for folder in folders if folder != "."]
    return next(filter(None, map(judge_folder, shown, ["", *shown])), reason)


def find(
    paths: Iterable[str | os.PathLike[str]],
    left_out: LeftOut | None = None,
    *,
    outputs: Iterable[str | os.PathLike[str]] = (),
    containers: tuple[str, ...] = (),
) -> list[str]:
    """Lists the given files, whatever they are, and the photos in the given folders and below, sorted by name.

    Linked folders are searched, too. Each folder is searched once, whatever links and arguments lead to it, and under
    its own name where it has one. A file that is given twice is listed once; two names of one file are two photos.

    Args:
        paths: files and folders.
        left_out: is told what is left out, if given.
        outputs: folders that the caller writes to, which are not searched and need no word.
        containers: further endings of files that are listed, lower case.
    """
    given = [(path, None if os.path.isdir(path) else _place(path)) for path in (os.fspath(path) for path in paths)]
    named = {place: path for path, place in reversed(given) if place is not None}
    folders = [path for path, place in given if place is None]
    left_out = LeftOut() if left_out is None else left_out
    search = _Search(left_out, containers, folders, files=frozenset(named), outputs=outputs)
    found: list[str] = []
    for path, place in given:
        if place is None:
            found += search.run(path)
        elif place in named:
            found.append(named.pop(place))
    return found


def find_matching(pattern: str, left_out: LeftOut, *, containers: tuple[str, ...] = ()) -> list[str]:
    """Lists the photos whose whole path matches a glob, sorted; no wildcard matches a slash.

    Args:
        pattern: an absolute path with wildcards.
        left_out: is told what is left out of what matches.
        containers: further endings of files that are listed, lower case.
    """
    parts = pattern.split(os.sep)
    first = next(place for place, part in enumerate(parts) if any(mark in part for mark in "*?["))
    folder = os.sep.join(parts[:first]) or os.sep
    return _Search(left_out, containers, [folder]).run(folder, parts[first:])


def _identify(folder: str) -> _Folder | None:
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _place(file: str) -> _Place:
    """Returns what two spellings of a file's path have in common. A link is not followed: it is a name of its own."""
    folder, name = os.path.split(file)
    return _identify(folder or ".") or os.path.abspath(folder), name


class _Search:
    """Searches folders, none of them twice."""

    def __init__(
        self,
        left_out: LeftOut,
        containers: tuple[str, ...],
        folders: Sequence[str],
        *,
        files: frozenset[_Place] = frozenset(),
        outputs: Iterable[str | os.PathLike[str]] = (),
    ) -> None:
        """Prepares a search.

        Args:
            left_out: is told what is left out.
            containers: further endings of files that are found, lower case.
            folders: those that are given, and therefore searched although the product made them.
            files: those that are given, and therefore not found again.
            outputs: folders that are not searched.
        """
        self._left_out, self._containers, self._files = left_out, containers, files
        self._folders = {_identify(folder) for folder in folders}
        self._endings = judge_endings()
        self._seen = {(_identify(os.fspath(folder)), 0) for folder in outputs}

    def run(self, root: str, pattern: Sequence[str] = ()) -> list[str]:
        """Returns the photos in a folder and below it, sorted.

        Args:
            root: the folder.
            pattern: what the names of folders below it, and last of the files, must match; empty for all at any depth.
        """
        photos: list[str] = []
        waiting, linked = [(root, 0)], collections.deque[tuple[str, int]]()
        while waiting or linked:
            # Links come last: a folder that is there under its own name, too, is found under that.
            folder, depth = waiting.pop() if waiting else linked.popleft()
            identity = _identify(folder)
            visit = (identity, depth if pattern else 0)  # at another depth other names match
            if identity is not None and visit in self._seen:
                continue
            self._seen.add(visit)
            for entry in self._list(folder, identity):
                if pattern and not fnmatch.fnmatchcase(entry.name, pattern[depth]):
                    continue
                is_folder = _is_folder(entry)
                if pattern and is_folder == (depth + 1 == len(pattern)):
                    continue
                reason = (
                    judge_folder(entry.name, os.path.basename(folder)) if is_folder else self._judge(entry, identity)
                )
                if reason is not None:
                    self._left_out.add(reason, entry.path)
                elif is_folder:
                    (linked if entry.is_symlink() else waiting).append((entry.path, depth + 1))
                else:
                    photos.append(entry.path)
        return sorted(photos, key=lambda path: path.replace(os.sep, "\0"))  # a folder's photos stay together

    def _list(self, folder: str, identity: _Folder | None) -> list[os.DirEntry[str]]:
        """Returns what is in a folder, by name, but for what the product made."""
        try:
            with os.scandir(folder) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            self._left_out.add(UNREADABLE, f"{folder}: {error.strerror}")
            return []
        names = {entry.name for entry in entries}
        if own.MARK in names and identity not in self._folders:
            self._left_out.add(OWN, folder)
            return []
        made = own.find_made(folder, names)
        for name in sorted(made):
            self._left_out.add(OWN, os.path.join(folder, name))
        return [entry for entry in entries if entry.name not in made] if made else entries

    def _judge(self, entry: os.DirEntry[str], folder: _Folder | None) -> str | None:
        if (folder, entry.name) in self._files:
            return NO_PICTURE  # listed where it is given
        reason = judge_file(entry.name, self._endings, self._containers)
        if reason in (None, NO_ENDING) and not _is_file(entry):
            return NO_FILE
        if reason == NO_ENDING and headers.find_format(own.read_head(entry.path, 256)) is None:
            return NO_PICTURE
        return OWN if reason is None and own.is_drawn(entry.path) else reason


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False
