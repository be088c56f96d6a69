"""Measures how well scores order photos of one scene, also by heads that never saw the scene.

For example:

    vtiqa convert backbone vit_s16_224.fp16.npz init
    python experiments/within_scenes.py encode --release biq2021 --checkpoint init --out pretrained.npz
    python experiments/within_scenes.py encode --release biq2021 --checkpoint default --out packaged.npz
    vtiqa score biq2021/Images --out scores.csv
    python experiments/within_scenes.py order --release biq2021 --pretrained pretrained.npz --packaged packaged.npz \\
        --scores scores.csv --out pairs.csv

Photos of one scene are those of one series of `ss01_series.py`; photos of ss01 that are in none are grouped by
`choosing/fingerprints.py`. The packaged model has learnt from the other photos of these scenes. So heads are fitted
without them: ridge regressions on frozen features, in five folds of groups. A group holds the photos of one scene, in
any framing, those that fingerprints connect, and those that `heads.py` takes for near-duplicates. Only the official
training split trains. The penalty is the one that predicts a second fold best. "With siblings" folds single photos
instead, and so shows how much it helps to have seen the scene.

A pair of photos is filed under the first of these that differs: exposure, colour, sharpness, none of them. The tables
show the share of pairs that a number puts in people's order (a tie is half right), with 95 % intervals by bootstrap
over scenes. The last three tables show other weights of detail than that of `rank`, on photos of the training split
first.
"""

import csv
import dataclasses
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from heads import near_duplicates
from jaxtyping import Bool, Float, Int
from scene_pairs import Numbers, Pairs, Pixels, tell
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from ss01_series import read_series
from tqdm import tqdm

from vtiqa_jax import cli
from vtiqa_jax.choosing import fingerprints
from vtiqa_jax.data import datasets
from vtiqa_jax.evaluation import metrics
from vtiqa_jax.models import adapt, catalog, params
from vtiqa_jax.photos.decode import read
from vtiqa_jax.photos.sketch import make_sketch
from vtiqa_jax.training.novelty import read_features

SUBSET = "ss01"
"""The only one with many photos of a scene. In ss03 photos that look alike are the same one, stored twice."""
BLOCKS = 4, 6, 8
"""Whose class tokens a head sees."""
FOLDS = 5
PENALTIES = 10.0 ** np.arange(1, 6)
"""On the squared weights, beside the sum of squared errors of features and opinions of variance 1."""
CLASSICAL = {
    "variance of Laplacian": "laplacian",
    "file size": "size",
    "brightness": "brightness",
    "contrast": "contrast",
}
WEIGHTS = 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1
"""Weights of detail beside a score."""
HELD_OUT = "scenes held out"
OPINIONS = 0.1
"""Distance of opinions, on the scale from 0 to 1, from which they count as different."""


def connect(labels: list[Int[np.ndarray, " photos"]]) -> Int[np.ndarray, " photos"]:
    """Numbers the groups of photos that any of the labels connects; a label below 0 connects none."""
    count = len(labels[0])
    pairs = []
    for label in labels:
        first: dict[int, int] = {}
        pairs += [(first.setdefault(group, row), row) for row, group in enumerate(label.tolist()) if group >= 0]
    rows, columns = np.array(pairs).T
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def numbered(names: list[str | None]) -> Int[np.ndarray, " photos"]:
    """Numbers of names, -1 where there is none."""
    known = {name: number for number, name in enumerate(sorted({name for name in names if name is not None}))}
    return np.array([-1 if name is None else known[name] for name in names])


def fit_held_out(
    features: Float[np.ndarray, "photos features"], mos: Numbers, train: Bool[np.ndarray, " photos"], fold: np.ndarray
) -> Numbers:
    """Predicts the opinion of each photo by a ridge regression on the training photos of the other folds."""
    values = (features - features[train].mean(0)) / np.maximum(features[train].std(0), 1e-6)
    mean, std = mos[train].mean(), mos[train].std()
    targets = (mos - mean) / std
    rows = [train & (fold == number) for number in range(FOLDS)]
    products = np.stack([values[row].T @ values[row] for row in rows])
    sums = np.stack([values[row].T @ targets[row] for row in rows])

    def solve(left_out: set[int], penalty: float) -> np.ndarray:
        kept = [number for number in range(FOLDS) if number not in left_out]
        return np.linalg.solve(products[kept].sum(0) + penalty * np.eye(len(sums[0])), sums[kept].sum(0))

    predicted = np.empty(len(mos))
    for number in range(FOLDS):
        second = (number + 1) % FOLDS
        errors = [
            np.square(values[rows[second]] @ solve({number, second}, penalty) - targets[rows[second]]).mean()
            for penalty in PENALTIES
        ]
        held_out = fold == number
        predicted[held_out] = values[held_out] @ solve({number}, PENALTIES[np.argmin(errors)])
    return predicted * std + mean


