"""A VT-IQA as an ONNX graph, from the pixels of photos of any size to what the model says of them.

Everything that the model computes is float32, whatever its parameters are stored as.
"""

import itertools
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from vtiqa_jax.errors import UserError
from vtiqa_jax.export import onnx_detail, onnx_intervals, onnx_native, onnx_pixels, onnx_reasons
from vtiqa_jax.export.onnx_graph import Graph, Value
from vtiqa_jax.export.onnx_layers import ModelGraph, Storage, block, cls_token, embed, layer_norm, linear
from vtiqa_jax.models import adapt, quantized, views
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.faults import FAULTS
from vtiqa_jax.models.params import Params
from vtiqa_jax.photos.resize import CUBIC_A

Inputs = Literal["photos", "prepared", "stored", "regions"]
"""Photos of one size; what `ModelConfig.preparation` makes of them; photos in both stored sizes; a photo and regions of
it."""
PILLOW_CUBIC_A = -0.5

Indices = Int[np.ndarray, " size"]


# ---- from pixels to views ----


def _resample(op: Graph, photos: Value, axis: int, side: int, kept: Indices) -> Value:
    """Adds the `kept` rows (axis 1) or columns (axis 2) of photos resized to `side`, as `photos.resize.resize_bicubic`.

    ONNX's `Resize` has the same rule, but onnxruntime 1.32 moves the
    transposition that it needs to behind it, and then refuses to shrink.
    """
    length = op.Shape(photos, start=axis, end=axis + 1)
    centre = op.Mul(kept + 0.5, op.Div(op.cast(length, np.float64), np.float64(side)))
    place = op.cast(op.Sub(centre, np.float64(0.5)), np.float32)
    before = op.Floor(place)
    fraction, first = op.cast(op.Sub(place, before), np.float64), op.cast(before, np.int64)
    a, weighted = CUBIC_A, []
    for offset in (-1, 0, 1, 2):
        # A pixel's weight is a polynomial of its distance, one for 0 to 1 and one for 1 to 2 pixels.
        distance = op.Abs(op.Sub(fraction, np.float64(offset)))
        cubic, *others = (a + 2, -a - 3, 0, 1) if offset in (0, 1) else (a, -5 * a, 8 * a, -4 * a)
        weight: Value | np.generic = np.float64(cubic)
        for coefficient in others:
            weight = op.Add(op.Mul(weight, distance), np.float64(coefficient))
        # Beyond the edge the last pixel is repeated.
        index = op.Max(op.Min(op.Add(first, np.int64(offset)), op.Sub(length, np.int64(1))), np.int64(0))
        pixels = op.cast(op.Gather(photos, index, axis=axis), np.float32)
        weighted.append(op.Mul(pixels, op.cast(op.Unsqueeze(weight, np.arange(1, 4 - axis)), np.float32)))
    return op.Sum(*weighted)


def _resize(op: Graph, photos: Value, side: int, rows: Indices, cols: Indices) -> Value:
    """Adds these rows and columns of photos resized to squares of `side` pixels; 0..255."""
    resized = _resample(op, _resample(op, photos, 1, side, rows), 2, side, cols)
    return op.Clip(op.Round(resized), np.float32(0), np.float32(255))


def _shrink(op: Graph, config: ModelConfig) -> Value:
    """Adds the input `photos`, shrunk as by `photos.resize.shrink`; onnxruntime's filter is Pillow's, in integers."""
    if config.screen_side is None:
        return "photos"
    sides, one = op.Shape("photos", start=1, end=3), np.array([1])
    longer = op.ReduceMax(sides, np.array([0]), keepdims=1)
    scaled = op.Mul(sides, op.Min(longer, np.array([config.screen_side])))
    shrunk = op.Max(op.Div(op.Add(scaled, op.Div(longer, np.array([2]))), longer), one)
    return op.Resize(
        "photos",
        "",
        "",
        shrunk,
        axes=[1, 2],
        mode="cubic",
        cubic_coeff_a=PILLOW_CUBIC_A,
        antialias=1,
        exclude_outside=1,
    )


def _views_of_photos(op: Graph, config: ModelConfig, screen: Value) -> Value:
    """Adds all views of photos as `_shrink` leaves them, one view after the other."""
    resized = [_resize(op, screen, cut.side, cut.rows, cut.columns) for cut in config.eval_cuts]
    return op.Concat(*resized, axis=0)


