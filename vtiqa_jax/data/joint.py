"""Several data sets trained together: each on its own scale, since opinions of two laboratories are not comparable.

The mean opinion scores of a set are standardised by its training photos, as UNIQUE and LIQE do when they compare photos
of one set only (Zhang et al., IEEE TIP 2021; CVPR 2023). A score of the joint model says how many standard deviations a
photo lies above the mean of the sets.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Int

from vtiqa_jax.data.manifest import ImageSource, Manifest
from vtiqa_jax.data.splits import Split
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.config import LabelScale

REACH = 3.0
"""Standard deviations that the label scale names; nearly all photos lie within them."""


@dataclasses.dataclass(frozen=True)
class JointImages:
    """The photos of several sources, by names like `koniq10k/1234.jpg`."""

    sources: Mapping[str, ImageSource]

    def _find(self, name: str) -> tuple[ImageSource, str]:
        source, _, photo = name.partition("/")
        return self.sources[source], photo

    def read(self, name: str) -> bytes:
        """See `ImageSource`."""
        source, photo = self._find(name)
        return source.read(photo)

    def version(self, name: str) -> str:
        """See `ImageSource`."""
        source, photo = self._find(name)
        return source.version(photo)

    def stamp(self, name: str) -> str:
        """See `ImageSource`."""
        source, photo = self._find(name)
        return source.stamp(photo)

    def __str__(self) -> str:
        return " ".join(f"{name}={source}" for name, source in self.sources.items())


def join(sets: Mapping[str, tuple[Manifest, Split]]) -> tuple[Manifest, Split, LabelScale]:
    """Returns one manifest and one split of several, the same in whatever order the sets are given.

    Args:
        sets: by name, higher scores better; the split of each is kept.

    Returns:
        Photos named `set/photo`, grouped by set, with standardised scores; the split; what the scores mean.

    Raises:
        UserError: all training photos of a set have the same score.
    """
    ordered = dict(sorted(sets.items()))
    names: list[str] = []
    groups: list[str] = []
    mos: list[np.ndarray] = []
    rows: dict[str, list[Int[np.ndarray, " _"]]] = {"train": [], "val": [], "test": []}
    for name, (photos, split) in ordered.items():
        scores = photos.mos[split.train].astype(np.float64)
        if np.ptp(scores) == 0:
            raise UserError(f"{name}: all {len(scores)} training photos have the same score: nothing to learn")
        for part, part_rows in rows.items():
            part_rows.append(getattr(split, part) + len(names))
        names += [f"{name}/{photo}" for photo in photos.names]
        groups += [name] * len(photos.names)
        mos.append(((photos.mos - scores.mean()) / scores.std()).astype(np.float32))
    sources = JointImages({name: photos.images for name, (photos, _) in ordered.items()})
    manifest = Manifest(tuple(names), np.concatenate(mos), sources, tuple(groups))
    note = "; ".join(f"{name}: {split.note}" for name, (_, split) in ordered.items())
    parts = {part: np.concatenate(part_rows) for part, part_rows in rows.items()}
    joint = Split(parts["train"], parts["val"], parts["test"], note=note)
    return manifest, joint, LabelScale(f"standard deviations of {', '.join(ordered)}", -REACH, REACH)