def read_scores(path: Path, names: list[str]) -> dict[str, Numbers]:
    """Reads the numbers of `vtiqa score --out`, by photo; nan where there is none."""
    with path.open(newline="") as file:
        rows = {Path(row["image"]).name: row for row in csv.DictReader(file)}
    return {
        column: np.array([float(rows.get(name, {}).get(column) or np.nan) for name in names])
        for column in ("score", "rank", "detail", "holds")
    }


def read_encoded(path: Path) -> dict[str, Float[np.ndarray, " features"]]:
    """Reads the features that `encode` wrote, by photo."""
    stored = np.load(path)
    return dict(zip(stored["names"].tolist(), stored["features"], strict=True))


def pairs_of(scene: Int[np.ndarray, " photos"]) -> Iterator[tuple[int, int]]:
    """Returns the pairs of photos of one scene."""
    for number in range(scene.max() + 1):
        yield from itertools.combinations(np.nonzero(scene == number)[0].tolist(), 2)


def read_release(release: Path) -> tuple[list[Path], Numbers, Bool[np.ndarray, " photos"]]:
    """Returns the photos of BIQ2021, their opinions, and which are of the official training split."""
    found = datasets.read("biq2021", release, partial=True)
    paths = [release / "Images" / name for name in found.photos.names]
    return paths, found.photos.mos, np.array([part == "train" for part in found.official])


def encode(release: Path, checkpoint: str, out: Path, others: int = 10000) -> None:
    """Writes the features of the photos of ss01 and of others.

    Args:
        release: Folder of BIQ2021 as it is distributed.
        checkpoint: Model, or backbone.
        out: File for the features, .npz.
        others: Number of photos of ss02 and ss03, drawn at random.
    """
    model = catalog.load(checkpoint)
    if model.config.kind == "backbone":
        model = adapt.with_readout(model, BLOCKS)
        model = dataclasses.replace(model, params=params.init_params(model.config, 0) | model.params)
    names = sorted(datasets.read("biq2021", release, partial=True).all_names)
    rest = [name for name in names if not name.startswith(SUBSET)]
    drawn = [rest[row] for row in np.random.default_rng(0).permutation(len(rest))[:others]]
    chosen = [release / "Images" / name for name in names if name.startswith(SUBSET)]
    paths = [path for path in chosen + [release / "Images" / name for name in drawn] if path.exists()]
    features = read_features(model, (read(path).pixels for path in tqdm(paths, disable=None)))
    np.savez(out, names=[path.name for path in paths], features=features)


def head(features: str, how: str = HELD_OUT) -> str:
    """Returns the name of a fitted head."""
    return f"head on {features} features, {how}"


def take_fingerprint(path: Path) -> fingerprints.Fingerprint:
    """Returns the fingerprint of a photo."""
    return fingerprints.fingerprint(make_sketch(read(path).pixels).grey)


def find_scenes(
    paths: list[Path], tokens: Float[np.ndarray, "photos width"]
) -> tuple[Int[np.ndarray, " photos"], Int[np.ndarray, " photos"]]:
    """Returns the number of each photo's scene, -1 for none, and that of its group, which trains or is held out whole.

    Args:
        paths: of the photos.
        tokens: class tokens by which near-duplicates are known.
    """
    with ThreadPoolExecutor() as pool:
        prints = [*tqdm(pool.map(take_fingerprint, paths), "fingerprints", len(paths), disable=None)]
    alike = fingerprints.group_similar(np.stack(prints))
    known = read_series()
    series = [known.get(path.name) for path in paths]
    found = [
        f"alike {number}" if number >= 0 and path.name.startswith(SUBSET) else None
        for path, number in zip(paths, alike, strict=True)
    ]
    scene = numbered([one or other for one, other in zip(series, found, strict=True)])
    broad = numbered([one and one.split("/")[0] for one in series])
    return scene, connect([broad, alike, near_duplicates(tokens)])


