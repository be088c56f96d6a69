"""Distorted versions of training photos: nobody scored them, but their order is known.

A chain is one photo, untouched and at rising levels of one distortion. Few people's scores tell a model what noise or
clipping does, since hardly a photo of a data set shows it; chains tell it, without more opinions.
"""

import dataclasses
import hashlib
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int

from vtiqa_jax.data import distortions, light
from vtiqa_jax.data.distortions import DISTORTIONS
from vtiqa_jax.data.manifest import ImageSource, Manifest
from vtiqa_jax.errors import UserError
from vtiqa_jax.photos.decode import decode
from vtiqa_jax.photos.resize import make_thumbnail

LEVELS = (0.08, 0.36, 0.64, 0.92)
"""Levels of the versions of a chain, each moved at random by up to `JITTER`."""
JITTER = 0.08
HARD = ("overexposed", "brightened", "sharpened", "lost_blocks", "striped")
"""Distortions that get three times as many chains: their lowest levels are noticed last."""
UNTOUCHED = "untouched"
CHAIN_COLUMNS = ("mask", "chains", "places", "signs")
"""What `chain_columns` gives."""
LARGEST = 768
"""Longer side, pixels, that photos are shrunk to before they are distorted: the distortions are meant for such."""

_VERSION = re.compile(rf"(.*)\|({'|'.join([UNTOUCHED, *DISTORTIONS])})\|(\d\.\d{{3}})", re.DOTALL)
_CODE = hashlib.sha256(
    b"".join(Path(file).read_bytes() for file in (__file__, distortions.__file__, light.__file__))
).hexdigest()
"""Versions that other code made are not the same."""


@dataclasses.dataclass(frozen=True)
class DistortedImages:
    """Another source's photos, and distorted versions of them by name: `holiday.jpg|noise|0.350`."""

    source: ImageSource

    def read(self, name: str) -> bytes:
        """See `ImageSource`. A version is a BMP file, made anew each time; every level draws the same noise."""
        match = _VERSION.fullmatch(name)
        if match is None:
            return self.source.read(name)
        photo, distortion, level = match.groups()
        pixels = make_thumbnail(decode(photo, self.source.read(photo)).pixels, LARGEST)
        if distortion != UNTOUCHED:
            rng = np.random.default_rng(zlib.crc32(f"{photo}|{distortion}".encode()))
            pixels = DISTORTIONS[distortion](pixels, float(level), rng)
        return cv2.imencode(".bmp", pixels[:, :, ::-1])[1].tobytes()

    def version(self, name: str) -> str:
        """See `ImageSource`."""
        match = _VERSION.fullmatch(name)
        return f"{self.source.version(match.group(1))} {_CODE}" if match else self.source.version(name)

    def stamp(self, name: str) -> str:
        """See `ImageSource`."""
        match = _VERSION.fullmatch(name)
        return f"{self.source.stamp(match.group(1))} {_CODE}" if match else self.source.stamp(name)

    def __str__(self) -> str:
        return str(self.source)


def add_chains(
    photos: Manifest,
    rows: Int[np.ndarray, " rows"],
    count: int,
    leave_out: Sequence[str] = (),
    *,
    higher_is_better: bool = True,
) -> tuple[Manifest, Int[np.ndarray, "chains levels"]]:
    """Adds the versions of some photos to a manifest, with a score of 0.

    They depend on the photos and `count` alone: stored sizes and features serve every seed, and whatever is left out.

    Args:
        photos: all photos.
        rows: those that may be distorted, training photos say. The better half of them is: a bad photo hardly becomes
            worse.
        count: chains to make; photos and distortions take turns, in an order that is drawn.
        leave_out: distortions whose chains are not returned.
        higher_is_better: what the scores of the photos mean.

    Returns:
        The longer manifest, and its rows of each chain, from untouched to the strongest level.

    Raises:
        UserError: nothing is left.
    """
    rng = np.random.default_rng(0)
    quality = photos.mos[rows] if higher_is_better else -photos.mos[rows]
    good = rng.permutation(rows[quality >= np.median(quality)])
    turns = sorted([*DISTORTIONS, *HARD, *HARD])
    kinds = np.concatenate([rng.permutation(turns) for _ in range(-(-count // len(turns)))])[:count]
    kept = ~np.isin(kinds, leave_out)
    if not kept.any():
        raise UserError(f"--recipe.leave-out leaves none of the {count} series of --recipe.chains: make more")
    names: list[str] = []
    for number in range(count):
        photo = photos.names[good[number % len(good)]]
        levels = np.clip(np.array(LEVELS) + rng.uniform(-JITTER, JITTER, len(LEVELS)), 0, 1)
        names += [f"{photo}|{UNTOUCHED}|0.000", *(f"{photo}|{kinds[number]}|{level:.3f}" for level in levels)]
    rows_of_chains = np.arange(len(photos.names), len(photos.names) + len(names)).reshape(count, 1 + len(LEVELS))
    return photos.extend(names, DistortedImages(photos.images)), rows_of_chains[kept]


def chain_columns(
    chains: Int[np.ndarray, "chains levels"], count: int, *, higher_is_better: bool = True
) -> dict[str, Float[np.ndarray, " n"]]:
    """What the loss has to know of `count` photos with these chains among them.

    Returns:
        `mask`, 0 for photos of chains, which nobody scored; `chains`, the number of the chain, -1 for none; `places`,
        the place in it, from 0; `signs`, 1 where higher scores are better and -1 otherwise, of all photos the same.
    """
    sign = 1.0 if higher_is_better else -1.0
    values = np.ones(count), np.full(count, -1.0), np.zeros(count), np.full(count, sign)
    columns = dict(zip(CHAIN_COLUMNS, values, strict=True))
    columns["mask"][chains] = 0
    columns["chains"][chains] = np.arange(len(chains))[:, None]
    columns["places"][chains] = np.arange(chains.shape[1])
    return {name: values.astype(np.float32) for name, values in columns.items()}