def _views_of_regions(op: Graph, config: ModelConfig, screen: Value) -> Value:
    """Views of regions of one photo, see `_shrink`, as by `views.region_views`; the input `corners` says which."""
    whole, half = config.stored_cuts[1], config.view_size // 2
    mirrored = np.pad(np.arange(half), (0, config.view_size - half), mode="symmetric")
    stored = op.Squeeze(_resize(op, screen, whole.side, whole.rows, whole.columns), np.array([0]))
    corners = op.cast("corners", np.int64)
    rows, cols = (op.Add(op.Gather(corners, np.array([axis]), axis=1), mirrored) for axis in (0, 1))
    bands = op.Transpose(op.Gather(stored, rows, axis=0), perm=[0, 2, 1, 3])  # [regions, columns, rows, 3]
    regions = op.GatherND(bands, op.Unsqueeze(cols, np.array([2])), batch_dims=1)  # of each band its own columns
    return op.Transpose(regions, perm=[0, 2, 1, 3])


def _views_of_stored(op: Graph, config: ModelConfig) -> Value:
    """Adds all views of the inputs `global_images` and `local_images`, photos in their stored sizes."""
    first, *others = config.eval_cuts
    kept = [("global_images", first), *(("local_images", cut) for cut in others)]
    images = [op.Gather(op.Gather(stored, cut.rows, axis=1), cut.columns, axis=2) for stored, cut in kept]
    return op.cast(op.Concat(*images, axis=0), np.float32)


def _join_first(op: ModelGraph, prepared: Value) -> Value:
    """Adds an input of prepared photos, as float32, with its first two axes as one."""
    shape = op.Concat(np.array([-1]), op.Shape(prepared, start=2), axis=0)
    return op.cast(op.Reshape(prepared, shape), np.float32)


# ---- from views to scores ----


def _normalize(op: Graph, images: Value) -> Value:
    """Adds `views.normalize`."""
    return op.Div(op.Sub(op.Div(images, np.float32(255)), views.IMAGENET_MEAN), views.IMAGENET_STD)


def _vision_transformer(
    op: ModelGraph, config: ModelConfig, images: Value, native: Value | None, judged: Value | None
) -> tuple[Value, Value | None, Value | None]:
    """Reads views.

    Args:
        op: the graph.
        config: the model's sizes.
        images: views that are scored, normalised.
        native: views at photos' own pixels, normalised, which go through the blocks together with the others; None for
            a model without detail.
        judged: how many of the first views are global ones of photos whose native views there are: int64 [1].

    Returns:
        Class tokens of the scored views, [images, features]; and what is read of the places of the native views, and
        of the global ones of a model that finds the subject.
    """
    count = op.Shape(images, start=0, end=1)
    x = embed(op, config, op.Concat(images, native, axis=0) if native else images)
    features, places, whole = [], [], []
    for number in range(1, config.depth + 1):
        x = block(op, config, x, f"backbone.blocks.{number - 1}", cls_only=number == config.depth)
        scored = x
        if native and number <= config.native_blocks[-1]:
            scored = op.Slice(x, np.array([0]), count, np.array([0]))
            if number in config.native_blocks:
                others = op.Slice(x, count, np.array([np.iinfo(np.int64).max]), np.array([0]))
                places.append(onnx_detail.read_places(op, config, others))
                if config.subject and judged:
                    global_views = op.Slice(x, np.array([0]), judged, np.array([0]))
                    whole.append(onnx_detail.read_places(op, config, global_views))
            if number == config.native_blocks[-1]:
                x = scored
        if number in (config.readout_blocks or (config.depth,)):
            features.append(layer_norm(op, cls_token(op, scored), "backbone.norm"))
    seen, everywhere = (op.Concat(*found, axis=2) if found else None for found in (places, whole))
    return op.Concat(*features, axis=2), seen, everywhere


def _find_subject(op: ModelGraph, config: ModelConfig, native: Value, whole: Value) -> tuple[Value, Value]:
    """Adds how much each place shows the subject, and how soft each place of all native views is by its own pixels."""
    softness = onnx_pixels.find_softness(op, native, config.mosaic_grid, config.mosaic_patch)
    return onnx_detail.find_subject(op, whole), softness


