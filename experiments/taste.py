"""Measures how much `vtiqa tune` learns and how often it harms, and compares the page's pairs with random pairs.

For example:

    python experiments/taste.py --release image_quality_test/test_1 --biq2021 BIQ2021 --cache kept [--draws 15]

There are two kinds of raters. The first are the 21 people whose votes on video frames are public
(github.com/Telecommunication-Telemedia-Assessment/image_quality_test). The second are simulated on BIQ2021's official
test photos, which did not train the packaged model: people's mean opinion, plus noise, and for some a liking of one
look. Held-out photos are never marked.
"""

import csv
import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from cyclopts import Parameter
from scipy.special import expit

from vtiqa_jax import cli
from vtiqa_jax.models import catalog
from vtiqa_jax.photos import decode
from vtiqa_jax.tuning.fit import Learnt, find_scenes, learn, read_scores
from vtiqa_jax.tuning.kept import KeptPhotos
from vtiqa_jax.tuning.marks import Marks
from vtiqa_jax.tuning.opinions import Opinions, Standard
from vtiqa_jax.tuning.ridge import fit_ridge

COUNTS = (20, 50, 100, 200)
"""Marks that are given."""
HELD_OUT = 500
"""Photos that agreement is measured on, at most."""
LIKING = 0.5
"""Stars for each standard deviation of a look, of persons that like it, or do not."""
NOISE = 0.5
"""Standard deviation of what a person's stars have of nothing, stars."""
MUCH = 0.05
"""Gain of pairwise agreement that is noticed."""
LOOKS = ("brightness", "contrast", "colourfulness", "fine structure", "warmth")
HEIGHT = 1080
"""Height that frames are resized to: their raters saw them on the whole screen."""


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    release: Path
    """Folder with `ratings.csv` and `images`."""
    biq2021: Path
    """Folder with BIQ2021's tables and `Images`."""
    cache: Path
    """Folder for the features of photos."""
    checkpoint: str = "default"
    """Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model."""
    draws: int = 15
    """Number of draws of marks for each rater; of pairs a fifth of it."""
    parts: tuple[Literal["marks", "scenes", "pairs"], ...] = ("marks", "scenes", "pairs")
    """Tables to print."""
    curves: Path | None = None
    """Picture of the agreement by the number of marks."""


@dataclasses.dataclass(frozen=True)
class Photos:
    """Photos as a fit sees them."""

    features: np.ndarray
    scores: np.ndarray
    scenes: np.ndarray
    looks: np.ndarray
    """Looks of `gallery.looks`, by which the page chooses pairs."""

    def take(self, rows: np.ndarray) -> "Photos":
        """Returns some of them, whose scenes are numbered from 0."""
        scenes = np.unique(self.scenes[rows], return_inverse=True)[1]
        return Photos(self.features[rows], self.scores[rows], scenes, self.looks[rows])


@dataclasses.dataclass(frozen=True)
class Rater:
    """A person, real or made, and the marks of all photos that the person has seen."""

    kind: str
    photos: Photos
    marks: np.ndarray
    liking: np.ndarray
    """Finer than marks, by which a made person answers pairs; of real ones their votes."""
    is_apart: bool = False
    """Whether marks are given of half of the scenes, and held out of the others."""


def see(kept: KeptPhotos, paths: list[Path], model: catalog.Checkpoint) -> Photos:
    """Looks at photos, or remembers what was seen."""
    seen, left_out = kept.read(paths)
    assert not left_out, left_out
    features = np.stack([seen[path].features for path in paths])
    scenes = find_scenes(np.stack([seen[path].fingerprint for path in paths]))
    return Photos(features, read_scores(model, features), scenes, np.stack([seen[path].looks for path in paths]))


def bring_to_height(path: Path, folder: Path) -> Path:
    """Writes a frame as its raters saw it."""
    target = folder / path.name
    if not target.is_file():
        pixels = decode.read(path).pixels
        width = round(pixels.shape[1] * HEIGHT / pixels.shape[0])
        how = cv2.INTER_AREA if pixels.shape[0] > HEIGHT else cv2.INTER_CUBIC
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(target), cv2.resize(pixels, (width, HEIGHT), interpolation=how)[:, :, ::-1])
    return target


def real_raters(release: Path, photos: Photos, names: list[str]) -> Iterator[Rater]:
    """Yields the people of image_quality_test, with their votes of 1 to 5."""
    at = {name: row for row, name in enumerate(names)}
    votes: dict[str, dict[int, float]] = defaultdict(dict)
    with (release / "ratings.csv").open(newline="") as file:
        for vote in csv.DictReader(file):
            name = re.findall(r"([^\\/']+)\.png", vote["video_name"])[0]
            if name in at:
                votes[vote["user_ID"]][at[name]] = float(vote["rating"])
    for person in votes.values():
        rows, stars = np.array([*person]), np.array([*person.values()])
        yield Rater("people's votes", photos.take(rows), stars, stars)


