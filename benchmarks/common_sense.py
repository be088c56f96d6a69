"""Tests whether a model notices what everybody notices: damage to good photos, and pictures that are no photos.

For example:

    python benchmarks/common_sense.py --photos DIR [--checkpoint default] [--count 40] [--out table.json]

Each photo is damaged in many ways, each at a weak, a middle and a strong level. The table shows, for each way, the
share of photos whose damaged version scores below the pristine photo, and the share whose score falls from each level
to the next. The first six ways are written here, independently of `vtiqa_jax/data/distortions.py`. Then follow the ways
of that module, which training may have shown to the model, and then kinds that no training shows. The last lines show,
for each picture that is no photo, the share of photos that score higher.
"""

import dataclasses
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cyclopts import Parameter
from damage import Photo, clipped
from jaxtyping import Float

import vtiqa_jax
from vtiqa_jax import Scorer, cli
from vtiqa_jax.data.distortions import DISTORTIONS
from vtiqa_jax.photos.decode import decode, read
from vtiqa_jax.photos.files import find

LEVELS = 3
GENERATOR_LEVELS = (0.25, 0.6, 0.95)
"""Levels of the distortions that training can show: weak, middle, strong."""
SIDE = 512
"""Photos are shrunk to this longer side first, pixels: the levels below are meant for it."""


def _blur(photo: Photo, level: int, _: np.random.Generator) -> Photo:
    return cv2.GaussianBlur(photo, (0, 0), (1.5, 3, 6)[level])


def _motion(photo: Photo, level: int, _: np.random.Generator) -> Photo:
    length = (9, 17, 33)[level]
    return cv2.blur(photo, (length, 1))


def _noise(photo: Photo, level: int, rng: np.random.Generator) -> Photo:
    return clipped(photo + (15, 30, 60)[level] * rng.standard_normal(photo.shape))


def _jpeg(photo: Photo, level: int, _: np.random.Generator) -> Photo:
    quality = (25, 12, 5)[level]
    return decode("", cv2.imencode(".jpg", photo[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()).pixels


def _dark(photo: Photo, level: int, _: np.random.Generator) -> Photo:
    return clipped(photo * (0.4, 0.2, 0.08)[level])


def _light(photo: Photo, level: int, _: np.random.Generator) -> Photo:
    return clipped(photo * (1.6, 2.5, 5.0)[level])


WAYS: dict[str, Callable[[Photo, int, np.random.Generator], Photo]] = {
    "Gaussian blur 1.5 / 3 / 6 px": _blur,
    "motion 9 / 17 / 33 px": _motion,
    "white noise, sigma 15 / 30 / 60": _noise,
    "JPEG quality 25 / 12 / 5": _jpeg,
    "light x .4 / .2 / .08": _dark,
    "light x 1.6 / 2.5 / 5, clipped": _light,
}


def _double(photo: Photo, level: int, _: np.random.Generator) -> Photo:
    shift = (4, 10, 24)[level]
    return clipped((photo.astype(np.float32) + np.roll(photo, (shift, shift), (0, 1))) / 2)


def _fringes(photo: Photo, level: int, _: np.random.Generator) -> Photo:
    shift = (2, 5, 12)[level]
    return np.stack([np.roll(photo[:, :, 0], shift, 1), photo[:, :, 1], np.roll(photo[:, :, 2], -shift, 1)], axis=2)


def _interlaced(photo: Photo, level: int, _: np.random.Generator) -> Photo:
    torn = photo.copy()
    torn[1::2] = np.roll(photo[1::2], (4, 10, 24)[level], 1)
    return torn


def _dithered(photo: Photo, level: int, _: np.random.Generator) -> Photo:
    """Dithers to 8, 4 or 2 values a channel, by a threshold matrix."""
    bayer = np.array([[0]])
    for _step in range(3):
        bayer = np.block([[4 * bayer, 4 * bayer + 2], [4 * bayer + 3, 4 * bayer + 1]])
    height, width = photo.shape[:2]
    threshold = np.tile((bayer + 0.5) / 64, (height // 8 + 1, width // 8 + 1))[:height, :width, None]
    values = (8, 4, 2)[level] - 1
    return clipped(np.floor(photo / 255 * values + threshold) / values * 255)


def _moved(photo: Photo, down: np.ndarray, right: np.ndarray) -> Photo:
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]].astype(np.float32)
    return cv2.remap(
        photo, (x + right).astype(np.float32), (y + down).astype(np.float32), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )  # fmt: skip


def _frosted(photo: Photo, level: int, rng: np.random.Generator) -> Photo:
    return _moved(photo, *rng.uniform(-1, 1, (2, *photo.shape[:2])) * (1.5, 4, 9)[level])


def _waves(photo: Photo, level: int, _: np.random.Generator) -> Photo:
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]]
    return _moved(photo, np.sin(x / 6) * (1.5, 4, 9)[level], np.sin(y / 6) * (1.5, 4, 9)[level])


def _median(photo: Photo, level: int, _: np.random.Generator) -> Photo:
    return cv2.medianBlur(photo, (5, 11, 21)[level])


def _grid(photo: Photo, level: int, _: np.random.Generator) -> Photo:
    y, x = np.mgrid[: photo.shape[0], : photo.shape[1]]
    return clipped(photo + ((8, 20, 50)[level] * np.sin(x * 1.3) * np.sin(y * 1.1))[:, :, None])


