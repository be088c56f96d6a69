"""Training data of the head that names faults: faults planted into photos, and photos judged by eye."""

import dataclasses
import functools
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from tqdm import tqdm

from vtiqa_jax.data import images
from vtiqa_jax.data.judged import JudgedPhotos
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.heads.faulty import LARGEST_PART, Faulty, make_faulty, make_faulty_parts
from vtiqa_jax.heads.seen import Seen, SeenCache
from vtiqa_jax.models.faults import FAULTS
from vtiqa_jax.photos import headers

LARGE_VERSIONS, SCORED_VERSIONS = 10, 6
"""Versions of each photo: of photos as cameras made them, and of those with opinions."""
WHOLE_TIMES = 3
"""Number of times that a large photo that nobody judged counts as it is, without any fault, beside its versions: these
are parts, whose pixels are looked at more closely than those of the whole."""
JUDGED_TIMES = 4
"""Number of times that a photo judged by eye counts beside a version with planted faults."""
LARGE = 2_000_000
"""Pixels of a photo as cameras make them: what disturbs at its own pixels is not what disturbs in smaller ones."""
SEEN = 0.5
"""Mean strength from which somebody saw a fault: whether a version of the photo has it, too, is not known."""
NOBODY = -1
"""The number of a photo that nobody judged."""


@dataclasses.dataclass(frozen=True)
class Lessons:
    """What a model sees of versions of photos, with their faults; NaN where it is not known whether one is there."""

    seen: Seen
    times: Int[np.ndarray, " versions"]
    """Number of times that each counts."""
    judged: Int[np.ndarray, " versions"]
    """The number, among all that were judged by eye, of the photo that each was made of; or `NOBODY`."""
    is_part: Bool[np.ndarray, " versions"]
    """Whether each is one of `make_faulty_parts`."""

    def rows(self, left_out: Int[np.ndarray, " photos"] = np.empty(0, np.int64)) -> list[Int[np.ndarray, " _"]]:
        """Returns the versions that each of two heads learns from, as often as they count.

        One knows no parts: it tells faults that photos have by themselves better, and the other planted ones.

        Args:
            left_out: numbers of judged photos that nothing is learnt from.
        """
        known = ~np.isin(self.judged, left_out)
        return [np.repeat(kept, self.times[kept]) for kept in map(np.flatnonzero, (known & ~self.is_part, known))]


@dataclasses.dataclass(frozen=True)
class ByEye:
    """What a model sees of photos judged by eye, with the faults that people saw."""

    seen: Seen
    weights: Float[np.ndarray, " photos"]
    is_large: Bool[np.ndarray, " photos"]
    """Whether a photo has as many pixels as cameras make."""
    sources: Int[np.ndarray, " photos"]
    """A number for each photographer, as far as they are known: photos of one are alike."""


def _as_it_is(name: str, data: bytes) -> Iterator[Faulty]:
    yield Faulty(images.decode(data, name), np.zeros(len(FAULTS), np.float32))


def _is_large(data: bytes) -> bool:
    """Returns whether a file that can be decoded is a large photo."""
    kind = headers.find_format(data)
    return kind is not None and math.prod(headers.read_size(data, kind)) >= LARGE


def _see_whole(cache: SeenCache, name: str, data: bytes) -> Seen:
    return cache.read(data, "as it is", lambda: _as_it_is(name, data))


def _see_planted(cache: SeenCache, count: int, name: str, data: bytes) -> Seen:
    return cache.read(
        data, f"{count}", lambda: make_faulty(images.decode(data, name), count, zlib.crc32(data), LARGEST_PART)
    )


def _see_parts(cache: SeenCache, name: str, data: bytes) -> Seen:
    return cache.read(data, "parts", lambda: make_faulty_parts(images.decode(data, name), zlib.crc32(data)))


def _read_all(
    photos: Iterable[tuple[str, bytes]], read: Callable[[str, bytes], Seen], what: str, count: int
) -> tuple[list[Seen | None], list[str]]:
    """Reads photos; of those that cannot be used there is nothing but a line that says why."""
    found: list[Seen | None] = []
    left_out: list[str] = []
    for name, data in tqdm(photos, what, total=count, unit="photo", disable=None):
        try:
            found.append(read(name, data))
        except ImageError as error:
            found.append(None)
            left_out.append(f"{name}: {error}")
    return found, left_out


