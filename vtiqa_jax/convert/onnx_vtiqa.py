"""A VT-IQA as an ONNX graph, from the pixels of photos of any size to scores.

Its layers are those of `models/vtiqa.py`. Everything is computed in float32, whatever the parameters are stored as.
"""

import itertools
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from vtiqa_jax.convert.onnx_graph import Graph, Value
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import quantized, views
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.vtiqa import LAYER_NORM_EPSILON, ModelConfig
from vtiqa_jax.photos.resize import CUBIC_A

Storage = Literal["float32", "float16", "int8"]
"""What parameters are stored as; int8 is what `models/quantized.py` does."""
Inputs = Literal["photos", "stored", "regions"]
"""Photos of one size; photos in both stored sizes; one photo and regions of it."""
PILLOW_CUBIC_A = -0.5

Indices = Int[np.ndarray, " size"]


class ModelGraph(Graph):
    """A graph that also knows the model's parameters by name."""

    def __init__(self, params: Params, storage: Storage, depth: int) -> None:
        super().__init__()
        self._params, self._storage, self._depth = params, storage, depth
        self._values: dict[str, Value] = {}

    def param(self, name: str) -> Value:
        """A parameter, float32."""
        if name not in self._values:
            self._values[name] = self._stored(name, np.asarray(self._params[name], np.float32))
        return self._values[name]

    def unused_params(self) -> list[str]:
        """The parameters that no node has asked for."""
        return sorted(self._params.keys() - self._values.keys())

    def _stored(self, name: str, array: np.ndarray) -> Value:
        if self._storage == "float32":
            return self.store(name, array)
        if self._storage == "int8" and quantized.is_quantized(name, self._depth):
            # Not `DequantizeLinear`: onnxruntime joins it with the product, in which it then rounds the inputs, too.
            integers, scales = quantized.quantize(array)
            exact = self.cast(self.store(f"{name}.int8", integers), np.float32)
            scaled = self.Mul(exact, self.cast(self.store(f"{name}.scale", scales[:, None]), np.float32))
            return self.Reshape(scaled, np.array(array.shape))
        return self.cast(self.store(name, array.astype(np.float16)), np.float32)


# ---- from pixels to views ----


