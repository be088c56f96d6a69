"""Measures a model on BIQ2021's official test split, with and without the near-duplicates of training photos.

For example:

    python experiments/test_split.py --release biq2021 --backbone init

Near-duplicates are those of `experiments/heads.py`, found by the class tokens of the eighth block of `--backbone`.
`--out` keeps scores and tokens, which are not computed again. Intervals are of 95 %, by bootstrap over photos.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from cyclopts import Parameter
from heads import near_duplicates
from tqdm import tqdm

import vtiqa_jax
from vtiqa_jax import cli
from vtiqa_jax.data import datasets
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.evaluation import metrics
from vtiqa_jax.models import catalog, params, views
from vtiqa_jax.models.vit import VisionTransformer, select_implementation
from vtiqa_jax.photos.decode import decode
from vtiqa_jax.photos.resize import resize_bicubic

BLOCK = 8
BATCH = 4


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    release: Path
    """Folder of BIQ2021 as it is distributed."""
    backbone: str
    """Backbone that finds near-duplicates."""
    checkpoint: str = "default"
    """Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model."""
    out: Path = Path("runs/test-split")
    """Folder for scores and tokens."""


def kept(file: Path, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Returns what the file holds; computes and writes it if there is no file."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, compute())
    return np.load(file)


def class_tokens(photos: Manifest, backbone: str) -> np.ndarray:
    """Computes the class tokens of the centre crop of every photo, after block 8."""
    start = catalog.load(backbone)
    graphdef, _ = params.abstract_model(start.config, "bfloat16", select_implementation(jax.devices()[0], "bfloat16"))

    @jax.jit
    def encode(weights: params.Params, small: jax.Array) -> jax.Array:
        vit: VisionTransformer = params.merge_params(graphdef, weights)  # type: ignore[assignment]
        x = vit.embed(views.normalize(views.center_crop(small, start.config.view_size)))
        for block in vit.blocks[:BLOCK]:
            x = block(x)
        return vit.norm(x[:, 0])

    found = []
    for first in tqdm(range(0, len(photos.names), BATCH), "class tokens"):
        names = photos.names[first : first + BATCH]
        small = [
            resize_bicubic(decode("", photos.images.read(name)).pixels, start.config.global_resize) for name in names
        ]
        found.append(encode(start.params, np.stack(small)))
    return np.concatenate(found)


def main(arguments: Arguments) -> None:
    """Prints the table."""
    dataset = datasets.read("biq2021", arguments.release)
    photos, official = dataset.on_common_scale(), np.array(dataset.official)
    test = np.flatnonzero(official == "test")
    scorer = vtiqa_jax.load(arguments.checkpoint)
    values = kept(
        arguments.out / "scores.npy",
        lambda: scorer.score([dataset.photos.images.path(photos.names[row]) for row in test]),  # type: ignore[attr-defined]
    )
    scores = dict(zip(test.tolist(), values, strict=True))
    groups = near_duplicates(kept(arguments.out / "tokens.npy", lambda: class_tokens(photos, arguments.backbone)))
    alone = test[~np.isin(groups[test], groups[official == "train"])]
    subset_means = {
        name: photos.mos[(official == "train") & (np.array(photos.groups) == name)].mean()
        for name in set(photos.groups)
    }
    print("| test photos | n | SRCC | PLCC | its subset's mean alone |\n|---|---|---|---|---|")
    for title, rows in (("all", test), ("without near-duplicates in training", alone)):
        for subset in ("", *sorted(set(photos.groups))):
            chosen = [row for row in rows if subset in ("", photos.groups[row])]
            mine, mos = np.array([scores[row] for row in chosen]), photos.mos[chosen]
            total, bounds = metrics.correlations(mine, mos), metrics.bootstrap_ci(mine, mos)
            guess = metrics.correlations(np.array([subset_means[photos.groups[row]] for row in chosen]), mos).srcc
            cells = [
                f"{getattr(total, name):.3f} [{bounds[name][0]:.3f}, {bounds[name][1]:.3f}]"
                for name in ("srcc", "plcc")
            ]
            print(f"| {title}{f', {subset}' if subset else ''} | {len(chosen)} | {' | '.join(cells)} | {guess:.3f} |")


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
