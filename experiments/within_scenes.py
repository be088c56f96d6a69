"""In which order do scores put photos of one scene, of scenes that trained nothing?

    vtiqa convert backbone vit_s16_224.fp16.npz init
    python experiments/within_scenes.py encode --release biq2021 --checkpoint init --out pretrained.npz
    python experiments/within_scenes.py encode --release biq2021 --checkpoint default --out packaged.npz
    vtiqa score biq2021/Images --out scores.csv
    python experiments/within_scenes.py order --release biq2021 --pretrained pretrained.npz --packaged packaged.npz \
        --scores scores.csv --out pairs.csv

Photos of one scene are those of one series of `ss01_series.py` and, of the photos that are in none, those that
`gallery/fingerprints.py` groups. The packaged model has learnt from the other photos of these scenes. So heads are
fitted without them: ridge regressions on frozen features, in five folds of groups. A group holds what is of one
scene, in any framing, what fingerprints connect, and what `heads.py` takes for near-duplicates. Only the official
training split trains. The penalty is the one that predicts a second fold best. "With siblings" folds single photos
instead, and shows what it helps to have seen the scene.

A pair of photos is told apart by the first that differs: exposure, colour, sharpness, contrast, none of them. The
tables give the share of pairs that a number puts in people's order (a tie is half right) with 95 % intervals by
bootstrap over groups.
"""

import csv
import dataclasses
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import tyro
from heads import near_duplicates
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from ss01_series import read_series
from tqdm import tqdm

from vtiqa_jax.data import datasets
from vtiqa_jax.data.light import GAMMA, to_light
from vtiqa_jax.evaluation import metrics
from vtiqa_jax.gallery import fingerprints, preview
from vtiqa_jax.models import adapt, catalog, params
from vtiqa_jax.photos.decode import read
from vtiqa_jax.photos.resize import make_thumbnail
from vtiqa_jax.training.novelty import read_features

app = tyro.extras.SubcommandApp()

BLOCKS = 4, 6, 8
"""Whose class tokens a head sees."""
FOLDS = 5
PENALTIES = 10.0 ** np.arange(1, 6)
"""On the squared weights, beside the sum of squared errors of features and opinions of variance 1."""
DRAWS = 2000
OPINIONS = 0.1
"""Of the scale of 0 to 1: opinions that are so far apart are called different."""
STOPS, COLOUR, SHARPNESS, CONTRAST = 0.5, 3.0, 1.25, 1.1
"""From which photos differ: stops of mean light, mean a* and b*, or mean chroma, of CIELAB, and factors between the
variances of the Laplacian and the standard deviations of brightness, both at the same mean light."""
KINDS = "exposure", "colour", "sharpness", "contrast", "none"
"""What differs, in this order."""

Numbers = Float[np.ndarray, " photos"]


