"""Finds the stacks among real photos without a model, as docs/choosing.md counts them.

For example:

    python experiments/real_stacks.py DIR [--by-folder]

DIR holds photos, at any depth. All photos together are searched, and each stack has a line; with `--by-folder` each
folder is searched by itself and has a line. All photos get one score, because only their grouping is of interest.
"""

import collections
import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cyclopts import Parameter

from vtiqa_jax import cli
from vtiqa_jax.choosing.stacks import find_stacks
from vtiqa_jax.errors import ImageError
from vtiqa_jax.photos.decode import read
from vtiqa_jax.photos.files import find
from vtiqa_jax.photos.resize import shrink
from vtiqa_jax.photos.sketch import make_sketch
from vtiqa_jax.results.results import ScoreResult

SCREEN_SIDE = 512
"""As the packaged model looks at photos."""


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    photos: Path
    """Folder of photos."""
    by_folder: bool = False
    """Search each folder by itself."""


def sketched(path: str) -> ScoreResult:
    """Returns a photo's result as scoring would, with a score that all have."""
    try:
        photo = read(path)
    except ImageError as error:
        return ScoreResult(path, None, str(error))
    height, width = photo.pixels.shape[:2]
    sketch = make_sketch(shrink(photo.pixels, SCREEN_SIDE)).pack()
    return ScoreResult(path, 3.0, capture=photo.capture, sketch=sketch, width=width, height=height)


def main(arguments: Arguments) -> None:
    """Prints the stacks."""
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(sketched, find([arguments.photos])))
    if not arguments.by_folder:
        for stack in find_stacks(results):
            print(f"{stack.kind} of {len(stack.members)}: {', '.join(str(results[at].image) for at in stack.members)}")
        print(f"{len(results)} photos, {sum(result.score is None for result in results)} of them not read")
        return
    folders: dict[str, list[ScoreResult]] = collections.defaultdict(list)
    for result in results:
        folders[os.path.relpath(os.path.dirname(result.image), arguments.photos)].append(result)
    for folder, inside in folders.items():
        stacks = [f"{stack.kind} of {len(stack.members)}" for stack in find_stacks(inside)]
        print(f"{folder} ({len(inside)} photos): {', '.join(stacks) or 'no stack'}")


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
