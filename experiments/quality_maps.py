"""Measures how often the worst place of a quality map lies where damage was planted.

For example:

    python experiments/quality_maps.py --photos DIR --tries 400 --weaker-tries 100 --out runs/quality-maps.csv

Each photo is damaged in one of four ways, in one quarter or one disc (a tenth of the photo), drawn anew for each try. A
map is right if its worst place lies there. By chance the quarter is right in .25 of the tries, the disc in .10.
`Scorer.explain` is compared with three other methods: the score of a mosaic from a region of a quarter of the photo, of
which there are 4 x 4; from a region as large as a view, 5 x 5; and the gradient of the score by the mosaic's pixels,
summed over each of its cells. Tries that are in the file are not repeated.
"""

import csv
import dataclasses
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from cyclopts import Parameter
from jaxtyping import Array, Bool, UInt8
from tqdm import tqdm

import vtiqa_jax
from vtiqa_jax import Scorer, cli, sharding
from vtiqa_jax.models import catalog, params, views
from vtiqa_jax.models.vit import select_implementation
from vtiqa_jax.models.vtiqa import VTIQA
from vtiqa_jax.photos.decode import decode, read
from vtiqa_jax.photos.files import find
from vtiqa_jax.photos.resize import prepare
from vtiqa_jax.scoring.steps import make_score_step

Photo = UInt8[np.ndarray, "height width 3"]
RADIUS = 0.18
"""Radius of the disc, in shorter sides of the photo."""


def blur(photo: Photo, level: int, _: np.random.Generator) -> Photo:
    """Blurs by a Gaussian, in pixels of the photo."""
    return cv2.GaussianBlur(photo, (0, 0), (1.5, 3, 6)[level])


