"""The direction that tells photographs from other pictures, fitted again for a backbone; see `models.novelty`."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vtiqa_jax.data import images
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.photos.resize import Rgb
from vtiqa_jax.training.novelty import fit_novelty, read_features, vary, with_novelty

LEAST_PICTURES = 50


def _read_file(path: str) -> bytes:
    return Path(path).read_bytes()


def _pixels(names: Sequence[str], read: Callable[[str], bytes], what: str, *, varied: bool = False) -> Iterator[Rgb]:
    """Yields the pictures that can be read, as they are or parts of them."""
    for name in tqdm(names, what, disable=None):
        try:
            pixels = images.decode(read(name), name)
        except (ImageError, OSError):
            continue
        yield vary(pixels, np.random.default_rng(zlib.crc32(name.encode()))) if varied else pixels


def learn_photographs(
    model: Checkpoint, photos: Sequence[Path], scored: Manifest, others: Sequence[Path]
) -> Checkpoint:
    """Returns the same VT-IQA with what tells photographs from other pictures, in the place of what it may have.

    Args:
        model: whose features tell.
        photos: large ones.
        scored: small ones; of every second a part is shown, too, cut to another shape and perhaps distorted.
        others: screenshots, plots, pages and drawings. What cannot be read is left out.

    Raises:
        UserError: there are too few other pictures, or the features do not tell them from photographs.
    """
    found = read_features(model, _pixels(list(map(str, others)), _read_file, "no photographs"))
    if len(found) < LEAST_PICTURES:
        raise UserError(f"of the pictures that are no photographs only {len(found)} can be read")
    read = scored.images.read
    photographs = [
        read_features(model, pixels)
        for pixels in (
            _pixels(list(map(str, photos)), _read_file, "photographs"),
            _pixels(scored.names, read, "scored photographs"),
            _pixels(scored.names[::2], read, "parts of them", varied=True),
        )
    ]
    try:
        return with_novelty(model, fit_novelty(np.concatenate(photographs), found))
    except ValueError as error:
        raise UserError(f"{len(found)} pictures that are no photographs: {error}") from error
