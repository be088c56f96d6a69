"""Which block of a frozen backbone knows most about quality? Ridge regression on the class tokens of both views.

    python experiments/ridge_by_block.py --scores scores.csv --images photos --checkpoint checkpoints/vit

The first 80 % of the CSV's rows train, the last 20 % test; the penalty is chosen on the last eighth of the first.
The class token after each block goes through the backbone's final norm.
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
from vtiqa_jax.evaluation import metrics
from vtiqa_jax.models import catalog, params, views
from vtiqa_jax.models.vit import VisionTransformer, select_implementation

PENALTIES = 10.0 ** np.arange(0, 6)


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to measure."""

    scores: Path
    images: Path
    checkpoint: Path
    image_cache: Path = Path("runs/images")
    batch_size: int = 30


def ridge(features: np.ndarray, mos: np.ndarray, penalty: float, unseen: np.ndarray) -> np.ndarray:
    """Predictions for `unseen` [m, d] from `features` [n, d], both standardised by the latter."""
    mean, std = features.mean(0), features.std(0) + 1e-6
    x, y = (features - mean) / std, mos - mos.mean()
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
    return (unseen - mean) / std @ weights + mos.mean()


def main(arguments: Arguments) -> None:
    """Prints a table: block, penalty, SRCC and PLCC of the last 20 %."""
    start = catalog.load(arguments.checkpoint)
    config = start.config
    implementation = select_implementation(jax.devices()[0], "bfloat16")
    graphdef, _ = params.abstract_model(config, "bfloat16", implementation)

    @jax.jit
    def tokens(weights: params.Params, small: jax.Array, large: jax.Array) -> jax.Array:
        vit: VisionTransformer = params.merge_params(graphdef, weights)  # type: ignore[assignment]
        mosaic = views.keep(large, config.eval_cuts[1])
        x = vit.embed(views.normalize(jnp.concatenate([views.center_crop(small, config.view_size), mosaic])))
        found = []
        for block in vit.blocks:
            x = block(x)
            found.append(jnp.concatenate(jnp.split(vit.norm(x[:, 0]), 2), axis=1))
        return jnp.stack(found)

    photos = manifest.read_csv(arguments.scores, arguments.images)
    cache = image_cache.build_image_cache(photos, arguments.image_cache, config)
    count, size = len(photos.names), arguments.batch_size
    found = []
    for first in tqdm(range(0, count, size), "class tokens", disable=None):
        rows = np.minimum(np.arange(first, first + size), count - 1)
        batch = tokens(start.params, cache.global_images[rows], cache.local_images[rows])
        found.append(np.asarray(batch, np.float64)[:, : count - first])
    features, mos = np.concatenate(found, axis=1), photos.mos.astype(np.float64)
    learning = count - round(0.2 * count)
    fitting = learning - learning // 8
    print("| after block | penalty | SRCC | PLCC |\n|---|---|---|---|")
    for block, x in enumerate(features):

        def chosen_by(penalty: float, x: np.ndarray = x) -> float:
            guess = ridge(x[:fitting], mos[:fitting], penalty, x[fitting:learning])
            return metrics.correlations(guess, mos[fitting:learning]).srcc

        penalty = max(PENALTIES, key=chosen_by)
        guess = ridge(x[:learning], mos[:learning], penalty, x[learning:])
        figures = metrics.correlations(guess, mos[learning:])
        print(f"| {block + 1} | {penalty:g} | {figures.srcc:.3f} | {figures.plcc:.3f} |", flush=True)


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
