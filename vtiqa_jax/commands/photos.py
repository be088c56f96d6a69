"""The photos that a command is about."""

import sys
from collections.abc import Sequence
from pathlib import Path

from vtiqa_jax import atomic
from vtiqa_jax.errors import UserError
from vtiqa_jax.photos import formats


def find_photos(paths: Sequence[Path], made: Sequence[Path]) -> list[Path]:
    """The photos that are given or in the folders that are given; says what is left out for want of a package.

    Args:
        paths: photos and folders.
        made: folders that the command writes pictures into, which are not its photos.

    Raises:
        UserError: there are none.
    """
    photos = formats.find_images(list(paths))
    folders = [atomic.resolve(folder) for folder in made]
    photos = [photo for photo in photos if not any(photo.resolve().is_relative_to(folder) for folder in folders)]
    for extra, left_out in formats.count_left_out(list(paths)).items():
        print(f"{left_out} {extra.photos} photos are left out: install vtiqa-jax[{extra.name}]", file=sys.stderr)
    if not photos:
        raise UserError(f"no photos in {', '.join(map(str, paths)) or 'an empty list of paths'}")
    return photos
