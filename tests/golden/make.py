"""Makes expected.npz: what the PyTorch reference returns for the stand-in weights on three photographs.

    python -m tests.golden.make

The photographs, free of copyright, come with scikit-image. Needs torch; the tests that compare with the file do not.
"""

from pathlib import Path

import cv2
import numpy as np
import skimage
import torch

from tests import reference, standin

HERE = Path(__file__).parent
SKIMAGE = Path(skimage.__file__).parent / "data"
PHOTOS = (SKIMAGE / "astronaut.png", SKIMAGE / "coffee.png", SKIMAGE / "chelsea.png")


Arrays = dict[str, np.ndarray]


def select_patches(photos: list[np.ndarray], positions: np.ndarray) -> np.ndarray:
    """The mosaics of the paper's model, uint8 [n, 224, 224, 3], from the corners [n, 7, 7, 2] of their patches."""
    large = [cv2.resize(photo, (768, 768), interpolation=cv2.INTER_CUBIC) for photo in photos]
    selected = np.zeros((len(photos), 224, 224, 3), np.uint8)
    for n, i, j in np.ndindex(len(photos), 7, 7):
        row, col = positions[n, i, j]
        selected[n, i * 32 : i * 32 + 32, j * 32 : j * 32 + 32] = large[n][row : row + 32, col : col + 32]
    return selected


def released_values(global_view: np.ndarray, mosaic: np.ndarray) -> Arrays:
    """What the released model returns for views, uint8 [n, 224, 224, 3]."""
    view, local = reference.normalize(global_view), reference.normalize(mosaic)
    weights = reference.tensors(standin.released())
    with torch.no_grad():
        features, layers = reference.vit(weights, view)
        return {
            "patch_embed": reference.embed(weights, view)[:, :8].numpy(),
            **{f"block{i}": layers[i][:, :8].numpy() for i in (0, 5, 11)},
            "features_global": features.numpy(),
            "features_mosaic": reference.vit(weights, local)[0].numpy(),
            "score": reference.released(weights, view, local).numpy(),
        }


def selector_values(global_view: np.ndarray) -> Arrays:
    """What the selector of the paper's model returns for global views, uint8 [n, 224, 224, 3]."""
    selector = reference.tensors(standin.original()[2])
    maps = reference.sensitivity(selector, reference.normalize(global_view)).numpy()
    return {
        "sensitivity_original": (maps - maps.min()) / (maps.max() - maps.min()),
        "positions_original": reference.positions(maps),
    }


def original_score(global_view: np.ndarray, mosaic: np.ndarray) -> np.ndarray:
    """The paper's model's scores of views, uint8 [n, 224, 224, 3]."""
    backbone, fusion, _ = map(reference.tensors, standin.original())
    with torch.no_grad():
        return reference.original(
            backbone, fusion, reference.normalize(global_view), reference.normalize(mosaic)
        ).numpy()


def make(photos: list[np.ndarray]) -> Arrays:
    """Expected values under the names that `python -m convert ... --expect` reads."""
    pairs = [reference.views(photo) for photo in photos]
    global_view, mosaic = (np.stack([pair[which] for pair in pairs]) for which in (0, 1))
    selector = selector_values(global_view)
    selected = select_patches(photos, selector["positions_original"])
    pixels = {"global_view": global_view, "mosaic": mosaic, "mosaic_original": selected}
    return {
        **{name: array.transpose(0, 3, 1, 2) for name, array in pixels.items()},
        **released_values(global_view, mosaic),
        **selector,
        "score_original": original_score(global_view, selected),
    }


if __name__ == "__main__":
    values = make([cv2.imread(str(path))[:, :, ::-1] for path in PHOTOS])
    np.savez_compressed(HERE / "expected.npz", **values)
    print({key: value.shape for key, value in values.items()}, values["score"], values["score_original"])