def measure_made_looks(path: Path) -> list[float]:
    """Measures `LOOKS`."""
    pixels = decode.read(path).pixels
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    red, green, blue = np.moveaxis(pixels.astype(np.float32), -1, 0)
    opponents = red - green, (red + green) / 2 - blue  # Hasler and Süsstrunk, 2003
    colour = np.hypot(*(plane.std() for plane in opponents)) + 0.3 * np.hypot(*(plane.mean() for plane in opponents))
    fine = np.log1p(cv2.Laplacian(grey, cv2.CV_32F).var())
    return [grey.mean(), grey.std(), colour, fine, (red - blue).mean()]


def made_raters(
    photos: Photos, opinions: np.ndarray, looks: np.ndarray, subsets: np.ndarray, rng: np.random.Generator
) -> Iterator[Rater]:
    """Yields persons made of people's mean opinions, which are on a scale of 1 to 5."""

    def stars(liking: np.ndarray) -> np.ndarray:
        return np.clip(np.round(liking), 1, 5)

    def noisy(mean: np.ndarray) -> np.ndarray:
        return mean + NOISE * rng.normal(size=len(mean))

    for look in ((looks - looks.mean(0)) / looks.std(0)).T:
        for liking in (LIKING, -LIKING):
            likes = noisy(opinions + liking * look)
            yield Rater("made: a look", photos, stars(likes), likes)
    for _ in range(4):
        likes = noisy(opinions)
        yield Rater("made: people's mean", photos, stars(likes), likes)
        likes = noisy(photos.scores)
        yield Rater("made: the score itself", photos, stars(likes), likes)
    for share in (0.3, 0.6, 0.8):
        likes = noisy(opinions)
        yield Rater("made: keep or reject", photos, (likes > np.quantile(likes, share)).astype(float), likes)
    for subset in np.unique(subsets):
        rows = np.flatnonzero(subsets == subset)
        likes = noisy(opinions[rows])
        yield Rater("made: one subset", photos.take(rows), stars(likes), likes)


def agreement(predicted: np.ndarray, marks: np.ndarray) -> float:
    """Returns the share of pairs of photos with different marks that are in the right order; ties count half."""
    said, found = (np.sign(values[:, None] - values) for values in (marks, predicted))
    return float(0.5 + (said * found).sum() / np.abs(said).sum() / 2)


@dataclasses.dataclass
class Outcome:
    """What one fit was worth on held-out photos."""

    before: float
    tuned: float
    """Whether it is taken or not."""
    scratch: float
    is_taken: bool

    @property
    def gain(self) -> float:
        """What the person gets of it."""
        return self.tuned - self.before if self.is_taken else 0.0


def predict(learnt: Learnt, photos: Photos) -> np.ndarray:
    """Scores photos by a taste."""
    return learnt.slope * photos.scores + photos.features @ learnt.direction


