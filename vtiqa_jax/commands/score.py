"""`vtiqa score`: photos and folders to scores."""

import contextlib
import dataclasses
import datetime
import shlex
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Float
from tqdm import tqdm
from tyro.conf import Positional, arg

import vtiqa_jax
from vtiqa_jax import atomic
from vtiqa_jax.commands.display import Display, Order, print_any_name, remarks
from vtiqa_jax.commands.photos import find_photos
from vtiqa_jax.commands.selection import Selection
from vtiqa_jax.commands.sigterm import raise_on_sigterm
from vtiqa_jax.errors import Terminated, UserError
from vtiqa_jax.evaluation import score_files
from vtiqa_jax.evaluation.journal import Journal, journal_path, open_journal
from vtiqa_jax.evaluation.results import ScoreResult
from vtiqa_jax.evaluation.score_cache import ScoreCache, open_cache
from vtiqa_jax.evaluation.scorer import pass_size
from vtiqa_jax.evaluation.spread import Spread
from vtiqa_jax.gallery.page import GalleryHeader, GalleryItem, check_folder, open_gallery
from vtiqa_jax.gallery.preview import Preview, make_preview
from vtiqa_jax.models.compute_dtype import slow_dtype_note
from vtiqa_jax.models.vtiqa import ComputeDtype
from vtiqa_jax.photos import decode
from vtiqa_jax.photos.resize import Rgb
from vtiqa_jax.photos.stderr import quiet_decoders

MAP_SIDE = 16
"""Of the maps on a page: rows and columns over the whole photo."""


