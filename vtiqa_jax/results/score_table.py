"""Results as a notebook shows them: a table with thumbnails."""

import base64
import dataclasses
import html
import os
from collections.abc import Iterator

from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.photos.jpeg import encode_jpeg
from vtiqa_jax.photos.resize import Resized, Rgb, make_thumbnail
from vtiqa_jax.results.columns import score_columns
from vtiqa_jax.results.reasons import say_reasons
from vtiqa_jax.results.results import ScoreResult

THUMBNAIL_SIDE = 96
"""Longer side, pixels."""
SHOWN = 100
"""Photos that a notebook shows at most."""


def thumbnail(pixels: Rgb, _: Resized) -> bytes:
    """Makes a small JPEG file of a photo: what `Scorer.stream` is to call with each."""
    return encode_jpeg(make_thumbnail(pixels, THUMBNAIL_SIDE))


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
        """Returns what a notebook shows. Names and reasons are other people's text."""
        shown = [
            column
            for column in score_columns(mosaics=True)
            if column.shown and any(getattr(result, column.name) is not None for result in self.results)
        ]
        has_reasons = any(result.faults for result in self.results)
        reasons = ["reasons"] if has_reasons else []
        head = ["", "photo", *(column.heading.strip() for column in shown), *reasons, "remarks"]
        lines = [head]
        for number, result in enumerate(self.results[:SHOWN]):
            picture = base64.b64encode(result.inspected or b"").decode()
            name = os.fspath(result.image) if isinstance(result.image, str | os.PathLike) else f"photo {number}"
            lines.append(
                [
                    f'<img alt="" src="data:image/jpeg;base64,{picture}">' if picture else "",
                    html.escape(os.fsencode(name).decode(errors="replace")),
                    *(html.escape(column.show(result).strip()) for column in shown),
                    *([html.escape(say_reasons(result.reasons))] if has_reasons else []),
                    html.escape(result.remarks),
                ]
            )
        rows = "".join(
            "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in line) + "</tr>"
            for tag, line in zip(["th", *["td"] * SHOWN], lines, strict=False)
        )
        more = len(self) - SHOWN
        caption = html.escape(str(self.scale)) + (f"; {more} more photos are not shown" if more > 0 else "")
        return f"<table><caption>{caption}</caption>{rows}</table>"
