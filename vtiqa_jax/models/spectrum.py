"""The spectrum of the places of native views: how much neighbouring pixels differ, octave by octave.

A backbone's attention tells each place of all others: where most of a photo is out of focus, the tokens of its sharp
subject read as soft, too. These numbers come from the pixels of a place alone.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, UInt8

HIDDEN = 48
NARROWEST = 4
"""Side of a place at the last octave at least, pixels."""
BLOCKS = 5
"""Blocks along a side of a place at the first octave, about: the smoothest one shows noise, the roughest edges."""
LEAST = 0.25
"""Grey levels that are added before the logarithm: less is rounding."""

Planes = Float[Array, "*batch rows columns"]


def _halve(planes: Planes) -> Float[Array, "*batch half_rows half_columns"]:
    rows, columns = (side // 2 * 2 for side in planes.shape[-2:])
    even = planes[..., :rows, :columns]
    return (even[..., ::2, ::2] + even[..., 1::2, ::2] + even[..., ::2, 1::2] + even[..., 1::2, 1::2]) / 4


def _curvature(
    planes: Planes,
) -> tuple[Float[Array, "*batch inner_rows inner_columns"], Float[Array, "*batch inner_rows inner_columns"]]:
    """Returns how far pixels are from the mean of two neighbours, times two: those down, and those across."""
    inner = 2 * planes[..., 1:-1, 1:-1]
    down = jnp.abs(inner - planes[..., :-2, 1:-1] - planes[..., 2:, 1:-1])
    across = jnp.abs(inner - planes[..., 1:-1, :-2] - planes[..., 1:-1, 2:])
    return down, across


def _block_means(planes: Planes) -> Float[Array, "*batch blocks"]:
    rows, columns = planes.shape[-2:]
    side = max(2, rows // BLOCKS)
    down, across = rows // side, columns // side
    blocks = planes[..., : down * side, : across * side].reshape(*planes.shape[:-2], down, side, across, side)
    return blocks.mean((-3, -1)).reshape(*planes.shape[:-2], -1)


def _octaves(plane: Planes) -> list[Array]:
    """Returns a plane, and what it is at half its size, and at half of that."""
    found = [plane]
    while min(found[-1].shape[-2:]) // 2 >= NARROWEST:
        found.append(_halve(found[-1]))
    return found


def measure_spectrum(views: UInt8[Array, "*batch size size 3"], grid: int) -> Float[Array, "*batch places features"]:
    """Measures the spectrum of each place of views.

    Args:
        views: places side by side.
        grid: places along a side.

    Returns:
        Logarithms of grey levels. Of the brightness, for each octave: the mean down, the mean across, and of the
        blocks of a place the least and the most, but none at the last octave. Of blue and of red less the brightness,
        for each octave but the last: the mean, and the least but at the last of these.
    """
    *batch, size, _, _ = views.shape
    patch = size // grid
    squares = views.astype(jnp.float32).reshape(*batch, grid, patch, grid, patch, 3)
    squares = jnp.moveaxis(squares, -4, -3).reshape(*batch, grid**2, patch, patch, 3)
    red, green, blue = (squares[..., channel] for channel in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    found = []
    *others, last = _octaves(luma)
    for plane in others:
        down, across = _curvature(plane)
        blocks = _block_means(down + across)
        found += [down.mean((-2, -1)), across.mean((-2, -1)), blocks.min(-1), blocks.max(-1)]
    found += [direction.mean((-2, -1)) for direction in _curvature(last)]
    for difference in (blue - luma, red - luma):
        planes = [sum(_curvature(plane), start=jnp.float32(0)) for plane in _octaves(difference)[:-1]]
        for plane in planes[:-1]:
            found += [plane.mean((-2, -1)), _block_means(plane).min(-1)]
        found += [plane.mean((-2, -1)) for plane in planes[-1:]]
    return jnp.log(LEAST + jnp.stack(found, axis=-1))


@functools.cache
def count_features(patch: int) -> int:
    """Returns how many numbers there are of places of `patch` pixels a side."""
    view = jax.ShapeDtypeStruct((patch, patch, 3), jnp.uint8)
    return jax.eval_shape(functools.partial(measure_spectrum, grid=1), view).shape[-1]


class SpectrumHead(nnx.Module):
    """The spectrum of places to the octaves that each has lost by blur, by its own pixels. Always float32."""

    def __init__(self, in_features: int, *, rngs: nnx.Rngs) -> None:
        """Draws the parameters.

        Args:
            in_features: of `measure_spectrum`.
            rngs: the stream `params` draws them.
        """
        sizes = itertools.pairwise((in_features, HIDDEN, HIDDEN, 1))
        unit_gain = nnx.initializers.lecun_normal()
        self.fc1, self.fc2, self.fc3 = (
            nnx.Linear(inputs, outputs, kernel_init=unit_gain, precision="highest", rngs=rngs)
            for inputs, outputs in sizes
        )

    def __call__(self, spectrum: Float[Array, "*batch places features"]) -> Float[Array, "*batch places"]:
        """Finds the octaves lost, by the spectrum of places, see `measure_spectrum`."""
        hidden = jax.nn.gelu(self.fc1(spectrum), approximate=False)
        return self.fc3(jax.nn.gelu(self.fc2(hidden), approximate=False))[..., 0]
