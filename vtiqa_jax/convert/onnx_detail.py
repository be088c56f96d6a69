"""What photos show at their own pixels, as nodes of an ONNX graph: the layers of `models/detail.py`."""

from collections.abc import Sequence

import numpy as np

from vtiqa_jax.convert.onnx_graph import Graph, Value
from vtiqa_jax.convert.onnx_layers import ModelGraph, layer_norm, linear
from vtiqa_jax.models.detail import NO_STRUCTURE, OCTAVES_THAT_HOLD
from vtiqa_jax.models.vtiqa import ModelConfig


def read_places(op: ModelGraph, config: ModelConfig, x: Value) -> Value:
    """What the tokens of a block say of each place of a view, [views, places, dim]."""
    grid, side, dim = config.mosaic_grid, config.mosaic_patch // config.patch_size, config.embed_dim
    patches = op.Slice(x, np.array([1]), np.array([config.num_tokens]), np.array([1]))
    tokens = op.Reshape(layer_norm(op, patches, "backbone.norm"), np.array([-1, grid, side, grid, side, dim]))
    return op.Reshape(op.ReduceMean(tokens, np.array([2, 4]), keepdims=0), np.array([-1, grid**2, dim]))


def _find_octaves(op: ModelGraph, places: Value, structure: Value) -> Value:
    """Octaves of resolution lost in each view, [views]; NaN without structure."""
    hidden = op.Gelu(linear(op, places, "detail.fc1"), approximate="none")
    octaves, logits = (
        op.Squeeze(linear(op, hidden, f"detail.{layer}"), np.array([2])) for layer in ("octaves", "weight")
    )
    counts = op.Greater(structure, np.float32(NO_STRUCTURE))
    weights = op.Softmax(op.Where(counts, logits, np.float32(-np.inf)), axis=1)
    mean = op.ReduceSum(op.Where(counts, op.Mul(weights, octaves), np.float32(0)), np.array([1]), keepdims=0)
    is_known = op.cast(op.ReduceMax(op.cast(counts, np.int32), np.array([1]), keepdims=0), np.bool_)
    return op.Where(is_known, mean, np.float32(np.nan))


def _on_scale(op: ModelGraph, octaves: Value) -> Value:
    worst, best, intercept, slope = (op.Gather(op.param("detail.curve"), np.int64(place)) for place in range(4))
    share = op.Sigmoid(op.Add(intercept, op.Mul(slope, octaves)))
    return op.Add(worst, op.Mul(op.Sub(best, worst), share))


def _find_holding_scale(op: Graph, octaves: Sequence[Value], factors: Sequence[int]) -> Value:
    """The largest scale at which photos hold, as by `models.detail.find_holding_scale`.

    Args:
        op: the graph.
        octaves: lost at each scale, [photos].
        factors: of the scales.
    """
    shrunk = np.log2(factors).astype(np.float32)
    known = [octaves[0]]
    for here, step in zip(octaves[1:], np.diff(shrunk), strict=True):
        known.append(op.Where(op.IsNaN(here), op.Sub(known[-1], step), here))
    beyond = [op.Sub(one, np.float32(OCTAVES_THAT_HOLD)) for one in known]
    holds = [op.LessOrEqual(one, np.float32(0)) for one in beyond]
    found = op.Add(beyond[-1], shrunk[-1])
    for number in range(len(factors) - 2, -1, -1):
        fall = op.Max(op.Sub(beyond[number], beyond[number + 1]), np.float32(1e-6))
        way = op.Mul(op.Div(beyond[number], fall), shrunk[number + 1] - shrunk[number])
        found = op.Where(holds[number + 1], op.Add(way, shrunk[number]), found)
    return op.Pow(np.float32(2), op.Neg(op.Where(holds[0], beyond[0], found)))


def judge(op: ModelGraph, factors: Sequence[int], places: Value, structure: Value) -> tuple[Value, Value]:
    """Judges photos by their native views.

    Args:
        op: the graph.
        factors: of the scales.
        places: what is read of each place, of all photos at one scale and then at the next, [views, places, features].
        structure: of each place, see `onnx_native.make_views`.

    Returns:
        `detail`, on the score's scale; and `holds`, percent of a photo's width. Both [photos].
    """
    octaves = op.Reshape(_find_octaves(op, places, structure), np.array([len(factors), -1]))
    scales = [op.Gather(octaves, np.int64(number), axis=0) for number in range(len(factors))]
    return _on_scale(op, scales[0]), op.Mul(_find_holding_scale(op, scales, factors), np.float32(100))
