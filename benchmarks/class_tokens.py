"""The class tokens of a frozen backbone after each of its blocks, for every photo and several views, in one file.

    python benchmarks/class_tokens.py --scores scores.csv --images photos --init checkpoints/vit --out tokens.npy

Writes float16 [views, photos, blocks, width]; the views are the centre crop, GLOBALS random crops (half of them
mirrored), the centre mosaic and MOSAICS random mosaics. `benchmarks/frozen.py` reads it.
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from tqdm import tqdm

from vtiqa_jax import manifest, models, params, prepared, views
from vtiqa_jax.model import VisionTransformer

GLOBALS = 3
MOSAICS = 6


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to compute."""

    scores: Path
    images: Path
    init: Path
    out: Path
    prepared: Path = Path("runs/prepared")
    batch_size: int = 16


def main(arguments: Arguments) -> None:
    """Computes in bfloat16, one view of a batch at a time; a file cut off is completed by running again."""
    start = models.load(arguments.init)
    config = start.config
    graphdef, _ = params.abstract(config, "bfloat16")

    @jax.jit
    def tokens(weights: params.Params, view: jax.Array) -> jax.Array:
        vit: VisionTransformer = params.merge(graphdef, weights)  # type: ignore[assignment]
        x = vit.embed(views.normalise(view))
        found = []
        for block in vit.blocks:
            x = block(x)
            found.append(vit.norm(x[:, 0]))
        return jnp.stack(found, 1).astype(jnp.float16)

    photos = manifest.read(arguments.scores, arguments.images)
    arrays = prepared.prepare(photos.paths, arguments.prepared, config)
    count, size = len(photos.names), arguments.batch_size
    shape = (2 + GLOBALS + MOSAICS, count, config.depth, config.width)
    found = np.lib.format.open_memmap(arguments.out, mode="w+", dtype=np.float16, shape=shape)
    augment = jax.jit(lambda key, small, large: views.augment(key, small, large, config))
    for first in tqdm(range(0, count, size), "class tokens", disable=None):
        rows = np.minimum(np.arange(first, first + size), count - 1)
        small, large = jnp.array(arrays.global_versions[rows]), jnp.array(arrays.local_versions[rows])
        drawn = [augment(jax.random.key(first * 100 + draw), small, large) for draw in range(max(GLOBALS, MOSAICS))]
        crops = [views.centre_global(small, config), *(pair[0] for pair in drawn[:GLOBALS])]
        mosaics = [views.still_mosaic(large, config), *(pair[1] for pair in drawn[:MOSAICS])]
        for index, view in enumerate([*crops, *mosaics]):
            found[index, first : first + size] = np.asarray(tokens(start.params, view))[: count - first]


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))