def _soften_ends(op: ModelGraph, scores: Value) -> Value:
    """Adds `models.ends.soften_ends`."""
    low, high, reach = (op.param(f"ends.{name}") for name in ("low", "high", "reach"))
    above = op.Relu(op.Sub(scores, op.Sub(high, reach)))
    below = op.Relu(op.Sub(op.Add(low, reach), scores))
    ceiling = op.Sub(high, op.Mul(reach, op.Div(reach, op.Add(reach, above))))
    floor = op.Add(low, op.Mul(reach, op.Div(reach, op.Add(reach, below))))
    return op.Max(op.Min(scores, ceiling), floor)


def _head(op: ModelGraph, config: ModelConfig, features: Value) -> Value:
    x = op.Relu(linear(op, features, "head.fc1"))
    scores = linear(op, op.Relu(linear(op, x, "head.fc2")), "head.fc3")
    if config.taste:
        along = op.ReduceSum(op.Mul(features, op.param("taste.direction")), np.array([1]), keepdims=1)
        scores = op.Add(op.Mul(op.param("taste.slope"), scores), op.Add(along, op.param("taste.intercept")))
    return _soften_ends(op, scores) if config.soft_ends else scores


def _novelty(op: ModelGraph, features: Value) -> Value:
    """Adds `models.novelty.Novelty`."""
    along = op.Mul(op.Sub(features, op.param("novelty.mean")), op.param("novelty.direction"))
    return op.Sub(op.ReduceSum(along, np.array([1]), keepdims=0), op.param("novelty.threshold"))


def _features_of_photos(op: Graph, config: ModelConfig, features: Value) -> tuple[Value, Value]:
    """Features of all views, one view after the other, to those of each photo's two views."""
    count = 1 + config.eval_mosaics
    features = op.Reshape(features, np.array([count, -1, config.feature_dim]))
    mosaics = op.Slice(features, np.array([1]), np.array([count]), np.array([0]))
    return op.Gather(features, np.int64(0), axis=0), op.ReduceMean(mosaics, np.array([0]), keepdims=0)


def _features_of_regions(op: Graph, config: ModelConfig, features: Value) -> tuple[Value, Value]:
    """Adds the same of one photo, and of it with each region as its local view."""
    count = 1 + config.eval_mosaics
    features = op.Reshape(features, np.array([-1, config.feature_dim]))
    ends = (0, 1, count, np.iinfo(np.int64).max)
    whole, mosaics, regions = (
        op.Slice(features, np.array([start]), np.array([end]), np.array([0])) for start, end in itertools.pairwise(ends)
    )
    local = op.Concat(op.ReduceMean(mosaics, np.array([0]), keepdims=1), regions, axis=0)
    return op.Expand(whole, op.Shape(local)), local


def _input_shapes(config: ModelConfig, inputs: Inputs) -> Mapping[str, tuple[type[np.generic], tuple[str | int, ...]]]:
    """Returns type and shape of each input."""
    if inputs == "photos":
        return {"photos": (np.uint8, ("batch", "height", "width", 3))}
    if inputs == "prepared":
        size = config.view_size
        cut = {"views": (np.uint8, (1 + config.eval_mosaics, "batch", size, size, 3))}
        if not config.native:
            return cut
        (count, *view), (_, places) = config.native.shapes
        native = {"native": (np.uint8, (count, "batch", *view)), "structure": (np.float32, (count, "batch", places))}
        return cut | native
    if inputs == "regions":
        return {"photos": (np.uint8, (1, "height", "width", 3)), "corners": (np.int32, ("regions", 2))}
    sides = {"global_images": config.global_resize, "local_images": config.local_resize}
    return {name: (np.uint8, ("batch", side, side, 3)) for name, side in sides.items()}


