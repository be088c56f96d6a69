"""The common part of all data sets: their facts, the result of reading one, and the checks against its facts."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vtiqa_jax.data.manifest import ImageFolder, Manifest
from vtiqa_jax.data.names import list_files, match_names
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.photos.headers import find_format, read_size

WIDTHS_CHECKED = 20
"""Photos whose width is looked at."""


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """The facts of a data set; docs/datasets.md gives the source of each."""

    name: str
    """As given on the command line."""
    title: str
    count: int
    """Photos in the whole data set."""
    low: float
    """Lowest MOS, on the data set's own scale."""
    high: float
    mean: float | None
    """Mean MOS, where it is known."""
    slope: float
    """`slope * mos + intercept` is the MOS on the common scale from 1 to 5 (release of VT-IQA, test scripts). It is
    below 0 where lower scores are better, as of a DMOS."""
    intercept: float
    terms: str
    homepage: str
    citation: str
    layout: str
    """The files that are read, below the folder of the release."""
    marks: tuple[str, ...] = ()
    """Files below that folder by which `find.find_releases` knows it: any one of them."""
    width: int | None = None
    """Of its photos in pixels, where all have the same: resized copies have another."""

    @property
    def scale(self) -> LabelScale:
        """The common scale, by the name of this data set."""
        return LabelScale(self.title, 1.0, 5.0)

    def on_common_scale(self, mos: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Scores of the data set on the common scale from 1 to 5."""
        return (self.slope * mos + self.intercept).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set: photos in the order of its table, with MOS on its own scale.

    Photos are named as on disk, see `names.match_names`.
    """

    info: DatasetInfo
    photos: Manifest
    official: tuple[str, ...] = ()
    """`train`, `val` or `test` for each photo, where the data set's authors divided it."""
    practice_rows: tuple[int, ...] = ()
    """Photos shown to observers for practice: no part of the data set proper."""
    all_names: tuple[str, ...] = ()
    """All photos of the table, also those that are not there, in its order and by its names: the authors' splits are
    drawn from these."""
    complete: bool = True
    """Whether the table lists the whole data set."""

    def without_practice(self) -> "Dataset":
        """Returns the data set without its practice photos."""
        rows = np.setdiff1d(np.arange(len(self.photos.names)), self.practice_rows)
        official = tuple(self.official[row] for row in rows) if self.official else ()
        return dataclasses.replace(self, photos=self.photos.select(rows), official=official, practice_rows=())

    def on_common_scale(self) -> Manifest:
        """Returns the photos with their MOS on the common scale from 1 to 5."""
        return dataclasses.replace(self.photos, mos=self.info.on_common_scale(self.photos.mos))


def _any_case(pattern: str) -> str:
    """Returns a glob pattern that matches what `pattern` does, in upper and lower case."""
    return "".join(f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else letter for letter in pattern)


def find_file(folder: Path, names: Sequence[str], what: str) -> Path:
    """Returns the first of `names` that exists in `folder`, also inside folders that unpacking may have nested it in.

    A name that is nowhere may also be written in other upper and lower case.

    Args:
        folder: where to look.
        names: glob patterns.
        what: what they are, for messages.

    Raises:
        UserError: there is none (says what was looked for and what is there), or there are two that differ in upper
            and lower case only.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; it should hold {what}")
    for name in names:
        for spelling in (name, _any_case(name)):
            for pattern in (spelling, f"*/{spelling}", f"*/*/{spelling}"):
                matches = sorted(path for path in folder.glob(pattern) if "__MACOSX" not in path.parts)
                if matches:
                    parent = matches[0].parent
                    match_names([name], [path.name for path in matches if path.parent == parent], str(parent))
                    return matches[0]
    present = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise UserError(f"{folder} holds no {' or '.join(names)} ({what}); it holds {present}")


def _check_scores(info: DatasetInfo, table: Path, mos: np.ndarray, partial: bool, hint: str) -> None:
    """Checks count, range and mean; `mos` is without practice photos."""
    if not partial and len(mos) != info.count:
        raise UserError(f"{table} lists {len(mos)} photos, {info.title} has {info.count}; is the table cut off?")
    margin = 0.002 * (info.high - info.low)
    if len(mos) and (mos.min() < info.low - margin or mos.max() > info.high + margin):
        raise UserError(
            f"{table}: scores from {mos.min():.4g} to {mos.max():.4g}, where {info.title} has {info.low:g} to"
            f" {info.high:g}{'; ' + hint if hint else ''}"
        )
    if not partial and info.mean is not None and abs(mos.mean() - info.mean) > margin:
        raise UserError(f"{table}: a mean score of {mos.mean():.4g}, where {info.title} has {info.mean:g}")


def _check_width(info: DatasetInfo, folder: Path, names: Sequence[str]) -> None:
    """Checks that some photos are not resized copies. What cannot be read is told when it is decoded."""
    shown = names[:: max(1, len(names) // WIDTHS_CHECKED)]
    widths: set[int] = set()
    for name in shown:
        with contextlib.suppress(OSError, ImageError):
            data = (folder / name).read_bytes()
            if kind := find_format(data):
                widths.add(read_size(data, kind)[0])
    if widths and info.width not in widths:
        raise UserError(
            f"{folder} holds photos {min(widths)} pixels wide, those of {info.title} are {info.width}: resized copies,"
            f" which have other scores; take the release of {info.homepage}"
        )


def validate(
    info: DatasetInfo,
    table: Path,
    folder: Path,
    names: Sequence[str],
    mos: Sequence[float],
    *,
    partial: bool,
    hint: str = "",
    scenes: Sequence[str] = (),
    official: Sequence[str] = (),
    groups: Sequence[str] = (),
    practice: int = 0,
) -> Dataset:
    """Checks what a reader found against the data set's facts.

    Args:
        info: the facts.
        table: the file that the scores come from, for messages.
        folder: the folder of the photos.
        names: the photos, relative to it, matched with its files by `names.match_names`.
        mos: their scores, on the data set's own scale.
        partial: leaves out photos that are not there, and checks neither the count, the mean nor the photos' width.
        hint: the usual reason of scores out of range.
        scenes: what each photo shows.
        official: the part of the official split of each photo.
        groups: the source of each photo.
        practice: so many rows at the top are practice photos.

    Returns:
        The data set, of the photos that are there.

    Raises:
        UserError: something does not fit (names the file, what was found and what was expected), or a photo's name
            could be that of two files.
    """
    values = np.array(mos, np.float64)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise UserError(f"{table}: the score of {names[row]} is not a number")
    if len(set(names)) != len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise UserError(f"{table} lists {twice} twice")
    _check_scores(info, table, values[practice:], partial, hint)
    files = list_files(folder, names)
    matched = match_names(names, files, str(folder))
    missing = [name for name in names if name not in matched]
    if len(missing) == len(names) or (missing and not partial):
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise UserError(
            f"{len(missing)} of {len(names)} photos of {info.title} are not in {folder} ({shown});"
            " unpack the whole archive, or use what is there with --partial"
        )
    if info.width is not None and not partial:
        _check_width(info, folder, [files[row] for row in matched.values()])
    rows = np.array([row for row, name in enumerate(names) if name in matched], np.int64)
    on_disk = tuple(files[matched[name]] if name in matched else name for name in names)
    photos = Manifest(on_disk, values.astype(np.float32), ImageFolder(folder), tuple(groups), tuple(scenes))
    photos = photos.select(rows)
    parts = tuple(official[int(row)] for row in rows) if official else ()
    practice_rows = tuple(int(row) for row in np.flatnonzero(rows < practice))
    return Dataset(info, photos, parts, practice_rows, tuple(names), len(values) - practice == info.count)
