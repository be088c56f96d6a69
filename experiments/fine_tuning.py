"""Measures what fine-tuning all layers gains and which choices matter, and trains the chosen model with several seeds.

For example:

    python experiments/fine_tuning.py search --release biq2021 --checkpoint init --out runs/fine-tuning
    python experiments/fine_tuning.py final --release biq2021 --checkpoint init --out runs/tuned --variant "10 epochs"

`search` trains a head on frozen features, and then all layers from there, once for each variant. It measures as
`experiments/heads.py` does: near-duplicates are kept together, 15 % of their groups validate, and the official test
split is not used. `final` trains one variant on the whole official training split, once for each seed. It writes each
model, and the average of their weights, in the format of `vtiqa convert quantize`. Both are meant for a GPU, which
keeps all photos in memory: 1.8 MB each.
"""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from cyclopts import Parameter
from heads import BASE as HEAD
from heads import HeldOut, fit, training_columns

from vtiqa_jax import cli, sharding
from vtiqa_jax.data import datasets, distorted, image_cache
from vtiqa_jax.data.loader import ImageStore
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.models import adapt, catalog, quantized
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.params import Params
from vtiqa_jax.scoring.steps import make_score_step, round_weights, score_store
from vtiqa_jax.train import PERCENTILE_PHOTOS
from vtiqa_jax.training.features import FeatureStore, compute_features
from vtiqa_jax.training.finetune import FinetuneRecipe

