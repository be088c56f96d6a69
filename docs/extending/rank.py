"""A loss with a rank term. A photo has more weight if its observers agreed more."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vtiqa_jax.data.loader import Batch
from vtiqa_jax.training.finetune import FinetuneRecipe


@dataclasses.dataclass(frozen=True)
class RankRecipe(FinetuneRecipe):
    """Fine-tuning that also pushes each pair of photos into its order."""

    rank_weight: float = 0.5
    """Weight of the logistic loss over pairs of photos with different scores."""

    def loss(self, outputs: Float[Array, " batch"], batch: Batch) -> tuple[Float[Array, ""], dict[str, Array]]:
        """Adds the rank term to the usual loss."""
        usual, logged = super().loss(outputs, batch)
        weights = batch["mask"] / jnp.maximum(batch["std"], 1e-3)
        order = jnp.sign(batch["labels"][:, None] - batch["labels"][None])
        pairs = weights[:, None] * weights[None] * jnp.abs(order)  # photos that only pad, and ties, weigh 0
        wrong = jax.nn.softplus(-order * (outputs[:, None] - outputs[None]))
        rank = (pairs * wrong).sum() / (pairs.sum() + 1e-6)
        return usual + self.rank_weight * rank, logged | {"rank": rank}
