"""Fits the warning that a picture is no photograph, and measures how often it is wrong.

For example:

    python experiments/not_photographs.py PICTURES
    python experiments/novelty.py --release biq2021 --pictures PICTURES --photographs DIR --out runs/novelty

It is fitted to 4,000 photos of BIQ2021's official training split, to parts of every second of them
(`training.novelty.vary`), to `--photographs` and to PICTURES/fitting. It is checked on BIQ2021's official test split,
on parts of its photos, on `--check` and on PICTURES/checking. OUT keeps the parameters, novelty.npz, and all features,
which are not computed again.
"""

import dataclasses
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import scipy.stats
from cyclopts import Parameter
from jaxtyping import Float

from vtiqa_jax import cli
from vtiqa_jax.data import datasets
from vtiqa_jax.models import catalog, quantized
from vtiqa_jax.models.adapt import with_soft_ends
from vtiqa_jax.photos.decode import open_photo
from vtiqa_jax.photos.resize import Rgb
from vtiqa_jax.training.novelty import fit_novelty, read_features, vary, with_novelty

TRAINING_PHOTOS = 4000
REACH = 0.25
"""Points inside the ends of the scale at which scores begin to bend. All but a few photos of a thousand lie further
inside."""

Features = Float[np.ndarray, "photos both"]


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class Arguments:
    """Options."""

    release: Path
    """Folder of BIQ2021 as it is distributed."""
    pictures: Path
    """Folder that `not_photographs.py` wrote."""
    photographs: tuple[Path, ...] = ()
    """Folders of further photographs to fit to."""
    check: tuple[Path, ...] = ()
    """Folders or files of further pictures to check on, each with a line of its own."""
    checkpoint: str = "default"
    """Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model."""
    model: Path | None = None
    """Quantized file for the model with these parameters and with soft ends."""
    out: Path = Path("runs/novelty")
    """Folder for the results."""


def files_in(folder: Path) -> list[Path]:
    """Returns the photos of a folder and of those in it, or the one file."""
    endings = {".jpg", ".jpeg", ".png", ".gif"}
    return [folder] if folder.is_file() else sorted(p for p in folder.rglob("*") if p.suffix.lower() in endings)


def pixels(paths: Iterable[Path], *, varied: bool) -> Iterator[Rgb]:
    """Yields photos as they are, or parts of them."""
    for path in paths:
        photo = open_photo(path).pixels
        yield vary(photo, np.random.default_rng(zlib.crc32(path.name.encode()))) if varied else photo


def upper_bound(count: int, wrong: int) -> float:
    """Returns the upper end of the exact 95 % interval of a share."""
    return float(scipy.stats.beta.ppf(0.975, wrong + 1, count - wrong)) if wrong < count else 1.0


def main(arguments: Arguments) -> None:
    """Writes the parameters and prints the table."""
    model = catalog.load(arguments.checkpoint)
    arguments.out.mkdir(parents=True, exist_ok=True)

    def features(name: str, paths: Sequence[Path], *, varied: bool = False) -> Features:
        file = arguments.out / f"features-{name}.npy"
        if not file.exists():
            np.save(file, read_features(model, pixels(paths, varied=varied)))
        return np.load(file)

    dataset = datasets.read("biq2021", arguments.release)
    names, official = np.array(dataset.photos.names), np.array(dataset.official)
    shuffled = np.random.default_rng(0).permutation(names[official == "train"])[:TRAINING_PHOTOS]
    train, test = (
        [dataset.photos.images.path(str(name)) for name in part]  # type: ignore[attr-defined]
        for part in (shuffled, names[official == "test"])
    )
    further = [path for folder in arguments.photographs for path in files_in(folder)]
    drawn = {part: files_in(arguments.pictures / part) for part in ("fitting", "checking")}
    photographs = [
        features("train", train),
        features("train-parts", train[::2], varied=True),
        *([features("photographs", further)] if further else []),
    ]
    fitted = fit_novelty(np.concatenate(photographs), features("fitting", drawn["fitting"]))
    np.savez(arguments.out / "novelty.npz", allow_pickle=False, **fitted)
    if arguments.model:
        soft = model if model.config.soft_ends else with_soft_ends(model, REACH)
        quantized.save(arguments.model, with_novelty(soft, fitted))

    def novelty(found: Features) -> np.ndarray:
        return (found - fitted["novelty.mean"]) @ fitted["novelty.direction"] - fitted["novelty.threshold"]

    def report(title: str, values: np.ndarray) -> None:
        wrong, count = int((values > 0).sum()), len(values)
        bound = f"at most {upper_bound(count, wrong):.4f}"
        print(
            f"| {title} | {count} | {wrong} | {wrong / count:.3f}, {bound} | {values.min():.2f} | {values.max():.2f} |"
        )

    print("| pictures | n | warned of | share, 95 % | least | most |\n|---|---|---|---|---|---|")
    for title, found in zip(("fitted: training photos", "their parts", "further"), photographs, strict=False):
        report(title, novelty(found))
    report("BIQ2021's test photos", novelty(features("test", test)))
    report("parts of them", novelty(features("test-parts", test[::2], varied=True)))
    for number, place in enumerate(arguments.check):
        values = novelty(features(f"check-{number}", files := files_in(place)))
        report(str(place), values)
        if len(files) < 40:
            print("  ", ", ".join(f"{path.name} {value:.2f}" for path, value in zip(files, values, strict=True)))
    for part in ("fitting", "checking"):
        values, kinds = novelty(features(part, drawn[part])), defaultdict(list)
        report(part, values)
        for path, value in zip(drawn[part], values, strict=True):
            kinds[path.stem.rpartition("-")[0]].append(value > 0)
        print("  ", ", ".join(f"{kind} {np.mean(found):.2f}" for kind, found in kinds.items()))


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
