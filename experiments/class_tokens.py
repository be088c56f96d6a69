"""The class tokens of a frozen backbone after each of its blocks, for every photo and several views, in one file.

    python experiments/class_tokens.py --scores scores.csv --images photos --checkpoint checkpoints/vit --out tokens.npy

Writes float16 [views, photos, blocks, width]; the views are the centre crop, GLOBALS random crops (half of them
mirrored), the centre mosaic and MOSAICS random mosaics. `experiments/frozen.py` reads it.
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from cyclopts import Parameter
from tqdm import tqdm

from vtiqa_jax import cli
from vtiqa_jax.data import image_cache, manifest
from vtiqa_jax.models import catalog, params, views
from vtiqa_jax.models.vit import VisionTransformer, select_implementation
from vtiqa_jax.training.finetune import FinetuneRecipe

GLOBALS = 3
MOSAICS = 6


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to compute."""

    scores: Path
    images: Path
    checkpoint: Path
    out: Path
    image_cache: Path = Path("runs/images")
    batch_size: int = 16


def main(arguments: Arguments) -> None:
    """Computes in bfloat16, one view of a batch at a time; a file cut off is completed by running again."""
    start = catalog.load(arguments.checkpoint)
    config = start.config
    implementation = select_implementation(jax.devices()[0], "bfloat16")
    graphdef, _ = params.abstract_model(config, "bfloat16", implementation)

    @jax.jit
    def tokens(weights: params.Params, view: jax.Array) -> jax.Array:
        vit: VisionTransformer = params.merge_params(graphdef, weights)  # type: ignore[assignment]
        x = vit.embed(views.normalize(view))
        found = []
        for block in vit.blocks:
            x = block(x)
            found.append(vit.norm(x[:, 0]))
        return jnp.stack(found, 1).astype(jnp.float16)

    photos = manifest.read_csv(arguments.scores, arguments.images)
    cache = image_cache.build_image_cache(photos, arguments.image_cache, config)
    count, size = len(photos.names), arguments.batch_size
    shape = (2 + GLOBALS + MOSAICS, count, config.depth, config.embed_dim)
    found = np.lib.format.open_memmap(arguments.out, mode="w+", dtype=np.float16, shape=shape)

    @jax.jit
    def augment(key: jax.Array, small: jax.Array, large: jax.Array) -> tuple[jax.Array, jax.Array]:
        return FinetuneRecipe().augment(key, {"global_images": small, "local_images": large}, config)

    @jax.jit
    def centered(small: jax.Array, large: jax.Array) -> tuple[jax.Array, jax.Array]:
        mosaic = views.keep(large, config.eval_cuts[1])
        return views.center_crop(small, config.view_size), mosaic

    for first in tqdm(range(0, count, size), "class tokens", disable=None):
        rows = np.minimum(np.arange(first, first + size), count - 1)
        small, large = jnp.array(cache.global_images[rows]), jnp.array(cache.local_images[rows])
        drawn = [augment(jax.random.key(first * 100 + draw), small, large) for draw in range(max(GLOBALS, MOSAICS))]
        crop, mosaic = centered(small, large)
        crops = [crop, *(pair[0] for pair in drawn[:GLOBALS])]
        mosaics = [mosaic, *(pair[1] for pair in drawn[:MOSAICS])]
        for index, view in enumerate([*crops, *mosaics]):
            found[index, first : first + size] = np.asarray(tokens(start.params, view))[: count - first]


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
