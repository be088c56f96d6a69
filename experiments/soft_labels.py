"""Do soft labels help? A head predicts how opinions are spread over five levels, as in DeQA-Score (CVPR 2025).

    python experiments/soft_labels.py --release biq2021 --features runs/intervals/untuned.npy --photos 5200

The features are those of the untuned backbone that `experiments/intervals.py` left, of training photos. Two layers
learn either the mean opinion or, by cross entropy, the shares of a normal law of that mean at the levels 1 to 5, whose
mean is then the score. Three folds, near-duplicates kept together; mean of two seeds.
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.stats
from cyclopts import Parameter
from heads import near_duplicates
from jax.nn import log_softmax, relu, softmax

from vtiqa_jax import cli
from vtiqa_jax.data import datasets
from vtiqa_jax.evaluation import metrics

EPOCHS, BATCH, FOLDS, WIDTH = 30, 64, 3, 64
LEVELS = np.arange(1, 6)
VARIANTS = {"L1": None, "L1 + PLCC": None, "L2": None, "soft, spread .25": 0.25, "soft, .4": 0.4, "soft, .8": 0.8}
"""Of single opinions, points; about .8 is what people have."""


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Where everything is."""

    release: Path
    features: Path
    photos: int = 4800
    """See `experiments/intervals.py`."""


def spread_labels(opinions: np.ndarray, spread: float) -> np.ndarray:
    """The shares of people at each level."""
    edges = np.array([-np.inf, *(LEVELS[:-1] + 0.5), np.inf])
    return np.diff(scipy.stats.norm.cdf((edges - opinions[:, None]) / spread), axis=1)


def loss(name: str, found: jax.Array, wanted: jax.Array) -> jax.Array:
    """What a variant minimises."""
    if name.startswith("soft"):
        return -(wanted * log_softmax(found)).sum(1).mean()
    apart = found[:, 0] - wanted[:, 0]
    plcc = jnp.corrcoef(found[:, 0], wanted[:, 0])[0, 1] if "PLCC" in name else 1.0
    return (jnp.square(apart) if name == "L2" else jnp.abs(apart)).mean() + 1 - plcc


def train(name: str, features: np.ndarray, labels: np.ndarray, tested: np.ndarray, seed: int) -> np.ndarray:
    """What the head says of the tested photos."""
    first, second, key = jax.random.split(jax.random.key(seed), 3)
    sizes = features.shape[1], WIDTH, labels.shape[1]
    params = {
        "first": jax.random.normal(first, sizes[:2]) / sizes[0] ** 0.5,
        "second": jax.random.normal(second, sizes[1:]) / sizes[1] ** 0.5,
        "bias": jnp.zeros(WIDTH),
        "last": jnp.zeros(sizes[2]),
    }
    steps = len(features) // BATCH
    optimizer = optax.adamw(optax.cosine_decay_schedule(1e-3, EPOCHS * steps), weight_decay=0.05)

    def predict(params: dict[str, jax.Array], seen: jax.Array) -> jax.Array:
        return relu(seen @ params["first"] + params["bias"]) @ params["second"] + params["last"]

    @jax.jit
    def step(params: dict[str, jax.Array], state: optax.OptState, seen: jax.Array, wanted: jax.Array, key: jax.Array):
        kept = seen * jax.random.bernoulli(key, 0.9, seen.shape) / 0.9
        slopes = jax.grad(lambda params: loss(name, predict(params, kept), wanted))(params)
        updates, state = optimizer.update(slopes, state, params)
        return optax.apply_updates(params, updates), state

    state, rng = optimizer.init(params), np.random.default_rng(seed)
    orders = np.concatenate([rng.permutation(len(features))[: steps * BATCH] for _ in range(EPOCHS)])
    for number, rows in enumerate(orders.reshape(-1, BATCH)):
        params, state = step(params, state, features[rows], labels[rows], jax.random.fold_in(key, number))
    return np.asarray(predict(params, jnp.asarray(tested)))


def main(arguments: Arguments) -> None:
    """Prints a line for each variant."""
    dataset = datasets.read("biq2021", arguments.release)
    drawn = np.random.default_rng(0).permutation(len(dataset.photos.names))[: arguments.photos]
    drawn = drawn[np.array(dataset.official)[drawn] == "train"]
    opinions = dataset.on_common_scale().mos[drawn].astype(np.float64)
    features = np.load(arguments.features).astype(np.float32)
    groups = near_duplicates(features[:, 768:1152])
    folds = (np.random.default_rng(0).permutation(groups.max() + 1) % FOLDS)[groups]
    features = (features - features.mean(0)) / (features.std(0) + 0.05 * np.median(features.std(0)))
    for name, spread in VARIANTS.items():
        standard = (opinions - opinions.mean())[:, None] / opinions.std()
        labels = (standard if spread is None else spread_labels(opinions, spread)).astype(np.float32)
        found = []
        for seed in (0, 1):
            scores = np.empty(len(opinions))
            for fold in range(FOLDS):
                rest = folds != fold
                said = train(name, features[rest], labels[rest], features[~rest], seed)
                scores[~rest] = said[:, 0] if spread is None else softmax(said) @ LEVELS
            found.append(metrics.correlations(scores, opinions))
        srcc, plcc = ([getattr(each, kind) for each in found] for kind in ("srcc", "plcc"))
        print(
            f"| {name} | {np.mean(srcc):.4f} | {np.ptp(srcc):.4f} | {np.mean(plcc):.4f} | {np.ptp(plcc):.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
