"""What is a photo about? Which of its places show that, as the whole tells, and how soft each place is.

The whole says where to look, and nothing of what is seen there: `detail.DetailHead` weighs a photo's own pixels by it.
"""

from flax import nnx
from jaxtyping import Array, Float

from vtiqa_jax.models.pixels import PixelHead


class SubjectHead(nnx.Module):
    """Patch tokens of the global view to how much a place shows the subject. Always float32."""

    def __init__(self, in_features: int, *, rngs: nnx.Rngs) -> None:
        """Draws the parameters.

        Args:
            in_features: of a place.
            rngs: the stream `params` draws them.
        """
        self.linear = nnx.Linear(in_features, 1, use_bias=False, precision="highest", rngs=rngs)
        self.pixels = PixelHead(rngs=rngs)

    def __call__(self, tokens: Float[Array, "*batch places features"]) -> Float[Array, "*batch places"]:
        """Returns logits: their softmax over a photo's places is spread over those that show what it is about."""
        return self.linear(tokens)[..., 0]