@dataclasses.dataclass(frozen=True)
class Pixels:
    """What is measured on one photo."""

    stops: float
    a: float
    b: float
    chroma: float
    even_laplacian: float
    """At the mean light of all photos, as `even_contrast`."""
    even_contrast: float
    laplacian: float
    contrast: float
    brightness: float
    size: float
    """Of the file, bytes."""

    @classmethod
    def measure(cls, path: Path) -> "Pixels":
        """Measures a photo as its file holds it."""
        photo = read(path).pixels
        light = to_light(photo)
        mean = max(float(light.mean()), 1e-4)
        grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
        even = cv2.cvtColor((light * np.float32(0.2 / mean)) ** np.float32(1 / GAMMA), cv2.COLOR_RGB2GRAY)
        lab = cv2.cvtColor(photo.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        return cls(
            stops=float(np.log2(mean)),
            a=float(lab[:, :, 1].mean()),
            b=float(lab[:, :, 2].mean()),
            chroma=float(np.hypot(lab[:, :, 1], lab[:, :, 2]).mean()),
            even_laplacian=float(cv2.Laplacian(even, -1).var()),
            even_contrast=float(even.std()),
            laplacian=float(cv2.Laplacian(grey, -1).var()),
            contrast=float(grey.std()),
            brightness=float(grey.mean()),
            size=float(path.stat().st_size),
        )

    def differs(self, other: "Pixels") -> str:
        """Names the first of `KINDS` by which another photo differs."""
        colours = np.hypot(self.a - other.a, self.b - other.b), abs(self.chroma - other.chroma)
        laplacians, contrasts = (
            max(pair) / max(min(pair), 1e-9)
            for pair in ((self.even_laplacian, other.even_laplacian), (self.even_contrast, other.even_contrast))
        )
        found = (
            abs(self.stops - other.stops) > STOPS,
            max(colours) > COLOUR,
            laplacians > SHARPNESS,
            contrasts > CONTRAST,
            True,
        )
        return KINDS[found.index(True)]


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


def interval(right: Float[np.ndarray, " pairs"], groups: Int[np.ndarray, " pairs"]) -> tuple[float, float]:
    """95 % of the share that is right, by bootstrap over groups of pairs."""
    _, places = np.unique(groups, return_inverse=True)
    counts, sums = np.bincount(places), np.bincount(places, right)
    drawn = np.random.default_rng(0).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), DRAWS)
    low, high = np.percentile(drawn @ sums / (drawn @ counts), [2.5, 97.5])
    return low, high


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of photos of one scene whose opinions are not the same."""

    first: Int[np.ndarray, " pairs"]
    second: Int[np.ndarray, " pairs"]
    kinds: np.ndarray
    """What differs."""
    gaps: Float[np.ndarray, " pairs"]
    """The first's opinion less the second's."""
    groups: Int[np.ndarray, " pairs"]
    """What a bootstrap draws."""

    def where(self, which: Bool[np.ndarray, " pairs"]) -> "Pairs":
        """Some of the pairs."""
        return Pairs(*(getattr(self, field.name)[which] for field in dataclasses.fields(self)))

    def right(self, numbers: Numbers) -> Float[np.ndarray, " pairs"]:
        """1 where the numbers put a pair in people's order, 0 where not, a half where they are equal or unknown."""
        order = np.sign(numbers[self.first] - numbers[self.second]) * np.sign(self.gaps)
        return (np.nan_to_num(order) + 1) / 2


def tell(title: str, pairs: Pairs, judges: dict[str, Numbers]) -> None:
    """Prints one table: a row for each judge, a column for each kind of pair."""
    parts = {kind: pairs.where(pairs.kinds == kind) for kind in KINDS} | {"all": pairs}
    parts = {kind: part for kind, part in parts.items() if len(part.first)}
    print(f"\n{title}\n\n| by | {' | '.join(parts)} |\n{'|---' * (len(parts) + 1)}|")
    print(f"| pairs | {' | '.join(str(len(part.first)) for part in parts.values())} |")
    print(f"| groups | {' | '.join(str(len(set(part.groups))) for part in parts.values())} |")
    for name, numbers in judges.items():
        cells = []
        for part in parts.values():
            right = part.right(numbers)
            low, high = interval(right, part.groups)
            cells.append(f"{right.mean():.2f} [{low:.2f}, {high:.2f}]")
        print(f"| {name} | {' | '.join(cells)} |")


def read_scores(path: Path, names: list[str]) -> dict[str, Numbers]:
    """Reads the numbers of `vtiqa score --out`, by photo; nan where there is none."""
    with path.open(newline="") as file:
        rows = {Path(row["image"]).name: row for row in csv.DictReader(file)}
    return {
        column: np.array([float(rows.get(name, {}).get(column) or np.nan) for name in names])
        for column in ("score", "rank", "detail", "holds")
    }


def read_encoded(path: Path, names: list[str]) -> Float[np.ndarray, "photos features"]:
    """Reads the features that `encode` wrote, in the order of names."""
    stored = np.load(path)
    rows = {name: row for row, name in enumerate(stored["names"].tolist())}
    return stored["features"][[rows[name] for name in names]].astype(np.float64)


def pairs_of(scene: Int[np.ndarray, " photos"]) -> Iterator[tuple[int, int]]:
    """The pairs of photos of one scene."""
    for number in range(scene.max() + 1):
        yield from itertools.combinations(np.nonzero(scene == number)[0].tolist(), 2)


def read_release(release: Path) -> tuple[list[Path], Numbers, Bool[np.ndarray, " photos"]]:
    """Returns the photos of BIQ2021, their opinions, and which are of the official training split."""
    found = datasets.read("biq2021", release, partial=True)
    paths = [release / "Images" / name for name in found.photos.names]
    return paths, found.photos.mos, np.array([part == "train" for part in found.official])


