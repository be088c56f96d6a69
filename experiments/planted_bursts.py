"""Measures how often the sharp, clean frame of a made-up burst is chosen.

For example:

    python experiments/planted_bursts.py --photos photos.txt --out bursts.csv

photos.txt names photos as cameras made them, one a line, none of which trained the model. Five frames are made of the
middle of each, at its own pixels. Each is framed anew by up to 1 % in both directions: one as it is, two shaken, one
slightly out of focus, one at a high ISO. All get a sensor's noise, are demosaiced and compressed. The damage is written
here, apart from that of training: straight shake, a hexagonal aperture, noise before OpenCV's demosaicing.

The first table shows, for each number, the share of bursts in which it is largest for the frame as it is, and which
frame was taken instead. The second shows the share of bursts in which it beats each of the others. The third shows the
share that is right with other weights of detail than that of `rank`. Intervals are Wilson's, of 95 %.
"""

import csv
import dataclasses
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from cyclopts import Parameter
from jaxtyping import Float, Float32
from scipy.stats import binomtest
from tqdm import tqdm

import vtiqa_jax
from vtiqa_jax import cli
from vtiqa_jax.data.light import from_light, to_light
from vtiqa_jax.photos.decode import decode, read
from vtiqa_jax.photos.resize import Rgb

HEIGHT, WIDTH = 1800, 2400
"""Size of the middle of each photo, in pixels."""
SHIFT = 0.01
"""Largest shift in each direction, as a share of a frame's sides."""
QUALITY = 92
"""Quality of the JPEGs."""
LOW_ISO, HIGH_ISO = 200.0, (3200.0, 6400.0)
SHOT_NOISE, READ_NOISE = 4e-5, 4e-8
"""Variances at ISO 100 of light 1 and of darkness, as of a sensor of 25,000 electrons a pixel. Shot noise grows with
the ISO, read noise with its square."""
GOOD, SHAKEN, MORE_SHAKEN = "as it is", "shaken 5 to 9 px", "shaken 10 to 15 px"
DEFOCUSED, NOISY = "out of focus, 1.5 to 3 px", "ISO 3,200 to 6,400"
KINDS = (GOOD, SHAKEN, MORE_SHAKEN, DEFOCUSED, NOISY)
WEIGHTS = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1)
NUMBERS = ("rank", "score", "detail", "holds", "variance of Laplacian", "file size")

Kernel = Float32[np.ndarray, "height width"]
Light = Float[np.ndarray, "height width 3"]


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    photos: Path
    """Text file with the names of photos, one a line."""
    out: Path
    """CSV for the numbers of each frame."""


def line(length: float, angle: float) -> Kernel:
    """Draws a straight path of `length` pixels."""
    side = 8 * (2 * int(np.ceil(length / 2)) + 3)
    large = np.zeros((side, side), np.uint8)
    reach = 4 * length * np.array([np.cos(angle), np.sin(angle)])
    ends = [np.rint(side / 2 + sign * reach).astype(int).tolist() for sign in (-1, 1)]
    cv2.line(large, ends[0], ends[1], 255, 8)
    return normalised(large)


def hexagon(radius: float, angle: float) -> Kernel:
    """Draws an aperture of six blades, `radius` pixels to its corners."""
    side = 8 * (2 * int(np.ceil(radius)) + 1)
    corners = angle + np.arange(6) * np.pi / 3
    points = side / 2 + 8 * radius * np.stack([np.cos(corners), np.sin(corners)], 1)
    return normalised(cv2.fillPoly(np.zeros((side, side), np.uint8), [np.rint(points).astype(np.int32)], 255))


def normalised(large: np.ndarray) -> Kernel:
    """Shrinks a kernel, drawn eight times as large, to its size; its sum is 1."""
    small = cv2.resize(large, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA).astype(np.float32)
    return small / small.sum()


