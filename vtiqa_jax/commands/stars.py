"""`vtiqa score --xmp`: writes stars and reasons where other programs read them, and takes them back."""

import collections
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from vtiqa_jax import atomic
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.results.reasons import WORDS
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.xmp import packet
from vtiqa_jax.xmp.place import Place, is_jpeg
from vtiqa_jax.xmp.ratings import REJECTED, stars_by_fifths, stars_on_scale
from vtiqa_jax.xmp.rdf import Refused
from vtiqa_jax.xmp.sidecars import Sidecars
from vtiqa_jax.xmp.write import Outcome, Taken, take_back, write_stars

PREFIX = "vtiqa: "
"""Prefix of keywords, by which people find them all."""


@dataclasses.dataclass(frozen=True)
class Stars:
    """Ratings for other programs. One that a person gave is never changed."""

    xmp: bool = False
    """Write each photo's stars to a sidecar, a.jpg.xmp, or a.xmp for a RAW. Nothing else in it changes."""
    stars: Literal["scale", "folder"] = "scale"
    """Way to give stars. scale: round the score to 1 to 5; folder: give each fifth of these photos one star more."""
    reject_worse_than: float | None = None
    """Score below which a photo is marked as rejected instead; above which, where lower scores are better."""
    xmp_reasons: bool = False
    """Write what is wrong with a photo as keywords too, such as "vtiqa: out of focus"."""
    xmp_embed: bool = False
    """Write the stars of JPEGs into the JPEGs. Their pictures and the times of the files do not change."""
    undo: bool = False
    """Take back what --xmp wrote for these photos. Nothing is scored."""

    def __post_init__(self) -> None:
        options = {
            "--stars": self.stars != "scale",
            "--reject-worse-than": self.reject_worse_than is not None,
            "--xmp-reasons": self.xmp_reasons,
            "--xmp-embed": self.xmp_embed,
            "--undo": self.undo,
        }
        given = [name for name, is_given in options.items() if is_given]
        if given and not self.xmp:
            raise UserError(f"{given[0]} needs --xmp; add it")
        if self.reject_worse_than is not None and self.reject_worse_than != self.reject_worse_than:
            raise UserError("--reject-worse-than takes a number")

    def check(self, photos: Sequence[Path], *, moves: bool) -> None:
        """Checks, before hours of scoring, that stars can be written.

        Args:
            photos: all that are to be scored.
            moves: whether they are moved after that.

        Raises:
            UserError: they are not to stay where their sidecars are, or no folder of them takes new files.
        """
        if not self.xmp:
            return
        if moves:
            raise UserError(
                "--xmp and --move-to exclude each other, as sidecars would stay behind; move the photos first"
            )
        folders = dict.fromkeys(photo.parent for photo in photos)
        if not any(map(atomic.takes_files, folders)):
            raise UserError(f"{next(iter(folders))}: sidecars cannot be written there; make the folder writable")

    def apply(self, results: Sequence[ScoreResult], scale: LabelScale, *, quiet: bool = False) -> bool:
        """Writes the stars of all photos that were scored; False when some could not be, which stops no other.

        Args:
            results: of all photos.
            scale: what their scores mean.
            quiet: tell of what could not be written alone.

        Raises:
            UserError: the disk is full; what is written stays, and the same command does the rest.
        """
        scored = [result for result in results if result.score is not None]
        sidecars, refused = Sidecars(), list[str]()
        outcomes = collections.Counter[Outcome]()
        ratings = tqdm(self._rate(scored, scale), "stars", unit="photo", disable=quiet or None, leave=False)
        for result, rating in zip(scored, ratings, strict=True):
            keywords = [PREFIX + WORDS[fault.name][1] for fault in result.reasons if fault.level != "slight"]
            stars = packet.Stars(rating, tuple(keywords) if self.xmp_reasons else ())
            try:
                outcomes[write_stars(result.image, stars, sidecars, embed=self.xmp_embed)] += 1
            except Refused as error:
                refused.append(str(error))
            except OSError as error:
                raise _disk_full(result.image, error, outcomes[Outcome.WRITTEN], "written") from error
        if refused or not quiet:
            counts = [f"{outcomes[each]} {each.value}" for each in Outcome if outcomes[each]]
            _tell(counts or ["0 written"], refused)
        return not refused

    def _rate(self, scored: Sequence[ScoreResult], scale: LabelScale) -> list[int]:
        scores = [result.score for result in scored if result.score is not None]
        better = scale.higher_is_better
        if self.stars == "folder":
            ranks = [result.rank for result in scored if result.rank is not None]
            ratings = stars_by_fifths(ranks, higher_is_better=better)
        else:
            ratings = [stars_on_scale(score, scale.low, scale.high, higher_is_better=better) for score in scores]
        limit, sign = self.reject_worse_than, 1 if better else -1
        return [
            REJECTED if limit is not None and sign * score < sign * limit else rating
            for score, rating in zip(scores, ratings, strict=True)
        ]


def take_all_back(photos: Sequence[Path]) -> bool:
    """Takes back what was written for photos; False when some could not be, which stops no other.

    Raises:
        UserError: the disk is full; what is taken back stays so, and the same command does the rest.
    """
    sidecars, refused = Sidecars(), list[str]()
    outcomes = collections.Counter[Taken]()
    places = dict.fromkeys(
        [Place(file, is_photo=False) for photo in photos for file in sidecars.list_candidates(photo)]
        + [Place(photo, is_photo=True) for photo in photos if is_jpeg(photo)]
    )
    for place in places:
        try:
            outcomes[take_back(place)] += 1
        except Refused as error:
            refused.append(str(error))
        except OSError as error:
            raise _disk_full(place.path, error, outcomes[Taken.WHOLE], "taken back") from error
    counts = [f"{outcomes[each]} {each.value}" for each in Taken if outcomes[each] and each is not Taken.NOTHING]
    _tell(counts or ["0 taken back"], refused)
    return not refused


def _tell(told: Sequence[str], refused: Sequence[str]) -> None:
    """Says in one line what came of all photos, and of each refused one why."""
    reasons = list(dict.fromkeys(refused))
    if len(reasons) > 1:
        print("\n".join(reasons), file=sys.stderr)
    of_refused = [] if not refused else [f"{len(refused)} refused{f': {reasons[0]}' if len(reasons) == 1 else ''}"]
    print(f"stars: {', '.join([*told, *of_refused])}", file=sys.stderr)


def _disk_full(file: Path, error: OSError, count: int, done: str) -> UserError:
    return UserError(f"{file}: {error.strerror}; {count} {done}; make room and give the same command again")
