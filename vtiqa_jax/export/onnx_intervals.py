"""Intervals as nodes of an ONNX graph: `models/intervals.py`."""

import numpy as np

from vtiqa_jax.export.onnx_graph import Value
from vtiqa_jax.export.onnx_layers import ModelGraph
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.intervals import HIGH, LOW


def judge(op: ModelGraph, config: ModelConfig, scores: Value, features: Value) -> dict[str, Value]:
    """Says how sure scores are.

    Args:
        op: the graph.
        config: of a model that knows.
        scores: of photos, [photos].
        features: of both views, [photos, features].

    Returns:
        `low`, `high` and, where the model knows it, `opinion_spread`, as `ScoreResult` has them. All [photos].
    """

    def number(name: str, *places: int) -> Value:
        value = op.param(f"intervals.{name}")
        for place in places:
            value = op.Gather(value, np.int64(place))
        return value

    first, last = number("ends", 0), number("ends", 1)
    length = op.Sub(last, first)
    place = op.Sub(op.Div(op.Mul(op.Sub(scores, first), np.float32(2)), length), np.float32(1))

    def by_score(name: str, *kind: int) -> Value:
        constant, linear, quadratic = (number(name, *kind, power) for power in range(3))
        return op.Add(constant, op.Mul(place, op.Add(linear, op.Mul(place, quadratic))))

    apart = op.Mul(op.Sub(features, op.param("intervals.mean")), op.param("intervals.precision"))
    along = op.ReduceSum(op.Mul(apart, op.param("intervals.direction")), np.array([1]), keepdims=0)
    distance = op.Sqrt(op.ReduceMean(op.Mul(apart, apart), np.array([1]), keepdims=0))
    beyond = op.Relu(op.Sub(distance, number("far", 0)))
    second = op.Sigmoid(op.Add(along, op.param("intervals.intercept")))

    def by_kind(first_kind: Value, second_kind: Value) -> Value:
        return op.Add(first_kind, op.Mul(second, op.Sub(second_kind, first_kind)))

    variances = (op.Exp(op.Mul(by_score("curves", kind), np.float32(2))) for kind in (0, 1))
    widening = op.Exp(op.Mul(number("far", 1), beyond))
    deviation = op.Mul(length, op.Mul(op.Sqrt(by_kind(*variances)), widening))
    least, most = op.Min(first, last), op.Max(first, last)
    quantiles = (by_kind(*(number("quantiles", kind, level) for kind in (0, 1))) for level in (LOW, HIGH))
    bounds = [op.Add(scores, op.Mul(deviation, quantile)) for quantile in quantiles]
    ends = [op.Min(op.Max(bound, least), most) for bound in bounds]
    judged = {"low": op.Min(*ends), "high": op.Max(*ends)}
    if config.opinions:
        judged["opinion_spread"] = op.Mul(op.Abs(length), op.Exp(by_score("opinions")))
    return judged