def score(
    paths: Positional[tuple[Path, ...]],
    checkpoint: Annotated[str, arg(metavar="DIR")] = "default",
    out: Path | None = None,
    csv_file: Annotated[Path | None, arg(name="csv")] = None,
    json_file: Annotated[Path | None, arg(name="json")] = None,
    report: Path | None = None,
    maps: bool = False,
    spread: int = 0,
    seed: int = 0,
    selection: Annotated[Selection, arg(name="")] = Selection(),
    sort: Order | None = None,
    cache: Path | None = None,
    quiet: bool = False,
    batch_size: int | None = None,
    compute_dtype: ComputeDtype = "float32",
    max_pixels: int = decode.MAX_PIXELS,
) -> int:
    """Scores photos. Exit status: 0 all scored, 1 some could not be read or copied, 2 bad arguments.

    Args:
        paths: photos, and folders that are searched for photos at any depth.
        checkpoint: the model: a checkpoint's folder, or "default" for the one that comes with the package.
        out: write the scores to a file that ends in .csv, .jsonl, .json or .parquet; interrupted, the same command goes
            on. To a pipe, a device or "-", which is standard output, they are written as CSV.
        csv_file: the same, as CSV whatever the file's ending.
        json_file: the same, as JSON.
        report: make a page of the photos in this folder, `index.html`, to look at, to filter and to mark.
        maps: show on the page where each photo is bad, too; takes as long as two dozen scores.
        spread: score each photo by so many other mosaics too, and tell the mean and standard deviation of that.
        seed: of these mosaics; all photos have the same.
        selection: choose photos by their score.
        sort: print the best or the worst photos first, or by name; when not given, the best come first on a terminal,
            and elsewhere photos are printed as they are found.
        cache: keep scores in this file, or folder: only new and changed photos are read the next time.
        quiet: print nothing but mistakes, and what --list asks for.
        batch_size: photos computed together; 4 at most on a CPU, and 64 on a GPU when not given.
        compute_dtype: bfloat16 is faster where the hardware multiplies it, and less exact.
        max_pixels: a photo with more of them, as its header says, is not decoded and counts as one that failed.
    """
    if maps and report is None:
        raise UserError("--maps are shown on a page: add --report DIR; `vtiqa explain` makes them without one")
    if report is not None:
        check_folder(atomic.resolve(report))
    photos = find_photos(paths, [selection.folder] if selection.folder else [])
    targets = selection.plan(paths, photos)
    outputs = {file: score_files.check_writable(file, kind) for file, kind in
               ((out, None), (csv_file, ".csv"), (json_file, ".json")) if file is not None}  # fmt: skip
    for file in outputs:
        if file.is_file() and any(photo.exists() and file.samefile(photo) for photo in photos):
            raise UserError(f"{file} is one of the photos; write the scores to another file")
    has_stdout = any(map(atomic.is_standard_output, outputs))
    if has_stdout and selection.paths_only:
        raise UserError("--list and the scores would both go to standard output; write the scores to a file")
    # Where nothing can lie beside the output, an interrupted run begins again.
    resumable = next((file for file in outputs if not atomic.is_stream(file) and atomic.takes_files(file.parent)), None)
    mosaics = Spread(spread, seed) if spread else None
    model = vtiqa_jax.load(checkpoint, compute_dtype=compute_dtype)
    if note := slow_dtype_note(compute_dtype, model.mesh.devices.flat[0].platform):
        print(note, file=sys.stderr)
    size = pass_size(model.mesh, len(photos), batch_size)
    if batch_size is not None and size < min(batch_size, len(photos)):
        print(f"--batch-size {batch_size}: a CPU computes {size} photos together, more are slower", file=sys.stderr)
    names = score_files.columns(mosaics is not None)
    settings = model.settings(mosaics) if outputs or cache is not None else {}

    def preview(pixels: Rgb) -> tuple[Preview, Float[np.ndarray, "rows columns"] | None]:
        drawn = model.explain_pixels(pixels).resample(MAP_SIDE, MAP_SIDE) if maps else None
        return make_preview(pixels, model.config), drawn

    results: list[ScoreResult] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(raise_on_sigterm())
        stack.enter_context(quiet_decoders())
        kept: list[Journal | ScoreCache] = []
        if resumable is not None:
            kept.append(stack.enter_context(open_journal(resumable, settings, names)))
        if cache is not None:
            kept.append(stack.enter_context(open_cache(cache, settings)))
        gallery = None if report is None else stack.enter_context(open_gallery(report))

        def known(photo: Path) -> ScoreResult | None:
            found = (store.known(photo) for store in kept)
            return next((result for result in found if result is not None), None)

        print_any_name()
        silent = quiet or selection.paths_only or has_stdout
        display = Display(model, len(photos), mosaics, order=sort, silent=silent)
        inspect = None if gallery is None else preview
        stream = model.stream(
            photos, batch_size=batch_size, inspect=inspect, spread=mosaics, known=known, max_pixels=max_pixels
        )
        try:
            for result in tqdm(stream, "scoring", len(photos), unit="photo", disable=quiet or None, leave=False):
                if gallery is not None:
                    warning = None if result.error else remarks(result) or None
                    shown, drawn = result.inspected or (None, None)
                    item = GalleryItem(
                        result.image, result.score, result.percentile, result.spread, result.error, warning, drawn
                    )
                    gallery.add(item, shown)
                results.append(dataclasses.replace(result, inspected=None, draws=()))  # of all they would fill memory
                for store in kept:
                    store.add(result)
                display.add(result)
        except (KeyboardInterrupt, Terminated):
            if resumable is not None:
                part = journal_path(resumable)
                print(f"{part} has the first {len(results)} photos; the same command goes on", file=sys.stderr)
            raise
        rows = [score_files.to_row(result, names) for result in results]
        for file, ending in outputs.items():
            score_files.write_scores(file, ending, rows, names, model.scale)
        if gallery is not None:
            title = ", ".join(path.name or str(path.resolve()) for path in paths)
            command = shlex.join(["vtiqa", *sys.argv[1:]])
            created = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
            gallery.finish(GalleryHeader(title, checkpoint, model.scale, command, created))
    display.finish(results)
    if report is not None and not silent:
        print(f"report: {report / 'index.html'}")
    failed = sum(result.error is not None for result in results)
    if failed:
        print(f"{failed} of {len(photos)} photos could not be read", file=sys.stderr)
    all_done = selection.apply(results, targets, paths)
    return 1 if failed or not all_done else 0
