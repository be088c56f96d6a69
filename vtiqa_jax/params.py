"""Parameters as a flat mapping of dotted paths ("backbone.blocks.0.attn.qkv.kernel") to arrays, and back."""

import hashlib
from typing import Any

import flax.traverse_util
import jax
import numpy as np
from flax import nnx

from vtiqa_jax.config import ModelConfig
from vtiqa_jax.model import ComputeDtype, Model, build

Params = dict[str, Any]
"""Arrays by dotted path."""


def split(model: Model) -> tuple[nnx.GraphDef[Model], Params]:
    """The model's structure and its parameters."""
    graphdef, state = nnx.split(model, nnx.Param)
    nested = flax.traverse_util.flatten_dict(nnx.to_pure_dict(state))
    return graphdef, {".".join(map(str, path)): array for path, array in nested.items()}


def merge(graphdef: nnx.GraphDef[Model], params: Params) -> Model:
    """The model with these parameters; works inside `jax.jit`."""
    paths = {tuple(int(part) if part.isdigit() else part for part in key.split(".")): key for key in params}
    nested = flax.traverse_util.unflatten_dict({path: params[key] for path, key in paths.items()})
    return nnx.merge(graphdef, nested)


def abstract(
    config: ModelConfig, compute_dtype: ComputeDtype = "float32", drop_path: float = 0.0
) -> tuple[nnx.GraphDef[Model], dict[str, jax.ShapeDtypeStruct]]:
    """The model's structure and its parameters' shapes, without allocating them."""
    return split(nnx.eval_shape(lambda: build(config, compute_dtype=compute_dtype, drop_path=drop_path)))


def drawn(config: ModelConfig, seed: int) -> Params:
    """Freshly initialised parameters."""
    return split(build(config, seed=seed))[1]


def digest(params: Params) -> str:
    """SHA-256 of names, shapes and values."""
    found = hashlib.sha256()
    for path in sorted(params):
        array = np.ascontiguousarray(params[path])
        found.update(f"{path} {array.shape} {array.dtype}".encode() + array.tobytes())
    return found.hexdigest()