def _of_files(paths: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    return ((str(path), path.read_bytes()) for path in paths)


def forget_unclear(planted: Seen, own: Float32[np.ndarray, " faults"]) -> Seen:
    """Returns versions of a photo that has faults of its own: where these were not planted, they may be there or not.

    Args:
        planted: the versions.
        own: strengths of the photo's faults.
    """
    unclear = (planted.strengths == 0) & (own >= SEEN)
    return dataclasses.replace(planted, strengths=np.where(unclear, np.float32(np.nan), planted.strengths))


@dataclasses.dataclass(frozen=True)
class _Lesson:
    """What a model sees of some versions of a photo."""

    seen: Seen
    times: int
    judged: int = NOBODY
    is_part: bool = False


def _collect_judged(cache: SeenCache, judged: JudgedPhotos) -> tuple[list[_Lesson], ByEye, dict[Path, int], list[str]]:
    """Collects what is learnt from photos judged by eye: as they are, and large ones with planted faults, too.

    Returns:
        The lessons; all that is seen of the photos as they are; their numbers; a line for each that was left out.

    Raises:
        UserError: none of them can be used.
    """
    look = functools.partial(_see_whole, cache)
    found, left_out = _read_all(_of_files(judged.paths), look, "photos judged by eye", len(judged.paths))
    known = np.flatnonzero([part is not None for part in found])
    if not len(known):
        raise UserError(f"no photo judged by eye can be used; the first: {left_out[0]}")
    whole = Seen.concatenate([part for part in found if part])
    seen = dataclasses.replace(whole, strengths=judged.strengths[known].astype(np.float32))
    paths = [judged.paths[row] for row in known]
    is_large = np.array([_is_large(path.read_bytes()) for path in paths])
    sources = np.unique([judged.sources[row] for row in known], return_inverse=True)[1]
    lessons = [_Lesson(seen.take(np.array([number])), JUDGED_TIMES, number) for number in range(len(paths))]
    large = [int(number) for number in np.flatnonzero(is_large)]
    plant = functools.partial(_see_parts, cache)
    found, more = _read_all(_of_files([paths[number] for number in large]), plant, "into their parts", len(large))
    for number, part in zip(large, found, strict=True):
        if part:
            lessons.append(_Lesson(forget_unclear(part, seen.strengths[number]), 1, number, is_part=True))
    numbers = {path.resolve(): number for number, path in enumerate(paths)}
    return lessons, ByEye(seen, judged.weights[known], is_large, sources), numbers, left_out + more


def collect_lessons(
    cache: SeenCache, photos: Sequence[Path], scored: Manifest, judged: JudgedPhotos | None
) -> tuple[Lessons, ByEye | None, list[str]]:
    """Collects what the head learns from.

    Args:
        cache: keeps what takes long.
        photos: as cameras made them; faults are planted into them.
        scored: good ones with opinions; faults are planted into them, too.
        judged: photos judged by eye, some of `photos` perhaps among them.

    Returns:
        The lessons; what is seen of the judged photos, in the order of their numbers; and a line for each photo that
        was left out.

    Raises:
        UserError: no photo can be used, or none of the judged ones.
    """
    lessons: list[_Lesson] = []
    numbers: dict[Path, int] = {}
    by_eye, left_out = None, []
    if judged is not None:
        lessons, by_eye, numbers, left_out = _collect_judged(cache, judged)
    of_judged = len(lessons)

    plant = functools.partial(_see_planted, cache, LARGE_VERSIONS)
    found, more = _read_all(_of_files(photos), plant, "faults planted into photos", len(photos))
    left_out += more
    for path, part in zip(photos, found, strict=True):
        number = numbers.get(path.resolve(), NOBODY)
        if part and by_eye and number != NOBODY:
            part = forget_unclear(part, by_eye.seen.strengths[number])
        if part:
            lessons.append(_Lesson(part, 1, number))
    alone = [path for path in photos if path.resolve() not in numbers]
    found, _ = _read_all(_of_files(alone), functools.partial(_see_whole, cache), "photos as they are", len(alone))
    lessons += [_Lesson(part, WHOLE_TIMES) for part in found if part]

    small = ((name, scored.images.read(name)) for name in scored.names)
    plant = functools.partial(_see_planted, cache, SCORED_VERSIONS)
    found, more = _read_all(small, plant, "into scored photos", len(scored.names))
    left_out += more
    lessons += [_Lesson(part, 1) for part in found if part]
    if len(lessons) == of_judged:
        raise UserError(f"no photo can be used to learn faults from; the first: {left_out[0]}")
    counts = [len(lesson.seen.strengths) for lesson in lessons]
    times, of, is_part = (
        np.repeat([getattr(lesson, name) for lesson in lessons], counts) for name in ("times", "judged", "is_part")
    )
    return Lessons(Seen.concatenate([lesson.seen for lesson in lessons]), times, of, is_part), by_eye, left_out
