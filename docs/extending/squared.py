"""A loss in place of the usual one: the mean squared error."""

import dataclasses

from jaxtyping import Array, Float

from vtiqa_jax.data.loader import Batch
from vtiqa_jax.training.finetune import FinetuneRecipe


@dataclasses.dataclass(frozen=True)
class SquaredRecipe(FinetuneRecipe):
    """Fine-tuning by the mean squared error."""

    def loss(self, outputs: Float[Array, " batch"], batch: Batch) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Returns the mean over the photos that have a label."""
        mask = batch["mask"]
        squared = (mask * (outputs - batch["labels"]) ** 2).sum() / mask.sum()
        return squared, {"squared": squared}
