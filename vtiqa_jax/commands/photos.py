"""The photos that a command is about."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from vtiqa_jax.errors import UserError
from vtiqa_jax.photos import files
from vtiqa_jax.terminal import visible

WHAT_TO_DO = "name photos or a folder of photos"
DEMO = ", or try `vtiqa demo`, which brings its own"


def find_photos(paths: Sequence[Path], outputs: Sequence[Path] = (), what_to_do: str = WHAT_TO_DO + DEMO) -> list[Path]:
    """Finds the photos that are given or in the folders that are given, and says what is left out.

    Args:
        paths: photos and folders.
        outputs: folders that photos are copied or moved to, which are not searched.
        what_to_do: is told where there are none.

    Raises:
        UserError: there are none.
    """
    if not paths:
        raise UserError(f"no photos are given: {what_to_do}")
    if not any(os.path.lexists(path) for path in paths):
        raise UserError(f"{', '.join(map(str, paths[:3]))}: there is no such file or folder; {what_to_do}")
    left_out = files.LeftOut()
    photos = [Path(photo) for photo in files.find(paths, left_out, outputs=outputs)]
    if not photos and (own := next((each for each in outputs if any(_is_same(each, path) for path in paths)), None)):
        raise UserError(f"{own} is the folder of the photos itself; name another to put the chosen ones in")
    if left_out.counts:
        print(visible(left_out), file=sys.stderr)
    if not photos:
        beside = "".join(f" but in {output}" for output in outputs)
        raise UserError(f"no photos in {', '.join(map(str, paths))}{beside}; {what_to_do}")
    return photos


def _is_same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
