"""Detail and its scale as nodes of an ONNX graph: the layers of `models/detail.py`."""

from collections.abc import Sequence

import numpy as np

from vtiqa_jax.export.onnx_graph import Graph, Value
from vtiqa_jax.export.onnx_layers import ModelGraph, layer_norm, linear
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.detail import (
    CAUSE_WEIGHTS,
    COARSE_NOISE,
    ERROR,
    ERROR_GROWTH,
    EXACT_TO,
    HARM_WEIGHTS,
    LEAST_WEIGHT,
    MOST_GROWTH,
    NO_STRUCTURE,
    NOISE,
    OCTAVES_THAT_HOLD,
    SEEN_BEST,
    SEEN_WIDTH,
    SOFT_WIDTH,
    SOFTNESS,
    SUBJECT_WEIGHT,
)
from vtiqa_jax.photos.native import NativeViews


def read_places(op: ModelGraph, config: ModelConfig, x: Value) -> Value:
    """Adds the features of each place of a view, [views, places, dim], from the tokens of a block."""
    grid, side, dim = config.mosaic_grid, config.mosaic_patch // config.patch_size, config.embed_dim
    patches = op.Slice(x, np.array([1]), np.array([config.num_tokens]), np.array([1]))
    tokens = op.Reshape(layer_norm(op, patches, "backbone.norm"), np.array([-1, grid, side, grid, side, dim]))
    return op.Reshape(op.ReduceMean(tokens, np.array([2, 4]), keepdims=0), np.array([-1, grid**2, dim]))


def find_subject(op: ModelGraph, places: Value) -> Value:
    """How much each place of global views shows the subject, [photos, places], as by `models/subject.py`."""
    return op.Squeeze(op.MatMul(places, op.param("subject.linear.kernel")), np.array([2]))


def _weigh(op: Graph, octaves: Value, logits: Value, counts: Value) -> Value:
    """Adds the mean of what is said of places that count, as by `models.detail.summarize`."""
    weights = op.Softmax(op.Where(counts, logits, np.float32(-np.inf)), axis=1)
    weights = op.Where(counts, weights, np.float32(0))
    return op.ReduceSum(op.Mul(weights, octaves), np.array([1]), keepdims=0)


def _find_softer(op: Graph, softness: Value, subject: Value, counts: Value) -> Value:
    """Adds `models.detail.find_softer_subject`, [photos]; of places, [photos, places, 1] each."""
    shown = op.Mul(subject, np.float32(SUBJECT_WEIGHT))
    evenly = op.Mul(shown, np.float32(0))
    softer = op.Sub(_weigh(op, softness, shown, counts), _weigh(op, softness, evenly, counts))
    return op.Squeeze(softer, np.array([1]))


def _see_subject(op: Graph, blur: Value, softer: Sequence[Value], factors: Sequence[int]) -> Value:
    """Adds `models.detail.see_subject`, [photos].

    Args:
        op: the graph.
        blur: octaves lost by it at the first scale, [photos].
        softer: octaves by which the subject is, at each scale; NaN where nothing is known.
        factors: of the scales.
    """
    total, weighed = np.float32(0), np.float32(0)
    for here, factor in zip(softer, factors, strict=True):
        off = op.Div(op.Sub(blur, np.float32(np.log2(factor) + SEEN_BEST)), np.float32(SEEN_WIDTH))
        is_missing = op.IsNaN(here)
        near = op.Exp(op.Mul(op.Mul(off, off), np.float32(-0.5)))
        weight = op.Where(is_missing, np.float32(0), op.Add(near, np.float32(LEAST_WEIGHT)))
        total = op.Add(total, weight)
        weighed = op.Add(weighed, op.Mul(weight, op.Where(is_missing, np.float32(0), here)))
    return op.Div(weighed, total)


def _join_places(op: Graph, values: Value, native: NativeViews, span: slice, width: int) -> Value:
    """Joins the places of all views at a scale: [photos, places of all of them, width].

    Args:
        op: the graph.
        values: of one view of all photos and then of the next, [views * photos, places] or [..., width].
        native: the views.
        span: those of the scale.
        width: numbers of each place.
    """
    views, places = native.shapes[1]
    by_view = op.Reshape(values, np.array([views, -1, places, width]))
    of_scale = op.Slice(by_view, np.array([span.start]), np.array([span.stop]), np.array([0]))
    count = span.stop - span.start
    return op.Reshape(op.Transpose(of_scale, perm=[1, 0, 2, 3]), np.array([-1, count * places, width]))


def _sum_losses(op: Graph, scales: Sequence[Value]) -> Value:
    """Adds up what is lost at each scale, [photos, readings] each, to [photos], as in `models.detail.sum_losses`."""
    weights = np.array([*CAUSE_WEIGHTS, 0], np.float32)  # softness is no cause of its own
    lost = op.Squeeze(op.MatMul(scales[0], weights[:, None]), np.array([-1]))
    fine, coarse = (op.Gather(scale, np.int64(NOISE), axis=1) for scale in (scales[0], scales[:2][-1]))
    coarser = op.Sub(op.Where(op.IsNaN(coarse), fine, coarse), fine)
    return op.Add(lost, op.Mul(coarser, np.float32(COARSE_NOISE * CAUSE_WEIGHTS[NOISE])))


