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


def make(photos: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Expected values under the names that `python -m convert ... --expect` reads."""
    seen = [reference.views(photo) for photo in photos]
    global_view, mosaic = (np.stack([pair[which] for pair in seen]) for which in (0, 1))
    view, local = reference.normalise(global_view), reference.normalise(mosaic)
    weights = reference.tensors(standin.released())
    backbone, fusion, selector = map(reference.tensors, standin.original())
    maps = reference.sensitivity(selector, view).numpy()
    positions = reference.positions(maps)
    large = [cv2.resize(photo, (768, 768), interpolation=cv2.INTER_CUBIC) for photo in photos]
    chosen = np.zeros_like(mosaic)
    for n, i, j in np.ndindex(len(photos), 7, 7):
        row, col = positions[n, i, j]
        chosen[n, i * 32 : i * 32 + 32, j * 32 : j * 32 + 32] = large[n][row : row + 32, col : col + 32]
    with torch.no_grad():
        features, layers = reference.vit(weights, view)
        return {
            "global_view": global_view.transpose(0, 3, 1, 2),
            "mosaic": mosaic.transpose(0, 3, 1, 2),
            "mosaic_original": chosen.transpose(0, 3, 1, 2),
            "patch_embed": reference.embed(weights, view)[:, :8].numpy(),
            **{f"block{i}": layers[i][:, :8].numpy() for i in (0, 5, 11)},
            "features_global": features.numpy(),
            "features_mosaic": reference.vit(weights, local)[0].numpy(),
            "score": reference.released(weights, view, local).numpy(),
            "sensitivity_original": (maps - maps.min()) / (maps.max() - maps.min()),
            "positions_original": positions,
            "score_original": reference.original(backbone, fusion, view, reference.normalise(chosen)).numpy(),
        }


if __name__ == "__main__":
    found = make([cv2.imread(str(path))[:, :, ::-1] for path in PHOTOS])
    np.savez_compressed(HERE / "expected.npz", **found)
    print({key: value.shape for key, value in found.items()}, found["score"], found["score_original"])
