"""A photo's numbers in words: the same ones on terminals, pages and in notebooks."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vtiqa_jax.results.results import ScoreResult

SMALLEST_SCALE = 12.5
"""Percent: at 1:8 a photo is still looked at. Of what holds less no number is told."""
MIN_MEGAPIXELS = 1
"""Least size for which megapixels are told; for a smaller photo only the share is."""
LONGEST = len("13 %, about 0.016 of 1.2 megapixels")
LONGEST_INTERVAL = len("52.1 to 100.0")
"""On a scale to 100."""


def say_interval(result: "ScoreResult") -> str:
    """Says between what the mean of people's opinions is: "3.1 to 3.8"; nothing where the model does not say."""
    return "" if result.low is None or result.high is None else f"{result.low:.1f} to {result.high:.1f}"


def say_scale(result: "ScoreResult") -> str:
    """Says up to which scale a photo holds: "45 %, about 4.9 of 24 megapixels"; nothing where that is not known."""
    if result.holds is None:
        return ""
    if result.holds >= 100:
        return "100 %"
    if result.holds < SMALLEST_SCALE:
        return f"less than {SMALLEST_SCALE:g} %"
    percent = f"{min(result.holds, 99):.0f} %"
    megapixels = (result.width or 0) * (result.height or 0) / 1e6
    if megapixels < MIN_MEGAPIXELS:
        return percent
    return f"{percent}, about {_round(megapixels * (result.holds / 100) ** 2)} of {_round(megapixels)} megapixels"


def _round(megapixels: float) -> str:
    """Returns as many digits as mean something: 24, 4.9, 0.31."""
    return f"{megapixels:.0f}" if megapixels >= 10 else f"{megapixels:.2g}"


def say_holds(result: "ScoreResult") -> str:
    """Says up to which scale a photo holds, as a part of a sentence: "holds up to 45 %, about 5 of 24 megapixels"."""
    scale = say_scale(result)
    up_to = "" if result.holds is None or result.holds >= 100 or result.holds < SMALLEST_SCALE else "up "
    return f"holds {up_to}{'to' if up_to else 'at'} {scale}" if scale else ""


def say_detail(result: "ScoreResult") -> str:
    """Says what a photo shows at 100 %: "detail 3.21, more detail than 38 % of cameras' photos, holds up to 45 %"."""
    if result.detail is None:
        return ""
    return ", ".join(filter(None, [f"detail {result.detail:.2f}", say_detail_percentile(result), say_holds(result)]))


def say_detail_percentile(result: "ScoreResult") -> str:
    """Says how much detail that is for a large photo: "more detail than 38 % of cameras' photos"; nothing of others."""
    share = result.detail_percentile
    return "" if share is None else f"more detail than {share:.0f} % of cameras' photos"


def say_place(row: float, column: float) -> str:
    """Says where in a photo a point is, by thirds: "upper left", "middle", "right".

    Args:
        row: share of the photo's height.
        column: share of its width.
    """
    down, across = (min(2, int(3 * share)) for share in (row, column))
    words = ["upper", "", "lower"][down], ["left", "", "right"][across]
    alone = {"upper": "top", "lower": "bottom"}
    return " ".join(filter(None, words)) if all(words) else alone.get(words[0], words[0] or words[1] or "middle")