def _mean_harm(op: Graph, octaves: Value) -> Value:
    """Adds the mean of noise and artefacts over the scales that are known, [scales, photos, readings] to [photos]."""
    others = op.Slice(octaves, np.array([1]), np.array([SOFTNESS]), np.array([2]))
    is_missing = op.IsNaN(others)
    found = op.Where(is_missing, np.float32(0), op.Max(others, np.float32(0)))
    scales = op.ReduceSum(op.cast(op.Not(is_missing), np.float32), np.array([0]), keepdims=0)
    mean = op.Div(op.ReduceSum(found, np.array([0]), keepdims=0), scales)
    return op.Squeeze(op.MatMul(mean, np.array(HARM_WEIGHTS, np.float32)[:, None]), np.array([-1]))


def _on_scale(op: ModelGraph, octaves: Value) -> Value:
    worst, best, intercept, slope = (op.Gather(op.param("detail.curve"), np.int64(place)) for place in range(4))
    share = op.Sigmoid(op.Add(intercept, op.Mul(slope, octaves)))
    return op.Add(worst, op.Mul(op.Sub(best, worst), share))


def _precision(op: Graph, octaves: Value) -> Value:
    """Adds the precision of a scale's octaves, as in `models.detail`."""
    beyond = op.Max(op.Sub(octaves, np.float32(EXACT_TO)), np.float32(0))
    error = op.Mul(beyond, np.float32(ERROR_GROWTH))
    return op.Reciprocal(op.Add(op.Mul(error, error), np.float32(ERROR**2)))


def _combine_scales(op: Graph, octaves: Sequence[Value], factors: Sequence[int]) -> Value:
    """Adds the octaves that photos have lost by blur at the first scale, as in `models.detail.combine_scales`.

    Args:
        op: the graph.
        octaves: lost at each scale, [photos].
        factors: of the scales.
    """
    one, mean, total = np.float32(1), octaves[0], _precision(op, octaves[0])
    for here, factor in zip(octaves[1:], factors[1:], strict=True):
        is_missing, square = op.IsNaN(here), np.float32(factor**2)
        lost = op.Max(op.Where(is_missing, np.float32(0), here), np.float32(0))
        fourth = op.Pow(np.float32(4), lost)
        spread = op.Add(op.Mul(op.Sub(fourth, one), square), one)
        beyond = op.Sub(mean, np.float32(np.log2(factor)))
        is_soft = op.Sigmoid(op.Div(beyond, np.float32(SOFT_WIDTH)))
        growth = op.Min(op.Div(op.Mul(fourth, square), spread), np.float32(MOST_GROWTH))
        weight = op.Div(op.Mul(is_soft, _precision(op, lost)), op.Mul(growth, growth))
        weight = op.Where(is_missing, np.float32(0), weight)
        seen = op.Mul(op.Log(spread), np.float32(0.5 / np.log(2)))
        known = op.Add(op.Mul(total, mean), op.Mul(weight, seen))
        total = op.Add(total, weight)
        mean = op.Div(known, total)
    return mean


def judge(
    op: ModelGraph,
    native: NativeViews,
    places: Value,
    structure: Value,
    where: tuple[Value, Value] | None,
) -> tuple[Value, Value]:
    """Judges photos by their native views.

    Args:
        op: the graph.
        native: the views.
        places: what is read of each place of one view of all photos and then of the next, [views * photos, places,
            features].
        structure: of each place, see `onnx_native.make_views`.
        where: of a model that finds the subject: `find_subject` of each photo, `onnx_pixels.find_softness` of views.

    Returns:
        `detail`, on the score's scale; and `holds`, percent of a photo's width. Both [photos].
    """
    hidden = op.Gelu(linear(op, places, "detail.fc1"), approximate="none")
    octaves, logits = (linear(op, hidden, f"detail.{layer}") for layer in ("octaves", "weight"))
    scales, softer = [], []
    for span in native.spans:
        counts = op.Greater(_join_places(op, structure, native, span, 1), np.float32(NO_STRUCTURE))
        is_known = op.cast(op.ReduceMax(op.cast(counts, np.int32), np.array([1]), keepdims=0), np.bool_)
        lost, counting = (_join_places(op, values, native, span, SOFTNESS + 1) for values in (octaves, logits))
        scales.append(op.Where(is_known, _weigh(op, lost, counting, counts), np.float32(np.nan)))
        if where:
            shown = op.Unsqueeze(op.Concat(*[where[0]] * (span.stop - span.start), axis=1), np.array([2]))
            found = _find_softer(op, _join_places(op, where[1], native, span, 1), shown, counts)
            softer.append(op.Where(op.Squeeze(is_known, np.array([1])), found, np.float32(np.nan)))
    lost = _sum_losses(op, scales)
    blur = _combine_scales(op, [op.Gather(scale, np.int64(SOFTNESS), axis=1) for scale in scales], native.factors)
    if softer:
        seen = _see_subject(op, blur, softer, native.factors)
        lost, blur = op.Add(lost, seen), op.Add(blur, seen)
    harm = _mean_harm(op, op.Concat(*(op.Unsqueeze(scale, np.array([0])) for scale in scales), axis=0))
    beyond = op.Sub(np.float32(OCTAVES_THAT_HOLD), op.Add(blur, harm))
    return _on_scale(op, lost), op.Mul(op.Pow(np.float32(2), beyond), np.float32(100))
