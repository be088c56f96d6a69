"""Tests whether `detail` falls with damage at 100 %, and whether `holds` follows an enlargement.

For example:

    python benchmarks/detail.py --photos DIR [--pairs pairs.csv] [--checkpoint default] [--count 100] [--out table.json]

The middle of each photo is damaged at its own pixels, by code that is written here, apart from that of training
(`vtiqa_jax/data/native_ladders.py`). There are kinds that training shows and kinds that it never shows, enlargement by
filters of both sorts, edges that are cut off, and camera noise with another demosaicing. With `--pairs` (columns noisy,
clean, scene; paths relative to the file) real noisy photos are compared with the means of many photos of the same
scene; both are first compressed alike.
"""

import csv
import dataclasses
import itertools
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.fft
from cyclopts import Parameter
from damage import Photo, clipped, jpeg, jpeg2000, middle, motion
from jaxtyping import Float
from PIL import Image, ImageFilter
from tqdm import tqdm

import vtiqa_jax
from vtiqa_jax import Scorer, cli
from vtiqa_jax.data import camera_noise, native_ladders
from vtiqa_jax.data.camera_noise import Camera
from vtiqa_jax.errors import ImageError
from vtiqa_jax.models.detail import OCTAVES_THAT_HOLD
from vtiqa_jax.photos import files
from vtiqa_jax.photos.decode import read
from vtiqa_jax.results.words import SMALLEST_SCALE

HEIGHT, WIDTH = 1500, 2000
"""Size of the middle of each photo that is damaged, in pixels."""
ENLARGED = {"middle": (1200, 1600), "part": (480, 640)}
"""Size of what is enlarged, in pixels: the middle of a photo, and the part of it with the most edges."""
CUT = ((3, 0, 3, 0), (0, 4, 0, 2), (5, 1, 1, 4), (1, 6, 5, 1), (6, 6, 6, 6))
"""Percent of a photo that are cut off at the top, the bottom, the left and the right."""
MOST_LOST = 1.0
"""Octaves by which `holds` is below 100 % of a part that counts as sharp."""
LEAST_TOLD = -np.log2(SMALLEST_SCALE / 100)
"""Octaves below 100 % from which on people read "less than 12.5 %", and no number."""
TOLERANCE = np.log2(1.15)
"""Octaves by which `holds` may miss: 15 %."""


@Parameter(name="*")
@dataclasses.dataclass
class Arguments:
    """Options."""

    photos: Path
    """Folder of photos as cameras made them, none of which trained the model."""
    pairs: Path | None = None
    """CSV of real noisy photos and clean ones of the same scenes."""
    checkpoint: str = "default"
    """Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model."""
    count: int = 100
    """Number of photos to damage."""
    out: Path | None = None
    """JSON file for all numbers."""


def _pillow(photo: Photo, how: ImageFilter.Filter) -> Photo:
    return np.asarray(Image.fromarray(photo).filter(how))


def _noise(photo: Photo, sigma: float, rng: np.random.Generator) -> Photo:
    return clipped(photo + sigma * rng.standard_normal(photo.shape))


def _chroma_noise(photo: Photo, sigma: float, rng: np.random.Generator) -> Photo:
    blotches = cv2.GaussianBlur(rng.standard_normal(photo.shape), (0, 0), 1.5)
    blotches -= blotches.mean(2, keepdims=True)
    return clipped(photo + sigma * blotches / blotches.std())


def _speckle(photo: Photo, strength: float, rng: np.random.Generator) -> Photo:
    return clipped(photo * (1 + strength * rng.standard_normal(photo.shape[:2])[:, :, None]))


