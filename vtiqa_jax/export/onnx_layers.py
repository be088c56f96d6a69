"""The layers of `models/vtiqa.py` as nodes of an ONNX graph, and the parameters that they ask for by name."""

from typing import Literal

import numpy as np

from vtiqa_jax.export.onnx_graph import Graph, Value
from vtiqa_jax.models import quantized
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.vit import LAYER_NORM_EPSILON

Storage = Literal["float32", "float16", "int8"]
"""Type that parameters are stored in; int8 as in `models/quantized.py`."""


class ModelGraph(Graph):
    """A graph that also knows the model's parameters by name."""

    def __init__(self, params: Params, storage: Storage, depth: int) -> None:
        super().__init__()
        self._params, self._storage, self._depth = params, storage, depth
        self._values: dict[str, Value] = {}

    def param(self, name: str) -> Value:
        """Adds a parameter, float32."""
        if name not in self._values:
            self._values[name] = self._stored(name, np.asarray(self._params[name], np.float32))
        return self._values[name]

    def unused_params(self) -> list[str]:
        """Returns the parameters that no node has asked for."""
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


def linear(op: ModelGraph, x: Value, layer: str) -> Value:
    """Adds a dense layer."""
    return op.Add(op.MatMul(x, op.param(f"{layer}.kernel")), op.param(f"{layer}.bias"))


def layer_norm(op: ModelGraph, x: Value, layer: str) -> Value:
    """Adds a LayerNorm."""
    scale, bias = op.param(f"{layer}.scale"), op.param(f"{layer}.bias")
    return op.LayerNormalization(x, scale, bias, epsilon=LAYER_NORM_EPSILON)


def cls_token(op: Graph, x: Value) -> Value:
    """Adds the first token, [batch, 1, dim]."""
    return op.Slice(x, np.array([0]), np.array([1]), np.array([1]))


def _attention(op: ModelGraph, config: ModelConfig, x: Value, layer: str, *, cls_only: bool) -> Value:
    heads, size = config.num_heads, config.embed_dim // config.num_heads
    qkv = op.Reshape(linear(op, x, f"{layer}.qkv"), np.array([0, 0, 3, heads, size]))
    q, k, v = (op.Gather(qkv, np.int64(which), axis=2) for which in range(3))
    q = op.Transpose(cls_token(op, q) if cls_only else q, perm=[0, 2, 1, 3])
    logits = op.MatMul(op.Mul(q, np.float32(size**-0.5)), op.Transpose(k, perm=[0, 2, 3, 1]))
    attended = op.MatMul(op.Softmax(logits, axis=-1), op.Transpose(v, perm=[0, 2, 1, 3]))
    tokens = op.Reshape(op.Transpose(attended, perm=[0, 2, 1, 3]), np.array([0, 0, config.embed_dim]))
    return linear(op, tokens, f"{layer}.proj")


def block(op: ModelGraph, config: ModelConfig, x: Value, layer: str, *, cls_only: bool) -> Value:
    """Adds a transformer block; `cls_only` computes the class token and no other."""
    attended = _attention(op, config, layer_norm(op, x, f"{layer}.norm1"), f"{layer}.attn", cls_only=cls_only)
    x = op.Add(cls_token(op, x) if cls_only else x, attended)
    hidden = linear(op, layer_norm(op, x, f"{layer}.norm2"), f"{layer}.mlp.fc1")
    return op.Add(x, linear(op, op.Gelu(hidden, approximate="none"), f"{layer}.mlp.fc2"))


def embed(op: ModelGraph, config: ModelConfig, images: Value) -> Value:
    """Adds the way from normalised images to the first block's input."""
    side, patch, dim = config.view_size // config.patch_size, config.patch_size, config.embed_dim
    patches = op.Reshape(images, np.array([0, side, patch, side, 3 * patch]))
    patches = op.Reshape(op.Transpose(patches, perm=[0, 1, 3, 2, 4]), np.array([0, side**2, 3 * patch**2]))
    tokens = linear(op, patches, "backbone.patch_embed.proj")
    shape = op.Concat(op.Shape(tokens, start=0, end=1), np.array([1, dim]), axis=0)
    cls_token = op.Expand(op.param("backbone.cls_token"), shape)
    return op.Add(op.Concat(cls_token, tokens, axis=1), op.param("backbone.pos_embed"))
