"""Plans of batches: every training photo once an epoch, and the photos that a recipe adds."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.errors import UserError

Rows = Int[np.ndarray, " _"]


def epoch_batches(rows: Int[np.ndarray, " n"], size: int, seed: int, epoch: int) -> list[Rows]:
    """Returns the rows of each batch of an epoch, as (seed, epoch) shuffles them; the last batch may be smaller."""
    shuffled = np.random.default_rng((seed, epoch)).permutation(rows)
    # Sorted within the batch: neighbours on disk are read together.
    return [np.sort(shuffled[start : start + size]) for start in range(0, len(rows), size)]


def add_groups(
    batches: Sequence[Rows], groups: Int[np.ndarray, "groups size"], count: int, seed: int, epoch: int
) -> list[Rows]:
    """Adds the rows of `count` groups to each batch; every group takes its turn, in an order that is drawn."""
    rng, needed = np.random.default_rng((seed, epoch, 1)), len(batches) * count
    order = np.concatenate([rng.permutation(len(groups)) for _ in range(-(-needed // len(groups)))])[:needed]
    return [
        np.concatenate([rows, groups[some].ravel()])
        for rows, some in zip(batches, order.reshape(-1, count), strict=True)
    ]


@dataclasses.dataclass(frozen=True)
class AuxiliaryPhotos:
    """Photos that a recipe shows beside those with labels, in groups: the versions of a photo, say."""

    photos: Manifest
    """All photos of the training, those that the recipe adds behind the others; see `Manifest.extend`."""
    groups: Int[np.ndarray, "groups size"] = dataclasses.field(default_factory=lambda: np.empty((0, 0), np.int64))
    """Rows of what is shown together."""
    per_batch: int = 0
    """Groups in a batch."""
    columns: Mapping[str, Float[np.ndarray, " n"]] = dataclasses.field(default_factory=dict)
    """Columns of all photos for the loss, by their names in batches; `mask` is 0 without a label."""

    def without(self, rows: Sequence[int]) -> "AuxiliaryPhotos":
        """Returns the same without the groups that have one of these rows.

        Raises:
            UserError: no group is left.
        """
        whole = ~np.isin(self.groups, rows).any(axis=1)
        if len(self.groups) and not whole.any():
            raise UserError(
                f"none of the {len(self.groups)} groups of photos that the recipe adds can be read: add more"
            )
        return dataclasses.replace(self, groups=self.groups[whole])


@dataclasses.dataclass(frozen=True)
class BatchPlan:
    """The batches of every epoch."""

    rows: Int[np.ndarray, " n"]
    """Photos with labels that are trained on."""
    labelled: int
    """Number of labelled photos in a batch."""
    seed: int
    columns: Mapping[str, Float[np.ndarray, " all"]]
    """Numbers of every photo that the loss uses: `labels`, and others by name."""
    groups: Int[np.ndarray, "groups size"] = dataclasses.field(default_factory=lambda: np.empty((0, 0), np.int64))
    """See `AuxiliaryPhotos`."""
    groups_per_batch: int = 0

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return math.ceil(len(self.rows) / self.labelled)

    @property
    def size(self) -> int:
        """Photos in a full batch."""
        return min(self.labelled, len(self.rows)) + self.groups_per_batch * self.groups.shape[1]

    def epoch(self, number: int) -> list[Rows]:
        """Returns the rows of each batch of an epoch."""
        batches = epoch_batches(self.rows, self.labelled, self.seed, number)
        if not self.groups_per_batch:
            return batches
        return add_groups(batches, self.groups, self.groups_per_batch, self.seed, number)
