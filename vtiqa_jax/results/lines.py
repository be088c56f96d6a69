"""A photo's line on a terminal, and the heading above."""

from collections.abc import Container, Sequence

from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.results.columns import Column, score_columns
from vtiqa_jax.results.reasons import WORDS, Fault, say_reasons
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.terminal import visible


def shown_columns(unknown: Container[str], *, mosaics: bool = False) -> list[Column]:
    """Returns the columns that lines have.

    Args:
        unknown: names of those that the model never fills.
        mosaics: whether photos are scored by drawn mosaics, too.
    """
    return [column for column in score_columns(mosaics=mosaics) if column.shown and column.name not in unknown]


def say_heading(columns: Sequence[Column], scale: LabelScale) -> str:
    """Returns what stands above the lines."""
    _, *others = columns
    return f"score ({scale}){''.join(column.heading for column in others)}  image"


def say_plain_reasons(result: ScoreResult) -> str:
    """Says in words why a photo is bad; slight faults are left out, which a terminal would be full of."""
    return say_reasons([fault for fault in result.reasons if fault.level != "slight"])


def say_why(result: ScoreResult) -> str:
    """Says in words why a photo is bad, or which fault is the most probable if none is named.

    A photo that is looked at alone gets this text: the person who asks wants an answer.
    """
    if result.reasons or not result.faults:
        return say_reasons(result.reasons)
    return f"no fault is named; most probable: {say_faults(result)[0]}"


def say_faults(result: ScoreResult) -> list[str]:
    """Says how probable each fault is, named or not, the most probable first: "motion blur, 8 %"."""

    def say(fault: Fault) -> str:
        percent = f"{100 * fault.probability:.0f}" if fault.probability >= 0.01 else "less than 1"
        return f"{WORDS[fault.name][1]}, {percent} %"

    return [say(fault) for fault in sorted(result.faults, key=lambda fault: -fault.probability)]


def lacks_reason(result: ScoreResult, scale: LabelScale) -> bool:
    """Tells whether a photo scores on the bad half of the scale, and none of its faults is named."""
    if result.score is None or result.reasons or not result.faults:
        return False
    return (result.score < (scale.low + scale.high) / 2) == scale.higher_is_better


def say_line(result: ScoreResult, columns: Sequence[Column], stack: str = "", *, alone: bool = False) -> str:
    """Returns a photo's line.

    Args:
        result: of the photo.
        columns: see `shown_columns`.
        stack: what is said of its stack.
        alone: whether it is the only photo, see `say_why`.
    """
    score, *others = [column.show(result) for column in columns]
    shown = "failed".rjust(len(score)) if result.score is None else score
    why = say_why(result) if alone else say_plain_reasons(result)
    said = "; ".join(filter(None, [why, result.remarks, stack]))
    return f"{shown}{''.join(others)}  {visible(result.image)}{f': {said}' if said else ''}"
