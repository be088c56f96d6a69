"""A loss with extra photos: a strongly compressed copy of a training photo has to score lower than the photo."""

import dataclasses

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from vtiqa_jax.data.batches import AuxiliaryPhotos
from vtiqa_jax.data.loader import Batch
from vtiqa_jax.data.manifest import ImageSource, Manifest
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.photos.decode import decode
from vtiqa_jax.training.finetune import FinetuneRecipe

COPY, QUALITY = "compressed ", 5


@dataclasses.dataclass(frozen=True)
class WithCopies:
    """Adds to another source a copy of each of its photos as a bad JPEG."""

    source: ImageSource

    def read(self, name: str) -> bytes:
        """Returns the file, or the copy."""
        photo = name.removeprefix(COPY)
        data = self.source.read(photo)
        if photo == name:
            return data
        pixels = np.ascontiguousarray(decode(photo, data).pixels[:, :, ::-1])  # OpenCV has BGR
        return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()

    def version(self, name: str) -> str:
        """Changes when the photo does, or QUALITY."""
        return f"{self.source.version(name.removeprefix(COPY))} {QUALITY}"

    def stamp(self, name: str) -> str:
        """Changes when the photo does, or QUALITY."""
        return f"{self.source.stamp(name.removeprefix(COPY))} {QUALITY}"


@dataclasses.dataclass(frozen=True)
class PairsRecipe(FinetuneRecipe):
    """Fine-tuning that also shows pairs of a photo and its copy."""

    pairs_per_batch: int = 2
    """Pairs in a step, beside the photos with labels."""
    pair_margin: float = 0.5
    """How much lower the copy has to score, in standard deviations of the training labels."""

    def auxiliary_photos(self, photos: Manifest, rows: Int[np.ndarray, " n"], scale: LabelScale) -> AuxiliaryPhotos:
        """Pairs each training photo with a copy."""
        longer = photos.extend([COPY + photos.names[row] for row in rows], WithCopies(photos.images))
        copies = np.arange(len(photos.names), len(longer.names))
        columns = {
            "mask": np.ones(len(longer.names), np.float32),  # whether it has a label: a copy has none
            "pairs": np.full(len(longer.names), -1, np.float32),  # the number of its pair; -1 for other photos
        }
        columns["mask"][copies] = 0
        columns["pairs"][rows] = columns["pairs"][copies] = np.arange(len(rows))
        columns["copies"] = 1 - columns["mask"]
        return AuxiliaryPhotos(longer, np.stack([rows, copies], axis=1), self.pairs_per_batch, columns)

    def loss(self, outputs: Float[Array, " batch"], batch: Batch) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Adds a hinge loss over the pairs to the usual loss."""
        usual, logged = super().loss(outputs, batch)
        pairs, is_copy = batch["pairs"], batch["copies"] == 1
        shown = (
            (pairs[:, None] == pairs[None]) & (batch["mask"] == 1)[:, None] & is_copy[None]
        )  # what only pads has no mask either
        missing = jax.nn.relu(self.pair_margin - (outputs[:, None] - outputs[None]))
        loss = jnp.where(shown, missing, 0).sum() / jnp.maximum(shown.sum(dtype=jnp.float32), 1)
        return usual + loss, logged | {"pairs": loss}
