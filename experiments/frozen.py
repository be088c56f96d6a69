"""What helps with a frozen backbone? Heads trained on the class tokens that `experiments/class_tokens.py` wrote.

    python experiments/frozen.py --tokens tokens.npy --scores scores.csv --images photos --group-column subset

The first 80 % of the CSV's rows train, the last 20 % test; with --scene-column 80 % of the photos and 20 %, no scene in
both. Each variant changes one thing of the first row; the table
gives the test SRCC, in total and as the mean of the groups, as mean and spread (largest minus smallest) over seeds.
Each epoch draws one of the stored crops and mosaics of each photo.
"""

import dataclasses
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from class_tokens import GLOBALS
from cyclopts import Parameter

from vtiqa_jax import cli
from vtiqa_jax.data import manifest, splits
from vtiqa_jax.evaluation import metrics
from vtiqa_jax.training.finetune import FinetuneRecipe


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to train a head."""

    blocks: tuple[int, ...] = (8,)
    """Blocks whose class tokens are read, counted from 1."""
    loss: Literal["l1", "l1+plcc", "l1+rank", "l2"] = "l1+plcc"
    augment: bool = True
    ema: float = 0.0
    mosaics: int = 1
    """Mosaics averaged at test time: the centre one and others."""
    average: Literal["features", "scores"] = "features"
    last: Literal["drawn", "zero", "balanced"] = "drawn"
    """How the head's last layer begins: drawn, at zero, or drawn with as many weights below zero as above."""


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """What to measure."""

    tokens: Path
    scores: Path
    images: Path
    group_column: str = "subset"
    scene_column: str | None = None
    seeds: int = 3
    epochs: int = 30
    batch_size: int = 32
    lr: float = 1e-3
    only: tuple[str, ...] = ()
    """Variants to measure; all when not given."""


BASE = Variant()
VARIANTS = {
    "block 8, L1 + PLCC, augmented": BASE,
    "block 12": dataclasses.replace(BASE, blocks=(12,)),
    "blocks 8, 12": dataclasses.replace(BASE, blocks=(8, 12)),
    "blocks 6, 8": dataclasses.replace(BASE, blocks=(6, 8)),
    "blocks 4, 8": dataclasses.replace(BASE, blocks=(4, 8)),
    "blocks 4, 6, 8": dataclasses.replace(BASE, blocks=(4, 6, 8)),
    "blocks 2, 4, 6, 8": dataclasses.replace(BASE, blocks=(2, 4, 6, 8)),
    "blocks 5, 6, 7, 8": dataclasses.replace(BASE, blocks=(5, 6, 7, 8)),
    "blocks 4, 6, 8, 10": dataclasses.replace(BASE, blocks=(4, 6, 8, 10)),
    "blocks 3, 6, 9, 12": dataclasses.replace(BASE, blocks=(3, 6, 9, 12)),
    "all 12 blocks": dataclasses.replace(BASE, blocks=tuple(range(1, 13))),
    "L1": dataclasses.replace(BASE, loss="l1"),
    "L2": dataclasses.replace(BASE, loss="l2"),
    "L1 + rank": dataclasses.replace(BASE, loss="l1+rank"),
    "not augmented": dataclasses.replace(BASE, augment=False),
    "EMA .99": dataclasses.replace(BASE, ema=0.99),
    "EMA .999": dataclasses.replace(BASE, ema=0.999),
    "3 mosaics, features averaged": dataclasses.replace(BASE, mosaics=3),
    "5 mosaics, features averaged": dataclasses.replace(BASE, mosaics=5),
    "5 mosaics, scores averaged": dataclasses.replace(BASE, mosaics=5, average="scores"),
    "last layer at zero": dataclasses.replace(BASE, last="zero"),
    "last layer balanced": dataclasses.replace(BASE, last="balanced"),
    "blocks 4, 6, 8, last layer at zero": Variant(blocks=(4, 6, 8), last="zero"),
    "blocks 4, 6, 8, last layer balanced": Variant(blocks=(4, 6, 8), last="balanced"),
    "blocks 4, 6, 8, EMA .99, 5 mosaics": Variant(blocks=(4, 6, 8), ema=0.99, mosaics=5),
    "blocks 2, 4, 6, 8, EMA .99, 5 mosaics": Variant(blocks=(2, 4, 6, 8), ema=0.99, mosaics=5),
}


def head(params: dict[str, jax.Array], x: jax.Array, key: jax.Array | None) -> jax.Array:
    """The model's head: Dropout .5, 64, ReLU, 8, ReLU, 1."""
    if key is not None:
        x = jnp.where(jax.random.bernoulli(key, 0.5, x.shape), x / 0.5, 0.0)
    x = jax.nn.relu(x @ params["k1"] + params["b1"])
    x = jax.nn.relu(x @ params["k2"] + params["b2"])
    return (x @ params["k3"] + params["b3"])[:, 0]