def _resample(op: Graph, photos: Value, axis: int, side: int, kept: Indices) -> Value:
    """The `kept` rows (axis 1) or columns (axis 2) of photos resized to `side`, as by `photos.resize.resize_bicubic`.

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
    """These rows and columns of photos resized to squares of `side` pixels; 0..255."""
    resized = _resample(op, _resample(op, photos, 1, side, rows), 2, side, cols)
    return op.Clip(op.Round(resized), np.float32(0), np.float32(255))


def _shrink(op: Graph, config: ModelConfig) -> Value:
    """The input `photos` as `photos.resize.shrink` leaves them; onnxruntime's filter is Pillow's, in integers."""
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


def _views_of_pixels(op: Graph, config: ModelConfig, photos: Value) -> Value:
    """All views of photos [batch, height, width, 3], one view after the other."""
    resized = [_resize(op, photos, cut.side, cut.rows, cut.columns) for cut in config.eval_cuts]
    return op.Concat(*resized, axis=0)


def _views_of_photos(op: Graph, config: ModelConfig) -> Value:
    """All views of the input `photos`."""
    return _views_of_pixels(op, config, _shrink(op, config))


def _views_of_regions(op: Graph, config: ModelConfig) -> Value:
    """All views of the one photo in `photos`, and then those of its regions, as by `views.region_views`."""
    photos = _shrink(op, config)
    whole, half = config.stored_cuts[1], config.view_size // 2
    mirrored = np.pad(np.arange(half), (0, config.view_size - half), mode="symmetric")
    stored = op.Squeeze(_resize(op, photos, whole.side, whole.rows, whole.columns), np.array([0]))
    corners = op.cast("corners", np.int64)
    rows, cols = (op.Add(op.Gather(corners, np.array([axis]), axis=1), mirrored) for axis in (0, 1))
    bands = op.Transpose(op.Gather(stored, rows, axis=0), perm=[0, 2, 1, 3])  # [regions, columns, rows, 3]
    regions = op.GatherND(bands, op.Unsqueeze(cols, np.array([2])), batch_dims=1)  # of each band its own columns
    return op.Concat(_views_of_pixels(op, config, photos), op.Transpose(regions, perm=[0, 2, 1, 3]), axis=0)


def _views_of_stored(op: Graph, config: ModelConfig) -> Value:
    """The same of the inputs `global_images` and `local_images`, photos in their stored sizes."""
    first, *others = config.eval_cuts
    kept = [("global_images", first), *(("local_images", cut) for cut in others)]
    images = [op.Gather(op.Gather(stored, cut.rows, axis=1), cut.columns, axis=2) for stored, cut in kept]
    return op.cast(op.Concat(*images, axis=0), np.float32)


# ---- from views to scores ----


def _linear(op: ModelGraph, x: Value, layer: str) -> Value:
    return op.Add(op.MatMul(x, op.param(f"{layer}.kernel")), op.param(f"{layer}.bias"))


def _layer_norm(op: ModelGraph, x: Value, layer: str) -> Value:
    scale, bias = op.param(f"{layer}.scale"), op.param(f"{layer}.bias")
    return op.LayerNormalization(x, scale, bias, epsilon=LAYER_NORM_EPSILON)


def _cls_token(op: Graph, x: Value) -> Value:
    """[batch, 1, dim]"""
    return op.Slice(x, np.array([0]), np.array([1]), np.array([1]))


def _attention(op: ModelGraph, config: ModelConfig, x: Value, layer: str, *, cls_only: bool) -> Value:
    heads, size = config.num_heads, config.embed_dim // config.num_heads
    qkv = op.Reshape(_linear(op, x, f"{layer}.qkv"), np.array([0, 0, 3, heads, size]))
    q, k, v = (op.Gather(qkv, np.int64(which), axis=2) for which in range(3))
    q = op.Transpose(_cls_token(op, q) if cls_only else q, perm=[0, 2, 1, 3])
    logits = op.MatMul(op.Mul(q, np.float32(size**-0.5)), op.Transpose(k, perm=[0, 2, 3, 1]))
    attended = op.MatMul(op.Softmax(logits, axis=-1), op.Transpose(v, perm=[0, 2, 1, 3]))
    tokens = op.Reshape(op.Transpose(attended, perm=[0, 2, 1, 3]), np.array([0, 0, config.embed_dim]))
    return _linear(op, tokens, f"{layer}.proj")


def _block(op: ModelGraph, config: ModelConfig, x: Value, layer: str, *, cls_only: bool) -> Value:
    attended = _attention(op, config, _layer_norm(op, x, f"{layer}.norm1"), f"{layer}.attn", cls_only=cls_only)
    x = op.Add(_cls_token(op, x) if cls_only else x, attended)
    hidden = _linear(op, _layer_norm(op, x, f"{layer}.norm2"), f"{layer}.mlp.fc1")
    return op.Add(x, _linear(op, op.Gelu(hidden, approximate="none"), f"{layer}.mlp.fc2"))


def _embed(op: ModelGraph, config: ModelConfig, images: Value) -> Value:
    side, patch, dim = config.view_size // config.patch_size, config.patch_size, config.embed_dim
    patches = op.Reshape(images, np.array([0, side, patch, side, 3 * patch]))
    patches = op.Reshape(op.Transpose(patches, perm=[0, 1, 3, 2, 4]), np.array([0, side**2, 3 * patch**2]))
    tokens = _linear(op, patches, "backbone.patch_embed.proj")
    shape = op.Concat(op.Shape(tokens, start=0, end=1), np.array([1, dim]), axis=0)
    cls_token = op.Expand(op.param("backbone.cls_token"), shape)
    return op.Add(op.Concat(cls_token, tokens, axis=1), op.param("backbone.pos_embed"))


def _vision_transformer(op: ModelGraph, config: ModelConfig, images: Value) -> Value:
    """Normalised images to class tokens, [images, features]."""
    x, features = _embed(op, config, images), []
    for number in range(1, config.depth + 1):
        x = _block(op, config, x, f"backbone.blocks.{number - 1}", cls_only=number == config.depth)
        if number in (config.readout_blocks or (config.depth,)):
            features.append(_layer_norm(op, _cls_token(op, x), "backbone.norm"))
    return op.Concat(*features, axis=2)


def _head(op: ModelGraph, features: Value) -> Value:
    x = op.Relu(_linear(op, features, "head.fc1"))
    return _linear(op, op.Relu(_linear(op, x, "head.fc2")), "head.fc3")


def _features_of_photos(op: Graph, config: ModelConfig, features: Value) -> tuple[Value, Value]:
    """Features of all views, one view after the other, to those of each photo's two views."""
    count = 1 + config.eval_mosaics
    features = op.Reshape(features, np.array([count, -1, config.feature_dim]))
    mosaics = op.Slice(features, np.array([1]), np.array([count]), np.array([0]))
    return op.Gather(features, np.int64(0), axis=0), op.ReduceMean(mosaics, np.array([0]), keepdims=0)


