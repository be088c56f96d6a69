"""Compares ways to train a head on frozen features, and what it costs to teach it distortions.

For example:

    python experiments/heads.py --release biq2021 --features runs/head/images/features/NAME --ladders 2100

The features are those that `vtiqa train dataset biq2021 --protocol official --val-fraction 0 --recipe.freeze-backbone
--recipe.ladders 2100` left. The official test split is not used: near-duplicates among the training photos are grouped,
and 15 % of the groups validate. The table shows the mean and the range (largest minus smallest) over seeds: first how
well the scores agree with people; then, of the distortion ladders of the validating groups, the share whose strongest
level scores below the pristine photo, and the share whose scores fall from each level to the next. The training step is
that of train.py.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from cyclopts import Parameter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vtiqa_jax import cli, sharding
from vtiqa_jax.data import datasets, distorted, loader, splits
from vtiqa_jax.data.batches import BatchPlan
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.evaluation import metrics
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.params import Params
from vtiqa_jax.training.features import FeatureStore
from vtiqa_jax.training.finetune import FinetuneRecipe
from vtiqa_jax.training.loop import train_epoch
from vtiqa_jax.training.step import init_state, make_key, make_train_step

SIMILAR = 0.92
"""Cosine of the class tokens of the last block, less their mean, above which two photos are near-duplicates."""

BASE = FinetuneRecipe(
    freeze_backbone=True, epochs=40, batch_size=64, head_lr=3e-3, head_dropout=0.05, ladders=1, compute_dtype="float32"
)
VARIANTS: dict[str, dict[str, Any]] = {
    "no series": {"ladders": 0},
    "4 series a step, weight .5, margin 1.4": {},
    "weight .25": {"ranking_weight": 0.25},
    "weight 1": {"ranking_weight": 1.0},
    "margin 2": {"ranking_margin": 2.0},
    "8 series": {"ladders_per_batch": 8},
    "8 series, weight 1": {"ladders_per_batch": 8, "ranking_weight": 1.0},
    "8 series, margin 2": {"ladders_per_batch": 8, "ranking_margin": 2.0},
    "8 series, weight 1, margin 2": {"ladders_per_batch": 8, "ranking_weight": 1.0, "ranking_margin": 2.0},
}


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    release: Path
    """Folder of BIQ2021 as it is distributed."""
    features: Path
    """Folder of the .npy files."""
    ladders: int
    """Number of distortion ladders among them."""
    blocks: tuple[int, ...] = (4, 6, 8)
    """Blocks whose class tokens the features are."""
    seeds: int = 3
    """Number of seeds."""
    only: tuple[str, ...] = ()
    """Variants to measure. All when not given."""


def near_duplicates(tokens: np.ndarray) -> np.ndarray:
    """Numbers the group of each photo: connected by pairs that are more alike than `SIMILAR`."""
    tokens = tokens - tokens.mean(0)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    pairs = [
        np.argwhere(tokens[start : start + 1000] @ tokens.T > SIMILAR) + np.array([start, 0])
        for start in range(0, len(tokens), 1000)
    ]
    rows, columns = np.concatenate(pairs).T
    shape = len(tokens), len(tokens)
    return connected_components(coo_array((np.ones(len(rows), bool), (rows, columns)), shape), directed=False)[1]


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Photos and series that train, and those that validate."""

    photos: Manifest
    """All photos and distorted versions."""
    train: np.ndarray
    val: np.ndarray
    train_ladders: np.ndarray
    val_ladders: np.ndarray

    @classmethod
    def split(cls, photos: Manifest, rows: np.ndarray, tokens: np.ndarray, ladders: np.ndarray) -> "HeldOut":
        """Holds out 15 % of the groups of near-duplicates among `rows`, by their class tokens, and their series."""
        groups = near_duplicates(tokens)
        drawn = np.random.default_rng(1).permutation(groups.max() + 1)[: round(0.15 * (groups.max() + 1))]
        validating = np.isin(groups, drawn)
        val = rows[validating]
        places = {photos.names[row]: row for row in rows}
        owners = np.array([places[photos.names[ladder[0]].rsplit("|", 2)[0]] for ladder in ladders])
        held_out = np.isin(owners, val)
        sizes = Counter(np.bincount(groups).tolist())
        print(f"{(~validating).sum()} photos train, {len(val)} validate; {dict(sorted(sizes.items()))} groups by size")
        print(f"{(~held_out).sum()} series train, {held_out.sum()} validate\n", flush=True)
        return cls(photos, rows[~validating], val, ladders[~held_out], ladders[held_out])

    def measure(self, scores: np.ndarray) -> dict[str, float]:
        """Measures how well the scores of the validating photos, by row, agree with people and with common sense."""
        mos = self.photos.mos[self.val]
        total = metrics.correlations(scores[self.val], mos)
        within = metrics.within_groups(scores[self.val], mos, [self.photos.groups[row] for row in self.val])
        levels = scores[self.val_ladders]
        return {
            "SRCC": total.srcc,
            "PLCC": total.plcc,
            "mean of subsets": float(np.mean([w.srcc for w in within.values()])),
            "gross noticed": float((levels[:, -1] < levels[:, 0]).mean()),
            "falling": float((np.diff(levels, axis=1) < 0).all(axis=1).mean()),
        }


