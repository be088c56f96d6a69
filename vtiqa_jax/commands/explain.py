"""`vtiqa explain`: where photos are bad."""

import collections
import dataclasses
import errno
import os
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter
from jaxtyping import Float32
from tqdm import tqdm

import vtiqa_jax
from vtiqa_jax import atomic
from vtiqa_jax.commands.photos import find_photos
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.photos import own
from vtiqa_jax.photos.stderr import quiet_decoders
from vtiqa_jax.results.lines import lacks_reason, say_why
from vtiqa_jax.results.reasons import WORDS, find_fault, say_reading
from vtiqa_jax.results.words import say_detail, say_place
from vtiqa_jax.scoring.detail_map import DetailMap, check_point
from vtiqa_jax.scoring.fault_map import FaultMap, check_fault
from vtiqa_jax.scoring.map_pictures import draw_maps
from vtiqa_jax.terminal import visible

MAP_SIDE = 48
"""Side of the map as an array: rows and columns over the whole photo."""


def explain(
    *paths: Path,
    out: Path,
    at: tuple[float, float] | None = None,
    reason: str | None = None,
    checkpoint: Annotated[str, Parameter(metavar="DIR")] = "default",
    compute_dtype: ComputeDtype = "float32",
) -> int:
    """Draws maps of quality: for each photo a PNG to look at, and the maps as arrays.

    Example: vtiqa explain holiday/beach.jpg --out maps

    Prints each photo's score, its worst place and, in words, its faults or, if none is named, the most probable
    one. A model with detail adds a map of the photo at
    1:4: how many octaves of its resolution are lost. Exit status: 0 all done, 1 some photos have no map, 2 bad
    arguments. What a score means: docs/meaning.md

    Args:
        paths: Photos, and folders that are searched for photos at any depth.
        out: Folder for the maps. For holiday.jpg they are holiday.jpg.png, holiday.jpg.npy with 48 x 48 scores, and for
            its detail holiday.jpg.detail.npy with octaves for places of 32 px, NaN where nothing has structure.
        at: Point of the photo, row and column as shares of height and width, such as 0.4 0.55. Adds the map of detail
            around it at 1:1.
        reason: Fault, such as noise, "motion blur" or clipped-highlights. Adds its map, and the array
            holiday.jpg.FAULT.npy.
        checkpoint: Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model.
        compute_dtype: Type of the model's products. bfloat16 is faster on hardware that multiplies it, and less exact.
    """
    fault = None if reason is None else find_fault(reason)
    photos = find_photos(paths)
    folded = str.casefold if sys.platform in ("win32", "darwin") else str  # a.jpg and A.jpg are one file there
    name, count = collections.Counter(folded(photo.name) for photo in photos).most_common(1)[0]
    if count > 1:
        raise UserError(
            f"{count} photos are named {name}; their maps would overwrite each other, so explain one at a time"
        )
    for drawing in (out / f"{photo.name}.png" for photo in photos):
        arrays = [
            drawing.with_suffix(ending) for ending in (".npy", ".detail.npy", *([f".{fault}.npy"] if fault else []))
        ]
        if any(map(os.path.exists, (drawing, *arrays))) and not own.is_drawn(str(drawing)):
            raise UserError(f"{drawing} or its .npy exists and is not a map; name another folder with --out")
    if at is not None:
        check_point(at)
    model = vtiqa_jax.load(checkpoint, compute_dtype=compute_dtype)
    if at is not None and model.config.native is None:
        raise UserError("--at needs a model with detail, which this one is not; leave it out")
    if fault is not None:
        check_fault(model.config, fault)
    atomic.make_folder(out)
    if reason is not None and (reading := say_reading(reason)):
        print(reading)
    failed, unexplained = 0, False
    print(f"score ({model.scale})  worst at      image")
    for photo in tqdm(photos, "explaining", unit="photo", disable=None, leave=False):
        with quiet_decoders():
            (result,) = model.stream([photo], inspect=lambda pixels, screen: (pixels, screen))
        if result.error is not None:
            failed += 1
            tqdm.write(f"    failed  {visible(photo)}: {result.error}", file=sys.stdout)
            continue
        pixels, screen = result.inspected
        quality = dataclasses.replace(model.explain_pixels(screen), photo=pixels)
        details: list[DetailMap] = []
        faults: list[FaultMap] = []
        if result.detail is not None:
            points = [None, at] if at else [None]
            details = [model.explain_detail_pixels(pixels, screen, at=point) for point in points]
            details = [dataclasses.replace(found, photo=pixels) for found in details]
            if fault is not None:
                faults = [model.explain_reason_pixels(pixels, screen, fault, at=point) for point in points]
                faults = [dataclasses.replace(found, photo=pixels) for found in faults]
        try:
            title = "\n".join(filter(None, [f"{photo.name}: {result.score:.2f} ({model.scale})", say_detail(result)]))
            # The longest name first: if it is too long, nothing is written. No fault's is shorter than that of detail.
            if fault is not None:
                _save_or_remove(out / f"{photo.name}.{fault}.npy", faults[0].values if faults else None)
            _save_or_remove(out / f"{photo.name}.detail.npy", details[0].octaves if details else None)
            with atomic.atomic_replace(out / f"{photo.name}.png") as temporary:
                temporary.write_bytes(draw_maps(pixels, [shown.paint for shown in (quality, *details, *faults)], title))
            _save(out / f"{photo.name}.npy", quality.resample(MAP_SIDE, MAP_SIDE))
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            failed += 1
            tqdm.write(
                f"    failed  {visible(photo)}: its name is too long for a map's, which is longer", file=sys.stdout
            )
            continue
        sharpest = details[0].sharpest if details else None
        most = faults[0].worst if faults else None
        parts = [
            say_why(result),
            f"{say_detail(result)}; sharpest at 100 %: {say_place(*sharpest)}" if sharpest else "",
            f"most {WORDS[faults[0].fault][1]}: {say_place(*most)}" if most else "",
        ]
        said = "; ".join(filter(None, parts))
        line = f"{result.score:10.4f}  {quality.worst_place:<12}  {visible(photo)}"
        tqdm.write(f"{line}: {said}" if said else line, file=sys.stdout)
        unexplained |= lacks_reason(result, model.scale)
    if unexplained and sys.stdout.isatty():
        print("where no fault is named: the map shows where it is bad; what a better photo has: vtiqa compare")
    if failed:
        print(f"{failed} of {len(photos)} photos have no map", file=sys.stderr)
    return 1 if failed else 0


def _save_or_remove(path: Path, values: Float32[np.ndarray, "rows columns"] | None) -> None:
    """Saves an array, or removes that of an older map where there is none."""
    if values is not None:
        _save(path, values)
    elif os.path.exists(path):  # never of a name that is too long
        path.unlink()


def _save(path: Path, values: Float32[np.ndarray, "rows columns"]) -> None:
    with atomic.atomic_replace(path) as temporary, temporary.open("wb") as file:
        np.save(file, values)