def try_marks(rater: Rater, count: int, rng: np.random.Generator) -> Outcome | None:
    """Gives some of a rater's marks and measures on others; None where there are too few, or all are alike."""
    order = rng.permutation(len(rater.marks))
    given, others = order[:count], order[count:][:HELD_OUT]
    if rater.is_apart:
        scenes = rng.permutation(rater.photos.scenes.max() + 1)
        is_first = np.isin(rater.photos.scenes[order], scenes[: len(scenes) // 2])
        given, others = order[is_first][:count], order[~is_first]
    if len(given) < count or len(others) < 100 or not rater.marks[given].std():
        return None
    rated = {Path(str(number)): float(mark) for number, mark in enumerate(rater.marks[given])}
    opinions = Opinions.collect(Marks({"stars": rated}), {path: number for number, path in enumerate(rated)})
    photos, held_out = rater.photos.take(given), rater.photos.take(others)
    learnt = learn(opinions, photos.features, photos.scores, photos.scenes, rng)
    standard = Standard.of(photos.features.astype(np.float64))
    rows = standard.apply(photos.features)
    alone = fit_ridge(rows @ rows.T, np.ones((count, 1)), opinions.targets[:, None])
    scratch = standard.apply(held_out.features) @ (rows.T @ alone.dual[:, 0])
    marks = rater.marks[others]
    return Outcome(
        agreement(held_out.scores, marks),
        agreement(predict(learnt, held_out), marks),
        agreement(scratch, marks),
        learnt.verdict.is_better,
    )


def interval(values: list[float]) -> str:
    """Returns a mean, and between what it is nine times in ten."""
    error = 1.645 * np.std(values) / np.sqrt(len(values))
    return f"{np.mean(values):+.3f} ± {error:.3f}"


def compare(raters: list[Rater], draws: int, rng: np.random.Generator) -> dict[tuple[str, int], list[Outcome]]:
    """Tries marks of all raters."""
    found: dict[tuple[str, int], list[Outcome]] = defaultdict(list)
    for rater in raters:
        for count in COUNTS:
            outcomes = [try_marks(rater, count, rng) for _ in range(draws)]
            found[rater.kind, count] += [outcome for outcome in outcomes if outcome]
    return {group: outcomes for group, outcomes in found.items() if outcomes}


def print_marks(found: dict[tuple[str, int], list[Outcome]]) -> None:
    """Prints a table of gains, and how often there is harm."""
    print("| raters | marks | the score | from scratch | always taken | as taken | taken | worse | better by .05 |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (kind, count), outcomes in found.items():
        gains = [outcome.gain for outcome in outcomes]
        cells = [
            f"{np.mean([outcome.before for outcome in outcomes]):.3f}",
            interval([outcome.scratch - outcome.before for outcome in outcomes]),
            interval([outcome.tuned - outcome.before for outcome in outcomes]),
            interval(gains),
            f"{100 * np.mean([outcome.is_taken for outcome in outcomes]):.0f} %",
            f"{sum(gain < 0 for gain in gains)} of {len(gains)}",
            f"{100 * np.mean([gain > MUCH for gain in gains]):.0f} %",
        ]
        print(f"| {kind} | {count} | {' | '.join(cells)} |")
    every = [outcome for outcomes in found.values() for outcome in outcomes]
    for name, gains in (
        ("as taken", [outcome.gain for outcome in every]),
        ("if always taken", [outcome.tuned - outcome.before for outcome in every]),
    ):
        print(f"{name}: worse in {sum(gain < 0 for gain in gains)} of {len(gains)}")


class Asker:
    """The small model by which the page chooses pairs (`gallery/pairs.js`), to the same numbers."""

    def __init__(self, photos: Photos) -> None:
        columns = np.column_stack([photos.scores, photos.looks])
        self.vectors = (columns - columns.mean(0)) / columns.std(0)
        self.mean = np.array([1.5, *[0.0] * (columns.shape[1] - 1)])
        self.covariance = np.diag([0.5, *[0.36] * (columns.shape[1] - 1)])

    def choose(self, times: np.ndarray, asked: set[frozenset[int]], rng: np.random.Generator) -> tuple[int, int]:
        """Chooses the pair that teaches most, of photos that were seldom shown while there are some."""
        new: list[list[int]] = []
        for photos in (np.flatnonzero(times < 2), np.arange(len(times))):
            pairs = rng.choice(photos, (600, 2)).tolist() if len(photos) and not new else []
            new += [pair for pair in pairs if pair[0] != pair[1] and frozenset(pair) not in asked]
        first, second = np.array(new).T
        apart = self.vectors[first] - self.vectors[second]
        variance = np.einsum("pi,ij,pj->p", apart, self.covariance, apart)
        chance = expit(apart @ self.mean / np.sqrt(1 + np.pi * variance / 8))
        best = np.argmax(chance * (1 - chance) * variance)
        return int(first[best]), int(second[best])

    def learn(self, better: int, worse: int) -> None:
        """Learns from an answer."""
        apart = self.vectors[better] - self.vectors[worse]
        along = self.covariance @ apart
        variance = along @ apart
        chance = expit(apart @ self.mean / np.sqrt(1 + np.pi * variance / 8))
        curvature = chance * (1 - chance)
        self.covariance = self.covariance - curvature / (1 + curvature * variance) * np.outer(along, along)
        self.mean = self.mean + (1 - chance) * self.covariance @ apart


def ask(rater: Rater, photos: Photos, liking: np.ndarray, chosen: bool, rng: np.random.Generator) -> list[list[int]]:
    """Asks for as many pairs as are measured with; ties are answered by a coin."""
    asker, asked, times, answers = Asker(photos), set(), np.zeros(len(liking), int), []
    noise = liking + 1e-6 * rng.normal(size=len(liking))
    while len(answers) < COUNTS[-1]:
        a, b = asker.choose(times, asked, rng) if chosen else rng.choice(len(liking), 2, replace=False).tolist()
        better, worse = (a, b) if noise[a] > noise[b] else (b, a)
        asker.learn(better, worse)
        asked.add(frozenset((a, b)))
        times[[a, b]] += 1
        answers.append([better, worse])
    return answers


def print_pairs(raters: list[Rater], draws: int, rng: np.random.Generator) -> None:
    """Prints what pairs teach: chosen by the page, and drawn at random."""
    found: dict[tuple[str, bool, int], list[Outcome]] = defaultdict(list)
    for rater in raters:
        for _ in range(draws):
            order = rng.permutation(len(rater.marks))
            size = min(700, len(order) // 2)
            pool, others = order[:size], order[size:][:HELD_OUT]
            photos, held_out = rater.photos.take(pool), rater.photos.take(others)
            before = agreement(held_out.scores, rater.marks[others])
            for chosen in (False, True):
                answers = ask(rater, photos, rater.liking[pool], chosen, rng)
                for count in COUNTS:
                    paths = [Path(str(number)) for number in range(size)]
                    pairs = tuple((paths[better], paths[worse]) for better, worse in answers[:count])
                    opinions = Opinions.collect(Marks({}, pairs), {path: number for number, path in enumerate(paths)})
                    learnt = learn(opinions, photos.features, photos.scores, photos.scenes, rng)
                    tuned = agreement(predict(learnt, held_out), rater.marks[others])
                    found[rater.kind, chosen, count].append(Outcome(before, tuned, before, learnt.verdict.is_better))
    print("| raters | pairs | | the score | always taken | as taken | taken | worse | better by .05 |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (kind, chosen, count), outcomes in sorted(found.items(), key=lambda item: (item[0][0], item[0][2], item[0][1])):
        gains = [outcome.gain for outcome in outcomes]
        cells = [
            f"{np.mean([outcome.before for outcome in outcomes]):.3f}",
            interval([outcome.tuned - outcome.before for outcome in outcomes]),
            interval(gains),
            f"{100 * np.mean([outcome.is_taken for outcome in outcomes]):.0f} %",
            f"{sum(gain < 0 for gain in gains)} of {len(gains)}",
            f"{100 * np.mean([gain > MUCH for gain in gains]):.0f} %",
        ]
        print(f"| {kind} | {count} | {'chosen' if chosen else 'random'} | {' | '.join(cells)} |")
    for kind, chosen, count in sorted(found):
        if chosen:
            both = zip(found[kind, True, count], found[kind, False, count], strict=True)
            differences = [one.tuned - other.tuned for one, other in both]
            print(f"{kind}, {count} pairs: chosen over random {interval(differences)}")


def draw_curves(found: dict[tuple[str, int], list[Outcome]], path: Path) -> None:
    """Draws agreement by the number of marks."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    kinds = list(dict.fromkeys(kind for kind, _ in found))[:3]
    figure, axes = plt.subplots(1, len(kinds), figsize=(10, 3.4), sharey=False, layout="constrained")
    for axis, kind in zip(axes, kinds, strict=True):
        counts = [count for count in COUNTS if found.get((kind, count))]
        for name, style, read in (
            ("the score", "k:", lambda o: o.before),
            ("from scratch", "C1--", lambda o: o.scratch),
            ("vtiqa tune", "C0-", lambda o: o.before + o.gain),
        ):
            axis.plot(
                counts, [np.mean([read(outcome) for outcome in found[kind, n]]) for n in counts], style, label=name
            )
        axis.set(title=kind, xlabel="marks", xscale="log", xticks=counts, xticklabels=counts)
        axis.minorticks_off()
    axes[0].set_ylabel("pairwise agreement, held out")
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110)


def main(arguments: Arguments) -> None:
    """Prints the tables of docs/tune.md."""
    model = catalog.load(arguments.checkpoint)
    kept, rng = KeptPhotos(arguments.cache / "kept", model), np.random.default_rng(0)
    frames = sorted((arguments.release / "images").glob("*.png"))
    shown = [bring_to_height(frame, arguments.cache / "frames") for frame in frames]
    real = list(real_raters(arguments.release, see(kept, shown, model), [frame.stem for frame in frames]))
    with (arguments.biq2021 / "Test (Images and MOS).csv").open(newline="") as file:
        rows = [(row["Image Name"], 1 + 4 * float(row["MOS"])) for row in csv.DictReader(file)]
    paths = [arguments.biq2021 / "Images" / name for name, _ in rows]
    photos, subsets = see(kept, paths, model), np.array([name[:4] for name, _ in rows])
    looks = np.array([measure_made_looks(path) for path in paths])
    made = list(made_raters(photos, np.array([mos for _, mos in rows]), looks, subsets, rng))
    if "marks" in arguments.parts:
        found = compare([*real, *made], arguments.draws, rng)
        print_marks(found)
        if arguments.curves:
            draw_curves(found, arguments.curves)
    kinds = ("people's votes", "made: a look", "made: people's mean")
    asked = [rater for rater in (*real, *made) if rater.kind in kinds]
    if "scenes" in arguments.parts:
        apart = [dataclasses.replace(rater, kind=f"{rater.kind}, other scenes", is_apart=True) for rater in real]
        print_marks(compare(apart, arguments.draws, np.random.default_rng(2)))
    if "pairs" in arguments.parts:
        print_pairs(asked, max(1, arguments.draws // 5), np.random.default_rng(1))


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
