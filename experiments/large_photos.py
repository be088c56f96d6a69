"""Measures how the scores of a large photo, of its smaller exports and of its damaged versions compare.

For example:

    python experiments/large_photos.py --photos DIR

Each photo is exported to smaller sizes by three filters that programs use, blurred and made noisy at its full size, and
scored. Then made-up photos of 1 to 50 megapixels are scored one at a time; the table has seconds and memory.
"""

import dataclasses
import resource
import time
from pathlib import Path

import cv2
import numpy as np
from cyclopts import Parameter
from tqdm import tqdm

import vtiqa_jax
from vtiqa_jax import cli
from vtiqa_jax.photos import files
from vtiqa_jax.photos.decode import read
from vtiqa_jax.photos.resize import Rgb

SIDES = (2048, 1600, 1280, 1024, 768, 640, 512)
"""Longer side of an export, pixels. With the full size, eight sizes."""
MEGAPIXELS = (1, 3, 6, 12, 24, 50)


def lanczos(pixels: Rgb, size: tuple[int, int]) -> Rgb:
    """Shrinks as Pillow exports, and as most photo programs do."""
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def area(pixels: Rgb, size: tuple[int, int]) -> Rgb:
    """Shrinks by OpenCV's INTER_AREA."""
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def bicubic(pixels: Rgb, size: tuple[int, int]) -> Rgb:
    """Shrinks with antialiasing, as Pillow and Photoshop do."""
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


FILTERS = {"Lanczos": lanczos, "area": area, "bicubic": bicubic}


@Parameter(name="*")
@dataclasses.dataclass
class Arguments:
    """Options."""

    photos: Path
    """Folder of large photos."""
    checkpoint: str = "default"
    """Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model."""


def versions(pixels: Rgb) -> dict[str, Rgb]:
    """Returns the photo, its exports and its damaged versions by name."""
    made = {"full": pixels}
    height, width, _ = pixels.shape
    for side in SIDES:
        if side < max(height, width):
            scale = side / max(height, width)
            size = max(1, round(width * scale)), max(1, round(height * scale))
            made |= {f"{side} {name}": filter_(pixels, size) for name, filter_ in FILTERS.items()}
    made["blur of 2 px"] = cv2.GaussianBlur(pixels, (0, 0), 2)
    noise = np.random.default_rng(0).normal(0, 8, pixels.shape).astype(np.float32)
    made["noise of 8 levels"] = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    return made


def measure_sizes(model: vtiqa_jax.Scorer, paths: list[Path]) -> None:
    """Prints how far versions score from their full-size photo."""
    changes: dict[str, list[float]] = {}
    for path in tqdm(paths, "photos", disable=None):
        made = versions(read(path).pixels)
        full, *others = model.score(list(made.values())).tolist()
        for name, score in zip(list(made)[1:], others, strict=True):
            changes.setdefault(name, []).append(score - full)
    print(f"{len(paths)} photos\n| version | photos | mean change | largest | smallest |\n|---|---|---|---|---|")
    for name, found in sorted(changes.items()):
        print(f"| {name} | {len(found)} | {np.mean(found):+.3f} | {max(found):+.3f} | {min(found):+.3f} |")
    exports = [change for name, found in changes.items() if name[0].isdigit() for change in found]
    print(f"all exports: mean change {np.mean(exports):+.4f}, largest {np.abs(exports).max():.3f}")


def measure_cost(model: vtiqa_jax.Scorer) -> None:
    """Prints seconds and memory of single photos."""
    rng = np.random.default_rng(0)
    print("| megapixels | seconds | peak memory so far, GB |\n|---|---|---|")
    for megapixels in MEGAPIXELS:
        width = round((megapixels * 1.5e6) ** 0.5)
        small = rng.integers(0, 256, (60, 90, 3), np.uint8)
        photo = cv2.resize(small, (width, round(width / 1.5)), interpolation=cv2.INTER_LINEAR)
        data = cv2.imencode(".jpg", photo)[1].tobytes()
        path = Path(f"{megapixels}.jpg")
        path.write_bytes(data)
        del photo, data
        model.score(path)
        start = time.perf_counter()
        model.score(path)
        seconds = time.perf_counter() - start
        path.unlink()
        print(f"| {megapixels} | {seconds:.2f} | {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} |")


def main(arguments: Arguments) -> None:
    """Measures and prints."""
    model = vtiqa_jax.load(arguments.checkpoint)
    measure_cost(model)
    measure_sizes(model, [Path(name) for name in files.find([arguments.photos])])


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
