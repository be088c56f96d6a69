"""Photos that `vtiqa score` chooses by their scores, to list, copy or move them."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vtiqa_jax import atomic
from vtiqa_jax.choosing.stacks import KEPT_WHOLE
from vtiqa_jax.errors import UserError
from vtiqa_jax.photos import own
from vtiqa_jax.photos.transfer import DISK_FULL, plan_targets, transfer
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.xmp.sidecars import Sidecars


@dataclasses.dataclass(frozen=True)
class Selection:
    """Photos by their score, and what to do with them. Those that could not be scored are never among them."""

    min_score: float | None = None
    """Lowest score of the chosen photos. They are shown, or --list, --copy-to and others take them."""
    max_score: float | None = None
    """Highest score of the chosen photos."""
    top: int | None = None
    """Number of photos to choose, the best by rank, or the worst with --sort worst. A stack that --best-of-stacks keeps
    whole counts as one."""
    best_of_stacks: bool = False
    """Choose the best photo of each stack, all of brackets, focus stacks and panoramas, and photos in no stack."""
    list_rejects: bool = False
    """Print the paths that --best-of-stacks leaves out, one a line, and nothing else. Stacks kept whole have none."""
    paths_only: Annotated[bool, Parameter(name="--list")] = False
    """Print the paths of the chosen photos, one a line, and nothing else."""
    print0: bool = False
    """Print the same paths, each with a NUL byte after it, for xargs -0. Names may hold any character."""
    copy_to: Path | None = None
    """Folder to copy the chosen photos to. Names are kept, relative to the given folder, and nothing is overwritten."""
    move_to: Path | None = None
    """Folder to move the chosen photos to. Needs --yes."""
    yes: bool = False
    """Move the photos of --move-to, instead of only counting them."""

    def __post_init__(self) -> None:
        low, high = self.min_score, self.max_score
        if self.list_rejects and (self.chooses or self.paths_only or self.folder):
            raise UserError("--list-rejects goes only with --print0; leave out the other options that choose photos")
        if (low is not None and low != low) or (high is not None and high != high):
            raise UserError("--min-score and --max-score take numbers")
        if low is not None and high is not None and low > high:
            raise UserError(f"--min-score {low:g} is above --max-score {high:g}, so no photo can match")
        if self.top is not None and self.top < 1:
            raise UserError(f"--top must be at least 1, not {self.top}")
        if self.copy_to and self.move_to:
            raise UserError("--copy-to and --move-to exclude each other; give one of them")
        if self.yes and not self.move_to:
            raise UserError("--yes goes only with --move-to")
        if self.top is not None and self.move_to:
            raise UserError("--top and --move-to: the next run would move the best of the photos left; use --copy-to")
        if self.best_of_stacks and self.move_to:
            raise UserError(
                "--best-of-stacks and --move-to: the next run would move the best of the photos left; copy the best"
                " with --copy-to, or move the others, which --list-rejects prints"
            )

    @property
    def chooses(self) -> bool:
        """Whether options choose some of the photos."""
        is_between = self.min_score is not None or self.max_score is not None
        return is_between or self.best_of_stacks or self.top is not None

    @property
    def only_shows(self) -> bool:
        """Whether the chosen photos are only shown, neither listed nor copied nor moved."""
        return self.chooses and not (self.prints_paths or self.folder)

    @property
    def prints_paths(self) -> bool:
        """Whether standard output is for the chosen paths alone."""
        return self.paths_only or self.print0 or self.list_rejects

    @property
    def folder(self) -> Path | None:
        """The folder that the chosen photos go to."""
        return self.copy_to or self.move_to

    def plan(self, paths: Sequence[Path], photos: Sequence[Path]) -> dict[Path, Path]:
        """Plans where each photo goes. Errors: UserError when two would have one name, or the folder is a file; OSError
        when nothing can be written there."""
        if self.folder is None:
            return {}
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"{self.folder} is a file; --copy-to and --move-to take a folder")
        folder = atomic.resolve(self.folder)
        atomic.require_new_files(next(place for place in (folder, *folder.parents) if place.exists()))
        return plan_targets(paths, photos, self.folder)

    def choose(
        self, results: Iterable[ScoreResult], *, higher_is_better: bool = True, worst_first: bool = False
    ) -> list[ScoreResult]:
        """Returns the results that were asked for, in their order.

        A stack that is kept whole is chosen whole if one of its photos is.

        Args:
            results: of all photos.
            higher_is_better: of a larger rank.
            worst_first: whether `top` chooses the worst.
        """
        if self.list_rejects:
            return [result for result in results if result.best is False]
        candidates = [result for result in results if result.best or not self.best_of_stacks]
        groups: dict[tuple[str, int | None], list[ScoreResult]] = {}
        for index, result in enumerate(candidates):
            is_whole = self.best_of_stacks and result.stack_kind in KEPT_WHOLE
            groups.setdefault(("stack", result.stack) if is_whole else ("photo", index), []).append(result)
        chosen = [group for group in groups.values() if any(map(self._is_between, group))]
        if self.top is not None:
            sign = 1 if higher_is_better == worst_first else -1
            chosen.sort(key=lambda group: min(sign * result.rank for result in group if result.rank is not None))
            chosen = chosen[: self.top]
        kept = {id(result) for group in chosen for result in group}
        return [result for result in candidates if id(result) in kept]

    def _is_between(self, result: ScoreResult) -> bool:
        low = -float("inf") if self.min_score is None else self.min_score
        high = float("inf") if self.max_score is None else self.max_score
        return result.score is not None and low <= result.score <= high

    def apply(
        self, results: Iterable[ScoreResult], count: int, targets: Mapping[Path, Path], searched: Sequence[Path]
    ) -> bool:
        """Lists, copies or moves the chosen photos; False when one could not be, which is told and stops no other.

        Args:
            results: of `choose`.
            count: number of all photos.
            targets: of `plan`.
            searched: the paths that were given. A new folder inside of one is marked, so that the photos in it are not
                found again the next time.

        Raises:
            UserError: the disk is full; what is done stays done, and the same command does the rest.
        """
        chosen = list(dict.fromkeys(result.image for result in results))
        if self.prints_paths:
            end = b"\0" if self.print0 else b"\n"
            sys.stdout.flush()
            for photo in chosen:  # its own bytes, whatever the stream's encoding: another program opens it
                sys.stdout.buffer.write(os.fsencode(photo) + end)
        if self.only_shows:
            print(f"{_say_share(len(chosen), count)} shown", file=sys.stderr)
        if self.folder is None:
            return True
        if self.move_to and not self.yes:
            would_move = f"{_say_share(len(chosen), count)} would move to {self.folder}"
            print(f"{would_move}; add --yes to move them", file=sys.stderr)
            return True
        place = atomic.resolve(self.folder)
        is_inside = any(
            place.is_relative_to(path.resolve()) if path.is_dir() else place.parent == path.parent.resolve()
            for path in searched
        )
        if chosen and is_inside:
            with contextlib.suppress(OSError):  # photos cannot be written there either, and of them it is said
                own.mark_folder(self.folder)
        left = _count_sidecars(chosen)
        done, placed = "moved" if self.move_to else "copied", 0
        for photo in chosen:
            try:
                free = transfer(photo, targets[photo], move=self.move_to is not None)
            except OSError as error:
                reason = f"{photo} cannot be {done} to {targets[photo]}: {error.strerror or error}"
                if error.errno in DISK_FULL:
                    rest = "make room and give the same command again"
                    raise UserError(f"{reason}; {placed} of {len(chosen)} photos are {done}; {rest}") from error
                print(reason, file=sys.stderr)
                continue
            placed += free
            if not free:
                print(f"{photo} is not {done}: {targets[photo]} exists and is another file", file=sys.stderr)
        share = _say_share(placed, count)
        if placed < len(chosen) < count:
            share = f"{placed} of {len(chosen)} chosen photos"
        print(f"{share} {done} to {self.folder}{os.sep}", file=sys.stderr)
        if left:
            print(f"{left} sidecars (.xmp) stay behind; other programs look for them beside the photo", file=sys.stderr)
        return placed == len(chosen)


def _say_share(part: int, count: int) -> str:
    """Says how many photos of how many: "3 of 24 photos", "24 photos" when it is all of them."""
    photos = "1 photo" if count == 1 else f"{count} photos"
    return photos if part == count else f"{part} of {photos}"


def _count_sidecars(photos: Sequence[Path]) -> int:
    """Counts the sidecars that photos may have."""
    sidecars, files = Sidecars(), set[Path]()
    for photo in photos:
        with contextlib.suppress(OSError):
            files.update(sidecars.list_candidates(photo))
    return len(files)
