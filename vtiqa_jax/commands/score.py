"""`vtiqa score`: photos and folders to scores."""

import csv
import dataclasses
import datetime
import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Annotated

from tqdm import tqdm
from tyro.conf import Positional, arg

import vtiqa_jax
from vtiqa_jax.data import formats, images
from vtiqa_jax.data.quiet import quiet_decoders
from vtiqa_jax.errors import UserError
from vtiqa_jax.evaluation.scorer import ScoreResult, pass_size
from vtiqa_jax.gallery.page import GalleryHeader, GalleryItem, check_folder, open_gallery
from vtiqa_jax.gallery.preview import Preview, make_preview
from vtiqa_jax.models.vtiqa import ComputeDtype


@contextmanager
def _open_output(path: Path | None) -> Iterator[IO[str] | None]:
    """A file that takes its name once it is complete; what an interrupted run had written stays beside it."""
    if path is None:
        yield None
        return
    part = path.with_name(path.name + ".part")
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "Is a directory")
        with part.open("w", newline="", encoding="utf-8") as file:
            yield file
    except BrokenPipeError:  # of standard output, not of this file
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
    part.replace(path)


def score(
    paths: Positional[tuple[Path, ...]],
    checkpoint: Annotated[str, arg(metavar="DIR")] = "default",
    csv_file: Annotated[Path | None, arg(name="csv")] = None,
    json_file: Annotated[Path | None, arg(name="json")] = None,
    report: Path | None = None,
    batch_size: int | None = None,
    compute_dtype: ComputeDtype = "float32",
    max_pixels: int = images.MAX_PIXELS,
) -> int:
    """Scores photos. Exit status: 0 all scored, 1 some could not be read, 2 bad arguments.

    Args:
        paths: photos, and folders that are searched for photos at any depth.
        checkpoint: the model: a checkpoint's folder, or "default" for the one that comes with the package.
        csv_file: write a CSV with the header `image,score,percentile,error,warning`.
        json_file: write the scores and their scale as JSON.
        report: make a page of the photos in this folder, `index.html`, to look at, to filter and to mark.
        batch_size: photos computed together; 4 at most on a CPU, and 64 on a GPU when not given.
        compute_dtype: bfloat16 is faster where the hardware multiplies it, and less exact.
        max_pixels: a photo with more of them, as its header says, is not decoded and counts as one that failed.
    """
    photos = formats.find_images(list(paths))
    if report is not None:
        check_folder(report.resolve())
        photos = [photo for photo in photos if not photo.resolve().is_relative_to(report.resolve())]
    for extra, count in formats.count_left_out(list(paths)).items():
        print(f"{count} {extra.photos} photos are left out: install vtiqa-jax[{extra.name}]", file=sys.stderr)
    if not photos:
        raise UserError(f"no photos in {', '.join(map(str, paths)) or 'an empty list of paths'}")
    model = vtiqa_jax.load(checkpoint, compute_dtype=compute_dtype)
    size = pass_size(model.mesh, len(photos), batch_size)
    if batch_size is not None and size < min(batch_size, len(photos)):
        print(f"--batch-size {batch_size}: a CPU computes {size} photos together, more are slower", file=sys.stderr)

    def preview(pixels: images.Rgb, pair: images.ImagePair) -> Preview:
        return make_preview(pixels, pair, model.config)

    results: list[ScoreResult] = []
    with (
        quiet_decoders(),
        _open_output(csv_file) as csv_output,
        _open_output(json_file) as json_output,
        nullcontext() if report is None else open_gallery(report) as gallery,
    ):
        rows = csv.writer(csv_output) if csv_output else None
        if rows:
            rows.writerow(["image", "score", "percentile", "error", "warning"])
        print(f"score ({model.scale}){'' if model.percentiles is None else '  better than'}  image")
        inspect = None if gallery is None else preview
        stream = model.stream(photos, batch_size=batch_size, inspect=inspect, max_pixels=max_pixels)
        for result in tqdm(stream, "scoring", len(photos), unit="photo", disable=None, leave=False):
            if gallery is not None:
                item = GalleryItem(
                    result.image, result.score, result.percentile, error=result.error, warning=result.warning
                )
                gallery.add(item, result.inspected)
            results.append(dataclasses.replace(result, inspected=None))  # previews of all photos would fill the memory
            shown = "    failed" if result.score is None else f"{result.score:10.4f}"
            if model.percentiles is not None:
                shown += " " * 7 if result.percentile is None else f"{result.percentile:5.0f} %"
            reason = f": {result.error or result.warning}" if result.error or result.warning else ""
            tqdm.write(f"{shown}  {result.image}{reason}", file=sys.stdout)
            if rows:
                exact = "" if result.score is None else f"{result.score:.6f}"
                share = "" if result.percentile is None else f"{result.percentile:.1f}"
                rows.writerow([result.image, exact, share, result.error or "", result.warning or ""])
        if json_output:
            names = ("score", "percentile", "error", "warning")
            scores = [
                {"image": str(result.image)} | {name: getattr(result, name) for name in names} for result in results
            ]
            json.dump({"scale": vars(model.scale), "scores": scores}, json_output, indent=1)
        if gallery is not None:
            title = ", ".join(path.name or str(path.resolve()) for path in paths)
            command = shlex.join(["vtiqa", *sys.argv[1:]])
            created = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
            gallery.finish(GalleryHeader(title, checkpoint, model.scale, command, created))
    if report is not None:
        print(f"report: {report / 'index.html'}")
    failed = sum(result.error is not None for result in results)
    if failed:
        print(f"{failed} of {len(photos)} photos could not be read", file=sys.stderr)
    return 1 if failed else 0
