"""Fits the intervals of the packaged model, and checks them on BIQ2021's official test split.

For example:

    python experiments/intervals.py --release biq2021 --untuned init --out runs/intervals [--early early.csv]

Photos that trained a model cannot tell how large its errors are: on its training photos the packaged model is half as
far from people as on others. So are heads that are cross-fitted on its features, because the backbone learnt from these
opinions. Therefore the sizes of errors come from cross-fitted ridge regressions on the features of `--untuned`, the
backbone that it started from; near-duplicates are kept together.

Fine-tuning made errors smaller: on held-out training photos their variance fell from that of the ridge regression to 1
- PLCC^2 of that of the opinions (docs/experiments.md, "3e-5, 20 epochs"). The difference is taken off everywhere alike.
The shape of the errors' distribution is the mean of two tables of quantiles: those of the ridge regression, and those
of the packaged model on its own training photos.

`half` is the textbook's way for comparison: sizes and quantiles are fitted to one half of the test split and checked on
the other, and the other way round. `--early` is the output of `experiments/early_opinions.py`; it gives the spread of
single opinions.
"""

import dataclasses
import itertools
import zlib
from pathlib import Path

import jax.numpy as jnp
import matplotlib
import numpy as np
import scipy.linalg
from cyclopts import Parameter
from heads import near_duplicates
from scipy.special import ndtr
from test_split import kept
from tqdm import tqdm

from vtiqa_jax import cli
from vtiqa_jax.data import datasets
from vtiqa_jax.data.manifest import Manifest, read_csv
from vtiqa_jax.heads.held_out import score_features
from vtiqa_jax.heads.intervals import fit_errors, fit_kinds, fit_opinions
from vtiqa_jax.models import adapt, catalog
from vtiqa_jax.models import params as parameters
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.intervals import Intervals
from vtiqa_jax.models.params import Params
from vtiqa_jax.photos.decode import decode
from vtiqa_jax.training.novelty import read_features

matplotlib.use("Agg")
import matplotlib.pyplot as plt

UNSURE = "ss02"
"""The source on whose photos people and models agree least."""
HELD_OUT_PLCC = 0.8963
"""PLCC of the packaged model's recipe on 1,507 training photos that were held out."""
RIDGE = 1000.0
FOLDS = 10
MIN_LEFT = 0.45
"""Least share of the variance that stays, however much fine-tuning helped."""
NOISE = 0.15
"""Noise of the mean of thirty opinions, in points: no error is expected to be smaller."""
LEVELS = {"50 %": 10, "80 %": 4, "90 %": 2, "95 %": 1}
"""Levels of intervals, by the number of the forty quantiles below them."""
EDGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.001)


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    release: Path
    """Folder of BIQ2021 as it is distributed."""
    untuned: Path
    """Backbone that the packaged model started from, see `vtiqa convert backbone`."""
    out: Path = Path("runs/intervals")
    """Folder for the results."""
    early: Path | None = None
    """CSV of `experiments/early_opinions.py`."""
    photos: int = 4800
    """Number of photos of the data set, drawn at random; the training photos among them are seen by the untuned
    backbone."""


def see(model: Checkpoint, photos: Manifest, rows: np.ndarray) -> np.ndarray:
    """Computes the features of photos."""
    names = tqdm([photos.names[row] for row in rows], "features")
    return read_features(model, (decode(name, photos.images.read(name)).pixels for name in names))


def cross_fit(features: np.ndarray, opinions: np.ndarray) -> np.ndarray:
    """Scores by ridge regressions that saw neither the photo nor a near-duplicate of it."""
    groups = near_duplicates(features[:, 768:1152])
    folds = (np.random.default_rng(0).permutation(groups.max() + 1) % FOLDS)[groups]
    scores, centred = np.empty(len(opinions)), features - features.mean(0)
    for fold in range(FOLDS):
        seen, rest = centred[folds != fold], opinions[folds != fold]
        gram = seen.T @ seen
        gram[np.diag_indices_from(gram)] += RIDGE
        weights = scipy.linalg.solve(gram, seen.T @ (rest - rest.mean()).astype(np.float32), assume_a="pos")
        scores[folds == fold] = centred[folds == fold] @ weights + rest.mean()
    return scores


