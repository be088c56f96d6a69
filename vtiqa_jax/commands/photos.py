"""The photos that a command is about."""

import sys
from collections.abc import Sequence
from pathlib import Path

from vtiqa_jax.errors import UserError
from vtiqa_jax.photos import files


def find_photos(paths: Sequence[Path], outputs: Sequence[Path] = ()) -> list[Path]:
    """Finds the photos that are given or in the folders that are given, and says what is left out.

    Args:
        paths: photos and folders.
        outputs: folders that photos are copied or moved to, which are not searched.

    Raises:
        UserError: there are none.
    """
    left_out = files.LeftOut()
    photos = [Path(photo) for photo in files.find(paths, left_out, outputs=outputs)]
    if left_out.counts:
        print(left_out, file=sys.stderr)
    if not photos:
        raise UserError(f"no photos in {', '.join(map(str, paths)) or 'an empty list of paths'}")
    return photos