UNSEEN: dict[str, Callable[[Photo, int, np.random.Generator], Photo]] = {
    "double image, 4 / 10 / 24 px": _double,
    "colour fringes, 2 / 5 / 12 px": _fringes,
    "interlaced, 4 / 10 / 24 px": _interlaced,
    "dithered to 8 / 4 / 2 values": _dithered,
    "frosted glass, 1.5 / 4 / 9 px": _frosted,
    "waves of 1.5 / 4 / 9 px": _waves,
    "median of 5 / 11 / 21 px": _median,
    "a fine grid of 8 / 20 / 50 grey levels": _grid,
}
"""Kinds that are not among `vtiqa_jax/data/distortions.py`'s."""


def no_photos() -> Iterator[tuple[str, Photo]]:
    """Pictures that are no photo, 512 x 512, by kind."""
    rng, y, x = np.random.default_rng(0), *np.mgrid[0:SIDE, 0:SIDE]
    yield "random noise", rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    yield "random noise", rng.integers(0, 256, (SIDE, SIDE, 1), np.uint8).repeat(3, axis=2)
    yield "random noise", clipped(rng.normal(128, 40, (SIDE, SIDE, 3)))
    for colour in ((0, 0, 0), (255, 255, 255), (128, 128, 128), (200, 30, 30), (30, 60, 200), (240, 220, 40)):
        yield "one colour", np.full((SIDE, SIDE, 3), colour, np.uint8)
    for side in (2, 8, 32):
        yield "stripes", (x // side % 2 * 255).astype(np.uint8)[:, :, None].repeat(3, axis=2)
        yield "stripes", (y // side % 2 * 255).astype(np.uint8)[:, :, None].repeat(3, axis=2)
        yield "chequerboard", ((x // side + y // side) % 2 * 255).astype(np.uint8)[:, :, None].repeat(3, axis=2)
    yield "gradient", (x // 2).astype(np.uint8)[:, :, None].repeat(3, axis=2)


def versions(photo: Photo, name: str, way: str) -> list[Photo]:
    """Makes a photo worse in one way, at the three levels; every level draws the same noise."""

    def rng() -> np.random.Generator:
        return np.random.default_rng(zlib.crc32(f"{name} {way}".encode()))

    if made := (WAYS | UNSEEN).get(way):
        return [made(photo, level, rng()) for level in range(LEVELS)]
    return [DISTORTIONS[way](photo, level, rng()) for level in GENERATOR_LEVELS]


def noticed(clean: Float[np.ndarray, " n"], worse: Float[np.ndarray, "n levels"]) -> dict[str, Any]:
    """Returns the shares of photos of whose versions the scores speak the truth.

    Args:
        clean: scores of the pristine photos; higher is better.
        worse: of their versions, from weak to strong.
    """
    steps = np.diff(np.concatenate([clean[:, None], worse], axis=1), axis=1)
    return {
        "below clean": (worse < clean[:, None]).mean(axis=0).round(4).tolist(),
        "falling": round(float((steps < 0).all(axis=1).mean()), 4),
        "strong drop": round(float(np.median(clean - worse[:, -1])), 4),
    }


def examine(scorer: Scorer, photos: dict[str, Photo], ways: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Computes `noticed` of each way, and of each kind of no photo the share of photos that score higher.

    Args:
        scorer: the model.
        photos: good ones, by name.
        ways: of `WAYS`, `UNSEEN` and `DISTORTIONS`.
    """
    sign = 1 if scorer.scale.higher_is_better else -1
    clean = sign * scorer.score(list(photos.values()))
    found: dict[str, dict[str, Any]] = {}
    for way in ways:
        worse = [scorer.score(versions(photo, name, way)) for name, photo in photos.items()]
        found[way] = noticed(clean, sign * np.stack(worse))
    kinds: dict[str, list[Photo]] = {}
    for kind, picture in no_photos():
        kinds.setdefault(kind, []).append(picture)
    for kind, pictures in kinds.items():
        scores = sign * scorer.score(pictures)
        found[kind] = {"photos above": round(float((clean > scores.max()).mean()), 4), "highest": float(scores.max())}
    return found


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    photos: Path
    """Folder of good photos that the model was not trained on."""
    checkpoint: str = "default"
    """Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model."""
    count: int = 40
    """Number of photos, taken evenly over the folder."""
    out: Path | None = None
    """JSON file for the table."""


def main(arguments: Arguments) -> None:
    """Prints the table."""
    files = [Path(file) for file in find([arguments.photos])]
    if not files or arguments.count < 1:
        raise SystemExit(f"{arguments.photos} holds {len(files)} photos, of which {arguments.count} are asked for")
    files = [files[place] for place in np.linspace(0, len(files) - 1, min(arguments.count, len(files))).astype(int)]
    photos = {}
    for file in files:
        pixels = read(file).pixels
        shrink = min(1.0, SIDE / max(pixels.shape))
        size = round(pixels.shape[1] * shrink), round(pixels.shape[0] * shrink)
        photos[str(file)] = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    found = examine(vtiqa_jax.load(arguments.checkpoint), photos, (*WAYS, *DISTORTIONS, *UNSEEN))
    print("| made worse | scored below the clean photo, weak / middle / strong | falling at every level |")
    print("|---|---|---|")
    for name, row in found.items():
        if "falling" in row:
            print(f"| {name} | {' / '.join(f'{share:.2f}' for share in row['below clean'])} | {row['falling']:.2f} |")
    print(f"\n| no photo | share of the {len(photos)} photos that score higher than all of its kind |\n|---|---|")
    for name, row in found.items():
        if "falling" not in row:
            print(f"| {name} | {row['photos above']:.2f} |")
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