@app.command
def encode(release: Path, checkpoint: str, out: Path) -> None:
    """Writes the features of all photos.

    Args:
        release: BIQ2021 as it is distributed.
        checkpoint: a model, or a backbone.
        out: the .npz file.
    """
    model = catalog.load(checkpoint)
    if model.config.kind == "backbone":
        model = adapt.with_readout(model, BLOCKS)
        model = dataclasses.replace(model, params=params.init_params(model.config, 0) | model.params)
    paths, _, _ = read_release(release)
    features = read_features(model, (read(path).pixels for path in tqdm(paths, disable=None)))
    np.savez(out, names=[path.name for path in paths], features=features)


def take_fingerprint(path: Path) -> fingerprints.Fingerprint:
    """The fingerprint of a photo's thumbnail."""
    return fingerprints.fingerprint(make_thumbnail(read(path).pixels, preview.THUMBNAIL_SIDE))


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
    found = [f"alike {number}" if number >= 0 else None for number in alike]
    scene = numbered([one or other for one, other in zip(series, found, strict=True)])
    broad = numbered([one and one.split("/")[0] for one in series])
    return scene, connect([broad, alike, near_duplicates(tokens)])


@app.command
def order(release: Path, pretrained: Path, packaged: Path, scores: Path, out: Path) -> None:
    """Prints the tables.

    Args:
        release: BIQ2021 as it is distributed.
        pretrained: features by a backbone that saw no opinions.
        packaged: features by the packaged model.
        scores: written by `vtiqa score --out`, of the test photos at least.
        out: a CSV for the pairs.
    """
    paths, mos, train = read_release(release)
    names = [path.name for path in paths]
    clean, tuned = (read_encoded(path, names) for path in (pretrained, packaged))
    width = clean.shape[1] // 2 // len(BLOCKS)
    scene, group = find_scenes(paths, clean[:, width * (len(BLOCKS) - 1) : width * len(BLOCKS)])
    several = (scene >= 0) & (np.bincount(scene + 1)[scene + 1] > 1)
    sizes = np.bincount(group)
    print(f"{several.sum()} photos in {len(set(scene[several]))} scenes of {len(set(group[several]))} groups", end="")
    print(f"; {len(sizes)} groups of {len(names)} photos, the largest of {sizes.max()}")

    rng = np.random.default_rng(0)
    folds = {"scenes held out": rng.integers(0, FOLDS, len(sizes))[group]}
    folds["with siblings"] = rng.integers(0, FOLDS, len(names))
    judges: dict[str, Numbers] = read_scores(scores, names)
    heads: dict[str, Numbers] = {}
    for which, features in (("packaged", tuned), ("pretrained", clean)):
        for how, fold in folds.items():
            name = f"head on {which} features, {how}"
            heads[name] = fit_held_out(features, mos, train, fold)
            print(f"{name}: SRCC {metrics.correlations(heads[name][~train], mos[~train]).srcc:.3f} of the test split")

    rows = np.nonzero(several)[0]
    with ThreadPoolExecutor() as pool:
        pixels = dict(zip(rows, pool.map(Pixels.measure, [paths[row] for row in rows]), strict=True))
    plain = {
        "variance of Laplacian": "laplacian",
        "file size": "size",
        "brightness": "brightness",
        "contrast": "contrast",
    }
    classical = {name: np.full(len(names), np.nan) for name in plain}
    for name, field in plain.items():
        classical[name][rows] = [getattr(pixels[row], field) for row in rows]

    listed = [(one, two) for one, two in pairs_of(scene) if mos[one] != mos[two]]
    first, second = np.array(listed).T
    kinds = np.array([pixels[one].differs(pixels[two]) for one, two in listed])
    pairs = Pairs(first, second, kinds, mos[first] - mos[second], group[first])
    both = ~train[first] & ~train[second]
    apart = np.abs(pairs.gaps) >= OPINIONS
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["first", "second", "scene", "group", "differs", "gap", "test"])
        columns = first, second, scene[first], group[first], kinds, pairs.gaps, both
        writer.writerows((names[one], names[two], *rest) for one, two, *rest in zip(*columns, strict=True))

    everything = judges | heads | classical
    tell(f"Both of the test split, opinions {OPINIONS} apart", pairs.where(both & apart), everything)
    tell("Both of the test split, any opinions", pairs.where(both), everything)
    tell(f"All photos, opinions {OPINIONS} apart", pairs.where(apart), heads | classical)
    tell("All photos, any opinions", pairs.where(np.ones(len(first), bool)), heads | classical)


if __name__ == "__main__":
    app.cli(description=__doc__)