def order(release: Path, pretrained: Path, packaged: Path, scores: Path, out: Path) -> None:
    """Prints the tables.

    Args:
        release: Folder of BIQ2021 as it is distributed.
        pretrained: Features by a backbone that saw no opinions.
        packaged: Features by the packaged model.
        scores: CSV that `vtiqa score --out` wrote, of the test photos at least.
        out: CSV for the pairs.
    """
    by_pretrained, by_packaged = read_encoded(pretrained), read_encoded(packaged)
    paths, mos, train = read_release(release)
    known = [row for row, path in enumerate(paths) if path.name in by_pretrained.keys() & by_packaged.keys()]
    paths, mos, train = [paths[row] for row in known], mos[known], train[known]
    names = [path.name for path in paths]
    clean, tuned = (np.stack([by[name] for name in names]).astype(float) for by in (by_pretrained, by_packaged))
    width = clean.shape[1] // 2 // len(BLOCKS)
    scene, group = find_scenes(paths, clean[:, width * (len(BLOCKS) - 1) : width * len(BLOCKS)])
    several = (scene >= 0) & (np.bincount(scene + 1)[scene + 1] > 1)
    sizes = np.bincount(group)
    print(f"{several.sum()} photos in {len(set(scene[several]))} scenes of {len(set(group[several]))} groups", end="")
    print(f"; {len(sizes)} groups of {len(names)} photos, the largest of {sizes.max()}")

    rng = np.random.default_rng(0)
    folds = {HELD_OUT: rng.integers(0, FOLDS, len(sizes))[group]}
    folds["with siblings"] = rng.integers(0, FOLDS, len(names))
    judges: dict[str, Numbers] = read_scores(scores, names)
    heads: dict[str, Numbers] = {}
    for which, features in (("packaged", tuned), ("pretrained", clean)):
        for how, fold in folds.items():
            name = head(which, how)
            heads[name] = fit_held_out(features, mos, train, fold)
            print(f"{name}: SRCC {metrics.correlations(heads[name][~train], mos[~train]).srcc:.3f} of the test split")

    rows = np.nonzero(several)[0].tolist()
    with ThreadPoolExecutor() as pool:
        pixels = dict(zip(rows, pool.map(Pixels.measure, [paths[row] for row in rows]), strict=True))
    classical = {name: np.full(len(names), np.nan) for name in CLASSICAL}
    for name, field in CLASSICAL.items():
        classical[name][rows] = [getattr(pixels[row], field) for row in rows]

    listed = [(one, two) for one, two in pairs_of(scene) if mos[one] != mos[two]]
    first, second = np.array(listed).T
    kinds = np.array([pixels[one].differs(pixels[two]) for one, two in listed])
    pairs = Pairs(first, second, kinds, mos[first] - mos[second], scene[first])
    both = ~train[first] & ~train[second]
    apart = np.abs(pairs.gaps) >= OPINIONS
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["first", "second", "scene", "differs", "gap", "test"])
        columns = first, second, scene[first], kinds, pairs.gaps, both
        writer.writerows((names[one], names[two], *rest) for one, two, *rest in zip(*columns, strict=True))

    everything, laplacian = judges | heads | classical, "variance of Laplacian"
    compared = (("score", laplacian), ("rank", "score"), ("score", head("packaged")), ("score", head("pretrained")))
    tell(f"Both of the test split, opinions {OPINIONS} apart", pairs.where(both & apart), everything, compared)
    tell("Both of the test split, any opinions", pairs.where(both), everything, compared)
    compared = tuple((head(which), laplacian) for which in ("packaged", "pretrained"))
    tell(f"All photos, opinions {OPINIONS} apart", pairs.where(apart), heads | classical, compared)
    tell("All photos, any opinions", pairs, heads | classical, compared)

    detail = judges["detail"]
    known_detail = apart & ~np.isnan(detail[first] + detail[second])
    seen, unseen = pairs.where(train[first] & train[second] & known_detail), pairs.where(both & known_detail)
    learnt = {head(which): 1 + 4 * heads[head(which)] for which in ("packaged", "pretrained")}
    for name, part, score in (
        *((name, seen, score) for name, score in learnt.items()),
        ("score", unseen, judges["score"]),
    ):
        split = "training" if part is seen else "test"
        mixed = {f"{weight:g} of detail": (1 - weight) * score + weight * detail for weight in WEIGHTS}
        tell(f"Both of the {split} split, opinions {OPINIONS} apart, {name} with detail", part, mixed, ())


if __name__ == "__main__":
    cli.run_script(encode, order, description=__doc__)
