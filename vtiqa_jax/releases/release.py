"""What every data set has in common: its card, what reading it yields, and the checks against the card."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from vtiqa_jax.config import LabelScale
from vtiqa_jax.errors import UserError
from vtiqa_jax.manifest import Manifest


@dataclasses.dataclass(frozen=True)
class Card:
    """The facts of a data set; docs/datasets.md gives the source of each. Higher scores are better in all."""

    name: str
    """As given on the command line."""
    title: str
    count: int
    """Photos in the whole release."""
    low: float
    """Lowest MOS in the release, on its own scale."""
    high: float
    mean: float | None
    """Mean MOS of the release, where it is known."""
    slope: float
    """`slope * mos + intercept` is the MOS on the scale from 1 to 5 common to all (release of VT-IQA, test scripts)."""
    intercept: float
    terms: str
    homepage: str
    citation: str
    layout: str
    """The files that are read, below the folder of the release."""

    @property
    def scale(self) -> LabelScale:
        """The common scale, by the name of this data set."""
        return LabelScale(self.title, 1.0, 5.0)

    def common(self, mos: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Scores of the release on the common scale from 1 to 5."""
        return (self.slope * mos + self.intercept).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Release:
    """A data set as it was downloaded: photos in the order of its table, with MOS on the release's own scale."""

    card: Card
    photos: Manifest
    official: tuple[str, ...] = ()
    """`train`, `val` or `test` for each photo, where the data set's authors divided it."""
    set_aside: tuple[int, ...] = ()
    """Rows that are no part of the data set proper: shown to observers for practice."""
    listed: tuple[str, ...] = ()
    """All photos of the table, those left out too, in its order."""
    complete: bool = True
    """Whether the table lists the whole data set."""

    def proper(self) -> "Release":
        """The release without what is set aside."""
        rows = np.setdiff1d(np.arange(len(self.photos.names)), self.set_aside)
        official = tuple(self.official[row] for row in rows) if self.official else ()
        return dataclasses.replace(self, photos=self.photos.only(rows), official=official, set_aside=())

    def common(self) -> Manifest:
        """The photos with their MOS on the common scale from 1 to 5."""
        return dataclasses.replace(self.photos, mos=self.card.common(self.photos.mos))


def find(folder: Path, names: Sequence[str], what: str) -> Path:
    """The first of `names` that exists in `folder`, as it is, or inside folders that unpacking may have nested it in.

    Errors: UserError that says what was looked for and what is there.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; it should hold {what}")
    for name in names:
        for pattern in (name, f"*/{name}", f"*/*/{name}"):
            found = sorted(path for path in folder.glob(pattern) if "__MACOSX" not in path.parts)
            if found:
                return found[0]
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise UserError(f"{folder} holds no {' or '.join(names)} ({what}); found {there}")


def checked(
    card: Card,
    table: Path,
    folder: Path,
    names: Sequence[str],
    mos: Sequence[float],
    *,
    partial: bool,
    cause: str = "",
    scenes: Sequence[str] = (),
    official: Sequence[str] = (),
    groups: Sequence[str] = (),
    set_aside: int = 0,
) -> Release:
    """The release, after checking it against its card; `folder` holds the photos, `cause` is the usual one when the
    range is wrong, `set_aside` how many rows at the top are no part of the data set.

    With `partial`, photos that are not there are left out, and the count and the mean are not checked.
    Errors: UserError that names the file, what was found and what was wanted.
    """
    values = np.array(mos, np.float64)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise UserError(f"{table}: the score of {names[row]} is not a number")
    if len(set(names)) != len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise UserError(f"{table} lists {twice} twice")
    proper = values[set_aside:]
    if not partial and len(proper) != card.count:
        raise UserError(f"{table} lists {len(proper)} photos, {card.title} has {card.count}; is the table cut off?")
    margin = 0.002 * (card.high - card.low)
    if len(proper) and (proper.min() < card.low - margin or proper.max() > card.high + margin):
        raise UserError(
            f"{table}: scores from {proper.min():.4g} to {proper.max():.4g}, where {card.title} has {card.low:g} to"
            f" {card.high:g}{'; ' + cause if cause else ''}"
        )
    if not partial and card.mean is not None and abs(proper.mean() - card.mean) > margin:
        raise UserError(f"{table}: a mean score of {proper.mean():.4g}, where {card.title} has {card.mean:g}")
    present = [(folder / name).is_file() for name in names]
    missing = [name for name, there in zip(names, present, strict=True) if not there]
    if len(missing) == len(names) or (missing and not partial):
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise UserError(
            f"{len(missing)} of {len(names)} photos of {card.title} are not in {folder} ({shown});"
            " unpack the whole archive, or use what is there with --partial"
        )
    kept = np.flatnonzero(present)
    photos = Manifest(tuple(names), values.astype(np.float32), folder, tuple(groups), tuple(scenes)).only(kept)
    aside = tuple(int(row) for row in np.flatnonzero(kept < set_aside))
    parts = tuple(official[int(row)] for row in kept) if official else ()
    return Release(card, photos, parts, aside, tuple(names), len(proper) == card.count)