BLOCKS = (4, 6, 8)
HEAD_RECIPE = dataclasses.replace(HEAD, epochs=20, ladders_per_batch=8, ranking_weight=1.0)
BASE = FinetuneRecipe(
    epochs=10,
    batch_size=64,
    peak_lr=1e-4,
    head_lr=3e-4,
    head_dropout=0.05,
    ladders=1,
    ladders_per_batch=8,
    ranking_weight=1.0,
    compute_dtype="bfloat16",
)
VARIANTS: dict[str, dict[str, Any]] = {
    "10 epochs": {},
    "rate 1e-5": {"peak_lr": 1e-5},
    "rate 3e-5": {"peak_lr": 3e-5},
    "rate 3e-5, 20 epochs": {"peak_lr": 3e-5, "epochs": 20},
    "rate 3e-4": {"peak_lr": 3e-4},
    "20 epochs": {"epochs": 20},
    "averaged weights, .998": {"ema": 0.998},
    "drop path .1": {"drop_path": 0.1},
    "layer decay .65": {"layer_decay": 0.65},
    "layer decay 1": {"layer_decay": 1.0},
    "margin 2": {"ranking_margin": 2.0},
    "series' weight .5": {"ranking_weight": 0.5},
    "head's dropout .2": {"head_dropout": 0.2},
    "L1 alone": {"plcc_weight": 0.0},
}


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options of both commands."""

    release: Path
    """Folder of BIQ2021 as it is distributed; it may lack the photos of the test split."""
    checkpoint: Path
    """Backbone of at least 8 blocks, see `vtiqa convert backbone`."""
    out: Path
    """Folder for the results."""
    images: Path | None = None
    """Folder for decoded photos. Below `out` when not given."""
    ladders: int = 2100
    """Number of distortion ladders."""


class Experiment:
    """Photos on the devices, their features by the frozen backbone, and training from one to the other."""

    def __init__(self, arguments: Arguments) -> None:
        found = datasets.read("biq2021", arguments.release, partial=True)
        training = np.flatnonzero(np.array(found.official) == "train")
        self.photos = found.on_common_scale().select(training)
        self.scale = found.info.scale
        self.rows = np.arange(len(training))
        self.longer: Manifest
        self.longer, self.ladders = distorted.add_ladders(self.photos, self.rows, arguments.ladders)
        self.start = adapt.with_readout(catalog.load(arguments.checkpoint), BLOCKS)
        self.config = self.start.config
        began = time.perf_counter()
        cache = image_cache.build_image_cache(self.longer, arguments.images or arguments.out / "images", self.config)
        print(f"{len(self.longer.names)} photos prepared, {time.perf_counter() - began:.0f} s", flush=True)
        self.mesh = sharding.data_mesh(jax.devices()[:1])
        on_device = None if self.mesh.devices.flat[0].platform == "cpu" else True
        self.store = ImageStore(cache, self.mesh, on_device=on_device)
        print(f"on the device: {self.store.on_device}, {time.perf_counter() - began:.0f} s", flush=True)
        backbone = sharding.replicate(self.initial(0), self.mesh)
        folder = arguments.out / "features"
        count, dtype = len(self.longer.names), BASE.compute_dtype
        features = compute_features(self.store, count, backbone, self.config, dtype, folder, lambda _: False)
        self.features = FeatureStore(features, self.mesh)
        print(f"features, {time.perf_counter() - began:.0f} s", flush=True)

    def initial(self, seed: int) -> Params:
        """Returns the backbone and a fresh head."""
        fresh = HEAD_RECIPE.init_head(parameters.init_params(self.config, seed))
        return fresh | {k: v for k, v in self.start.params.items() if parameters.param_group(k)[0] != "head"}

    def with_head(self, rows: np.ndarray, ladders: np.ndarray, seed: int) -> Params:
        """Returns the backbone with a head that learned on its features."""
        columns = training_columns(self.longer, rows, self.ladders)
        params = self.initial(seed)
        head = {k: v for k, v in params.items() if parameters.param_group(k)[0] == "head"}
        return params | jax.device_get(fit(HEAD_RECIPE, self.config, self.features, columns, head, rows, ladders, seed))

    def fine_tune(
        self, recipe: FinetuneRecipe, params: Params, rows: np.ndarray, ladders: np.ndarray, seed: int
    ) -> Params:
        """Trains everything from there; returns it on the host."""
        columns = training_columns(self.longer, rows, self.ladders)
        return jax.device_get(fit(recipe, self.config, self.store, columns, params, rows, ladders, seed))

    def score(self, params: Params, rows: np.ndarray) -> np.ndarray:
        """Scores of stored photos, in standard deviations of the training labels."""
        step = make_score_step(self.config, BASE.compute_dtype, self.mesh)
        return score_store(
            step, round_weights(sharding.replicate(params, self.mesh), BASE.compute_dtype), self.store, rows
        )


def search(arguments: Arguments, minutes: float = 60, only: tuple[str, ...] = ()) -> None:
    """Prints the table of the variants, row by row; those in `results.json` already are not trained again.

    Args:
        arguments: Options of both commands.
        minutes: Time after which no other variant is begun.
        only: Variants to train. All when not given.
    """
    began = time.monotonic()
    file = arguments.out / "results.json"
    results: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}
    lab = Experiment(arguments)
    tokens = lab.features.features[lab.rows, 0, -lab.config.embed_dim :]
    held_out = HeldOut.split(lab.longer, lab.rows, tokens, lab.ladders)
    rows = np.unique(np.concatenate([held_out.val, held_out.val_ladders.ravel()]))

    def report(name: str, params: Params, seconds: float) -> None:
        scores = np.zeros(len(lab.longer.names), np.float32)
        scores[rows] = lab.score(params, rows)
        found = held_out.measure(scores)
        kinds = np.array([lab.longer.names[ladder[1]].rsplit("|", 2)[1] for ladder in held_out.val_ladders])
        levels = scores[held_out.val_ladders]
        fell = (np.diff(levels, axis=1) < 0).all(axis=1)
        worst = sorted((float(fell[kinds == kind].mean()), kind) for kind in set(kinds))
        results[name] = found | {"falling by kind": {kind: share for share, kind in worst}, "seconds": seconds}
        file.write_text(json.dumps(results, indent=1) + "\n")
        print(f"| {name} | {' | '.join(f'{value:.4f}' for value in found.values())} | {seconds:.0f} |", flush=True)

    print("| variant | SRCC | PLCC | mean of subsets | gross noticed | falling | seconds |")
    print("|---" * 7 + "|")
    start = time.perf_counter()
    headed = lab.with_head(held_out.train, held_out.train_ladders, 0)
    report("head alone", headed, time.perf_counter() - start)
    for name in only or VARIANTS:
        if name in results or time.monotonic() - began > 60 * minutes:
            continue
        start = time.perf_counter()
        recipe = dataclasses.replace(BASE, **VARIANTS[name])
        tuned = lab.fine_tune(recipe, headed, held_out.train, held_out.train_ladders, 0)
        report(name, tuned, time.perf_counter() - start)


def final(arguments: Arguments, variant: str, seeds: int = 3) -> None:
    """Writes `seed-0.npz`, ... and `average.npz`.

    Args:
        arguments: Options of both commands.
        variant: Variant of the table.
        seeds: Number of models to train.
    """
    lab = Experiment(arguments)
    recipe = dataclasses.replace(BASE, **VARIANTS[variant])
    mean, std = float(lab.photos.mos.mean()), float(lab.photos.mos.std())
    drawn = np.random.default_rng(0).permutation(lab.rows)[:PERCENTILE_PHOTOS]

    def save(name: str, params: Params) -> None:
        scores = lab.score(params, drawn) * std + mean
        trained = {
            "data": "BIQ2021, official training split",
            "recipe": dataclasses.asdict(recipe) | {"ladders": arguments.ladders},
            "started from": lab.start.provenance,
            "percentiles": {
                kind: np.percentile(values, range(101)).tolist()
                for kind, values in (("labels", lab.photos.mos), ("scores", scores))
            },
        }
        moved = parameters.rescale_head(lab.config, params, std, mean)
        quantized.save(arguments.out / f"{name}.npz", Checkpoint(lab.config, moved, lab.scale, {"trained": trained}))
        print(f"{name}.npz, PLCC on training photos {np.corrcoef(scores, lab.photos.mos[drawn])[0, 1]:.3f}", flush=True)

    headed = lab.with_head(lab.rows, lab.ladders, 0)  # one for all: only models that start alike can be averaged
    found = []
    for seed in range(seeds):
        found.append(lab.fine_tune(recipe, headed, lab.rows, lab.ladders, seed))
        save(f"seed-{seed}", found[-1])
    save("average", {name: np.mean([params[name] for params in found], axis=0) for name in found[0]})


if __name__ == "__main__":
    cli.run_script(search, final, description=__doc__)
