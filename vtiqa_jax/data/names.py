"""Names of photos, found as people's tables write them: exactly or, where that is unambiguous, nearly so."""

import os
import posixpath
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from vtiqa_jax.errors import UserError

NEARLY = "upper and lower case, the form of accents, slashes or spaces"
"""Differences that names may have and still match."""


def name_key(name: str) -> str:
    """Returns what two names have in common that differ in NEARLY only.

    A Mac writes an accent as a character of its own, Windows a backslash between folders.
    """
    composed = unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
    return posixpath.normpath(composed.strip().replace("\\", "/"))


def find_names(listed: Iterable[str], names: Sequence[str]) -> tuple[dict[str, int], dict[str, str]]:
    """Finds listed photos among those that are there.

    A photo is matched by its exact name, or by the one name that differs from it in NEARLY only and is no other listed
    photo's exact name.

    Args:
        listed: the photos looked for.
        names: the photos that are there.

    Returns:
        The row in `names` of each listed photo that is there, no two the same; and of each that could be either of
        two, or whose file another listed photo could be, the reason why it is not matched.
    """
    unique = dict.fromkeys(listed)
    exact = {name: row for row, name in enumerate(names)}
    matched = {name: exact[name] for name in unique if name in exact}
    problems: dict[str, str] = {}
    if len(matched) == len(unique):
        return matched, problems
    others: dict[str, list[str]] = {}
    for name in exact:
        if name not in unique:
            others.setdefault(name_key(name), []).append(name)
    asking: dict[str, str] = {}
    for name in unique:
        candidates = others.get(name_key(name), [])
        if name in exact or not candidates:
            continue
        if len(candidates) > 1:
            problems[name] = f"{name} could be {' or '.join(sorted(candidates))}, which differ in {NEARLY} only"
        elif candidates[0] in asking:
            problems[name] = (
                f"{candidates[0]} could be {asking[candidates[0]]} or {name}, which differ in {NEARLY} only"
            )
        else:
            asking[candidates[0]] = name
            matched[name] = exact[candidates[0]]
    return matched, problems


def match_names(listed: Iterable[str], names: Sequence[str], where: str) -> dict[str, int]:
    """Calls `find_names` for tables in which nothing may be ambiguous.

    Args:
        listed: the photos looked for.
        names: the photos that are there.
        where: what holds `names`, for messages.

    Returns:
        The row in `names` of each listed photo that is there; no two have the same row.

    Raises:
        UserError: a name could be either of two, or two listed names could be one photo.
    """
    matched, problems = find_names(listed, names)
    for problem in problems.values():
        raise UserError(f"{where}: {problem}")
    return matched


def list_files(folder: Path, names: Iterable[str]) -> list[str]:
    """Returns the files in `folder` and in those folders below it that `names` lie in, whichever way these are written.

    Each folder is listed once. What cannot be listed holds nothing.
    """
    parents = {str(parent) for name in names for parent in PurePosixPath(name_key(name)).parents}
    files: list[str] = []

    def visit(path: Path, prefix: str) -> None:
        try:
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError:
            return
        for entry in entries:
            name = prefix + entry.name
            if entry.is_file():
                files.append(name)
            elif name_key(name) in parents and entry.is_dir():
                visit(Path(entry.path), f"{name}/")

    visit(folder, "")
    return files


def find_photos(listed: Sequence[str], folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Finds the files of photos that a table lists relative to a folder, or by absolute paths.

    Folders are listed only where a photo is not there by its exact name.

    Args:
        listed: the photos, as cells of the table, which may have spaces around.
        folder: that of the photos.

    Returns:
        The file of each photo that is there, relative to the folder; and of others, though files are called alike, the
        reason why they are not matched, see `find_names`.
    """
    matches: dict[str, str] = {}
    for name in listed:
        exact = (spelling for spelling in (name, name.strip()) if os.path.isfile(folder / spelling))
        if (file := next(exact, None)) is not None:
            matches[name] = file
    others = [name for name in listed if name not in matches and name.strip()]
    if not others:
        return matches, {}
    root = os.path.abspath(folder) + os.sep
    relative = {name: name.strip().removeprefix(root) for name in others}
    taken = {os.path.abspath(folder / file) for file in matches.values()}
    files = [file for file in list_files(folder, relative.values()) if os.path.abspath(folder / file) not in taken]
    matched, problems = find_names(relative.values(), files)
    matches |= {name: files[matched[short]] for name, short in relative.items() if short in matched}
    return matches, {name: problems[short] for name, short in relative.items() if short in problems}


def locate_photos(listed: Sequence[str], lines: Sequence[int], folder: Path) -> tuple[tuple[Path, ...], list[str]]:
    """Finds the photos that a table lists, all of which should be there.

    Args:
        listed: see `find_photos`.
        lines: of the table, one for each photo.
        folder: that of the photos.

    Returns:
        A path for each photo, and what is wrong with the lines whose photo is not there.
    """
    found, unclear = find_photos(listed, folder)
    paths = tuple(folder / found.get(name, name.strip()) for name in listed)
    problems = [
        f"line {line}: {unclear.get(name, f'no such photo: {path}')}"
        for line, name, path in zip(lines, listed, paths, strict=True)
        if name not in found
    ]
    return paths, problems