def judge(fitted: Params, scores: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Deviations, and quantiles of people's mean around each score [photos, 39]."""
    model = Intervals(features.shape[1], opinions=False)
    for name, array in fitted.items():
        if name != "intervals.opinions":
            getattr(model, name.removeprefix("intervals."))[...] = array
    seen = jnp.asarray(features)
    said = model(jnp.asarray(scores, jnp.float32), seen)
    second = np.asarray(model.find_kind(seen))[:, None]
    first_kind, second_kind = fitted["intervals.quantiles"]
    deviations = np.asarray(said.deviation)
    quantiles = scores[:, None] + deviations[:, None] * (first_kind + second * (second_kind - first_kind))
    return deviations, np.clip(quantiles, *fitted["intervals.ends"])


def print_coverage(quantiles: np.ndarray, scores: np.ndarray, opinions: np.ndarray, sources: np.ndarray) -> None:
    """Prints how many opinions lie in intervals: of all photos, of each source, and by tenths of scores."""
    tenths = np.searchsorted(np.quantile(scores, np.arange(0.1, 1, 0.1)), scores)
    groups = {"all": scores > -np.inf} | {name: sources == name for name in np.unique(sources)}
    groups |= {f"tenth {number + 1}": tenths == number for number in range(10)}
    print(f"| photos | n | {' | '.join(LEVELS)} |\n|---|---|{'---|' * len(LEVELS)}")
    for name, chosen in groups.items():
        inside = [
            100 * ((opinions >= quantiles[:, below - 1]) & (opinions <= quantiles[:, 39 - below]))[chosen].mean()
            for below in LEVELS.values()
        ]
        print(f"| {name} | {chosen.sum()} | {' | '.join(f'{share:.1f}' for share in inside)} |")


def print_pairs(scores: np.ndarray, deviations: np.ndarray, opinions: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Prints how often people's means have the predicted order, by its probability; returns both and their number."""
    first, second = pairs
    sure = ndtr((scores[first] - scores[second]) / np.hypot(deviations[first], deviations[second]))
    ahead = np.where(opinions[first] == opinions[second], 0.5, opinions[first] > opinions[second])
    sure, ahead = np.where(sure < 0.5, 1 - sure, sure), np.where(sure < 0.5, 1 - ahead, ahead)
    rows = []
    print("| predicted | pairs | on average | observed |\n|---|---|---|---|")
    for low, high in itertools.pairwise(EDGES):
        chosen = (sure >= low) & (sure < high)
        if chosen.any():
            rows.append((sure[chosen].mean(), ahead[chosen].mean(), chosen.sum()))
            cells = f"{chosen.sum():,} | {100 * rows[-1][0]:.1f} % | {100 * rows[-1][1]:.1f} %"
            print(f"| {100 * low:.0f} to {min(100, 100 * high):.0f} % | {cells} |")
    return np.array(rows)


def main(arguments: Arguments) -> None:
    """Fits, checks and writes `intervals.npz`, `half.npz` and `reliability.png`."""
    dataset = datasets.read("biq2021", arguments.release)
    photos, scale = dataset.on_common_scale(), dataset.info.scale
    training, sources = np.array(dataset.official) == "train", np.array(photos.groups)
    packaged, init = catalog.load("default"), adapt.with_readout(catalog.load(arguments.untuned), (4, 6, 8))
    init = dataclasses.replace(init, params=parameters.init_params(init.config, 0) | dict(init.params))
    rows = np.arange(len(photos.names))
    drawn = np.random.default_rng(0).permutation(rows)[: arguments.photos]
    drawn = drawn[training[drawn]]
    tuned = kept(arguments.out / "tuned.npy", lambda: see(packaged, photos, rows)).astype(np.float32)
    untuned = kept(arguments.out / "untuned.npy", lambda: see(init, photos, drawn)).astype(np.float32)
    scores, opinions = score_features(packaged, tuned), photos.mos.astype(np.float64)

    kinds = fit_kinds(tuned[training], sources[training] == UNSURE)
    guesses = cross_fit(untuned, opinions[drawn])
    errors = opinions[drawn] - guesses
    # A guess has the place among guesses that a score has among scores: the ridge's do not reach as far.
    ranked = np.sort(scores[drawn])[np.argsort(np.argsort(guesses))]
    honest = fit_errors(kinds, tuned[drawn], ranked, errors, scale)
    own = fit_errors(kinds, tuned[training], scores[training], (opinions - scores)[training], scale)
    variances = np.square(judge(honest, ranked, tuned[drawn])[0])
    fallen = np.square(errors).mean() - (1 - HELD_OUT_PLCC**2) * opinions[training].var()
    left = np.maximum(np.maximum(variances - fallen, MIN_LEFT * variances), NOISE**2)
    own_size = (opinions - scores)[training].std()
    print(f"errors: of the ridge {errors.std():.3f}, variance less {fallen:.3f}; on its own photos {own_size:.3f}")
    fitted = fit_errors(kinds, tuned[drawn], ranked, errors * np.sqrt(left / variances), scale)
    fitted["intervals.quantiles"] = (honest["intervals.quantiles"] + own["intervals.quantiles"]) / 2
    if arguments.early:
        early = read_csv(arguments.early, photos.images.folder, target_columns=("std",))  # type: ignore[attr-defined]
        fitted |= fit_opinions(early.mos, early.targets["std"], scale)

    print("\ntraining photos, the ridge's errors made as small, kinds told by others:")
    folds = np.random.default_rng(0).permutation(len(drawn)) % FOLDS
    seen = np.empty((len(drawn), 39))
    for fold in range(FOLDS):
        others, asked = drawn[folds != fold], folds == fold
        told = fitted | fit_kinds(tuned[others], sources[others] == UNSURE)
        seen[asked] = judge(told, ranked[asked], tuned[drawn[asked]])[1]
    print_coverage(seen, ranked, ranked + errors * np.sqrt(left / variances), sources[drawn])

    print("\ntest photos:")
    test = np.flatnonzero(~training)
    deviations, quantiles = judge(fitted, scores[test], tuned[test])
    print_coverage(quantiles, scores[test], opinions[test], sources[test])
    every = np.stack(np.triu_indices(len(test), 1))
    found = print_pairs(scores[test], deviations, opinions[test], every)

    halves = np.array([zlib.crc32(photos.names[row].encode()) % 2 for row in test])
    other = np.empty((len(test), 40))
    for half in (1, 0):
        chosen = test[halves == half]
        by_half = fit_errors(kinds, tuned[chosen], scores[chosen], (opinions - scores)[chosen], scale)
        checked = halves != half
        other[checked, :1], other[checked, 1:] = (
            part.reshape(checked.sum(), -1) for part in judge(by_half, scores[test[checked]], tuned[test[checked]])
        )
    print("\nhalf:")
    print_coverage(other[:, 1:], scores[test], opinions[test], sources[test])
    print_pairs(scores[test], other[:, 0], opinions[test], every)
    for name, arrays in (("intervals", fitted), ("half", fitted | by_half)):
        np.savez(arguments.out / f"{name}.npz", **arrays)

    figure, (left_axes, right_axes) = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
    levels = np.arange(1, 20) / 20
    for axes in (left_axes, right_axes):
        axes.plot([0, 1], [0, 1], color="0.7")
    for name, table in (("all photos", quantiles), ("half", other[:, 1:])):
        inside = [
            ((opinions[test] >= table[:, k - 1]) & (opinions[test] <= table[:, 39 - k])).mean()
            for k in range(19, 0, -1)
        ]
        left_axes.plot(levels, inside, "o-", label=name)
    for name in np.unique(sources):
        rows = sources[test] == name
        inside = [
            ((opinions[test] >= quantiles[:, k - 1]) & (opinions[test] <= quantiles[:, 39 - k]))[rows].mean()
            for k in range(19, 0, -1)
        ]
        left_axes.plot(levels, inside, label=str(name), linewidth=1)
    left_axes.set(xlabel="interval", ylabel="of test photos, people's mean in it", aspect="equal")
    left_axes.legend()
    right_axes.plot(found[:, 0], found[:, 1], "o-")
    right_axes.set(
        xlabel="predicted that people prefer it", ylabel="observed", xlim=(0.5, 1), ylim=(0.5, 1), aspect="equal"
    )
    figure.savefig(arguments.out / "reliability.png", dpi=100)


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
