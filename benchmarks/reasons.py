"""Measures which planted faults a model names, and which faults it names in photos that have none.

For example:

    python benchmarks/reasons.py --photos DIR [--good DIR] [--checkpoint default] [--count 40] [--out table.json]

Faults are planted at three levels by code that is written here, apart from that of training
(`vtiqa_jax/data/planted_faults.py`), and by kinds that training never shows. Damaged photos are compared with the
photos as they were: the table shows the area under the ROC curve and how often the fault is named, beside a classical
measure. The middle of each photo is judged at its own pixels; photos of 512 px are judged whole.
"""

import dataclasses
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import scipy.stats
from cyclopts import Parameter
from damage import Photo, clipped, jpeg, jpeg2000, middle, motion
from jaxtyping import Float
from PIL import Image, ImageFilter
from tqdm import tqdm

from vtiqa_jax import Scorer, cli
from vtiqa_jax.data.camera_noise import Camera, add_camera_noise
from vtiqa_jax.models import catalog
from vtiqa_jax.models.adapt import without_novelty
from vtiqa_jax.models.faults import FAULTS
from vtiqa_jax.photos import files
from vtiqa_jax.photos.decode import read

Plane = Float[np.ndarray, "height width"]
Damage = Callable[[Photo, float, np.random.Generator], Photo]
HEIGHT, WIDTH = 1500, 2000
"""Size of the middle of each photo, in pixels."""
LEVELS = ("slight", "plain", "severe")


@Parameter(name="*")
@dataclasses.dataclass
class Arguments:
    """Options."""

    photos: Path
    """Folder of photos, none of which trained the model."""
    good: Path | None = None
    """Folder of photos without faults, in which no fault should be named. The photos themselves when not given."""
    checkpoint: str = "default"
    """Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model."""
    count: int = 40
    """Number of photos into which faults are planted."""
    out: Path | None = None
    """JSON file for all numbers."""


def _expose(photo: Photo, stops: float) -> Photo:
    return clipped(255 * (np.clip((photo / 255) ** 2.2 * 2**stops, 0, 1)) ** (1 / 2.2))


def _blur(photo: Photo, sigma: float, _: np.random.Generator) -> Photo:
    return np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(sigma)))


def _sensor_noise(photo: Photo, rng: np.random.Generator) -> Float[np.ndarray, "height width 3"]:
    camera, seed = Camera.draw(rng), int(rng.integers(1 << 32))
    clean, noisy = (add_camera_noise(photo, iso, camera, np.random.default_rng(seed)) for iso in (0, 3200))
    return noisy.astype(np.float32) - clean


def _luminance_noise(photo: Photo, sigma: float, rng: np.random.Generator) -> Photo:
    noise = _sensor_noise(photo, rng).mean(2, keepdims=True)
    return clipped(photo + sigma * noise / noise.std())


def _chroma_noise(photo: Photo, sigma: float, rng: np.random.Generator) -> Photo:
    noise = _sensor_noise(photo, rng)
    noise -= noise.mean(2, keepdims=True)
    return clipped(photo + sigma * noise / noise.std())


def _enlarge(photo: Photo, factor: float, _: np.random.Generator) -> Photo:
    height, width, _channels = photo.shape
    image = Image.fromarray(photo)
    return np.asarray(image.resize((round(width / factor), round(height / factor)), 1).resize((width, height), 3))


def _cast(photo: Photo, change: float, rng: np.random.Generator) -> Photo:
    gains = np.array([[1, 0, -1], [-1, 0, 1], [-0.5, 1, -0.5]])[rng.integers(3)] * change + 1
    return clipped(photo * gains)


def _veil(photo: Photo, share: float, _: np.random.Generator) -> Photo:
    return clipped((1 - share) * photo + share * 200)


