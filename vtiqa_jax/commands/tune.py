"""`vtiqa tune`: a model that learns what one person likes."""

from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from vtiqa_jax import atomic, sharding
from vtiqa_jax.commands.photos import find_photos
from vtiqa_jax.commands.sigterm import raise_on_sigterm
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import catalog
from vtiqa_jax.models import checkpoint as checkpoints
from vtiqa_jax.models.adapt import without_taste
from vtiqa_jax.photos.stderr import quiet_decoders
from vtiqa_jax.tuning.fit import LEAST, MOST, Tuned, with_taste
from vtiqa_jax.tuning.fit import tune as fit_taste
from vtiqa_jax.tuning.from_xmp import read_ratings
from vtiqa_jax.tuning.held_out import LEVEL
from vtiqa_jax.tuning.kept import KeptPhotos
from vtiqa_jax.tuning.marks import join_marks, read_marks

SHOWN = 3
"""Photos without an opinion that are named."""


def tune(
    *marks: Path,
    out: Path,
    images: Path | None = None,
    from_xmp: Annotated[tuple[Path, ...], Parameter(metavar="DIR")] = (),
    checkpoint: Annotated[str, Parameter(metavar="DIR")] = "default",
    cache: Path | None = None,
    seed: int = 0,
    force: bool = False,
) -> int:
    """Learns what you like from your marks.

    Example: vtiqa tune marks.csv --images holiday --out mine

    The model is written only if it agrees with held-out marks better than before, and beyond chance. Exit status: 0
    written, 1 not better, 2 bad arguments.

    Args:
        marks: CSVs with the columns image and stars (1 to 5) or mark (keep, reject), as the page of `vtiqa score
            --report` makes them, or with the columns better and worse, a pair in each line.
        out: Folder of the new model: `vtiqa score --checkpoint OUT` scores by it.
        images: Folder that the CSVs name photos relative to. When not given, the current folder, and then the CSV's
            own.
        from_xmp: Folders of photos with ratings by other programs, in sidecars or inside JPEG files.
        checkpoint: Model to begin with: the folder of a checkpoint, an .npz file, or "default" for the packaged model.
        cache: Folder that keeps what the model sees of the photos, which takes the time. OUT.kept when not given. After
            an interruption the same command continues, and with more marks only new photos are read.
        seed: Seed of the draw of held-out marks, and of 1,000 marks where there are more.
        force: Replace OUT if it exists.
    """
    if out.suffix == ".npz":
        raise UserError(f"{out}: a tuned model is a folder; name one, and pack it with `vtiqa convert quantize`")
    checkpoints.check_overwrite(out, force=force)
    if not marks and not from_xmp:
        raise UserError("no marks are given: name a CSV, or folders with --from-xmp; docs/tune.md shows how to mark")
    sharding.require_devices()
    model = without_taste(catalog.load(checkpoint))
    if model.scale is None or model.config.kind != "vtiqa":
        raise UserError(
            f"{checkpoint} is not a VT-IQA with a head, so it cannot be tuned; name another with --checkpoint"
        )
    rated = find_photos(from_xmp) if from_xmp else []
    given = join_marks([read_ratings(rated), *(read_marks(table, images) for table in marks)])
    if given.count < LEAST:
        raise UserError(
            f"tuning needs at least {LEAST} marks, not {given.count}; mark 100 photos or more for a good result"
        )
    if given.count > MOST:
        print(f"{MOST} of {given.count} marks are drawn at random: more take long and teach little")
        given = given.draw(MOST, np.random.default_rng(seed))
    with raise_on_sigterm(), quiet_decoders():
        seen, left_out = KeptPhotos(cache or Path(f"{atomic.resolve(out)}.kept"), model).read(given.photos)
    used = given.only(seen)
    if left_out:
        more = f"; and {len(left_out) - SHOWN} more" if len(left_out) > SHOWN else ""
        print(f"{len(left_out)} marked photos are left out: {'; '.join(left_out[:SHOWN])}{more}")
    if used.count < LEAST <= given.count:
        raise UserError(
            f"the photos of only {used.count} of {given.count} marks can be read, and tuning needs {LEAST};"
            " name the folder of the photos with --images DIR"
        )
    tuned = fit_taste(model, used, seen, seed)
    print(*describe(tuned), sep="\n")
    if not tuned.verdict.is_better:
        print(f"not better: {out} is not written; mark more photos, and try again")
        return 1
    checkpoints.save(out, with_taste(model, tuned), force=force)
    print(f"better: score with it by vtiqa score PHOTOS --checkpoint {out}")
    return 0


def describe(tuned: Tuned) -> list[str]:
    """Returns what a taste is worth, and what it goes with, in lines."""
    verdict = tuned.verdict
    lines = [
        f"{tuned.opinions} marks",
        f"agreement on held-out marks: {verdict.before:.3f} by the score, {verdict.after:.3f} by the taste;"
        f" {verdict.after - verdict.before:+.3f} ({verdict.low:+.3f} to {verdict.high:+.3f})",
        f"chance gains as much in {100 * verdict.chance:.1f} % of shuffles; {100 * LEVEL:g} % may be",
    ]
    if tuned.goes_with and verdict.is_better:
        words = ", ".join(
            f"{'more' if value > 0 else 'less'} {name} ({value:+.2f})" for name, value in tuned.goes_with.items()
        )
        lines.append(f"it goes with {words}: correlations among the marked photos")
    return lines
