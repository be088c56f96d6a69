"""Does the shot with the sharp subject come first, of three that differ in what is out of focus?

    python experiments/focus_stacks.py --index masks.csv [--no-grain] [--checkpoint default] [--out stacks.json]

masks.csv has the columns `photo` and `mask`, paths relative to the file. A mask is a grey picture of any size: white
where the photo's subject is. Each photo is put out of focus behind its subject, on its subject, and all over, by a disc
of 2.5 to 5 pixels of the photo. A lens blurs what the sensor then adds its noise to: so blurred parts get the grain of
the photo's flattest blocks. With --no-grain they do not, and are cleaner than sharp ones.
"""

import csv
import dataclasses
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from cyclopts import Parameter
from jaxtyping import Float32, UInt8
from tqdm import tqdm

import vtiqa_jax
from vtiqa_jax import cli
from vtiqa_jax.choosing.shots import CLOSE_WEIGHT
from vtiqa_jax.photos.decode import read
from vtiqa_jax.results.rank import rank_photo

RADII = 2.5, 5.0
"""Of the disc, pixels: the least and the most."""
EDGE = 6
"""Standard deviation of the blur of the mask's edge, pixels."""
BLOCK = 16
"""Side of the blocks that grain is taken from, pixels."""
LEAST_BLOCKS, MOST_BLOCKS = 50, 4000
DARKEST, BRIGHTEST = 20, 235
"""Grey levels between which blocks show their grain."""
NUMBERS = "detail", "holds", "score", "rank", "within a burst"

Photo = UInt8[np.ndarray, "height width 3"]


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    index: Path
    """CSV of the photos and of the masks of their subjects."""
    checkpoint: str = "default"
    """Model."""
    out: Path | None = None
    """JSON file for the numbers of every shot."""
    grain: bool = True
    """Puts the photo's own grain over what is blurred."""


def defocus(photo: Photo, radius: float) -> Photo:
    """Puts a photo out of focus: each point becomes a disc."""
    reach = int(np.ceil(radius))
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1).astype(np.float32)
    return cv2.filter2D(photo, -1, disc / disc.sum())


def draw_grain(photo: Photo, rng: np.random.Generator) -> Float32[np.ndarray, "height width 3"]:
    """Draws grain: what planes leave of the photo's flattest blocks, side by side; none where all is black or white."""
    height, width = (side // BLOCK * BLOCK for side in photo.shape[:2])
    blocks = photo[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3).swapaxes(1, 2)
    blocks = blocks.reshape(-1, BLOCK**2, 3)
    means, deviations = blocks.mean((1, 2)), blocks.mean(2).std(1)
    usable = np.flatnonzero((means > DARKEST) & (means < BRIGHTEST))
    flattest = usable[np.argsort(deviations[usable])[: max(LEAST_BLOCKS, len(usable) // 20)]]
    if not len(flattest):
        return np.zeros(photo.shape, np.float32)
    y, x = np.mgrid[-1 : 1 : BLOCK * 1j, -1 : 1 : BLOCK * 1j]
    planes = np.stack([np.ones(BLOCK**2), y.ravel(), x.ravel()], axis=1)
    rest = (np.eye(BLOCK**2) - planes @ np.linalg.pinv(planes)).astype(np.float32)
    found = np.einsum("ij,bjc->bic", rest, blocks[flattest[:MOST_BLOCKS]].astype(np.float32))
    down, across = (-(-side // BLOCK) for side in photo.shape[:2])
    drawn = found[rng.integers(0, len(found), down * across)].reshape(down, across, BLOCK, BLOCK, 3)
    whole = drawn.swapaxes(1, 2).reshape(down * BLOCK, across * BLOCK, 3)
    return whole[: photo.shape[0], : photo.shape[1]]


def shots(
    photo: Photo,
    mask: Float32[np.ndarray, "height width 1"],
    radius: float,
    grain: Float32[np.ndarray, "height width 3"] | None,
) -> Iterator[Photo]:
    """Yields the photo with its background, its subject and all of it out of focus."""
    soft = defocus(photo, radius).astype(np.float32)
    soft = soft if grain is None else np.clip(soft + grain, 0, 255)
    for share in (1 - mask, mask, np.ones_like(mask)):
        yield np.rint(photo + share * (soft - photo)).astype(np.uint8)


def main(arguments: Arguments) -> None:
    """Measures and prints."""
    model = vtiqa_jax.load(arguments.checkpoint)
    with arguments.index.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found: dict[str, list[list[float | None]]] = {}
    for row in tqdm(rows, unit="photo"):
        photo = np.asarray(read(arguments.index.parent / row["photo"]).pixels)
        mask = cv2.imread(str(arguments.index.parent / row["mask"]), cv2.IMREAD_GRAYSCALE)
        if mask is None:
            raise SystemExit(f"{row['mask']}: no such picture")
        mask = cv2.GaussianBlur(cv2.resize(mask, photo.shape[1::-1]), (0, 0), EDGE)[:, :, None] / np.float32(255)
        rng = np.random.default_rng(zlib.crc32(row["photo"].encode()))
        radius, grain = rng.uniform(*RADII), draw_grain(photo, rng) if arguments.grain else None
        results = list(model.stream(list(shots(photo, mask, radius, grain))))
        found[row["photo"]] = [
            [
                *(one.detail, one.holds, one.score, rank_photo(one.score or np.nan, one.detail)),
                rank_photo(one.score or np.nan, one.detail, CLOSE_WEIGHT),
            ]
            for one in results
        ]
    values = np.array(list(found.values()), np.float64)  # NaN where nothing is known
    values = values[~np.isnan(values).any((1, 2))]
    print(f"{len(values)} photos; the shot with the sharp subject comes first")
    for number, name in enumerate(NUMBERS):
        sharp, *others = values[:, :, number].T
        print(f"  by {name}: {np.mean(sharp > np.max(others, axis=0)):.2f}")
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