PLANTED: dict[str, tuple[tuple[float, float, float], Damage]] = {
    "defocus": ((1, 2, 4), _blur),
    "motion": ((7, 15, 31), motion),
    "luminance_noise": ((4, 8, 20), _luminance_noise),
    "chroma_noise": ((4, 8, 20), _chroma_noise),
    "compression": ((40, 20, 10), jpeg),
    "enlarged": ((1.5, 2, 4), _enlarge),
    "too_dark": ((1, 1.5, 3), lambda photo, stops, _: _expose(photo, -stops)),
    "clipped_highlights": ((1, 1.5, 3), lambda photo, stops, _: _expose(photo, stops)),
    "low_contrast": ((0.25, 0.45, 0.65), _veil),
    "colour_cast": ((0.1, 0.2, 0.4), _cast),
}  # fmt: skip
"""Amounts of a slight, a plain and a severe fault: sigma and length in pixels, noise in grey levels, JPEG's quality,
times enlarged, stops, the share of a grey veil, the change of a channel's gain."""


def _zoomed(photo: Photo, _: np.random.Generator) -> Photo:
    height, width, _channels = photo.shape
    total = np.zeros(photo.shape, np.float32)
    for scale in np.linspace(1, 1.03, 12):
        matrix = cv2.getRotationMatrix2D((width / 3, height / 3), 0, scale)
        total += cv2.warpAffine(photo, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    return clipped(total / 12)


def _distant_haze(photo: Photo, _: np.random.Generator) -> Photo:
    """Adds haze that is thicker towards the top, as over a landscape."""
    share = np.linspace(0.75, 0.35, len(photo))[:, None, None]
    return clipped((1 - share) * photo + share * np.array([205, 210, 215]))


def _speckle(photo: Photo, rng: np.random.Generator) -> Photo:
    return clipped(photo * (1 + 0.08 * rng.standard_normal((*photo.shape[:2], 1))))


def _white_chroma(photo: Photo, rng: np.random.Generator) -> Photo:
    return clipped(photo + 12 * rng.standard_normal((*photo.shape[:2], 1)) * np.array([1, -0.5, 0.3]))


def _enlarge_by_lanczos(photo: Photo, _: np.random.Generator) -> Photo:
    small = cv2.resize(photo, None, fx=1 / 3, fy=1 / 3, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, photo.shape[1::-1], interpolation=cv2.INTER_LANCZOS4)


def _tint(photo: Photo, rng: np.random.Generator) -> Photo:
    lab = cv2.cvtColor(photo, cv2.COLOR_RGB2LAB).astype(np.int16)
    lab[:, :, 1:] += np.array([[0, 22], [0, -22], [16, 0], [-16, 0]], np.int16)[rng.integers(4)]
    return cv2.cvtColor(np.clip(lab, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)


UNSEEN: dict[str, tuple[str, Callable[[Photo, np.random.Generator], Photo]]] = {
    "box blur of 7 px": ("defocus", lambda photo, _: cv2.blur(photo, (7, 7))),
    "zoomed while exposing": ("motion", _zoomed),
    "speckle": ("luminance_noise", _speckle),
    "white noise in colour": ("chroma_noise", _white_chroma),
    "JPEG 2000, 80 times smaller": ("compression", lambda photo, rng: jpeg2000(photo, 80, rng)),
    "enlarged thrice, Lanczos of OpenCV": ("enlarged", _enlarge_by_lanczos),
    "gamma 2.2": ("too_dark", lambda photo, _: clipped(255 * (photo / 255) ** 2.2)),
    "gain 2 in sRGB": ("clipped_highlights", lambda photo, _: clipped(photo * 2.0)),
    "haze with distance": ("low_contrast", _distant_haze),
    "tint in Lab": ("colour_cast", _tint),
}  # fmt: skip
"""Kinds that training never shows, about plain."""
MIXED = (("too_dark", "luminance_noise"), ("defocus", "compression"), ("low_contrast", "colour_cast"))


def _grey(photo: Photo) -> Plane:
    return cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _sharpness(photo: Photo) -> float:
    return -float(np.log(cv2.Laplacian(_grey(photo), cv2.CV_32F).var() + 1e-3))


def _noise_level(plane: Plane) -> float:
    """Estimates noise as J. Immerkaer, Computer Vision and Image Understanding 64(2), 1996."""
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    return float(np.sqrt(np.pi / 2) * np.abs(cv2.filter2D(plane, -1, mask)).mean() / 6)


def _blockiness(photo: Photo) -> float:
    steps = np.abs(np.diff(_grey(photo), axis=1)).mean(0)
    edges = steps[7::8].mean()
    return float(edges / (np.delete(steps, np.arange(7, len(steps), 8)).mean() + 1e-6))


def _percentile_range(photo: Photo) -> float:
    low, high = np.percentile(_grey(photo), [5, 95])
    return -float(high - low)


CLASSICAL: dict[str, tuple[str, Callable[[Photo], float]]] = {
    "defocus": ("variance of Laplacian", _sharpness),
    "motion": ("variance of Laplacian", _sharpness),
    "luminance_noise": ("Immerkaer", lambda photo: _noise_level(_grey(photo))),
    "chroma_noise": ("Immerkaer of R - G", lambda photo: _noise_level(np.subtract(*cv2.split(photo.astype("f4"))[:2]))),
    "compression": ("blockiness", _blockiness),
    "enlarged": ("variance of Laplacian", _sharpness),
    "too_dark": ("mean brightness", lambda photo: -float(photo.mean())),
    "clipped_highlights": ("share at 254 and above", lambda photo: float((photo.max(2) >= 254).mean())),
    "low_contrast": ("5th to 95th percentile", _percentile_range),
    "colour_cast": ("grey world", lambda photo: float(np.ptp(photo.mean((0, 1))))),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Judged:
    """What is known of one version."""

    kind: str
    level: str
    strengths: Float[np.ndarray, " faults"]
    named: frozenset[str]
    classical: dict[str, float]


def _versions(photo: Photo, rng_seed: int) -> Iterator[tuple[str, str, Photo]]:
    def rng() -> np.random.Generator:
        return np.random.default_rng(rng_seed)

    yield "none", "", photo
    for fault, (amounts, damage) in PLANTED.items():
        for level, amount in zip(LEVELS, amounts, strict=True):
            yield fault, level, damage(photo, amount, rng())
    for name, (_, damage) in UNSEEN.items():
        yield name, "unseen", damage(photo, rng())
    for pair in MIXED:
        mixed = photo
        for fault in pair:
            amounts, damage = PLANTED[fault]
            mixed = damage(mixed, amounts[1], rng())
        yield " and ".join(pair), "mixed", mixed


def judge(model: Scorer, photo: Photo, seed: int) -> Iterator[Judged]:
    """Judges all versions of a photo."""
    versions = list(_versions(photo, seed))
    for (kind, level, pixels), result in zip(versions, model.stream([v[2] for v in versions]), strict=True):
        faults = {kind: CLASSICAL[kind]} if kind in CLASSICAL else CLASSICAL if kind == "none" else {}
        strengths = {fault.name: fault.strength for fault in result.faults}  # of a photo without structure not all
        yield Judged(
            kind,
            level,
            np.array([strengths.get(fault, -np.inf) for fault in FAULTS]),
            frozenset(reason.name for reason in result.reasons),
            {fault: measure(pixels) for fault, (_, measure) in faults.items()},
        )


def area(worse: list[float], better: list[float]) -> float:
    """Returns the area under the receiver's curve: how often a worse one has more than a better one."""
    statistic = scipy.stats.mannwhitneyu(worse, better).statistic
    return float(statistic / (len(worse) * len(better)))


def print_table(judged: list[Judged]) -> dict[str, object]:
    """Prints areas, shares named, confusions, mixtures and unseen kinds; returns the same."""
    by = {}
    for one in judged:
        by.setdefault((one.kind, one.level), []).append(one)
    clean, found = by["none", ""], {}
    print(f"\n| fault | level | AUC | named | classical | its AUC |   n = {len(clean)}\n|---|---|---|---|---|---|")
    for number, fault in enumerate(FAULTS):
        for level in LEVELS:
            worse = by[fault, level]
            values = (
                area([one.strengths[number] for one in worse], [one.strengths[number] for one in clean]),
                float(np.mean([fault in one.named for one in worse])),
                area([one.classical[fault] for one in worse], [one.classical[fault] for one in clean]),
            )
            found[f"{fault} {level}"] = values
            print(
                f"| {fault} | {level} | {values[0]:.3f} | {values[1]:.2f} | {CLASSICAL[fault][0]} | {values[2]:.3f} |"
            )
    print("\nplanted, plain: share in which each fault is named")
    print("| | " + " | ".join(FAULTS) + " |\n|" + "---|" * (len(FAULTS) + 1))
    for fault in ("none", *FAULTS):
        rows = by[fault, "plain" if fault != "none" else ""]
        shares = [float(np.mean([other in one.named for one in rows])) for other in FAULTS]
        found[f"confusion {fault}"] = shares
        print(f"| {fault} | " + " | ".join(f"{share:.2f}" for share in shares) + " |")
    print("\n| unseen kind | fault | AUC | named | named as another |\n|---|---|---|---|---|")
    for name, (fault, _) in UNSEEN.items():
        rows, number = by[name, "unseen"], FAULTS.index(fault)
        value = area([one.strengths[number] for one in rows], [one.strengths[number] for one in clean])
        share = float(np.mean([fault in one.named for one in rows]))
        other = float(np.mean([bool(one.named - {fault}) for one in rows]))
        found[name] = (value, share, other)
        print(f"| {name} | {fault} | {value:.3f} | {share:.2f} | {other:.2f} |")
    print("\n| mixed | first named | second named |\n|---|---|---|")
    for first, second in MIXED:
        rows = by[f"{first} and {second}", "mixed"]
        shares = [float(np.mean([fault in one.named for one in rows])) for fault in (first, second)]
        found[f"{first} and {second}"] = shares
        print(f"| {first} and {second} | {shares[0]:.2f} | {shares[1]:.2f} |")
    return found


def print_false_alarms(model: Scorer, good: Path) -> dict[str, float]:
    """Prints in how many good photos each fault is named."""
    results = [result for result in model.stream(files.find([good])) if not result.error]
    named = [frozenset(reason.name for reason in result.reasons) for result in results]
    shares = {fault: float(np.mean([fault in one for one in named])) for fault in FAULTS}
    alarms, count = sum(map(bool, named)), len(named)
    low, high = scipy.stats.binomtest(alarms, count).proportion_ci(method="wilson")
    print(f"\n{count} good photos: any fault named in {alarms / count:.3f} ({low:.3f} to {high:.3f})")
    print("  " + ", ".join(f"{fault} {share:.3f}" for fault, share in shares.items()))
    return {"any": alarms / count, **shares}


def main(arguments: Arguments) -> None:
    """Measures and prints."""
    # Of what does not look like a photograph no fault is told; some versions may not.
    made = without_novelty(catalog.load(arguments.checkpoint))
    assert made.scale is not None
    model = Scorer(made.config, made.params, made.scale)
    judged: list[Judged] = []
    for path in tqdm(sorted(files.find([arguments.photos]))[: arguments.count], "photos", disable=None):
        judged += judge(model, middle(read(Path(path)).pixels, HEIGHT, WIDTH), zlib.crc32(Path(path).name.encode()))
    found = print_table(judged)
    found["false alarms"] = print_false_alarms(model, arguments.good or arguments.photos)
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    cli.run_script(main, description=__doc__)
