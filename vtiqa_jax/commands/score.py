"""`vtiqa score`: photos and folders to scores."""

import contextlib
import dataclasses
import datetime
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter
from jaxtyping import Float
from tqdm import tqdm

import vtiqa_jax
from vtiqa_jax import atomic
from vtiqa_jax.choosing.stacks import find_stacks, mark_stacks
from vtiqa_jax.commands.display import FEW, Display, Order, sort_results
from vtiqa_jax.commands.photos import find_photos
from vtiqa_jax.commands.selection import Selection
from vtiqa_jax.commands.sigterm import raise_on_sigterm
from vtiqa_jax.commands.stars import Stars, take_all_back
from vtiqa_jax.errors import Terminated, UserError
from vtiqa_jax.gallery.page import GalleryHeader, check_folder, open_gallery
from vtiqa_jax.gallery.preview import Preview, make_preview
from vtiqa_jax.gallery.zooms import ZoomedMap, make_zoomed_map
from vtiqa_jax.models.compute_dtype import ComputeDtype, slow_dtype_note
from vtiqa_jax.models.false_alarms import DEFAULT_RATE
from vtiqa_jax.photos import decode
from vtiqa_jax.photos.resize import Resized, Rgb
from vtiqa_jax.photos.stderr import quiet_decoders
from vtiqa_jax.results import score_files
from vtiqa_jax.results.columns import score_columns
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.results.score_cache import open_cache, open_part, part_path
from vtiqa_jax.scoring.mosaic_sampling import MosaicSampling
from vtiqa_jax.scoring.steps import pass_size
from vtiqa_jax.terminal import visible

MAP_SIDE = 16
"""Side of the maps on a page: rows and columns over the whole photo."""


