"""Draws docs/views.png: a photograph (coffee, by Rachel Michetti, CC0, from scikit-image) and its two views.

python docs/views.py
"""

from pathlib import Path

import jax.numpy as jnp
import matplotlib
import numpy as np
import skimage

from vtiqa_jax.models import views
from vtiqa_jax.models.config import deit_small
from vtiqa_jax.photos.decode import read
from vtiqa_jax.photos.resize import prepare

matplotlib.use("Agg")
from matplotlib import pyplot as plt

photo = read(Path(skimage.__file__).parent / "data" / "coffee.png").pixels
config = deit_small()
small, large = (jnp.asarray(image)[None] for image in prepare(photo, config.screen_side, config.stored_cuts))
shown = {
    f"the photo, {photo.shape[1]} x {photo.shape[0]}": photo,
    "global view: the whole, shrunk": np.asarray(views.center_crop(small, config.view_size)[0]),
    "local view: 49 small patches": np.asarray(views.keep(large, config.eval_cuts[1])[0]),
}
figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained", width_ratios=[1.5, 1, 1])
for axis, (title, picture) in zip(axes, shown.items(), strict=True):
    axis.imshow(picture, interpolation="nearest")
    axis.set_title(title, fontsize=11)
    axis.axis("off")
figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)
