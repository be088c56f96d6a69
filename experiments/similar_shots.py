"""Compares ways to find near-identical shots of one scene: a perceptual hash, class tokens and fingerprints.

For example:

    pip install imagehash && python experiments/similar_shots.py --images DIR

DIR holds BIQ2021's photos. The photos of `ss01_series.py` were sorted by eye. `scene/a` and `scene/b` show one scene in
different framing; pairs of them do not count. Pairs within a set of UNCLEAR, photos of ss02 of one subject, do not
count either. All other pairs of different scenes are to be kept apart.

Photos are grouped by single linkage (pairs within a threshold are linked, and what is linked is one group) and, by
class tokens, also by average linkage. The table shows three things at several thresholds: the share of the pairs within
groups that belong together (precision); the share of the pairs that belong together that are found (recall); and, among
5,000 photos of ss02 and ss03, which are mostly of different scenes, the number of pairs within groups and the largest
group.
"""

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagehash
import jax
import numpy as np
from cyclopts import Parameter
from jaxtyping import Bool, Float, Int
from PIL import Image
from scipy.cluster.hierarchy import fcluster, linkage
from ss01_series import read_series
from tqdm import tqdm

import vtiqa_jax
from vtiqa_jax import cli
from vtiqa_jax.choosing import fingerprints
from vtiqa_jax.photos.decode import read
from vtiqa_jax.photos.resize import prepare
from vtiqa_jax.photos.sketch import make_sketch

APART = range(1, 161)
"""Photos of ss02 that are different but for numbers 146 and 147, two shots of one scene."""
UNCLEAR = (
    (5, 6), (11, 12), (2, 20, 21, 22, 23, 24, 25), (14, 15, 16, 17, 18), (26, 27), (30, 31, 32), (29, 42),
    (33, 34, 35), (7, 28), (43, 44, 45, 46), (73, 74), (95, 96), (97, 99, 100), (102, 103, 104, 105, 106),
    (109, 111, 112), (107, 110), (113, 114, 115), (116, 117), (120, 121), (124, 125), (131, 132), (151, 152, 153),
    (150, 156, 157, 158, 159), (37, 38), (52, 53), (135, 136), (76, 77), (79, 80), (49, 50),
)  # fmt: skip


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    images: Path
    """Folder of BIQ2021's photos."""
    others: int = 5000
    """Number of photos of ss02 and ss03."""


def labels() -> tuple[list[str], list[str], list[str]]:
    """Returns the names of the sorted photos, the series of each and its scene."""
    unclear = {number: f"unclear {group[0]}" for group in UNCLEAR for number in group} | {146: "pair", 147: "pair"}
    rows = [(name, series, series.split("/")[0]) for name, series in read_series().items()]
    for number in APART:
        series = "pair" if number in (146, 147) else f"alone {number}"
        rows.append((f"ss02 ({number}).jpg", series, unclear.get(number, series)))
    names, series, scenes = zip(*rows, strict=True)
    return list(names), list(series), list(scenes)


def hashed(paths: list[Path]) -> Float[np.ndarray, "photos photos"]:
    """Returns 1 less the share of the 64 bits of imagehash's `phash` that differ."""
    with ThreadPoolExecutor() as pool:
        bits = np.stack([*pool.map(lambda path: imagehash.phash(Image.open(path)).hash.reshape(-1), paths)])
    signs = np.where(bits, 1, -1).astype(np.float32)
    return (signs @ signs.T / 64 + 1) / 2


def class_tokens(paths: list[Path]) -> Float[np.ndarray, "photos photos"]:
    """Computes the cosine of the packaged model's last class tokens of the whole photo, less their mean."""
    model = vtiqa_jax.load_model()
    encode = jax.jit(model.encode)
    found = []
    for start in tqdm(range(0, len(paths), 4), "class tokens", disable=None):
        batch = [
            prepare(read(path).pixels, model.config.screen_side, model.config.stored_cuts)
            for path in paths[start : start + 4]
        ]
        batch += batch[-1:] * (4 - len(batch))
        features = encode(*(np.stack([pair[which] for pair in batch]) for which in (0, 1)))
        found.append(np.asarray(features)[0, :, -model.config.embed_dim :])
    tokens = np.concatenate(found)[: len(paths)]
    tokens -= tokens.mean(0)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    return tokens @ tokens.T


def fingerprinted(paths: list[Path]) -> Float[np.ndarray, "photos photos"]:
    """Returns the best correlation of shifted fingerprints, as `fingerprints.group_similar` compares them."""

    def of(path: Path) -> fingerprints.Fingerprint:
        return fingerprints.fingerprint(make_sketch(read(path).pixels).grey)

    with ThreadPoolExecutor() as pool:
        prints = np.stack([*pool.map(of, paths)])
    best = np.full((len(paths), len(paths)), -1, np.float32)
    steps = range(2 * fingerprints.SHIFT + 1)
    middle = fingerprints._windows(prints, fingerprints.SHIFT, fingerprints.SHIFT)
    for top in steps:
        for left in steps:
            np.maximum(best, middle @ fingerprints._windows(prints, top, left).T, out=best)
    return np.maximum(best, best.T)


METHODS: dict[str, tuple[Callable, str, tuple[float, ...]]] = {
    "phash of 64 bits": (hashed, "single", (0.78, 0.81, 0.85)),
    "class tokens": (class_tokens, "single", (0.8, 0.9, 0.95)),
    "class tokens, averages": (class_tokens, "average", (0.6, 0.7, 0.8, 0.9)),
    "fingerprints": (fingerprinted, "single", (0.5, 0.55, 0.6, 0.65, 0.7)),
}


def grouped(similarity: Float[np.ndarray, "n n"], method: str, threshold: float) -> Int[np.ndarray, " n"]:
    """Returns the groups of photos, cut where their similarity falls below the threshold."""
    distances = np.maximum(1 - similarity[np.triu_indices(len(similarity), 1)], 0)
    return fcluster(linkage(distances, method), 1 - threshold, "distance")


def within(groups: np.ndarray) -> Bool[np.ndarray, "n n"]:
    """Lists the pairs, each once, that are in one group."""
    return np.triu(groups[:, None] == groups, 1)


def main(arguments: Arguments) -> None:
    """Prints the table."""
    names, series, scenes = labels()
    paths = [arguments.images / name for name in names]
    others = sorted(path for path in arguments.images.glob("ss0[23]*.jpg") if path.name not in names)
    others = [others[row] for row in np.random.default_rng(0).permutation(len(others))[: arguments.others]]
    together, unclear = within(np.array(series)), within(np.array(scenes)) & ~within(np.array(series))
    print(f"{len(names)} photos, {together.sum()} pairs that belong together, {unclear.sum()} unclear")
    print("| method | threshold | precision | recall | pairs among others | largest group |\n|---|---|---|---|---|---|")
    compared = {}
    for method, (compare, link, thresholds) in METHODS.items():
        if compare not in compared:
            compared[compare] = compare(paths + others)
        similarity = compared[compare]
        labelled, rest = (similarity[part, part] for part in (slice(len(paths)), slice(len(paths), None)))
        for threshold in thresholds:
            found = within(grouped(labelled, link, threshold)) & ~unclear
            right = (found & together).sum()
            sizes = np.bincount(grouped(rest, link, threshold))
            shares = f"{right / max(1, found.sum()):.3f} | {right / together.sum():.3f}"
            print(f"| {method} | {threshold:g} | {shares} | {(sizes * (sizes - 1) // 2).sum():,} | {sizes.max()} |")


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
