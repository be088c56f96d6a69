"""Compares pairs of photos of one scene: what differs between them, and which numbers agree with people's order."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from vtiqa_jax.data.light import GAMMA, to_light
from vtiqa_jax.photos.decode import read

DRAWS, FEW = 2000, 10
"""Number of draws of a bootstrap, and number of scenes below which there is none."""
STOPS, COLOUR, SHARPNESS = 0.5, 3.0, 1.25
"""Differences from which photos count as different: stops of mean light, mean a* and b*, or mean chroma, of CIELAB, and
the factor between variances of the Laplacian, which noise hides at 1:1 and not at 1:4."""
KINDS = "exposure", "colour", "sharpness", "none"
"""Kinds of differences, in this order."""

Numbers = Float[np.ndarray, " photos"]


@dataclasses.dataclass(frozen=True)
class Pixels:
    """What is measured on one photo."""

    stops: float
    a: float
    b: float
    chroma: float
    sharpness: tuple[float, ...]
    """Variances of the Laplacian at 1:1, 1:2 and 1:4, at a mean light that is the same for all photos."""
    laplacian: float
    contrast: float
    brightness: float
    size: float
    """Size of the file, in bytes."""

    @classmethod
    def measure(cls, path: Path) -> "Pixels":
        """Measures a photo as its file holds it."""
        photo = read(path).pixels
        light = to_light(photo)
        mean = max(float(light.mean()), 1e-4)
        grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
        even = cv2.cvtColor((light * np.float32(0.2 / mean)) ** np.float32(1 / GAMMA), cv2.COLOR_RGB2GRAY)
        lab = cv2.cvtColor(photo.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        return cls(
            stops=float(np.log2(mean)),
            a=float(lab[:, :, 1].mean()),
            b=float(lab[:, :, 2].mean()),
            chroma=float(np.hypot(lab[:, :, 1], lab[:, :, 2]).mean()),
            sharpness=tuple(
                float(
                    cv2.Laplacian(cv2.resize(even, None, fx=1 / by, fy=1 / by, interpolation=cv2.INTER_AREA), -1).var()
                )
                for by in (1, 2, 4)
            ),
            laplacian=float(cv2.Laplacian(grey, -1).var()),
            contrast=float(grey.std()),
            brightness=float(grey.mean()),
            size=float(path.stat().st_size),
        )

    def differs(self, other: "Pixels") -> str:
        """Names the first of `KINDS` by which another photo differs."""
        colours = np.hypot(self.a - other.a, self.b - other.b), abs(self.chroma - other.chroma)
        octaves = np.abs(np.log2(np.maximum(self.sharpness, 1e-9) / np.maximum(other.sharpness, 1e-9)))
        found = (
            abs(self.stops - other.stops) > STOPS,
            max(colours) > COLOUR,
            octaves.max() > np.log2(SHARPNESS),
            True,
        )
        return KINDS[found.index(True)]


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of photos of one scene whose opinions are not the same."""

    first: Int[np.ndarray, " pairs"]
    second: Int[np.ndarray, " pairs"]
    kinds: np.ndarray
    """Kind of each pair's difference."""
    gaps: Float[np.ndarray, " pairs"]
    """The first's opinion less the second's."""
    scenes: Int[np.ndarray, " pairs"]
    """Scene of each pair."""

    def where(self, which: Bool[np.ndarray, " pairs"]) -> "Pairs":
        """Returns some of the pairs."""
        return Pairs(*(getattr(self, field.name)[which] for field in dataclasses.fields(self)))

    def right(self, numbers: Numbers) -> Float[np.ndarray, " pairs"]:
        """Returns 1 where the numbers put a pair in people's order, else 0; a half where equal or unknown."""
        order = np.sign(numbers[self.first] - numbers[self.second]) * np.sign(self.gaps)
        return (np.nan_to_num(order) + 1) / 2


def summary(values: Float[np.ndarray, " pairs"], scenes: Int[np.ndarray, " pairs"], sign: str = "") -> str:
    """Returns the mean and its interval of 95 %, by bootstrap over scenes; no interval of fewer than `FEW`."""
    _, places = np.unique(scenes, return_inverse=True)
    counts, sums = np.bincount(places), np.bincount(places, values)
    if len(counts) < FEW:
        return f"{values.mean():{sign}.2f}"
    drawn = np.random.default_rng(0).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), DRAWS)
    low, high = np.percentile(drawn @ sums / (drawn @ counts), [2.5, 97.5])
    return f"{values.mean():{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"


def tell(title: str, pairs: Pairs, judges: dict[str, Numbers], compared: tuple[tuple[str, str], ...]) -> None:
    """Prints one table: a row for each judge, a column for each kind of pair; then the differences of two judges."""
    parts = {kind: part for kind in KINDS if len((part := pairs.where(pairs.kinds == kind)).first)} | {"all": pairs}
    print(f"\n{title}\n\n| by | {' | '.join(parts)} |\n{'|---' * (len(parts) + 1)}|")
    print(f"| pairs | {' | '.join(str(len(part.first)) for part in parts.values())} |")
    print(f"| scenes | {' | '.join(str(len(set(part.scenes))) for part in parts.values())} |")
    for name, numbers in judges.items():
        cells = [summary(part.right(numbers), part.scenes) for part in parts.values()]
        print(f"| {name} | {' | '.join(cells)} |")
    for one, other in compared:
        cells = [
            summary(part.right(judges[one]) - part.right(judges[other]), part.scenes, "+") for part in parts.values()
        ]
        print(f"| {one} less {other} | {' | '.join(cells)} |")