def _zoom_blur(photo: Photo, share: float, _: np.random.Generator) -> Photo:
    """Blurs as a lens that was zoomed while the shutter was open: sharp in the middle, smeared towards the edges."""
    height, width, _channels = photo.shape
    total = np.zeros(photo.shape, np.float32)
    for scale in np.linspace(1, 1 + share, 9):
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 0, scale)
        total += cv2.warpAffine(photo, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    return clipped(total / 9)


Damage = Callable[[Photo, float, np.random.Generator], Photo]
PLANTED: dict[str, tuple[tuple[float, ...], Damage]] = {
    "Gaussian blur, px": ((1, 2), lambda photo, radius, _: _pillow(photo, ImageFilter.GaussianBlur(radius))),
    "straight motion, px": ((9, 15), motion),
    "white noise, grey levels": ((4, 8, 20), _noise),
    "JPEG by OpenCV, quality": ((40, 20), jpeg),
}
UNSEEN: dict[str, tuple[tuple[float, ...], Damage]] = {
    "box blur, radius": ((1, 2, 4), lambda photo, radius, _: _pillow(photo, ImageFilter.BoxBlur(radius))),
    "median, px": ((3, 5, 9), lambda photo, size, _: cv2.medianBlur(photo, int(size))),
    "zoomed while exposing, share": ((0.01, 0.02, 0.04), _zoom_blur),
    "JPEG 2000, times smaller": ((30, 60, 120), jpeg2000),
    "blotches of colour, grey levels": ((6, 12, 24), _chroma_noise),
    "speckle, share": ((0.04, 0.08, 0.16), _speckle),
}
"""Kinds that training never shows."""
FACTORS = (1.25, 1.5, 2.0, 3.0, 4.0)


def _by_pillow(photo: Photo, factor: float) -> Photo:
    height, width, _ = photo.shape
    return np.asarray(
        Image.fromarray(photo).resize((round(width * factor), round(height * factor)), Image.Resampling.BICUBIC)
    )


def _by_opencv(how: int) -> Callable[[Photo, float], Photo]:
    return lambda photo, factor: cv2.resize(photo, None, fx=factor, fy=factor, interpolation=how)


def _by_fourier(photo: Photo, factor: float) -> Photo:
    """Adds no frequencies: the photo's spectrum with zeros around it."""
    height, width, _ = photo.shape
    size = round(height * factor), round(width * factor)
    top, left = (after // 2 - before // 2 for after, before in zip(size, (height, width), strict=True))
    planes = []
    for plane in np.moveaxis(photo, 2, 0).astype(np.float32):  # three at once would take gigabytes
        padded = np.zeros(size, np.complex64)
        padded[top : top + height, left : left + width] = scipy.fft.fftshift(scipy.fft.fft2(plane))
        planes.append(scipy.fft.ifft2(scipy.fft.ifftshift(padded)).real)
    return clipped(np.stack(planes, axis=2) * (size[0] * size[1] / (height * width)))


ENLARGERS: dict[str, Callable[[Photo, float], Photo]] = {
    "Pillow's bicubic": _by_pillow,
    "bilinear": _by_opencv(cv2.INTER_LINEAR),
    "Lanczos of OpenCV (unseen)": _by_opencv(cv2.INTER_LANCZOS4),
    "Fourier (unseen)": _by_fourier,
}


def _defocus(photo: Photo, spread: float) -> Photo:
    """Blurs by a disc of a standard deviation of `spread` pixels in each direction: half its radius."""
    radius = 2 * spread
    rows, columns = np.mgrid[-np.ceil(radius) : np.ceil(radius) + 1, -np.ceil(radius) : np.ceil(radius) + 1]
    disc = np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1)
    return cv2.filter2D(photo, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)


WIDTHS: dict[str, tuple[tuple[float, ...], Callable[[Photo, float], Photo]]] = {
    "Gaussian": ((1, 2, 4), lambda photo, spread: cv2.GaussianBlur(photo, (0, 0), spread)),
    "disc": ((1, 2, 4), _defocus),
}
ISO = (0, 400, 800, 1600, 3200, 6400, 12800)


def _malvar(sensor: camera_noise.Sensor) -> camera_noise.Light:
    """Demosaics by the linear filters of H. Malvar et al., ICASSP 2004."""
    # In sixteenths. Rows and columns are symmetric: the upper three rows are enough.
    halves = (
        [[0, 0, -2, 0, 0], [0, 0, 4, 0, 0], [-2, 4, 8, 4, -2]],
        [[0, 0, 1, 0, 0], [0, -2, 0, -2, 0], [-2, 8, 10, 8, -2]],
        [[0, 0, -3, 0, 0], [0, 4, 0, 4, 0], [-3, 0, 12, 0, -3]],
    )
    green, along, cross = (np.array([*half, *half[1::-1]], np.float32) / 16 for half in halves)
    by_green, by_row, by_column, by_cross = (
        cv2.filter2D(sensor, -1, kernel) for kernel in (green, along, along.T, cross)
    )
    red, blue, middle = sensor.copy(), sensor.copy(), sensor.copy()
    middle[::2, ::2], middle[1::2, 1::2] = by_green[::2, ::2], by_green[1::2, 1::2]
    red[::2, 1::2], red[1::2, ::2], red[1::2, 1::2] = by_row[::2, 1::2], by_column[1::2, ::2], by_cross[1::2, 1::2]
    blue[1::2, ::2], blue[::2, 1::2], blue[::2, ::2] = by_row[1::2, ::2], by_column[::2, 1::2], by_cross[::2, ::2]
    return np.clip(np.stack([red, middle, blue], 2), 0, 1)


def busiest(photo: Photo, height: int, width: int) -> Photo:
    """Returns the part of a photo with the most edges: in a sky there is nothing to enlarge."""
    edges = cv2.blur(np.abs(cv2.Laplacian(photo.mean(2).astype(np.float32), -1)), (width | 1, height | 1))
    inner = edges[height // 2 : -height // 2, width // 2 : -width // 2]
    top, left = np.unravel_index(int(inner.argmax()), inner.shape)
    return np.ascontiguousarray(photo[top : top + height, left : left + width])


def judge(model: Scorer, versions: Sequence[Photo]) -> Float[np.ndarray, "versions 2"]:
    """Returns detail, and the octaves by which the holding scale is below 1, of each version."""
    results = list(model.stream(list(versions)))
    both = [(result.detail or np.nan, result.holds or np.nan) for result in results]
    return np.array([(detail, -np.log2(holds / 100)) for detail, holds in both])


def known(values: Sequence[np.ndarray]) -> np.ndarray:
    """Returns what was found of photos, without those of which a version says nothing."""
    found = np.array(values)
    return found[~np.isnan(found).reshape(len(found), -1).any(1)]


def ladders(
    model: Scorer, photos: dict[str, Photo], ways: dict[str, tuple[tuple[float, ...], Damage]]
) -> Iterator[dict[str, Any]]:
    """Measures detail for each way and level."""
    for name, (levels, damage) in ways.items():
        found = []
        for path, photo in tqdm(photos.items(), desc=name):
            seed = zlib.crc32(path.encode())
            versions = [damage(photo, level, np.random.default_rng(seed)) for level in levels]
            found.append(judge(model, [photo, *versions])[:, 0])
        values = known(found)
        falls = values[:, :1] - values[:, 1:]
        yield {
            "kind": name,
            "levels": levels,
            "n": len(values),
            "falls": [float(np.mean(fall > 0)) for fall in falls.T],
            "mean fall": [float(fall.mean()) for fall in falls.T],
            "falls at every step": float(np.mean((np.diff(values, axis=1) < 0).all(1))),
        }


def trim(photo: Photo, top: int, bottom: int, left: int, right: int) -> Photo:
    """Cuts off so many percent of a photo at each edge."""
    height, width, _ = photo.shape
    rows, columns = (
        slice(side * first // 100, side - side * last // 100)
        for side, first, last in ((height, top, bottom), (width, left, right))
    )
    return np.ascontiguousarray(photo[rows, columns])


def crops(model: Scorer, photos: dict[str, Photo]) -> Iterator[dict[str, Any]]:
    """Measures whether `holds` stays where a few per cent of a photo are cut off: all of it is as sharp as before."""
    found = [
        judge(model, [photo, *(trim(photo, *edges) for edges in CUT)])[:, 1]
        for photo in tqdm(photos.values(), desc="crops")
    ]
    values = known(found)
    is_same = np.abs(values[:, 1:] - values[:, :1]) < TOLERANCE
    yield {"n": len(values), "within 15 %": float(is_same.mean()), "octaves": float(values.std(1, ddof=1).mean())}


def enlargements(model: Scorer, photos: dict[str, Photo]) -> Iterator[dict[str, Any]]:
    """Measures how `holds` follows enlargement."""
    for name, size in itertools.product(ENLARGERS, ENLARGED):
        found, cut = [], middle if size == "middle" else busiest
        for photo in tqdm(photos.values(), desc=f"{name}, {size}"):
            small = cut(photo, *ENLARGED[size])
            enlarged = (ENLARGERS[name](small, factor) for factor in FACTORS)
            found.append(np.concatenate([judge(model, [version]) for version in itertools.chain([small], enlarged)]))
        values = known(found)
        said, expected = values[:, 1:, 1], values[:, :1, 1] + np.log2(FACTORS)
        is_right = np.abs(np.minimum(said, LEAST_TOLD) - np.minimum(expected, LEAST_TOLD)) < TOLERANCE
        is_near, is_told = np.abs(said - expected) < TOLERANCE, expected < LEAST_TOLD
        is_sharp = values[:, 0, 1] < MOST_LOST
        yield {
            "filter": name,
            "of": size,
            "factors": FACTORS,
            "n": len(values),
            "within 15 %": is_right.mean(0).tolist(),
            "n, hold at half their size": int(is_sharp.sum()),
            "within 15 %, of these": is_right[is_sharp].mean(0).tolist(),
            "n, should hold at an eighth": is_told.sum(0).tolist(),
            "within 15 %, of these copies": (np.sum(is_near & is_told, axis=0) / is_told.sum(0)).tolist(),
            "within 15 % of the number itself": is_near.mean(0).tolist(),
            "median error, octaves": np.median(said - expected, axis=0).tolist(),
            "copy has more detail": float(np.mean(values[:, 1:, 0] >= values[:, :1, 0])),
            "copy holds more": float(np.mean(said <= values[:, :1, 1])),
        }


def blurs(model: Scorer, photos: dict[str, Photo]) -> Iterator[dict[str, Any]]:
    """Measures whether `holds` tells the width of a blur.

    Widths add up in squares; that of a photo itself is told by its own `holds`.
    """
    for name, (spreads, blur) in WIDTHS.items():
        found = []
        for photo in tqdm(photos.values(), desc=name):
            small = middle(photo, *ENLARGED["middle"])
            found.append(judge(model, [small, *(blur(small, spread) for spread in spreads)])[:, 1])
        values = known(found)
        added = 4.0 ** np.array([native_ladders.blur_octaves(spread) for spread in spreads]) - 1
        own = np.maximum(values[:, :1] + OCTAVES_THAT_HOLD, 0)
        errors = values[:, 1:] + OCTAVES_THAT_HOLD - np.log2(4**own + added) / 2
        yield {
            "blur": name,
            "standard deviations, px": spreads,
            "n": len(values),
            "within 15 %": (np.abs(errors) < TOLERANCE).mean(0).tolist(),
            "within 30 %": (np.abs(errors) < np.log2(1.3)).mean(0).tolist(),
            "falls at every step": float(np.mean((np.diff(values, axis=1) > 0).all(1))),
            "median error, octaves": np.median(errors, axis=0).tolist(),
        }


def noise(model: Scorer, photos: dict[str, Photo]) -> Iterator[dict[str, Any]]:
    """Measures whether detail falls with the noise of a camera that training has not seen."""
    found = []
    for path, photo in tqdm(photos.items(), desc="noise"):
        seed = zlib.crc32(path.encode())
        camera = dataclasses.replace(Camera.draw(np.random.default_rng(seed)), demosaic=_malvar)
        versions = [camera_noise.add_camera_noise(photo, iso, camera, np.random.default_rng(seed)) for iso in ISO]
        found.append(judge(model, versions)[:, 0])
    values = known(found)
    yield {"iso": ISO, "n": len(values), "falls": [float(np.mean(step < 0)) for step in np.diff(values, axis=1).T]}


def pairs(model: Scorer, listed: Path) -> Iterator[dict[str, Any]]:
    """Measures whether the mean of many photos of a scene has more detail than one of them."""
    with listed.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found: dict[str, list[tuple[bool, bool]]] = {}
    for row in tqdm(rows, desc="pairs"):
        photos = [read(listed.parent / row[side]).pixels for side in ("noisy", "clean")]
        both = [jpeg(photo, 90, np.random.default_rng(0)) for photo in photos]
        noisy, clean = model.stream(both)
        found.setdefault(row.get("set", ""), []).append(
            ((clean.detail or np.nan) > (noisy.detail or np.nan), (clean.score or np.nan) > (noisy.score or np.nan))
        )
    for name, cleaner in found.items():
        by_detail, by_score = np.mean(cleaner, axis=0).tolist()
        yield {"set": name, "n": len(cleaner), "detail": by_detail, "score": by_score}


def main(arguments: Arguments) -> None:
    """Measures and prints."""
    model = vtiqa_jax.load(arguments.checkpoint)
    photos: dict[str, Photo] = {}
    for path in sorted(files.find([arguments.photos])):
        if len(photos) < arguments.count:
            try:
                photos[path] = middle(read(path).pixels, HEIGHT, WIDTH)
            except ImageError as error:
                print(f"left out {path}: {error}")
    table: dict[str, Any] = {}
    for title, part in (
        ("planted", ladders(model, photos, PLANTED)),
        ("kinds that training never shows", ladders(model, photos, UNSEEN)),
        ("enlargement", enlargements(model, photos)),
        ("blur of known width", blurs(model, photos)),
        ("edges cut off", crops(model, photos)),
        ("noise of a camera", noise(model, photos)),
        ("real noise", pairs(model, arguments.pairs) if arguments.pairs else iter(())),
    ):
        table[title] = []
        for row in part:
            table[title].append(row)
            print(title, json.dumps(row), flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
