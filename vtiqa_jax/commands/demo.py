"""`vtiqa demo`: scores sample photos of scikit-image and scikit-learn, good and damaged ones."""

import csv
from pathlib import Path

import cv2
import numpy as np

from vtiqa_jax import atomic
from vtiqa_jax.commands.explain import explain
from vtiqa_jax.commands.score import score
from vtiqa_jax.data import demo as photographs
from vtiqa_jax.data import distortions
from vtiqa_jax.photos import own

LEVEL = 0.6
"""Level of the damage, from 0 (just visible) to 1 (very strong)."""
DAMAGED = {
    "astronaut.png": distortions.defocus,
    "coffee.png": distortions.noise,
    "rocket.jpg": distortions.jpeg,
    "china.jpg": distortions.motion,
    "chelsea.png": distortions.underexposed,
    "flower.jpg": distortions.overexposed,
}
"""Photographs that are shown, and the damage to a copy of each."""
MAPPED = 2
"""Number of photos, the worst ones, that have maps."""


def demo(*, out: Path = Path("vtiqa-demo")) -> int:
    """Scores a dozen photographs, good and damaged ones, to show what this program does. Takes under a minute.

    Example: vtiqa demo

    What a score means: docs/meaning.md

    Args:
        out: Folder for the photographs, the scores, the page and the maps. An earlier demonstration there is replaced.
    """
    own.mark_folder(out)
    photos = out / "photos"
    _write_photos(photos)
    status = score(photos, out=out / "scores.csv", report=out / "report", sort="best")
    with (out / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))  # the best first
    print(f"\nwhere the {MAPPED} worst of them are bad:")
    status = max(status, explain(*(Path(row["image"]) for row in rows[: -MAPPED - 1 : -1]), out=out / "maps"))
    print(f"\nLook at {out / 'report' / 'index.html'} in a browser, at the pictures in {out / 'maps'}, and at", end=" ")
    print(f"{out / 'scores.csv'}.\nA damaged photo has no reason if the model is not sure of its fault.")
    print(f"How probable each fault is: vtiqa score {photos / 'coffee-noise.png'} --reasons")
    print(f"Photos of your own: vtiqa score FOLDER --report {out / 'mine'}")
    return status


def _write_photos(folder: Path) -> None:
    """Writes each photograph as it is and damaged."""
    atomic.make_folder(folder)
    originals = photographs.originals()
    for name, damage in DAMAGED.items():
        damaged = damage(originals[name], LEVEL, np.random.default_rng(0))
        for pixels, title in ((originals[name], "good"), (damaged, damage.__name__)):
            with atomic.atomic_replace(folder / f"{Path(name).stem}-{title}.png") as temporary:
                temporary.write_bytes(cv2.imencode(".png", pixels[:, :, ::-1])[1].tobytes())