def noise(photo: Photo, level: int, rng: np.random.Generator) -> Photo:
    """Adds white noise, in grey levels."""
    noisy = photo + (15, 30, 60)[level] * rng.standard_normal(photo.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def blocks(photo: Photo, level: int, _: np.random.Generator) -> Photo:
    """Adds JPEG's blocks, by quality."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, (25, 12, 5)[level]]
    return decode("", cv2.imencode(".jpg", photo[:, :, ::-1], quality)[1].tobytes()).pixels


def light(photo: Photo, level: int, _: np.random.Generator) -> Photo:
    """Adds too much light, clipped."""
    return np.clip(photo * (1.6, 2.5, 5.0)[level], 0, 255).astype(np.uint8)


DAMAGES: dict[str, Callable[[Photo, int, np.random.Generator], Photo]] = {
    "blur 1.5 / 3 / 6 px": blur,
    "white noise, sigma 15 / 30 / 60": noise,
    "JPEG quality 25 / 12 / 5": blocks,
    "light x 1.6 / 2.5 / 5, clipped": light,
}
SHAPES = ("quarter", "disc")
Place = tuple[float, float]


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    photos: Path
    """Folder of good photos that the model has not seen."""
    tries: int = 400
    """Number of tries of each damage at its strongest, half of them in a quarter, half in a disc."""
    weaker_tries: int = 60
    """Number of tries of each damage at each of its weaker levels."""
    other_tries: int = 40
    """Number of tries of each damage at its strongest, by each of the other methods."""
    checkpoint: str = "default"
    """Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model."""
    out: Path = Path("runs/quality-maps.csv")
    """CSV for the tries."""


def plant(
    photo: Photo, damage: str, level: int, shape: str, rng: np.random.Generator
) -> tuple[Photo, Bool[np.ndarray, "h w"]]:
    """Damages the photo in one place; returns it and the place."""
    height, width = photo.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    if shape == "quarter":
        down, right = rng.integers(0, 2, 2)
        inside = ((rows >= height / 2) == down) & ((columns >= width / 2) == right)
    else:
        radius = RADIUS * min(height, width)
        middle = rng.uniform(radius, height - radius), rng.uniform(radius, width - radius)
        inside = (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 < radius**2
    return np.where(inside[:, :, None], DAMAGES[damage](photo, level, rng), photo), inside


def region_mosaics(checkpoint: str, side: int, count: int) -> Callable[[Photo], Place]:
    """Finds the worst of count x count regions, by a mosaic from each; `side` pixels of the large stored size."""
    loaded = catalog.load(checkpoint)
    config = loaded.config
    step = make_score_step(config.replace(local_resize=side), "bfloat16", sharding.data_mesh())
    offsets = views.region_offsets(config.local_resize, side, count)
    corners = [(top, left) for top in offsets for left in offsets]

    def worst(photo: Photo) -> Place:
        small, large = prepare(photo, config.screen_side, config.stored_cuts)
        regions = [large[top : top + side, left : left + side] for top, left in corners]
        scores = np.asarray(step(loaded.params, np.stack([small] * len(regions)), np.stack(regions)))
        top, left = corners[int(scores.argmin())]
        return (top + side / 2) / config.local_resize, (left + side / 2) / config.local_resize

    return worst


def gradients(checkpoint: str) -> Callable[[Photo], Place]:
    """Finds the cell of the mosaic by whose pixels the score changes the most."""
    loaded = catalog.load(checkpoint)
    config = loaded.config
    graphdef, _ = params.abstract_model(config, "bfloat16", select_implementation(jax.devices()[0], "bfloat16"))

    @jax.jit
    def cells(weights: params.Params, small: Array, large: Array) -> Array:
        model = params.merge_params(graphdef, weights)
        assert isinstance(model, VTIQA)
        whole = views.normalize(views.center_crop(small, config.view_size))
        mosaic = views.normalize(views.keep(large, config.eval_cuts[1]))
        change = jnp.abs(jax.grad(lambda mosaic: model(whole, mosaic).sum())(mosaic))
        grid, patch = config.mosaic_grid, config.mosaic_patch
        return change.reshape(grid, patch, grid, patch, 3).sum((1, 3, 4))

    def worst(photo: Photo) -> Place:
        small, large = prepare(photo, config.screen_side, config.stored_cuts)
        found = np.asarray(cells(loaded.params, small[None], large[None]))
        row, column = np.unravel_index(found.argmax(), found.shape)
        return (float(row) + 0.5) / config.mosaic_grid, (float(column) + 0.5) / config.mosaic_grid

    return worst


def explained(scorer: Scorer) -> Callable[[Photo], Place]:
    """Finds the worst place by `Scorer.explain`."""
    return lambda photo: scorer.explain(photo).worst


def main(arguments: Arguments) -> None:
    """Prints the tables."""
    files = [Path(file) for file in find([arguments.photos])]
    methods = {
        "regions": explained(vtiqa_jax.load(arguments.checkpoint, compute_dtype="bfloat16")),
        "mosaics of 384 px": region_mosaics(arguments.checkpoint, 384, 4),
        "views of 224 px": region_mosaics(arguments.checkpoint, 224, 5),
        "gradients": gradients(arguments.checkpoint),
    }
    jobs = [
        (method, damage, level, shape, number)
        for method in methods
        for damage in DAMAGES
        for level in (2, 1, 0)
        for number in range((arguments.tries if level == 2 else arguments.weaker_tries) // 2)
        for shape in SHAPES
        if method == "regions" or (level == 2 and number < arguments.other_tries // 2)
    ]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    done: dict[tuple[str, ...], tuple[float, float]] = {}
    if arguments.out.exists():
        with arguments.out.open(newline="") as file:
            done = {tuple(row[:5]): (float(row[5]), float(row[6])) for row in csv.reader(file)}
    with arguments.out.open("a", newline="") as file:
        rows = csv.writer(file)
        for method, damage, level, shape, number in tqdm(jobs, disable=None):
            key = (method, damage, str(level), shape, str(number))
            if key in done:
                continue
            rng = np.random.default_rng(zlib.crc32(f"{damage} {level} {shape} {number}".encode()))
            # A step that shares no factor with their number spreads the tries over the photos.
            photo, inside = plant(read(files[number * 7 % len(files)]).pixels, damage, level, shape, rng)
            began = time.perf_counter()
            row, column = methods[method](photo)
            seconds = time.perf_counter() - began
            right = inside[int(row * len(inside)), int(column * inside.shape[1])]
            done[key] = float(right), seconds
            rows.writerow([*key, int(right), f"{seconds:.3f}"])
            file.flush()

    def share(method: str, damage: str, level: int, shape: str) -> str:
        found = [right for key, (right, _) in done.items() if key[:4] == (method, damage, str(level), shape)]
        return f"{np.mean(found):.2f}" if found else "-"

    print("| damage | quarter: weak / middle / strong | disc: weak / middle / strong |\n|---|---|---|")
    for damage in DAMAGES:
        cells = [" / ".join(share("regions", damage, level, shape) for level in range(3)) for shape in SHAPES]
        print(f"| {damage} | {' | '.join(cells)} |")
    print("\n| strong damage | " + " | ".join(f"{method}, {shape}" for method in methods for shape in SHAPES) + " |")
    print("|---" * (1 + 2 * len(methods)) + "|")
    for damage in DAMAGES:
        print(f"| {damage} | {' | '.join(share(m, damage, 2, shape) for m in methods for shape in SHAPES)} |")
    for method in methods:
        print(
            f"{method}: {np.median([s for key, (_, s) in done.items() if key[0] == method]):.2f} s a photo, the median"
        )


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
