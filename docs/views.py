"""Draws docs/views.png: a photograph (coffee, by Rachel Michetti, CC0, from scikit-image) and its two views.

python docs/views.py
"""

from pathlib import Path

import jax.numpy as jnp
import matplotlib
import numpy as np
import skimage

from vtiqa_jax.data import images
from vtiqa_jax.models import views
from vtiqa_jax.models.vtiqa import deit_small

matplotlib.use("Agg")
from matplotlib import pyplot as plt

photo = images.read(Path(skimage.__file__).parent / "data" / "coffee.png")
config = deit_small()
small, large = (jnp.asarray(image)[None] for image in images.resize_pair(photo, config.stored_sides))
shown = {
    f"the photo, {photo.shape[1]} x {photo.shape[0]}": photo,
    "global view: the whole, shrunk": np.asarray(views.center_crop(small, config.view_size)[0]),
    "local view: 49 untouched patches": np.asarray(
        views.eval_mosaic(large, config.mosaic_grid, config.mosaic_patch)[0]
    ),
}
figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained", width_ratios=[1.5, 1, 1])
for axis, (title, picture) in zip(axes, shown.items(), strict=True):
    axis.imshow(picture, interpolation="nearest")
    axis.set_title(title, fontsize=11)
    axis.axis("off")
figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)
