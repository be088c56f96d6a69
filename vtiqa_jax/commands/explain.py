"""`vtiqa explain`: where photos are bad."""

import collections
import dataclasses
import errno
import os
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
from tqdm import tqdm
from tyro.conf import Positional, arg

import vtiqa_jax
from vtiqa_jax import atomic
from vtiqa_jax.commands.photos import find_photos
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.models.vtiqa import ComputeDtype
from vtiqa_jax.photos import own
from vtiqa_jax.photos.decode import read
from vtiqa_jax.photos.resize import shrink
from vtiqa_jax.photos.stderr import quiet_decoders

MAP_SIDE = 48
"""Of the map as an array: rows and columns over the whole photo."""


def explain(
    paths: Positional[tuple[Path, ...]],
    out: Path,
    checkpoint: Annotated[str, arg(metavar="DIR")] = "default",
    compute_dtype: ComputeDtype = "float32",
) -> int:
    """Maps of quality: for each photo a PNG to look at, and the map as an array. Exit status: 0, or 1 if some of the
    photos have none.

    Args:
        paths: photos, and folders that are searched for photos at any depth.
        out: the folder of the maps; of holiday.jpg come holiday.jpg.png and holiday.jpg.npy, 48 x 48 scores.
        checkpoint: the model: a checkpoint's folder, or "default" for the one that comes with the package.
        compute_dtype: bfloat16 is faster where the hardware multiplies it, and less exact.
    """
    photos = find_photos(paths)
    folded = str.casefold if sys.platform in ("win32", "darwin") else str  # a.jpg and A.jpg are one file there
    name, count = collections.Counter(folded(photo.name) for photo in photos).most_common(1)[0]
    if count > 1:
        raise UserError(f"{count} photos are named {name}; their maps would overwrite each other, so give them singly")
    for drawing in (out / f"{photo.name}.png" for photo in photos):
        if any(map(os.path.exists, (drawing, drawing.with_suffix(".npy")))) and not own.is_drawn(str(drawing)):
            raise UserError(f"{drawing}, or its .npy, is there already and no map; name another folder with --out")
    model = vtiqa_jax.load(checkpoint, compute_dtype=compute_dtype)
    atomic.make_folder(out)
    failed = 0
    print(f"score ({model.scale})  worst at      image")
    for photo in tqdm(photos, "explaining", unit="photo", disable=None, leave=False):
        try:
            with quiet_decoders():
                pixels = read(photo).pixels
        except ImageError as error:
            failed += 1
            tqdm.write(f"    failed  {photo}: {error}", file=sys.stdout)
            continue
        screen = shrink(pixels, model.config.screen_side)  # once for both
        score = float(model.score([screen])[0])
        found = dataclasses.replace(model.explain_pixels(screen), photo=pixels)
        try:
            found.save(out / f"{photo.name}.png", f"{photo.name}: {score:.2f} ({model.scale})")
            with atomic.atomic_replace(out / f"{photo.name}.npy") as temporary, temporary.open("wb") as file:
                np.save(file, found.resample(MAP_SIDE, MAP_SIDE))
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            failed += 1
            tqdm.write(f"    failed  {photo}: its name is too long for a map's, which is longer", file=sys.stdout)
            continue
        tqdm.write(f"{score:10.4f}  {found.worst_place:<12}  {photo}", file=sys.stdout)
    if failed:
        print(f"{failed} of {len(photos)} photos have no map", file=sys.stderr)
    return 1 if failed else 0
