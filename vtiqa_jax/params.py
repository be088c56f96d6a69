"""Parameters as a flat mapping of dotted paths ("backbone.blocks.0.attn.qkv.kernel") to arrays, and back."""

import hashlib
from typing import Any

import flax.traverse_util
import jax
import numpy as np
from flax import nnx
from jax.nn.initializers import Initializer

from vtiqa_jax.config import ModelConfig
from vtiqa_jax.model import ComputeDtype, Model, build, is_multiplied

Params = dict[str, Any]
"""Arrays by dotted path."""


def merge(graphdef: nnx.GraphDef[Model], params: Params) -> Model:
    """The model with these parameters; works inside `jax.jit`."""
    paths = {tuple(int(part) if part.isdigit() else part for part in key.split(".")): key for key in params}
    nested = flax.traverse_util.unflatten_dict({path: params[key] for path, key in paths.items()})
    return nnx.merge(graphdef, nested)


def abstract(
    config: ModelConfig, compute_dtype: ComputeDtype = "float32", drop_path: float = 0.0
) -> tuple[nnx.GraphDef[Model], dict[str, jax.ShapeDtypeStruct]]:
    """The model's structure and its parameters' shapes."""
    graphdef, state = nnx.split(build(config, compute_dtype, drop_path), nnx.Param)
    shapes: dict[Any, Any] = flax.traverse_util.flatten_dict(nnx.to_pure_dict(state))
    return graphdef, {".".join(map(str, path)): leaf for path, leaf in shapes.items()}


def _initializer(path: str) -> Initializer:
    """timm's, but for heads."""
    if path.endswith("bias"):
        return nnx.initializers.zeros_init()
    if path.endswith("scale"):
        return nnx.initializers.ones_init()
    if path.endswith("kernel") and not is_multiplied(path):
        # Unit gain: timm's 0.02 would leave a head's three narrow layers in a row almost without a gradient.
        return nnx.initializers.lecun_normal()
    return nnx.initializers.truncated_normal(stddev=0.02)


def drawn(config: ModelConfig, seed: int) -> Params:
    """Freshly initialised parameters."""
    shapes = abstract(config)[1]
    keys = jax.random.split(jax.random.key(seed), len(shapes))
    return {
        path: _initializer(path)(key, leaf.shape, leaf.dtype)
        for (path, leaf), key in zip(shapes.items(), keys, strict=True)
    }


def digest(params: Params) -> str:
    """SHA-256 of names, shapes and values."""
    found = hashlib.sha256()
    for path in sorted(params):
        array = np.ascontiguousarray(params[path])
        found.update(f"{path} {array.shape} {array.dtype}".encode() + array.tobytes())
    return found.hexdigest()
