"""The command `vtiqa`: scores photos."""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

from tyro.conf import Positional, arg

import vtiqa_jax
from vtiqa_jax import images
from vtiqa_jax.command import run
from vtiqa_jax.errors import UserError
from vtiqa_jax.model import ComputeDtype
from vtiqa_jax.scoring import Scored


@contextmanager
def _written(path: Path | None) -> Iterator[IO[str] | None]:
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
    batch_size: int | None = None,
    compute_dtype: ComputeDtype = "float32",
) -> int:
    """Scores photos. Exit status: 0 all scored, 1 some could not be read, 2 bad arguments.

    Args:
        paths: photos, and folders that are searched for photos at any depth.
        checkpoint: the model: a checkpoint's folder, or "default" for the one that comes with the package.
        csv_file: write a CSV with the header `image,score,error`.
        json_file: write the scores and their scale as JSON.
        batch_size: photos computed together; at most 4 on a CPU, and 64 on a GPU when not given.
        compute_dtype: bfloat16 is faster where the hardware multiplies it, and less exact.
    """
    from tqdm import tqdm

    found = images.find(list(paths))
    if not found:
        raise UserError(f"no photos in {', '.join(map(str, paths)) or 'an empty list of paths'}")
    model = vtiqa_jax.load(checkpoint, compute_dtype=compute_dtype)
    everything: list[Scored] = []
    with _written(csv_file) as csv_to, _written(json_file) as json_to:
        rows = csv.writer(csv_to) if csv_to else None
        if rows:
            rows.writerow(["image", "score", "error"])
        print(f"score ({model.scale})  image")
        stream = model.stream(found, batch_size=batch_size)
        for scored in tqdm(stream, "scoring", len(found), unit="photo", disable=None, leave=False):
            everything.append(scored)
            shown = "    failed" if scored.score is None else f"{scored.score:10.4f}"
            reason = f": {scored.error}" if scored.error else ""
            tqdm.write(f"{shown}  {scored.image}{reason}", file=sys.stdout)
            if rows:
                exact = "" if scored.score is None else f"{scored.score:.6f}"
                rows.writerow([scored.image, exact, scored.error or ""])
        if json_to:
            scores = [{"image": str(s.image), "score": s.score, "error": s.error} for s in everything]
            json.dump({"scale": vars(model.scale), "scores": scores}, json_to, indent=1)
    failed = sum(scored.error is not None for scored in everything)
    if failed:
        print(f"{failed} of {len(found)} photos could not be read", file=sys.stderr)
    return 1 if failed else 0


def main() -> None:
    """Entry point of the console command."""
    run({"score": score}, "vtiqa", __doc__)


if __name__ == "__main__":
    main()
