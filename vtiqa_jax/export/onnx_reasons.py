"""Why photos are bad, as nodes of an ONNX graph: the layers of `models/reasons.py`."""

import numpy as np

from vtiqa_jax.export.onnx_graph import Graph, Value
from vtiqa_jax.export.onnx_layers import ModelGraph, linear
from vtiqa_jax.models.reasons import BRIGHTNESSES, FULL, HIDDEN, QUERIES, RANGES
from vtiqa_jax.photos.native import NativeViews

LUMA = np.array([0.299, 0.587, 0.114], np.float32)[:, None]
THRESHOLDS = "reasons.thresholds"
"""The parameter that no graph has: which faults are named is for its user, who finds them in the card."""


def _mean(op: Graph, values: Value, *, keepdims: int = 0) -> Value:
    """Means over the pixels of each image."""
    return op.ReduceMean(values, np.array([1, 2]), keepdims=keepdims)


def _measure_tones(op: Graph, images: Value) -> Value:
    """Adds brightness and colour of the pixels of global views, as in `models.reasons.measure_tones`."""
    luma = op.MatMul(images, LUMA)
    full = op.cast(op.GreaterOrEqual(images, np.float32(FULL)), np.float32)
    any_full, all_full = (reduce(full, np.array([3])) for reduce in (op.ReduceMax, op.ReduceMin))
    below = op.cast(op.Less(luma, np.array(BRIGHTNESSES, np.float32)), np.float32)
    tones = [_mean(op, values) for values in (full, any_full, all_full, below)]
    colours = op.Div(op.Sub(images, luma), np.float32(64))
    red_and_blue = op.Gather(colours, np.array([0, 2]), axis=3)
    for low, high in RANGES:
        is_inside = op.And(op.GreaterOrEqual(luma, np.float32(low)), op.Less(luma, np.float32(high)))
        inside = op.cast(is_inside, np.float32)
        share = _mean(op, inside)
        tints = op.Div(_mean(op, op.Mul(red_and_blue, inside)), op.Add(share, np.float32(0.02)))
        tones += [tints, op.Sqrt(share)]
    difference = op.Sub(luma, _mean(op, luma, keepdims=1))
    deviation = op.Sqrt(_mean(op, op.Mul(difference, difference)))
    tones += [
        op.Sub(op.Div(_mean(op, luma), np.float32(128)), np.float32(1)),
        op.Div(deviation, np.float32(64)),
        _mean(op, op.Abs(colours)),
    ]
    return op.Concat(*tones, axis=1)


def _see_places(op: ModelGraph, places: Value, structure: Value) -> Value:
    """Sums up each view, as by `ReasonsHead.see_places`: [views, summary]."""
    hidden = op.Gelu(linear(op, places, "reasons.place"), approximate="none")
    exists = op.Unsqueeze(op.Greater(structure, np.float32(0)), np.array([2]))
    logits = op.Where(exists, linear(op, hidden, "reasons.queries"), np.float32(-np.inf))
    weights = op.Where(exists, op.Softmax(logits, axis=1), np.float32(0))
    means = op.MatMul(op.Transpose(weights, perm=[0, 2, 1]), hidden)
    seen = op.ReduceMax(op.cast(exists, np.float32), np.array([1]), keepdims=0)
    return op.Concat(op.Reshape(means, np.array([-1, QUERIES * HIDDEN])), seen, axis=1)


def _layers(op: ModelGraph, x: Value, kind: str) -> Value:
    hidden = op.Gelu(linear(op, x, f"reasons.{kind}"), approximate="none")
    return linear(op, hidden, f"reasons.{kind}_faults")


def judge(
    op: ModelGraph, native: NativeViews, places: Value, structure: Value, features: Value, images: Value
) -> tuple[Value, Value]:
    """Judges which faults photos have.

    Args:
        op: the graph.
        native: the views at photos' own pixels.
        places: what is read of each place of one view of all photos and then of the next, [views * photos, places,
            features].
        structure: of each place, see `onnx_native.make_views`.
        features: of the global views, [photos, features].
        images: the global views, 0 to 255, [photos, size, size, 3].

    Returns:
        The strength of each of `models.faults.FAULTS`, and the probability that a judge calls it plain; both
        [photos, faults].
    """
    summary = QUERIES * HIDDEN + 1
    views = op.Reshape(_see_places(op, places, structure), np.array([sum(native.mosaics), -1, summary]))
    firsts = op.Gather(views, np.array([span.start for span in native.spans]), axis=0)
    scales = op.Reshape(op.Transpose(firsts, perm=[1, 0, 2]), np.array([-1, len(native.factors) * summary]))
    screen = op.Concat(features, _measure_tones(op, images), axis=1)
    strengths = op.Concat(_layers(op, scales, "native"), _layers(op, screen, "screen"), axis=1)
    slope, intercept = (op.Gather(op.param("reasons.curve"), np.int64(place), axis=1) for place in range(2))
    return strengths, op.Sigmoid(op.Add(op.Mul(slope, strengths), intercept))
