"""The spectrum of places as nodes of an ONNX graph: `models/spectrum.py`."""

import numpy as np

from vtiqa_jax.export import onnx_reasons
from vtiqa_jax.export.onnx_graph import Graph, Value
from vtiqa_jax.export.onnx_layers import ModelGraph, linear
from vtiqa_jax.models.spectrum import BLOCKS, LEAST, NARROWEST

LUMA = onnx_reasons.LUMA[:, 0]
PLANES = np.stack([LUMA, [0, 0, 1] - LUMA, [1, 0, 0] - LUMA], axis=1).astype(np.float32)
"""Red, green and blue to the brightness, and blue and red less the brightness."""


def _between(op: Graph, planes: Value, start: int, end: int, axis: int) -> Value:
    """Adds planes without their first `start` and last `end` lines."""
    last = -end if end else np.iinfo(np.int64).max
    return op.Slice(planes, np.array([start]), np.array([last]), np.array([axis]))


def _curvature(op: Graph, planes: Value, axis: int) -> Value:
    inner = _between(op, planes, 1, 1, 5 - axis)
    before, here, after = (_between(op, inner, start, 2 - start, axis) for start in (0, 1, 2))
    return op.Abs(op.Sub(op.Sub(op.Mul(here, np.float32(2)), before), after))


def _shrink(op: Graph, planes: Value, side: int) -> Value:
    """Adds the means of squares, as far as they fill the planes."""
    return op.AveragePool(planes, kernel_shape=[side, side], strides=[side, side])


def _mean(op: Graph, planes: Value) -> Value:
    return op.ReduceMean(planes, np.array([2, 3]), keepdims=0)


def _of_planes(op: Graph, values: Value, first: int, end: int) -> Value:
    return op.Slice(values, np.array([first]), np.array([end]), np.array([1]))


def measure(op: Graph, views: Value, grid: int, patch: int) -> Value:
    """Adds the spectrum of each place, [views, places, numbers], as by `measure_spectrum`.

    Args:
        op: the graph.
        views: not normalised, [views, size, size, 3].
        grid: places along a side.
        patch: side of a place, pixels.
    """
    squares = op.Reshape(op.MatMul(views, PLANES), np.array([-1, grid, patch, grid, patch, 3]))
    planes = op.Reshape(op.Transpose(squares, perm=[0, 1, 3, 5, 2, 4]), np.array([-1, 3, patch, patch]))
    sides = [patch]
    while sides[-1] // 2 >= NARROWEST:
        sides.append(sides[-1] // 2)
    luma, colours = [], []
    for number, side in enumerate(sides):
        down, across = (_curvature(op, planes, axis) for axis in (2, 3))
        total = op.Add(down, across)
        luma += [_of_planes(op, _mean(op, direction), 0, 1) for direction in (down, across)]
        if number < len(sides) - 1:
            blocks = _shrink(op, total, max(2, (side - 2) // BLOCKS))
            least, most = (reduce(blocks, np.array([2, 3]), keepdims=0) for reduce in (op.ReduceMin, op.ReduceMax))
            luma += [_of_planes(op, found, 0, 1) for found in (least, most)]
            colours.append(_mean(op, total))
            if number < len(sides) - 2:
                colours.append(least)
            planes = _shrink(op, planes, 2)
    found = [*luma, *(_of_planes(op, one, plane, plane + 1) for plane in (1, 2) for one in colours)]
    logs = op.Log(op.Add(op.Concat(*found, axis=1), np.float32(LEAST)))
    return op.Reshape(logs, np.array([-1, grid**2, len(found)]))


def find_blur(op: ModelGraph, spectrum: Value) -> Value:
    """Adds the octaves that places have lost by blur, [views, places], as by `SpectrumHead`."""
    hidden = op.Gelu(linear(op, spectrum, "subject.spectrum.fc1"), approximate="none")
    hidden = op.Gelu(linear(op, hidden, "subject.spectrum.fc2"), approximate="none")
    return op.Squeeze(linear(op, hidden, "subject.spectrum.fc3"), np.array([2]))
