"""A photo's line on a terminal, and the heading above."""

from collections.abc import Container, Sequence

from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.results.columns import Column, score_columns
from vtiqa_jax.results.reasons import say_reasons
from vtiqa_jax.results.results import ScoreResult


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


def say_line(result: ScoreResult, columns: Sequence[Column], stack: str = "") -> str:
    """Returns a photo's line.

    Args:
        result: of the photo.
        columns: see `shown_columns`.
        stack: what is said of its stack.
    """
    score, *others = [column.show(result) for column in columns]
    shown = "failed".rjust(len(score)) if result.score is None else score
    said = "; ".join(filter(None, [say_plain_reasons(result), result.remarks, stack]))
    return f"{shown}{''.join(others)}  {result.image}{f': {said}' if said else ''}"
