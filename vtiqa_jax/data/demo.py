"""The demonstration's data: real photographs, distorted as cameras distort them, with a label made by rule.

The label orders the versions of a photograph by how strongly they were distorted. It is not human opinion.
"""

import csv
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from vtiqa_jax import atomic
from vtiqa_jax.data import images, manifest
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.data.splits import Split
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.checkpoint import LabelScale

SCALE = LabelScale("demo (label made by rule)", 1.0, 5.0)
LABELS = "5 for an untouched photograph down to 1 for the strongest distortion, by rule; not human opinion"

Photo = UInt8[np.ndarray, "height width 3"]

TRAINING = ("astronaut.png", "coffee.png", "rocket.jpg", "china.jpg")
HELD_OUT = ("chelsea.png", "flower.jpg")
"""Photographs, not versions, are held out: nothing of these is seen in training."""
TRAINING_LEVELS = 8
HELD_OUT_LEVELS = 5


def _originals() -> dict[str, Photo]:
    try:
        import skimage
        import sklearn
    except ImportError as error:
        raise UserError('the demonstration needs the extra "demo": pip install "vtiqa-jax[demo]"') from error
    originals = {}
    for name in (*TRAINING, *HELD_OUT):
        # By path: the packages' own loaders would want network access or Pillow's decoder.
        folders = (Path(skimage.__file__).parent / "data", Path(sklearn.__file__).parent / "datasets" / "images")
        path = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if path is None:
            raise UserError(
                f"{name} is in neither scikit-image nor scikit-learn; install the versions of pyproject.toml"
            )
        originals[name] = images.read(path)
    return originals


def _linear(photo: Photo) -> Float[np.ndarray, "height width 3"]:
    """Light, 0..1, from sRGB's gamma (taken as 2.2)."""
    return (photo / np.float32(255)) ** np.float32(2.2)


def _pixels(light: Float[np.ndarray, "height width 3"]) -> Photo:
    return np.rint(255 * np.clip(light, 0, 1) ** (1 / 2.2)).astype(np.uint8)


def defocus(photo: Photo, level: float, _: np.random.Generator) -> Photo:
    """Light spread over a disc of up to 7 px radius."""
    radius = 0.6 * (7 / 0.6) ** level
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return _pixels(cv2.filter2D(_linear(photo), -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT))


def motion(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """Light smeared along a line of up to 31 px in a random direction."""
    length = 2 * (31 / 2) ** level
    angle, reach = rng.uniform(0, np.pi), int(np.ceil(length / 2))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    line = (np.clip(length / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(1 - np.abs(across), 0, 1)).astype(np.float32)
    return _pixels(cv2.filter2D(_linear(photo), -1, line / line.sum(), borderType=cv2.BORDER_REFLECT))


def noise(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """A sensor's shot noise and read noise, of up to a very dark scene's."""
    strength = 0.02 * (0.35 / 0.02) ** level
    light = _linear(photo)
    spread = strength * np.sqrt(0.3 * light + 0.02).astype(np.float32)
    return _pixels(light + spread * rng.standard_normal(light.shape, np.float32))


def jpeg(photo: Photo, level: float, _: np.random.Generator) -> Photo:
    """JPEG compression from quality 60 down to 4."""
    quality = round(60 * (4 / 60) ** level)
    encoded = cv2.imencode(".jpg", photo[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return images.decode(encoded.tobytes())


def overexposed(photo: Photo, level: float, _: np.random.Generator) -> Photo:
    """Up to 4 stops too much light, cut off at white."""
    return _pixels(_linear(photo) * np.float32(2 ** (0.4 + 3.6 * level)))


def underexposed(photo: Photo, level: float, rng: np.random.Generator) -> Photo:
    """Up to 6 stops too little light, with the noise that is left."""
    light = _linear(photo) * np.float32(2 ** -(0.6 + 5.4 * level))
    return _pixels(light + np.float32(0.002) * rng.standard_normal(light.shape, np.float32))


DISTORTIONS: dict[str, Callable[[Photo, float, np.random.Generator], Photo]] = {
    "defocus": defocus,
    "motion": motion,
    "noise": noise,
    "jpeg": jpeg,
    "overexposed": overexposed,
    "underexposed": underexposed,
}
"""Each takes a photo, a level from 0 (just visible) to 1 and a generator."""


def _write(folder: Path) -> None:
    """All versions of all photographs, then `scores.csv`, whose presence says that the folder is complete."""
    atomic.make_folder(folder)
    rng = np.random.default_rng(0)
    rows = []
    for name, original in _originals().items():
        stem = Path(name).stem
        versions = {f"{stem}.png": (original, 5.0, "none")}
        for distortion, distort in DISTORTIONS.items():
            for level in np.linspace(0, 1, TRAINING_LEVELS if name in TRAINING else HELD_OUT_LEVELS):
                # The weakest distortion is already one step below the untouched photograph.
                label = 4.5 - 3.5 * level
                versions[f"{stem}_{distortion}_{level:.2f}.png"] = (distort(original, level, rng), label, distortion)
        for file, (pixels, label, distortion) in versions.items():
            # Fast rather than small: zlib's level 1.
            cv2.imwrite(str(folder / file), pixels[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
            rows.append([file, f"{label:.2f}", name, distortion])
    with atomic.atomic_replace(folder / "scores.csv") as temporary, temporary.open("w", newline="") as file:
        csv.writer(file).writerows([["image", "mos", "photograph", "distortion"], *rows])


def make(folder: Path) -> tuple[Manifest, Split]:
    """The demonstration's photos in `folder`, made there unless they are complete, as a manifest of photos grouped by
    distortion, divided by photograph: no version of a held-out photograph is trained on.

    Raises:
        UserError: scikit-image or scikit-learn is missing.
    """
    if not (folder / "scores.csv").exists():
        _write(folder)
    photos = manifest.read_csv(folder / "scores.csv", folder, "distortion")
    held_out = np.array(
        [name.split("_")[0].removesuffix(".png") in {Path(p).stem for p in HELD_OUT} for name in photos.names]
    )
    none = np.empty(0, np.int64)
    return photos, Split(np.flatnonzero(~held_out), none, np.flatnonzero(held_out), note="divided by photograph")
