"""What places show by themselves as nodes of an ONNX graph: `models/pixels.py`."""

import numpy as np

from vtiqa_jax.export.onnx_graph import Value
from vtiqa_jax.export.onnx_layers import ModelGraph, linear
from vtiqa_jax.models.pixels import CONVOLUTIONS, LEAST, MIDDLE, POOLED, SPREAD


def _convolve(op: ModelGraph, planes: Value, number: int, side: int, channels: int) -> tuple[Value, int]:
    """Adds a convolution of planes, [places, channels, side, side], and a ReLU.

    Returns:
        The planes, and the length of their sides.
    """
    kernel, stride, filters = CONVOLUTIONS[number]
    layer = f"subject.pixels.convolutions.{number}"
    # From windows times filters, each window row by row, to what `Conv` takes.
    windows = op.Reshape(op.param(f"{layer}.kernel"), np.array([kernel, kernel, channels, filters]))
    weights, narrow = op.Transpose(windows, perm=[3, 2, 0, 1]), max(0, kernel - side)
    found = op.Conv(planes, weights, op.param(f"{layer}.bias"), strides=[stride] * 2, pads=[0, 0, narrow, narrow])
    return op.Relu(found), (side + narrow - kernel) // stride + 1


def find_softness(op: ModelGraph, views: Value, grid: int, patch: int) -> Value:
    """Adds the softness of places, [views, places], as by `PixelHead`.

    Args:
        op: the graph.
        views: not normalised, [views, size, size, 3].
        grid: places along a side.
        patch: side of a place, pixels.
    """
    squares = op.Reshape(views, np.array([-1, grid, patch, grid, patch, 3]))
    planes = op.Reshape(op.Transpose(squares, perm=[0, 1, 3, 5, 2, 4]), np.array([-1, 3, patch, patch]))
    planes = op.Div(op.Sub(planes, np.float32(MIDDLE)), np.float32(SPREAD))
    over_pixels = np.array([2, 3])
    colour = op.ReduceMean(planes, over_pixels, keepdims=1)
    planes, side, channels, seen = op.Sub(planes, colour), patch, 3, []
    for number in range(len(CONVOLUTIONS)):
        planes, side = _convolve(op, planes, number, side, channels)
        channels = CONVOLUTIONS[number][-1]
        if number >= len(CONVOLUTIONS) - POOLED:
            pooled = (reduce(planes, over_pixels, keepdims=0) for reduce in (op.ReduceMean, op.ReduceMax))
            seen += [op.Log(op.Add(values, np.float32(LEAST))) for values in pooled]
    hidden = op.Concat(*seen, op.Squeeze(colour, over_pixels), axis=1)
    for layer in ("fc1", "fc2"):
        hidden = op.Gelu(linear(op, hidden, f"subject.pixels.{layer}"), approximate="none")
    return op.Reshape(linear(op, hidden, "subject.pixels.fc3"), np.array([-1, grid**2]))
