"""Marks by which this program knows files of its own in folders of photos: they are not to be scored."""

import os
from collections.abc import Set
from pathlib import Path

from vtiqa_jax import atomic
from vtiqa_jax.photos import formats

PAGE, PICTURES = "index.html", ("thumbnails", "views")
"""Files of a report: the page, and the folders of its pictures."""
CROPS = "crops"
"""Folder, in a report with maps of detail, of the regions at 1:1."""
GENERATOR = '<meta name="generator" content="vtiqa-jax report">'
"""Stands at the top of every page."""
DRAWN = {"Software": "vtiqa-jax"}
"""Note that Matplotlib writes into the PNGs that it draws."""
PLOTS = ("curve", "scatter")
"""Beginnings of the names of plots."""
PROGRESS = ".progress"
"""Added to the name of a result of `vtiqa bulk`: the folder beside it that says what has been done.

Inside the result, readers would take it for data.
"""
BEGUN = "run.json"
"""File in that folder that says with what the result was begun."""
MARK = ".vtiqa-made"
"""A file in folders that are not to be searched when a folder above is."""


def find_made(folder: str, names: Set[str]) -> set[str]:
    """Returns the folders in a folder, by name, that hold a report's pictures or a result of `vtiqa bulk`.

    Args:
        folder: the folder.
        names: of all that is in it.
    """
    results = (name for name in names if f"{name}{PROGRESS}" in names)
    made = {name for name in results if os.path.exists(os.path.join(folder, f"{name}{PROGRESS}", BEGUN))}
    made |= {f"{name}{PROGRESS}" for name in made}
    if PAGE in names and names >= set(PICTURES) and is_page(os.path.join(folder, PAGE)):
        made |= {*PICTURES, CROPS} & names
    return made


def is_page(file: str | os.PathLike[str]) -> bool:
    """Tells whether a file is a report's page; False when it cannot be read."""
    return GENERATOR.encode() in read_head(file, 4096)


def is_drawn(file: str) -> bool:
    """Tells whether a file is a map or a plot that was drawn here.

    Only files whose names say so are opened: opening all would take a network's disk minutes.
    """
    stem, ending = os.path.splitext(os.path.basename(file).lower())
    if ending != ".png" or not (stem.startswith(PLOTS) or formats.suffix(stem)):
        return False
    return f"tEXtSoftware\0{DRAWN['Software']}".encode() in read_head(file, 512)


def read_head(file: str | os.PathLike[str], size: int) -> bytes:
    """Returns a file's first bytes; none when it cannot be read."""
    try:
        with open(file, "rb") as opened:
            return opened.read(size)
    except OSError:
        return b""


def mark_folder(folder: Path) -> None:
    """Makes a folder that is left out when a folder above it is searched.

    A folder in which something lies already is not marked: it may be a person's own.

    Raises:
        OSError: it cannot be written.
    """
    atomic.make_folder(folder)
    if not any(folder.iterdir()):
        text = "vtiqa made this folder: it is left out when a folder above is searched for photos.\n"
        (folder / MARK).write_text(text + "Without this file it is searched, too.\n")