def build(
    config: ModelConfig,
    params: Params,
    storage: Storage = "float32",
    metadata: Mapping[str, str] | None = None,
    *,
    inputs: Inputs = "photos",
) -> Any:
    """Builds the file of a VT-IQA.

    Args:
        config: the model's sizes.
        params: its parameters.
        storage: what they are stored as.
        metadata: kept in the file's `metadata_props`.
        inputs: what it takes. "photos": `photos`, uint8 RGB pixels [batch, height, width, 3]. "stored":
            `global_images` and `local_images`, as `VTIQA.score` does. "prepared": what `ModelConfig.preparation` makes,
            as `views` [1 + mosaics, batch, size, size, 3], `native` [views, batch, size, size, 3] and `structure`
            [views, batch, places]. "regions": `photos`, but one, and `corners` [regions, 2], int32: where its regions
            begin in its large stored size, see `views.region_offsets`.

    Returns:
        An `onnx.ModelProto`; it returns `score` [batch], and of a model with detail `detail` and `holds` [batch], as
        `ScoreResult` has them but for NaN where nothing in a photo has structure; of one with reasons `strengths` and
        `probabilities` [batch, faults]; of one that knows how sure it is `low`, `high` and, if it knows it,
        `opinion_spread`; of one that knows what is no photograph `novelty`, see `Novelty`. All are float32. By "stored"
        there is the score alone. By "regions" the photo's score comes first; then, for each region, its score with the
        local view cut from there alone, as by `VTIQA.explain`. With regions the others are empty: they are the
        photo's, and one run without regions has told them.

    Raises:
        UserError: it is not the released model, the graph does not use all parameters, int8 does not fit its width, or
            the package onnx is not installed.
    """
    if config.kind != "vtiqa":
        raise UserError("only the released model is written as .onnx: the paper's selects regions by a gradient")
    if storage == "int8" and config.embed_dim % quantized.GROUP_SIZE:
        raise UserError(f"int8 needs a width that is a multiple of {quantized.GROUP_SIZE}, not {config.embed_dim}")
    written = Checkpoint(config, params, None, {})
    if inputs == "stored":  # a photo's own pixels are not among them
        written = adapt.without_novelty(adapt.without_intervals(adapt.without_detail(written)))
    config = written.config
    params = {name: array for name, array in written.params.items() if name != onnx_reasons.THRESHOLDS}
    op = ModelGraph(params, storage, config.depth)
    shapes, native, structure, judged = _input_shapes(config, inputs), None, None, None
    if inputs == "stored":
        images = _views_of_stored(op, config)
    elif inputs == "prepared":
        images, judged = _join_first(op, "views"), op.Shape("views", start=1, end=2)
        if config.native:
            native, structure = _join_first(op, "native"), _join_first(op, "structure")
    else:
        screen = _shrink(op, config)
        images = _views_of_photos(op, config, screen)
        judged = op.Shape("photos", start=0, end=1)
        if inputs == "regions":
            images = op.Concat(images, _views_of_regions(op, config, screen), axis=0)
            judged = op.cast(op.Equal(op.Shape("corners", start=0, end=1), np.array([0])), np.int64)
        if config.native:
            native, structure = onnx_native.make_views(op, config.native, "photos", screen, judged)
    normalized = _normalize(op, native) if native else None
    features, places, whole = _vision_transformer(op, config, _normalize(op, images), normalized, judged)
    both = (_features_of_regions if inputs == "regions" else _features_of_photos)(op, config, features)
    joined = op.Concat(*both, axis=1)
    outputs = {"score": op.Reshape(_head(op, config, joined), np.array([-1]))}
    if judged:
        zero = np.array([0])
        scores, seen = (op.Slice(value, zero, judged, zero) for value in (outputs["score"], joined))
        if config.intervals:
            outputs |= onnx_intervals.judge(op, config, scores, seen)
        if config.novelty:
            outputs["novelty"] = _novelty(op, seen)
    if config.native and places and structure and judged:
        where = _find_subject(op, config, native, whole) if native and whole else None
        outputs["detail"], outputs["holds"] = onnx_detail.judge(op, config.native, places, structure, where)
        if config.reasons:
            first, axis = np.array([0]), np.array([0])
            seen = op.Reshape(op.Slice(features, first, judged, axis), np.array([-1, config.feature_dim]))
            outputs["strengths"], outputs["probabilities"] = onnx_reasons.judge(
                op, config.native, places, structure, seen, op.Slice(images, first, judged, axis)
            )
    if unused := op.unused_params():
        raise UserError(f"an .onnx graph has no place for {', '.join(unused[:3])}; its scores would not be the model's")
    judged_axis = "judged" if inputs == "regions" else "batch"
    shape: dict[str, tuple[str | int, ...]] = {"score": ("batch",)}
    shape |= dict.fromkeys(("strengths", "probabilities"), (judged_axis, len(FAULTS)))
    named = {name: (value, shape.get(name, (judged_axis,))) for name, value in outputs.items()}
    return op.model(shapes, named, "uint8 RGB pixels to the quality of each photo", metadata or {})
