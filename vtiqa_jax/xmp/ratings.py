"""The way from scores to stars."""

import bisect
import math
from collections.abc import Sequence

REJECTED = -1
LOWEST, HIGHEST = 1, 5


def stars_on_scale(score: float, low: float, high: float, *, higher_is_better: bool) -> int:
    """Rounds a score to stars: the worse end of its scale is 1, the better one 5, a half is rounded up.

    Args:
        score: of a photo.
        low: lowest score of the scale.
        high: highest.
        higher_is_better: which of them is the better end.
    """
    share = (score - low) / (high - low)
    value = LOWEST + (HIGHEST - LOWEST) * (share if higher_is_better else 1 - share)
    return min(max(math.floor(value + 0.5), LOWEST), HIGHEST)


def stars_by_fifths(ranks: Sequence[float], *, higher_is_better: bool) -> list[int]:
    """Gives the best fifth of some photos 5 stars, the worst 1. Equal photos have equal stars.

    Args:
        ranks: of all photos, see `rank.rank_photo`.
        higher_is_better: whether the best has the highest.
    """
    values = [rank if higher_is_better else -rank for rank in ranks]
    ordered = sorted(values)
    # Of equal ones, the middle of the places that they share.
    places = [(bisect.bisect_left(ordered, value) + bisect.bisect_right(ordered, value)) / 2 for value in values]
    return [LOWEST + min(int(HIGHEST * place / len(values)), HIGHEST - LOWEST) for place in places]
