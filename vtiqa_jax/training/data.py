"""The data of one run: every photo decoded and resized once, labels standardised, batches planned."""

import dataclasses
from pathlib import Path

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Int

from vtiqa_jax.data import image_cache
from vtiqa_jax.data.batches import BatchPlan
from vtiqa_jax.data.loader import ImageStore
from vtiqa_jax.data.manifest import Manifest
from vtiqa_jax.data.splits import Split
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.training import preflight
from vtiqa_jax.training.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """The photos of a run, those that its recipe adds among them."""

    photos: Manifest
    split: Split
    """Without the photos that cannot be read."""
    left_out: list[str]
    """Those."""
    selection: Int[np.ndarray, " n"]
    """The rows that select the best epoch; without any the last one is kept."""
    images: ImageStore
    mean: float
    std: float
    """Standard deviation by which labels are standardised: the model in training scores (MOS - mean) / std."""
    plan: BatchPlan

    @property
    def selection_mos(self) -> Float[np.ndarray, " n"]:
        """The labels of `selection`."""
        return self.photos.mos[self.selection]

    def to_scale(self, scores: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Maps standardised scores to the scale of the labels."""
        return scores * np.float32(self.std) + np.float32(self.mean)


def prepare_data(
    recipe: Recipe,
    photos: Manifest,
    split: Split,
    scale: LabelScale,
    config: ModelConfig,
    mesh: Mesh,
    folder: Path,
    *,
    on_device: bool | None = None,
    partial: bool = False,
) -> TrainingData:
    """Decodes and resizes what is not in the folder yet, and puts together what the recipe trains on.

    Args:
        recipe: may add photos, see `Recipe.auxiliary_photos`.
        photos: all photos with their labels.
        split: which of them train, select the best epoch, and are tested on.
        scale: what the labels mean.
        config: of the model, for which photos are resized.
        mesh: the devices.
        folder: where resized photos are kept.
        on_device: see `ImageStore`.
        partial: leaves out photos that cannot be read.

    Raises:
        UserError: a photo cannot be read, or too few are left to learn from.
    """
    auxiliary = recipe.auxiliary_photos(photos, split.train, scale)
    preflight.check_targets(photos, auxiliary.columns)
    cache = image_cache.build_image_cache(auxiliary.photos, folder, config, leave_out_broken=partial)
    readable, shown = split.without(cache.broken), auxiliary.without(cache.broken)
    preflight.check_labels(photos, readable, recipe)
    mean, std = recipe.label_stats(photos.mos[readable.train])
    labels = ((auxiliary.photos.mos - mean) / std).astype(np.float32)
    columns = {"labels": labels, **auxiliary.photos.targets, **shown.columns}
    return TrainingData(
        photos=auxiliary.photos,
        split=readable,
        left_out=[auxiliary.photos.names[row] for row in cache.broken],
        # Photos that are too few to select an epoch do not do so when others cannot be read either.
        selection=readable.selection if len(recipe.selection(split)) else readable.val[:0],
        images=ImageStore(cache, mesh, on_device=on_device),
        mean=mean,
        std=std,
        plan=BatchPlan(readable.train, recipe.batch_size, recipe.seed, columns, shown.groups, shown.per_batch),
    )