def loss_of(variant: Variant, scores: jax.Array, labels: jax.Array) -> jax.Array:
    """The loss of a batch of standardised labels."""
    if variant.loss == "l2":
        return ((scores - labels) ** 2).mean()
    if variant.loss == "l1+rank":
        # Pairs in the wrong order cost their distance.
        wanted, found = labels[:, None] - labels[None], scores[:, None] - scores[None]
        return jnp.abs(scores - labels).mean() + jax.nn.relu(-found * jnp.sign(wanted)).mean()
    recipe = FinetuneRecipe(plcc_weight=1.0 if variant.loss == "l1+plcc" else 0.0)
    return recipe.loss(scores, {"labels": labels, "mask": jnp.ones_like(scores)})[0]


def trained(
    variant: Variant, crops: jax.Array, mosaics: jax.Array, labels: np.ndarray, seed: int, arguments: Arguments
) -> dict[str, jax.Array]:
    """A head trained on tokens [views, photos, features]."""
    rng = np.random.default_rng(seed)
    sizes = {"1": (2 * crops.shape[-1], 64), "2": (64, 8), "3": (8, 1)}
    params = {f"k{n}": jnp.array(rng.standard_normal(s) / s[0] ** 0.5, jnp.float32) for n, s in sizes.items()}
    params |= {f"b{n}": jnp.zeros(s[1], jnp.float32) for n, s in sizes.items()}
    if variant.last == "zero":
        params["k3"] *= 0
    if variant.last == "balanced":
        params["k3"] = jnp.abs(params["k3"]) * jnp.array([[1.0], [-1.0]] * 4)
    count, size = len(labels), arguments.batch_size
    steps = arguments.epochs * (count // size)
    schedule = optax.warmup_cosine_decay_schedule(0.0, arguments.lr, max(1, steps // 10), steps)
    tx = optax.adamw(schedule, weight_decay=0.05, mask=lambda p: jax.tree.map(lambda a: a.ndim == 2, p))

    @jax.jit
    def step(state: tuple, x: jax.Array, y: jax.Array, key: jax.Array) -> tuple:
        params, opt_state, average, count = state
        gradient = jax.grad(lambda p: loss_of(variant, head(p, x, key), y))(params)
        updates, opt_state = tx.update(gradient, opt_state, params)
        params = optax.apply_updates(params, updates)
        keep = jnp.minimum(variant.ema, (1 + count) / (10 + count))
        average = jax.tree.map(lambda old, new: keep * old + (1 - keep) * new, average, params)
        return params, opt_state, average, count + 1

    state = (params, tx.init(params), params, jnp.float32(0))
    for _ in range(arguments.epochs):
        order = rng.permutation(count)
        for start in range(0, count - size + 1, size):
            rows = order[start : start + size]
            crop = rng.integers(0, len(crops), size) if variant.augment else np.zeros(size, int)
            mosaic = rng.integers(0, len(mosaics), size) if variant.augment else np.zeros(size, int)
            x = jnp.concatenate([crops[crop, rows], mosaics[mosaic, rows]], 1)
            state = step(state, x, labels[rows], jax.random.key(rng.integers(2**31)))
    return state[2] if variant.ema else state[0]


def main(arguments: Arguments) -> None:
    """Prints the table, row by row."""
    photos = manifest.read_csv(arguments.scores, arguments.images, arguments.group_column, arguments.scene_column)
    tokens = np.load(arguments.tokens, mmap_mode="r")
    mos = photos.mos
    split = splits.random_split(
        len(mos), test_fraction=0.2, val_fraction=0.0, seed=0, in_order=not photos.scenes, scenes=photos.scenes
    )
    labels = ((mos[split.train] - mos[split.train].mean()) / mos[split.train].std()).astype(np.float32)
    groups = [photos.groups[row] for row in split.test]
    names = sorted(set(groups))
    print(f"| variant | SRCC | spread | mean of groups | spread | {' | '.join(names)} | PLCC |")
    print("|---" * (6 + len(names)) + "|")
    for name in arguments.only or VARIANTS:
        variant = VARIANTS[name]
        chosen = np.concatenate([np.asarray(tokens[:, :, b - 1], np.float32) for b in variant.blocks], axis=2)
        crops, mosaics = jnp.array(chosen[: 1 + GLOBALS]), jnp.array(chosen[1 + GLOBALS :])
        found = []
        for seed in range(arguments.seeds):
            params = trained(variant, crops[:, split.train], mosaics[:, split.train], labels, seed, arguments)
            seen = mosaics[: variant.mosaics, split.test]
            if variant.average == "features":
                seen = seen.mean(0, keepdims=True)
            each = [head(params, jnp.concatenate([crops[0, split.test], view], 1), None) for view in seen]
            scores = np.mean(each, axis=0)
            total = metrics.correlations(scores, mos[split.test])
            within = metrics.within_groups(scores, mos[split.test], groups)
            found.append(
                [total.srcc, np.mean([w.srcc for w in within.values()]), *(within[g].srcc for g in names), total.plcc]
            )
        mean, spread = np.mean(found, 0), np.ptp(found, 0)
        row = [
            f"{mean[0]:.4f}",
            f"{spread[0]:.4f}",
            f"{mean[1]:.4f}",
            f"{spread[1]:.4f}",
            *(f"{m:.3f}" for m in mean[2:]),
        ]
        print(f"| {name} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