def expose(light: Light, iso: float, rng: np.random.Generator) -> bytes:
    """Returns the JPEG file of a sensor with a Bayer pattern."""
    sensor = light[:, :, 1].copy()
    sensor[::2, ::2], sensor[1::2, 1::2] = light[::2, ::2, 0], light[1::2, 1::2, 2]
    variance = SHOT_NOISE * iso / 100 * sensor + READ_NOISE * (iso / 100) ** 2
    sensor += np.sqrt(variance) * rng.standard_normal(sensor.shape, np.float32)
    values = np.rint(np.clip(sensor, 0, 1) * 65535).astype(np.uint16)
    developed = cv2.cvtColor(values, cv2.COLOR_BayerRGGB2RGB_EA).astype(np.float32) / 65535
    return cv2.imencode(".jpg", from_light(developed)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def draw_kernel(kind: str, rng: np.random.Generator) -> Kernel | None:
    """Draws what the lens and the hand make of a point in a frame of this kind."""
    angle = rng.uniform(0, np.pi)
    if kind == SHAKEN:
        return line(rng.uniform(5, 9), angle)
    if kind == MORE_SHAKEN:
        return line(rng.uniform(10, 15), angle)
    return hexagon(rng.uniform(1.5, 3), angle) if kind == DEFOCUSED else None


def make_frames(photo: Rgb, rng: np.random.Generator) -> Iterator[bytes]:
    """Returns the files of a burst, in the order of `KINDS`."""
    height, width = min(HEIGHT, photo.shape[0] // 2 * 2), min(WIDTH, photo.shape[1] // 2 * 2)
    top, left = (photo.shape[0] - height) // 2, (photo.shape[1] - width) // 2
    light = to_light(photo[top : top + height, left : left + width])
    borders = int(height * SHIFT), int(width * SHIFT)
    for kind in KINDS:
        down, right = (int(rng.integers(0, 2 * border + 1)) for border in borders)
        frame = light[down : height - 2 * borders[0] + down, right : width - 2 * borders[1] + right]
        if (kernel := draw_kernel(kind, rng)) is not None:
            frame = cv2.filter2D(frame, -1, kernel, borderType=cv2.BORDER_REFLECT)
        yield expose(frame, rng.uniform(*HIGH_ISO) if kind == NOISY else LOW_ISO, rng)


def measure(model: vtiqa_jax.Scorer, files: list[bytes]) -> Float[np.ndarray, "frames numbers"]:
    """Computes `NUMBERS` of each frame."""
    photos = [decode(".jpg", file).pixels for file in files]
    found = []
    for result, photo, file in zip(model.stream(photos), photos, files, strict=True):
        judged = [result.rank, result.score, result.detail, result.holds]
        sharpness = cv2.Laplacian(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.CV_32F).var()
        found.append([*(np.nan if number is None else number for number in judged), sharpness, len(file)])
    return np.array(found, float)


def share(right: np.ndarray) -> str:
    """Says a share and its interval."""
    ends = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return f"{right.mean():.2f} [{ends.low:.2f}, {ends.high:.2f}]"


def main(arguments: Arguments) -> None:
    """Prints the tables."""
    model = vtiqa_jax.load()
    paths = [Path(name) for name in arguments.photos.read_text().splitlines()]
    bursts = []
    with arguments.out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["photo", "kind", *NUMBERS])
        for path in tqdm(paths, disable=None):
            rng = np.random.default_rng(zlib.crc32(path.name.encode()))
            bursts.append(measure(model, [*make_frames(read(path).pixels, rng)]))
            writer.writerows([path.name, kind, *row] for kind, row in zip(KINDS, bursts[-1], strict=True))
    numbers = np.nan_to_num(np.array(bursts))
    taken = numbers.argmax(1)
    print(f"{len(bursts)} bursts\n\n| by | right | {' | '.join(KINDS[1:])} |\n{'|---' * 6}|")
    for name, picks in zip(NUMBERS, taken.T, strict=True):
        counts = Counter(picks.tolist())
        print(f"| {name} | {share(picks == 0)} | {' | '.join(str(counts[kind]) for kind in range(1, len(KINDS)))} |")
    print(f"\n| better than | {' | '.join(NUMBERS)} |\n{'|---' * (len(NUMBERS) + 1)}|")
    for kind, name in enumerate(KINDS[1:], 1):
        cells = [share(better) for better in (numbers[:, 0] > numbers[:, kind]).T]
        print(f"| {name} | {' | '.join(cells)} |")
    print("\n| weight of detail | right |\n|---|---|")
    score, detail = (numbers[:, :, NUMBERS.index(name)] for name in ("score", "detail"))
    for weight in WEIGHTS:
        print(f"| {weight:g} | {share(((1 - weight) * score + weight * detail).argmax(1) == 0)} |")


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