def fit(
    recipe: FinetuneRecipe,
    config: ModelConfig,
    store: loader.Store,
    columns: Mapping[str, np.ndarray],
    params: Params,
    rows: np.ndarray,
    ladders: np.ndarray,
    seed: int,
) -> Params:
    """Trains for all the recipe's epochs. The seed is not the recipe's: one compilation serves all."""
    state, frozen = init_state(recipe, config, params, store.mesh)
    step, key = make_train_step(recipe, config, store.mesh), make_key(seed, store.mesh)
    shown = recipe.ladders_per_batch if recipe.ladders else 0
    plan, schedule = BatchPlan(rows, recipe.batch_size, seed, columns, ladders, shown), recipe.init_schedule()
    for epoch in range(recipe.epochs):
        now = dataclasses.replace(schedule, epoch=epoch)
        state = train_epoch(step, state, frozen, key, store, plan, recipe, now)
    return frozen | state.eval_params


def training_columns(photos: Manifest, train: np.ndarray, ladders: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the columns of a batch beside photos: labels, standardised by those that train, and ladder levels."""
    mean, std = photos.mos[train].mean(), photos.mos[train].std()
    columns = {"labels": ((photos.mos - mean) / std).astype(np.float32)}
    return columns | distorted.ladder_columns(ladders, len(photos.names))


def main(arguments: Arguments) -> None:
    """Prints the table, row by row."""
    found = datasets.read("biq2021", arguments.release)
    photos = found.on_common_scale()
    split = splits.from_parts(found.official, val_fraction=0, seed=0, note="")
    longer, ladders = distorted.add_ladders(photos, split.train, arguments.ladders)
    values = np.concatenate([np.load(file) for file in sorted(arguments.features.glob("*.npy"))])
    if len(values) != len(longer.names):
        raise SystemExit(f"{arguments.features} holds {len(values)} photos, not {len(longer.names)}; see --ladders")
    mesh = sharding.data_mesh(jax.devices()[:1])
    embed = values.shape[2] // len(arguments.blocks)
    config = ModelConfig(embed_dim=embed, depth=max(arguments.blocks), readout_blocks=arguments.blocks)
    store = FeatureStore(values, mesh)
    held_out = HeldOut.split(longer, split.train, values[split.train, 0, -embed:], ladders)
    columns = training_columns(longer, held_out.train, ladders)
    print("| variant | SRCC | spread | PLCC | spread | mean of subsets | gross noticed | falling |")
    print("|---" * 8 + "|")
    for name in arguments.only or VARIANTS:
        rows = []
        for seed in range(arguments.seeds):
            recipe = dataclasses.replace(BASE, **VARIANTS[name])
            head = recipe.init_head(parameters.init_params(config, seed))
            head = {k: v for k, v in head.items() if parameters.param_group(k)[0] == "head"}
            trained = fit(recipe, config, store, columns, head, held_out.train, held_out.train_ladders, seed)
            scores = recipe.learner(config, mesh).score(trained, store, np.arange(len(values)), "float32")
            rows.append(list(held_out.measure(scores).values()))
        middle, spread = np.mean(rows, axis=0), np.ptp(rows, axis=0)
        print(
            f"| {name} | {middle[0]:.4f} | {spread[0]:.4f} | {middle[1]:.4f} | {spread[1]:.4f} | {middle[2]:.3f} |"
            f" {middle[3]:.3f} | {middle[4]:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