def _features_of_regions(op: Graph, config: ModelConfig, features: Value) -> tuple[Value, Value]:
    """The same of one photo, and of it with each region as its local view."""
    count = 1 + config.eval_mosaics
    features = op.Reshape(features, np.array([-1, config.feature_dim]))
    ends = (0, 1, count, np.iinfo(np.int64).max)
    whole, mosaics, regions = (
        op.Slice(features, np.array([start]), np.array([end]), np.array([0])) for start, end in itertools.pairwise(ends)
    )
    local = op.Concat(op.ReduceMean(mosaics, np.array([0]), keepdims=1), regions, axis=0)
    return op.Expand(whole, op.Shape(local)), local


def build(
    config: ModelConfig,
    params: Params,
    storage: Storage = "float32",
    metadata: Mapping[str, str] | None = None,
    *,
    inputs: Inputs = "photos",
) -> Any:
    """The file of a VT-IQA.

    Args:
        config: the model's sizes.
        params: its parameters.
        storage: what they are stored as.
        metadata: kept in the file's `metadata_props`.
        inputs: what it takes. "photos": `photos`, uint8 RGB pixels [batch, height, width, 3]. "stored":
            `global_images` and `local_images`, as `VTIQA.score` does. "regions": `photos`, but one, and `corners`
            [regions, 2], int32: where its regions begin in its large stored size, see `views.region_offsets`.

    Returns:
        An `onnx.ModelProto`; it returns float32 scores [batch]. By "regions" the photo's score comes first; then, for
        each region, its score with the local view cut from there alone, as by `VTIQA.explain`.

    Raises:
        UserError: it is not the released model, the graph does not use all parameters, int8 does not fit its width, or
            the package onnx is not installed.
    """
    if config.kind != "vtiqa":
        raise UserError("only the released model is written as .onnx: the paper's selects regions by a gradient")
    if storage == "int8" and config.embed_dim % quantized.GROUP_SIZE:
        raise UserError(f"int8 needs a width that is a multiple of {quantized.GROUP_SIZE}, not {config.embed_dim}")
    op = ModelGraph(params, storage, config.depth)
    small, large, byte = config.global_resize, config.local_resize, np.uint8
    make_views, shapes = {
        "photos": (_views_of_photos, {"photos": (byte, ("batch", "height", "width", 3))}),
        "stored": (
            _views_of_stored,
            {
                "global_images": (byte, ("batch", small, small, 3)),
                "local_images": (byte, ("batch", large, large, 3)),
            },
        ),
        "regions": (
            _views_of_regions,
            {"photos": (byte, (1, "height", "width", 3)), "corners": (np.int32, ("regions", 2))},
        ),
    }[inputs]
    images = make_views(op, config)
    images = op.Div(op.Sub(op.Div(images, np.float32(255)), views.IMAGENET_MEAN), views.IMAGENET_STD)
    features = _vision_transformer(op, config, images)
    both = (_features_of_regions if inputs == "regions" else _features_of_photos)(op, config, features)
    score = op.Reshape(_head(op, op.Concat(*both, axis=1)), np.array([-1]))
    if unused := op.unused_params():
        raise UserError(f"an .onnx graph has no place for {', '.join(unused[:3])}; its scores would not be the model's")
    return op.model(shapes, score, ("batch",), "uint8 RGB pixels to the quality of each photo", metadata or {})
