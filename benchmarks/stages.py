"""Measures where the time of one photo goes, by its size, and how much memory the command needs.

For example:

    python benchmarks/stages.py --photo PHOTO.jpg

The photo is resized to each size and written as a JPEG. Its stages are timed one by one. The sizes take turns, and the
fastest round counts, because other programs on the machine can only add time. The command decodes some photos while it
computes others, so the whole takes less than the sum of the stages. Memory is measured for `vtiqa score` on one photo
of each size, with the model as it is and with a model without detail and reasons.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from timing import device, timed, versions

from vtiqa_jax import Scorer, cli
from vtiqa_jax.models import catalog
from vtiqa_jax.models import checkpoint as checkpoints
from vtiqa_jax.models.adapt import without_detail
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.photos.decode import decode
from vtiqa_jax.photos.resize import prepare, shrink

QUALITY = 90
"""Quality of the JPEGs."""


def write_photos(photo: Path, megapixels: tuple[float, ...], folder: Path) -> dict[float, Path]:
    """Writes a photo at each size."""
    found = {}
    with Image.open(photo) as opened:
        whole = opened.convert("RGB")
    for size in megapixels:
        scale = (size * 1e6 / (whole.width * whole.height)) ** 0.5
        resized = whole.resize((round(whole.width * scale), round(whole.height * scale)), Image.Resampling.LANCZOS)
        found[size] = folder / f"{size:g}.jpg"
        resized.save(found[size], quality=QUALITY)
    return found


def make_scorer(model: Checkpoint) -> Scorer:
    """Puts a model on the device."""
    assert model.scale
    return Scorer(model.config, model.params, model.scale, provenance=model.provenance)


def make_stages(file: Path, scorer: Scorer, plain: Scorer) -> dict[str, Callable[[], Any]]:
    """Returns what happens to a photo, one stage after the other."""
    data, config = file.read_bytes(), scorer.config
    pixels = decode(file.name, data).pixels
    screen, native = shrink(pixels, config.screen_side), config.native
    assert native
    ready, bare = config.preparation.make(pixels, screen), plain.config.preparation.make(pixels, screen)
    return {
        "reading the JPEG": lambda: decode(file.name, data),
        "shrinking it for the screen": lambda: shrink(pixels, config.screen_side),
        "cutting the views of the score": lambda: prepare(screen, None, config.preparation.cuts),
        "cutting the native views": lambda: native.make(pixels, screen),
        "the model's score": lambda: list(plain.score_prepared([bare], [pixels.shape[:2]], 1)),
        "the model's score, detail and reasons": lambda: list(scorer.score_prepared([ready], [pixels.shape[:2]], 1)),
    }


WATCH = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
print(usage.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""A process begins with the memory of the one that starts it, so that a small one has to."""


def measure_memory(photo: Path, checkpoint: Path) -> float:
    """Returns the most memory that `vtiqa score` takes for a photo, MB."""
    command = [sys.executable, "-m", "vtiqa_jax", "score", str(photo), "--checkpoint", str(checkpoint), "--quiet"]
    return float(subprocess.run([sys.executable, "-c", WATCH, *command], capture_output=True, check=True).stdout)


def main(
    photo: Path, megapixels: tuple[float, ...] = (1, 12, 50), checkpoint: str = "default", rounds: int = 9
) -> None:
    """Prints two tables.

    Args:
        photo: Large photo; its content decides how long a JPEG takes to decode.
        megapixels: Sizes of the photos that are made from it.
        checkpoint: Model: a checkpoint, or "default" for the packaged model.
        rounds: Number of turns of each size; the fastest is taken.
    """
    model = catalog.load(checkpoint)
    bare = without_detail(model)
    scorer, plain = make_scorer(model), make_scorer(bare)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = write_photos(photo, megapixels, folder)
        stages = {size: make_stages(file, scorer, plain) for size, file in files.items()}
        seconds: dict[str, dict[float, list[float]]] = {}
        for number in range(rounds + 1):
            for size, works in stages.items():
                for stage, work in works.items():
                    took = timed(work)
                    if number:  # the first compiles
                        seconds.setdefault(stage, {}).setdefault(size, []).append(took)
        sizes, rule = " | ".join(f"{size:g} megapixels" for size in megapixels), "|---" * (len(megapixels) + 1)
        print(f"{device()}; {versions()}; the fastest of {rounds}\n\n| ms | {sizes} |\n{rule}|")
        for stage, found in seconds.items():
            print(f"| {stage} | {' | '.join(f'{1e3 * min(found[size]):.0f}' for size in megapixels)} |")
        models = {"with detail and reasons": folder / "whole", "without": folder / "bare"}
        for name, made in zip(models, (model, bare), strict=True):
            checkpoints.save(models[name], made)
        print(f"\n| `vtiqa score` on one photo, MB | {sizes} |\n{rule}|")
        for name, where in models.items():
            cells = (f"{measure_memory(files[size], where):.0f}" for size in megapixels)
            print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
