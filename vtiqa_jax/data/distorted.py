"""Distorted versions of training photos: nobody scored them, but their order is known.

A distortion ladder is one photo, pristine and at rising levels of one distortion, as in RankIQA (Liu et al., ICCV
2017). Few people's scores tell a model what noise or clipping does, since hardly a photo of a data set shows it;
ladders tell it, without more opinions.
"""

import dataclasses
import functools
import hashlib
import inspect
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int

from vtiqa_jax.data import images, light
from vtiqa_jax.data.distortions import DISTORTIONS, Distortion
from vtiqa_jax.data.manifest import ImageSource, Manifest
from vtiqa_jax.errors import UserError
from vtiqa_jax.photos.resize import make_thumbnail

LEVELS = (0.08, 0.36, 0.64, 0.92)
"""Levels of the versions of a ladder, each moved at random by up to `JITTER`."""
JITTER = 0.08
HARD = ("overexposed", "brightened", "sharpened", "lost_blocks", "striped")
"""Distortions that get three times as many ladders: their lowest levels are noticed last."""
PRISTINE = "pristine"
LADDER_COLUMNS = ("mask", "ladders", "level_index", "signs")
"""What `ladder_columns` gives."""
LARGEST = 768
"""Longer side, pixels, that photos are shrunk to before they are distorted: the distortions are meant for such."""

_VERSION = re.compile(r"(.*)\|([^|]+)\|(\d\.\d{3})", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class DistortedImages:
    """Another source's photos, and distorted versions of them by name: `holiday.jpg|noise|0.350`."""

    source: ImageSource
    distortions: Mapping[str, Distortion] = dataclasses.field(default_factory=lambda: DISTORTIONS)

    @functools.cached_property
    def _code(self) -> str:
        """Stands for all code that makes versions: those that other code made are not the same."""
        own = {Path(inspect.getfile(function)) for function in self.distortions.values()}
        files = sorted(own | {Path(__file__), Path(light.__file__)}, key=lambda file: file.name)
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()

    def _parse(self, name: str) -> tuple[str, str, str] | None:
        """Parses a version's name into photo, distortion and level; None for the name of a photo."""
        match = _VERSION.fullmatch(name)
        is_version = match is not None and match[2] in (PRISTINE, *self.distortions)
        return (match[1], match[2], match[3]) if match and is_version else None

    def read(self, name: str) -> bytes:
        """See `ImageSource`. A version is a BMP file, made anew each time; every level draws the same noise."""
        version = self._parse(name)
        if version is None:
            return self.source.read(name)
        photo, distortion, level = version
        pixels = make_thumbnail(images.decode(self.source.read(photo), photo), LARGEST)
        if distortion != PRISTINE:
            rng = np.random.default_rng(zlib.crc32(f"{photo}|{distortion}".encode()))
            pixels = self.distortions[distortion](pixels, float(level), rng)
        return cv2.imencode(".bmp", pixels[:, :, ::-1])[1].tobytes()

    def version(self, name: str) -> str:
        """See `ImageSource`."""
        version = self._parse(name)
        return f"{self.source.version(version[0])} {self._code}" if version else self.source.version(name)

    def stamp(self, name: str) -> str:
        """See `ImageSource`."""
        version = self._parse(name)
        return f"{self.source.stamp(version[0])} {self._code}" if version else self.source.stamp(name)

    def __str__(self) -> str:
        return str(self.source)


def add_ladders(
    photos: Manifest,
    rows: Int[np.ndarray, " rows"],
    count: int,
    leave_out: Sequence[str] = (),
    *,
    higher_is_better: bool = True,
    distortions: Mapping[str, Distortion] = DISTORTIONS,
) -> tuple[Manifest, Int[np.ndarray, "ladders levels"]]:
    """Adds the versions of some photos to a manifest, with a score of 0.

    They depend on the photos and `count` alone: stored sizes and features serve every seed, and whatever is left out.

    Args:
        photos: all photos.
        rows: those that may be distorted, training photos say. The better half of them is: a bad photo hardly becomes
            worse.
        count: ladders to make; photos and distortions take turns, in an order that is drawn.
        leave_out: distortions whose ladders are not returned.
        higher_is_better: what the scores of the photos mean.
        distortions: those that ladders show.

    Returns:
        The longer manifest, and its rows of each ladder, from pristine to the strongest level.

    Raises:
        UserError: nothing is left.
    """
    rng = np.random.default_rng(0)
    quality = photos.mos[rows] if higher_is_better else -photos.mos[rows]
    good = rng.permutation(rows[quality >= np.median(quality)])
    turns = sorted([*distortions, *(name for name in (*HARD, *HARD) if name in distortions)])
    kinds = np.concatenate([rng.permutation(turns) for _ in range(-(-count // len(turns)))])[:count]
    kept = ~np.isin(kinds, leave_out)
    if not kept.any():
        raise UserError(f"--recipe.leave-out leaves none of the {count} of --recipe.ladders: make more")
    names: list[str] = []
    for number in range(count):
        photo = photos.names[good[number % len(good)]]
        levels = np.clip(np.array(LEVELS) + rng.uniform(-JITTER, JITTER, len(LEVELS)), 0, 1)
        names += [f"{photo}|{PRISTINE}|0.000", *(f"{photo}|{kinds[number]}|{level:.3f}" for level in levels)]
    ladder_rows = np.arange(len(photos.names), len(photos.names) + len(names)).reshape(count, 1 + len(LEVELS))
    return photos.extend(names, DistortedImages(photos.images, distortions)), ladder_rows[kept]


def ladder_columns(
    ladders: Int[np.ndarray, "ladders levels"], count: int, *, higher_is_better: bool = True
) -> dict[str, Float[np.ndarray, " n"]]:
    """Returns the columns that the ranking loss needs of `count` photos with these ladders among them.

    Returns:
        `mask`, 0 for photos of ladders, which nobody scored; `ladders`, the number of the ladder, -1 for none;
        `level_index`, the level in it, from 0; `signs`, 1 where higher scores are better and -1 otherwise, of all
        photos the same.
    """
    sign = 1.0 if higher_is_better else -1.0
    values = np.ones(count), np.full(count, -1.0), np.zeros(count), np.full(count, sign)
    columns = dict(zip(LADDER_COLUMNS, values, strict=True))
    columns["mask"][ladders] = 0
    columns["ladders"][ladders] = np.arange(len(ladders))[:, None]
    columns["level_index"][ladders] = np.arange(ladders.shape[1])
    return {name: values.astype(np.float32) for name, values in columns.items()}
