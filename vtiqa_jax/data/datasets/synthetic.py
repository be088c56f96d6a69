"""The common part of sets of distorted pictures: names that tell the level, and a trap, the direction of a DMOS."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vtiqa_jax.data.datasets.info import DatasetInfo
from vtiqa_jax.errors import UserError


def check_direction(info: DatasetInfo, table: Path, levels: Sequence[int], mos: Sequence[float]) -> None:
    """Checks that stronger distortions have worse scores, so that a table turned round is not read as it stands.

    Args:
        info: the facts, which say whether lower scores are better.
        table: the file that the scores come from, for messages.
        levels: how strongly each picture is distorted.
        mos: its score.

    Raises:
        UserError: they have better ones.
    """
    level, score = np.asarray(levels), np.asarray(mos, np.float64)
    if np.ptp(level) == 0:
        return
    mildest, strongest = (score[level == end].mean() for end in (level.min(), level.max()))
    if info.slope * (mildest - strongest) < 0:
        better = "higher" if info.slope > 0 else "lower"
        raise UserError(
            f"{table}: the strongest distortions have the better scores ({strongest:.3g}, the mildest {mildest:.3g}; of"
            f" {info.title} {better} ones are better): the scores were turned round; take the table of the release"
        )