def score(
    *paths: Path,
    checkpoint: Annotated[str, Parameter(metavar="DIR")] = "default",
    out: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None,
    report: Path | None = None,
    maps: bool = False,
    mosaic_samples: Annotated[int, Parameter(name=("--mosaic-samples", "--spread"))] = 0,
    seed: int = 0,
    reasons: bool = False,
    false_alarms: float = DEFAULT_RATE,
    selection: Annotated[Selection, Parameter(name="*", group="Photos by their score")] = Selection(),
    stars: Annotated[Stars, Parameter(name="*", group="Ratings for other programs")] = Stars(),
    sort: Order | None = None,
    cache: Path | None = None,
    quiet: bool = False,
    batch_size: int | None = None,
    compute_dtype: ComputeDtype = "float32",
    max_pixels: int = decode.MAX_PIXELS,
) -> int:
    """Scores photos; chooses, copies, rates or shows them by their scores.

    Example: vtiqa score holiday --report holiday-report

    What a score means: docs/meaning.md

    Exit status: 0 all done, 1 some could not be read, copied or given stars, 2 bad arguments.

    Args:
        paths: Photos, and folders that are searched for photos at any depth.
        checkpoint: Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model.
        out: File for the scores: .csv, .jsonl, .json or .parquet; after an interruption the same command continues. A
            pipe, a device or "-" (standard output) gets CSV.
        report: Folder for a page of the photos, `index.html`, to look at, to filter and to mark.
        maps: Show on the page where each photo is bad, and parts of it at 1:1. Takes as long as two dozen scores.
        mosaic_samples: Number of sampled mosaics that also score each photo; their mean and standard deviation are
            printed.
        seed: Seed of the sampled mosaics, which are the same for all photos.
        reasons: Add the probability of each fault, as columns of --out; of one to three photos also without --out.
        false_alarms: Rate of false alarms: the share of good photos that get any reason, 0.005 to 0.1.
        selection: choose photos by their score.
        stars: ratings for other programs.
        sort: Order of the photos: the best or the worst first, by rank, or by name; also in --out and --list. When not
            given, best on a terminal, and elsewhere the order in which they are found.
        cache: File or folder that keeps scores: the next time only new and changed photos are read.
        quiet: Print nothing but mistakes, and what --list asks for.
        batch_size: Photos computed together: at most 4 on a CPU; 64 on a GPU when not given.
        compute_dtype: Type of the model's products. bfloat16 is faster on hardware that multiplies it, and less exact.
        max_pixels: Most pixels of a photo, by its header. A larger one is not decoded and counts as failed.
    """
    if maps and report is None:
        raise UserError(
            "--maps needs --report DIR, the page that shows them; `vtiqa explain` makes maps without a page"
        )
    if report is not None:
        check_folder(atomic.resolve(report))
    if stars.undo and (selection.prints_paths or selection.folder or out or report):
        raise UserError(
            "--undo takes back stars and does nothing else; give the other options in a command of their own"
        )
    if selection.only_shows and (out or report or stars.xmp or quiet):
        raise UserError(
            "--min-score, --max-score, --top and --best-of-stacks leave no photo out of --out, --report and --xmp, and"
            " --quiet shows none: add --list, --print0, --copy-to or --move-to, or give them alone"
        )
    photos = find_photos(paths, [selection.folder] if selection.folder else [])
    if stars.undo:
        return 0 if take_all_back(photos) else 1
    stars.check(photos, moves=selection.move_to is not None)
    targets = selection.plan(paths, photos)
    ending = "" if out is None else score_files.check_writable(out, photos)
    _refuse_collisions(out, cache, report)
    has_stdout = out is not None and atomic.is_standard_output(out)
    if has_stdout and selection.prints_paths:
        raise UserError("paths and scores would both go to standard output; write the scores to a file")
    # Where nothing can lie beside the output, an interrupted run begins again.
    resumable = out is not None and not atomic.is_stream(out) and atomic.takes_files(out.parent)
    sampling = MosaicSampling(mosaic_samples, seed) if mosaic_samples else None
    shows_faults = reasons and out is None
    if shows_faults and (len(photos) > FEW or quiet or selection.prints_paths):
        raise UserError(
            f"--reasons adds columns to a file; name the file with --out FILE (without one, it prints for {FEW} photos"
            " at most)"
        )
    model = vtiqa_jax.load(checkpoint, compute_dtype=compute_dtype, false_alarms=false_alarms)
    if reasons and not model.config.reasons:
        raise UserError(f"--reasons: {checkpoint} cannot name faults; leave out --reasons or choose another model")
    if stars.xmp_reasons and not model.config.reasons:
        raise UserError(f"--xmp-reasons: {checkpoint} cannot name faults; leave it out or choose another model")
    if note := slow_dtype_note(compute_dtype, model.mesh.devices.flat[0].platform):
        print(note, file=sys.stderr)
    size = pass_size(model.mesh, len(photos), batch_size)
    if batch_size is not None and size < min(batch_size, len(photos)):
        print(f"--batch-size {batch_size}: a CPU computes {size} photos together, more are slower", file=sys.stderr)
    settings = model.settings(sampling) if out is not None or cache is not None else {}

    def preview(
        pixels: Rgb, screen: Resized
    ) -> tuple[Preview, Float[np.ndarray, "side side"] | None, ZoomedMap | None]:
        shown = make_preview(pixels, screen, model.config)
        if not maps:
            return shown, None, None
        drawn = model.explain_pixels(screen).resample(MAP_SIDE, MAP_SIDE)
        if model.config.native is None or min(pixels.shape[:2]) < model.config.mosaic_patch:
            return shown, drawn, None
        return shown, drawn, make_zoomed_map(pixels, partial(model.explain_detail_pixels, pixels, screen))

    results: list[ScoreResult] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(raise_on_sigterm())
        stack.enter_context(quiet_decoders())
        memory = stack.enter_context(open_part(out, settings)) if out is not None and resumable else None
        if cache is not None:  # then it remembers an interrupted run, too
            memory = stack.enter_context(open_cache(cache, settings))
        gallery = None if report is None else stack.enter_context(open_gallery(report))

        silent = quiet or selection.prints_paths or has_stdout
        order = sort or ("best" if selection.top is not None or selection.only_shows else None)
        only_chosen = selection.chooses and not selection.prints_paths
        kept = out is not None or report is not None
        display = Display(
            model, sampling, order=order, chosen=only_chosen, silent=silent, alone=len(photos) == 1, kept=kept,
            faults=shows_faults,
        )  # fmt: skip
        inspect = None if gallery is None else preview
        cached = None if memory is None else memory.get
        stream = model.stream(
            photos, batch_size=batch_size, inspect=inspect, sampling=sampling, cached=cached, max_pixels=max_pixels
        )
        try:
            for result in tqdm(stream, "scoring", len(photos), unit="photo", disable=quiet or None, leave=False):
                if gallery is not None:
                    gallery.add(result, *(result.inspected or (None, None, None)))
                results.append(dataclasses.replace(result, inspected=None, mosaic_scores=()))  # they would fill memory
                if memory is not None:
                    memory.add(result)
                display.add(result)
        except (KeyboardInterrupt, Terminated):
            if memory is not None:
                memory.commit()
                print(
                    f"{len(results)} scores are kept in {memory.path}; give the same command again to continue",
                    file=sys.stderr,
                )
            raise
        is_scored = any(result.score is not None for result in results)
        stacks = find_stacks(results, higher_is_better=model.scale.higher_is_better)
        results = sort_results(mark_stacks(results, stacks), order or "given", model.scale)
        if out is not None and is_scored:
            columns = score_columns(mosaics=sampling is not None, reasons=reasons)
            score_files.write_scores(out, ending, results, columns, model.scale)
        if gallery is not None and is_scored:
            title = ", ".join(path.name or str(path.resolve()) for path in paths)
            command = shlex.join(["vtiqa", *sys.argv[1:]])
            created = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
            gallery.finish(
                GalleryHeader(
                    title,
                    "the packaged model" if checkpoint == "default" else checkpoint,
                    model.scale,
                    command,
                    created,
                ),
                stacks,
            )
    chosen = selection.choose(results, higher_is_better=model.scale.higher_is_better, worst_first=sort == "worst")
    display.finish(chosen if only_chosen else results, stacks)
    if not is_scored and (unwritten := [str(path) for path in (out, report) if path is not None]):
        print(
            f"no photo was scored, so {' and '.join(unwritten)} {'are' if len(unwritten) > 1 else 'is'} not written",
            file=sys.stderr,
        )
    if report is not None and is_scored and not silent:
        print(f"report: {report / 'index.html'}{', of all photos' if selection.chooses else ''}")
    failed = sum(result.error is not None for result in results)
    if silent or only_chosen:  # no line has said it
        for result in results:
            if result.error is not None:
                print(visible(f"{result.image}: {result.error}"), file=sys.stderr)
    if failed:
        print(f"{failed} of {len(photos)} photos could not be read", file=sys.stderr)
    has_stars = not stars.xmp or stars.apply(
        results, model.scale, quiet=quiet
    )  # first: what is copied then has them inside
    is_done = selection.apply(chosen, len(set(photos)), targets, paths)
    return 1 if failed or not (is_done and has_stars) else 0


def _refuse_collisions(out: Path | None, cache: Path | None, report: Path | None) -> None:
    """Checks that what the command writes has places of its own.

    Raises:
        UserError: two of them are one file, or lie in the report's folder, which the page has for itself.
    """
    files = {name: path.resolve() for name, path in (("--out", out), ("--cache", cache)) if path is not None}
    if out is not None and cache is not None and files["--cache"] in (files["--out"], part_path(files["--out"])):
        raise UserError(f"--out and --cache both write {cache}; name two files")
    for name, file in files.items():
        if report is not None and file.is_relative_to(report.resolve()):
            raise UserError(
                f"{name} {file} lies in the report's folder, which holds nothing but the page; name another"
            )
