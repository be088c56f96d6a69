"""Scored photos as one page, opened from disk: `index.html` with its style, script and data, pictures beside it."""

import base64
import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from vtiqa_jax import atomic
from vtiqa_jax.choosing.stacks import KEPT_WHOLE, Stack
from vtiqa_jax.errors import UserError
from vtiqa_jax.gallery.preview import Preview
from vtiqa_jax.gallery.zooms import ZoomedMap
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.photos.own import CROPS, GENERATOR, PAGE, PICTURES, is_page
from vtiqa_jax.results.columns import replace_undecodable, score_columns
from vtiqa_jax.results.reasons import WORDS
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.results.words import say_detail_percentile, say_holds, say_place
from vtiqa_jax.scoring.colours import write_ramp
from vtiqa_jax.scoring.detail_map import MAX_OCTAVES, DetailMap
from vtiqa_jax.web.modules import join_modules

SCRIPT = Path(__file__).with_name("scripts") / "main.js"
"""With the modules that it imports from."""
OCTAVES = {"low": -1.0, "step": 0.02, "most": MAX_OCTAVES, "none": 255}
"""Encoding of lost octaves as bytes of the page, the byte of a place without structure, and the octaves at which the
colours end."""


@dataclasses.dataclass(frozen=True)
class GalleryHeader:
    """What the page says at its top."""

    title: str
    model: str
    scale: LabelScale
    command: str
    created: str


class GalleryWriter:
    """Writes a photo's pictures as its result comes; only what the page itself holds stays in memory."""

    def __init__(self, folder: Path, target: Path) -> None:
        """Makes the folders of the pictures.

        Args:
            folder: an empty folder to write to.
            target: where that folder will be, for the links to the photos.
        """
        self.is_finished = False
        self._folder, self._target = folder, target
        self._columns = [column for column in score_columns(mosaics=True, reasons=True) if column.name != "image"]
        self._rows: list[dict[str, Any]] = []
        self._maps: list[Float[np.ndarray, "rows columns"] | None] = []
        self._details: list[dict[str, Any] | None] = []
        for name in PICTURES:
            (folder / name).mkdir(parents=True)

    def add(
        self,
        result: ScoreResult,
        preview: Preview | None,
        quality_map: Float[np.ndarray, "rows columns"] | None = None,
        detail_map: ZoomedMap | None = None,
    ) -> None:
        """Adds a photo.

        Args:
            result: its path, which is shown, linked to and never trusted, and what the page says of it.
            preview: its pictures; None for a photo that could not be read.
            quality_map: finite scores of its parts, which divide it evenly.
            detail_map: what it shows at its own pixels, place by place.

        Raises:
            UserError: its pictures cannot be written.
        """
        number, path = len(self._rows), Path(result.image)
        row: dict[str, Any] = {
            "name": replace_undecodable(path.name),
            "folder": replace_undecodable(str(path.parent)),
            "link": _link(path, self._target),
            "remarks": None if result.error else replace_undecodable(result.remarks) or None,
            "detail_percentile_words": say_detail_percentile(result) or None,
            "holds_words": say_holds(result) or None,
            "named": [fault.name for fault in result.reasons] if result.faults else None,
        }
        for column in self._columns:
            value = column.value(result)
            row[column.name] = replace_undecodable(value) if isinstance(value, str) else value
        if preview is not None:
            row["looks"] = [round(float(look), 2) for look in preview.looks]
            with _explain_write_errors(self._target):
                for name, data in zip(PICTURES, (preview.thumbnail, preview.views), strict=True):
                    (self._folder / name / f"{number:05}.jpg").write_bytes(data)
                if detail_map is not None:
                    (self._folder / CROPS).mkdir(exist_ok=True)
                    for place, zoom in enumerate(detail_map.zooms):
                        (self._folder / CROPS / f"{number:05}-{place}.jpg").write_bytes(zoom.picture)
        self._rows.append({key: value for key, value in row.items() if value is not None})
        self._maps.append(quality_map)
        self._details.append(None if detail_map is None else _encode_zoomed_map(detail_map))

    def finish(self, header: GalleryHeader, stacks: Sequence[Stack] = ()) -> None:
        """Writes the page.

        Args:
            header: what it says at its top.
            stacks: of the photos, in the order in which they were added.

        Raises:
            UserError: it cannot be written.
        """
        for row in self._rows:
            if "score" in row:
                row["best"] = True
        for number, stack in enumerate(stacks, 1):
            for member in stack.members:
                self._rows[member] |= {"stack": number, "stack_kind": stack.kind, "best": member in stack.best}
        data = {
            "report": report_id(self._target),
            "scale": dataclasses.asdict(header.scale),
            "separator": os.sep,
            "kept_whole": KEPT_WHOLE,
            "faults": {name: plain for name, (_, plain, _) in WORDS.items()},
            "columns": [column.name for column in self._columns],
            "facts": [column.name for column in self._columns if not column.placed],
            "photos": self._rows,
        }
        page = _render(header, data, {**_encode_maps(self._maps), "details": self._details, "octaves": OCTAVES})
        with _explain_write_errors(self._target):
            (self._folder / PAGE).write_text(page, encoding="utf-8", newline="")
        self.is_finished = True


