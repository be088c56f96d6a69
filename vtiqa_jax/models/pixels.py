"""What a place of native views shows by itself: a small convolutional network on its own pixels.

A backbone's attention tells each place of all others: where most of a photo is out of focus, the tokens of its sharp
subject read as soft, too. This network sees nothing but one place.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import Initializer
from jaxtyping import Array, Float, UInt8

CONVOLUTIONS = ((4, 2, 24), (3, 2, 48), (3, 1, 64))
"""Side of the kernel, stride and channels of each layer: places of 32 pixels become 15 x 15, 7 x 7 and 5 x 5."""
POOLED = 2
"""Layers, the last ones, whose means and maxima are what is seen of a place."""
HIDDEN = 96
MIDDLE, SPREAD = 128.0, 64.0
"""Grey levels that become 0, and by which levels are divided."""
LEAST = 0.02
"""Added before the logarithm. Of logarithms the next layer makes ratios: contrast alone says nothing of sharpness."""

Planes = Float[Array, "*batch rows columns channels"]


def cut_squares(views: UInt8[Array, "*batch size size 3"], grid: int) -> UInt8[Array, "*batch places patch patch 3"]:
    """Cuts views into their places.

    Args:
        views: places side by side.
        grid: places along a side.
    """
    *batch, size, _, _ = views.shape
    patch = size // grid
    squares = jnp.moveaxis(views.reshape(*batch, grid, patch, grid, patch, 3), -4, -3)
    return squares.reshape(*batch, grid**2, patch, patch, 3)


def unfold(planes: Planes, kernel: int, stride: int) -> Float[Array, "*batch down across window"]:
    """Returns the pixels under a kernel at each of its positions, row by row; planes narrower than it get zeros.

    A convolution is a product with these. XLA's own takes three times as long to train on a CPU.
    """
    narrow = max(0, kernel - planes.shape[-2])
    planes = jnp.pad(planes, [(0, 0)] * (planes.ndim - 3) + [(0, narrow)] * 2 + [(0, 0)])
    end = planes.shape[-2] - kernel + 1
    steps = range(kernel)
    shifted = [planes[..., i : i + end : stride, j : j + end : stride, :] for i in steps for j in steps]
    return jnp.concatenate(shifted, axis=-1)


class PixelHead(nnx.Module):
    """Places to their softness, the octaves that each has lost by blur, by its own pixels. Always float32."""

    def __init__(self, *, rngs: nnx.Rngs) -> None:
        """Draws the parameters; the stream `params` draws them."""

        def linear(inputs: int, outputs: int, initializer: Initializer) -> nnx.Linear:
            return nnx.Linear(inputs, outputs, kernel_init=initializer, precision="highest", rngs=rngs)

        unit_gain, relu_gain = nnx.initializers.lecun_normal(), nnx.initializers.he_normal()
        channels = [3, *(layer[-1] for layer in CONVOLUTIONS)]
        self.convolutions = nnx.List(
            linear(kernel**2 * before, after, relu_gain)
            for (kernel, _, after), before in zip(CONVOLUTIONS, channels[:-1], strict=True)
        )
        self.fc1 = linear(2 * sum(channels[-POOLED:]) + channels[0], HIDDEN, unit_gain)
        self.fc2 = linear(HIDDEN, HIDDEN, unit_gain)
        self.fc3 = linear(HIDDEN, 1, unit_gain)

    def see(self, squares: UInt8[Array, "*batch patch patch 3"]) -> Float[Array, "*batch features"]:
        """Sees places: the means and maxima of the last layers, as logarithms, and the mean colour."""
        levels = (squares.astype(jnp.float32) - MIDDLE) / SPREAD
        colour = levels.mean((-3, -2))
        planes, seen = levels - colour[..., None, None, :], []
        for number, (kernel, stride, _) in enumerate(CONVOLUTIONS, start=1):
            planes = jax.nn.relu(self.convolutions[number - 1](unfold(planes, kernel, stride)))
            if number > len(CONVOLUTIONS) - POOLED:
                seen += [jnp.log(LEAST + planes.mean((-3, -2))), jnp.log(LEAST + planes.max((-3, -2)))]
        return jnp.concatenate([*seen, colour], axis=-1)

    def digest(self, seen: Float[Array, "*batch features"]) -> Float[Array, "*batch hidden"]:
        """Returns what the last layer is given, of what `see` returns."""
        hidden = jax.nn.gelu(self.fc1(seen), approximate=False)
        return jax.nn.gelu(self.fc2(hidden), approximate=False)

    def __call__(self, squares: UInt8[Array, "*batch patch patch 3"]) -> Float[Array, "*batch"]:
        """Returns the softness of places."""
        return self.fc3(self.digest(self.see(squares)))[..., 0]
