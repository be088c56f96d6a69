"""The demonstration's data: real photographs, distorted as cameras distort them, with a label made by rule.

The label orders the versions of a photograph by how strongly they were distorted. It is not human opinion.
"""

import csv
from pathlib import Path

import cv2
import numpy as np

from vtiqa_jax import atomic
from vtiqa_jax.data import distortions, manifest
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.data.splits import Split
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.photos import own
from vtiqa_jax.photos.decode import read
from vtiqa_jax.photos.resize import Rgb

SCALE = LabelScale("demo (label made by rule)", 1.0, 5.0)
LABELS = "5 for an pristine photograph down to 1 for the strongest distortion, by rule; not human opinion"

TRAINING = ("astronaut.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "china.jpg", "grace_hopper.jpg")
HELD_OUT = ("chelsea.png", "flower.jpg")
"""Photographs, not versions, are held out: nothing of these is seen in training."""
TRAINING_LEVELS = 6
HELD_OUT_LEVELS = 5


def originals() -> dict[str, Rgb]:
    """Returns the photographs, by name.

    Raises:
        UserError: scikit-image or scikit-learn is missing.
    """
    import matplotlib

    try:
        import skimage
        import sklearn
    except ImportError as error:
        raise UserError('the demonstration needs the extra "demo": pip install "vtiqa-jax[demo]"') from error
    originals = {}
    for name in (*TRAINING, *HELD_OUT):
        # By path: the packages' own loaders would want network access or Pillow's decoder.
        folders = (
            Path(skimage.__file__).parent / "data",
            Path(sklearn.__file__).parent / "datasets" / "images",
            Path(matplotlib.get_data_path()) / "sample_data",
        )
        path = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if path is None:
            raise UserError(
                f"{name} is in none of scikit-image, scikit-learn, matplotlib; install the versions of pyproject.toml"
            )
        originals[name] = read(path).pixels
    return originals


DISTORTIONS = {
    function.__name__: function
    for function in (
        distortions.defocus, distortions.motion, distortions.noise, distortions.jpeg, distortions.overexposed,
        distortions.underexposed,
    )
}  # fmt: skip


def _write(folder: Path) -> None:
    """Returns all versions of all photographs, then `scores.csv`, whose presence says that the folder is complete."""
    own.mark_folder(folder)
    rng = np.random.default_rng(0)
    rows = []
    for name, original in originals().items():
        stem = Path(name).stem
        versions = {f"{stem}.png": (original, 5.0, "none")}
        for distortion, distort in DISTORTIONS.items():
            for level in np.linspace(0, 1, TRAINING_LEVELS if name in TRAINING else HELD_OUT_LEVELS):
                # The weakest distortion is already one step below the pristine photograph.
                label = 4.5 - 3.5 * level
                versions[f"{stem}_{distortion}_{level:.2f}.png"] = (distort(original, level, rng), label, distortion)
        for file, (pixels, label, distortion) in versions.items():
            # Fast rather than small: zlib's level 1.
            png = cv2.imencode(".png", pixels[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
            (folder / file).write_bytes(png.tobytes())  # cv2.imwrite says nothing of a full disk
            rows.append([file, f"{label:.2f}", name, distortion])
    with atomic.atomic_replace(folder / "scores.csv") as temporary, temporary.open("w", newline="") as file:
        csv.writer(file).writerows([["image", "mos", "photograph", "distortion"], *rows])


def make(folder: Path) -> tuple[Manifest, Split]:
    """Makes the demonstration's photos in `folder`, unless they are complete, grouped by distortion.

    They are divided by photograph: no version of a held-out photograph is trained on.

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