class _Unfinished(Exception):
    """Takes back what was begun for a page that nobody finished."""


@contextmanager
def open_gallery(folder: Path) -> Iterator[GalleryWriter]:
    """Yields a writer of the page in `folder`, which appears, or replaces an older page, when the block ends.

    A block that ends with an error, or before the page is finished, leaves nothing, and an older page as it was.

    Raises:
        UserError: `folder` has something else in it, or cannot be written.
    """
    with contextlib.suppress(_Unfinished), contextlib.ExitStack() as stack:
        with _explain_write_errors(folder):
            target = atomic.resolve(folder)
            check_folder(target)
            writer = GalleryWriter(stack.enter_context(atomic.atomic_replace(target)), target)
        yield writer  # what goes wrong in the block is not the report's fault
        if not writer.is_finished:
            raise _Unfinished
        with _explain_write_errors(folder):
            stack.close()


@contextmanager
def _explain_write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"the report {folder} cannot be written: {error.strerror or error}") from error


def check_folder(folder: Path) -> None:
    """Checks that a page may be written to a folder: there is none, it is empty, or it holds an older page alone.

    Raises:
        UserError: it may not.
    """
    try:
        names = atomic.entries(folder)
        if not names:
            return
        if PAGE in names and names <= {PAGE, CROPS, *PICTURES} and is_page(folder / PAGE):
            return
    except NotADirectoryError:
        raise UserError(f"the report {folder} would replace a file; name a new folder") from None
    except OSError as error:
        raise UserError(f"the report {folder} cannot be written: {error.strerror}") from error
    raise UserError(f"{folder} holds other files, perhaps your photos; name a new folder for the page, such as report/")


def report_id(folder: Path) -> str:
    """Returns the key of the marks of the report in a folder, the same when the report is made again."""
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]


def _link(path: Path, target: Path) -> str:
    """Returns a photo's address, relative to the page's folder, with reserved characters encoded."""
    try:
        relative = Path(os.path.relpath(path.absolute(), target))
    except ValueError:  # on another drive
        return path.absolute().as_uri()
    return quote(os.fsencode(relative.as_posix()))


def _encode_maps(maps: list[Float[np.ndarray, "rows columns"] | None]) -> dict[str, Any]:
    """Encodes the quality maps as base64 of bytes; 0 is the lowest number of all maps and 255 the highest."""
    present = [quality for quality in maps if quality is not None]
    low = min((float(quality.min()) for quality in present), default=0.0)
    high = max((float(quality.max()) for quality in present), default=0.0)
    step = max(high - low, 1e-6) / 255

    def encode(quality: Float[np.ndarray, "rows columns"]) -> list[Any]:
        levels = np.rint((quality - low) / step).astype(np.uint8)
        return [quality.shape[1], base64.b64encode(levels.tobytes()).decode()]  # columns tell the rows

    return {"low": low, "high": high, "maps": [None if quality is None else encode(quality) for quality in maps]}


def _encode_detail_map(found: DetailMap) -> dict[str, Any]:
    """Encodes a map of detail as JSON: where it lies in the photo, and octaves as base64 of bytes, 255 for none."""
    levels = np.rint((found.octaves - OCTAVES["low"]) / OCTAVES["step"])
    none = OCTAVES["none"]
    levels = np.where(np.isnan(levels), none, np.clip(levels, 0, none - 1)).astype(np.uint8)
    region = found.region
    return {
        "top": round(region.top / found.height, 5),
        "left": round(region.left / found.width, 5),
        "height": round(region.height / found.height, 5),
        "width": round(region.width / found.width, 5),
        "factor": found.factor,
        "columns": found.octaves.shape[1],
        "levels": base64.b64encode(levels.tobytes()).decode(),
    }


def _encode_zoomed_map(detail: ZoomedMap) -> dict[str, Any]:
    zooms = [
        _encode_detail_map(zoom.found)
        | {"lost": round(float(np.nansum(zoom.found.weights * zoom.found.octaves)), 2)}
        | {"place": say_place(*zoom.found.center)}
        for zoom in detail.zooms
    ]
    return _encode_detail_map(detail.whole) | {"zooms": zooms}


def _render(header: GalleryHeader, data: dict[str, Any], maps: dict[str, Any]) -> str:
    """Renders the page's text. Style and script are allowed by their hashes, so that no other can run."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = write_ramp() + Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    script = join_modules(SCRIPT)
    scores = [row["score"] for row in data["photos"] if "score" in row]
    return environment.get_template("page.html.jinja").render(
        generator=Markup(GENERATOR),
        header={name: replace_undecodable(str(value)) for name, value in vars(header).items()},
        count=len(data["photos"]),
        mean=float(np.mean(scores)) if scores else None,
        style=Markup(style),
        style_hash=_source_hash(style),
        script=Markup(script),
        script_hash=_source_hash(script),
        data=data,
        maps=maps,
    )


def _source_hash(source: str) -> str:
    """Returns the hash of an inline style or script, for the Content-Security-Policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
