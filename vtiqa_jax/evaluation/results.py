"""What a scorer says of photos, and how a notebook shows it: a table with thumbnails."""

import base64
import dataclasses
import html
import os
from collections.abc import Iterator
from typing import Any

import cv2

from vtiqa_jax.models.checkpoint import LabelScale
from vtiqa_jax.photos.resize import Rgb, make_thumbnail

THUMBNAIL_SIDE = 96
"""Longer side, pixels."""
SHOWN = 100
"""Photos that a notebook shows at most."""


@dataclasses.dataclass(frozen=True)
class ScoreResult:
    """One photo's score, on the model's label scale, or why there is none."""

    image: Any
    score: float | None
    error: str | None
    percentile: float | None = None
    """See `Scorer.percentile`; None where that is not known."""
    outside: str | None = None
    """"below" or "above" for a score outside of those of the training photos."""
    mean: float | None = None
    """Of the scores by drawn mosaics; None when none were asked for."""
    spread: float | None = None
    """Their standard deviation."""
    draws: tuple[float, ...] = ()
    """These scores."""
    inspected: Any = None
    """What `inspect` of `Scorer.stream` returned for it."""
    warning: str | None = None
    """What is wrong with the file of a photo that was scored nevertheless."""


def thumbnail(pixels: Rgb) -> bytes:
    """Makes a small JPEG file of a photo."""
    return cv2.imencode(".jpg", make_thumbnail(pixels, THUMBNAIL_SIDE)[:, :, ::-1])[1].tobytes()


@dataclasses.dataclass(frozen=True, repr=False)
class ScoreTable:
    """The results of `Scorer.table`, in the photos' order; `inspected` of each is its thumbnail."""

    results: tuple[ScoreResult, ...]
    scale: LabelScale

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[ScoreResult]:
        return iter(self.results)

    def __getitem__(self, number: int) -> ScoreResult:
        return self.results[number]

    def __repr__(self) -> str:
        failed = sum(result.score is None for result in self.results)
        return f"ScoreTable({len(self)} photos, {failed} failed; {self.scale})"

    def _repr_html_(self) -> str:
        """What a notebook shows. Names and reasons are other people's text."""
        columns = ["", "photo", "score"]
        has_spread = any(result.spread is not None for result in self.results)
        has_percentile = any(result.percentile is not None for result in self.results)
        columns += ["mean ± spread"] * has_spread + ["better than"] * has_percentile
        lines = []
        for number, result in enumerate(self.results[:SHOWN]):
            picture = base64.b64encode(result.inspected or b"").decode()
            name = os.fspath(result.image) if isinstance(result.image, str | os.PathLike) else f"photo {number}"
            cells = [
                f'<img alt="" src="data:image/jpeg;base64,{picture}">' if picture else "",
                html.escape(os.fsencode(name).decode(errors="replace")),
            ]
            if result.score is None:
                cells.append(f"failed: {html.escape(result.error or '')}")
            else:
                cells.append(f"{result.score:.4f}")
                cells += [f"{result.mean:.4f} ± {result.spread:.4f}"] if has_spread else []
                cells += [f"{result.percentile:.0f} %"] if has_percentile else []
            lines.append("".join(f"<td>{cell}</td>" for cell in cells))
        head = "".join(f"<th>{column}</th>" for column in columns)
        rows = "".join(f"<tr>{line}</tr>" for line in (head, *lines))
        more = len(self) - len(lines)
        caption = html.escape(str(self.scale)) + (f"; {more} more photos are not shown" if more > 0 else "")
        return f"<table><caption>{caption}</caption>{rows}</table>"
