"""Models and their parameters by name: "backbone.blocks.0.attn.qkv.kernel" and the array.

Checkpoints, conversion, freezing and learning rates by depth all work on this flat form. What the names mean is known
here alone (`param_group`, `layer_index`, `is_matmul_weight`) and in the converter's table.
"""

import functools
import hashlib
from typing import Any, TypeVar

import flax.traverse_util
import jax
import numpy as np
from flax import nnx

from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.original import OriginalVTIQA
from vtiqa_jax.models.vit import Implementation, VisionTransformer
from vtiqa_jax.models.vtiqa import HEAD_DROPOUT, VTIQA, QualityHead

Params = dict[str, Any]
"""Arrays by dotted name."""

Module = TypeVar("Module", bound=nnx.Module)
Model = VTIQA | OriginalVTIQA | VisionTransformer
ScoringModel = VTIQA | OriginalVTIQA


def create_model(
    config: ModelConfig,
    *,
    rngs: nnx.Rngs,
    dtype: ComputeDtype = "float32",
    implementation: Implementation = "xla",
    drop_path: float = 0.0,
    head_dropout: float = HEAD_DROPOUT,
) -> Model:
    """Returns a freshly initialised model of the kind that the config names; rates are for training, see `VTIQA`."""
    if config.kind == "original":
        return OriginalVTIQA(config, dtype=dtype, implementation=implementation, rngs=rngs)
    if config.kind == "backbone":
        return config.make_backbone(dtype=dtype, implementation=implementation, drop_path=drop_path, rngs=rngs)
    return VTIQA(
        config, dtype=dtype, implementation=implementation, drop_path=drop_path, head_dropout=head_dropout, rngs=rngs
    )


def flatten_params(model: Model) -> Params:
    """Returns the model's parameters by name."""
    nested: Any = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    return {".".join(map(str, path)): leaf for path, leaf in flax.traverse_util.flatten_dict(nested).items()}


@functools.cache
def abstract_model(
    config: ModelConfig,
    dtype: ComputeDtype = "float32",
    implementation: Implementation = "xla",
    drop_path: float = 0.0,
    head_dropout: float = HEAD_DROPOUT,
) -> tuple[nnx.GraphDef[Model], dict[str, jax.ShapeDtypeStruct]]:
    """Returns the model's structure, and shape and dtype of each parameter; nothing is computed."""
    model = nnx.eval_shape(
        lambda: create_model(
            config,
            rngs=nnx.Rngs(0),
            dtype=dtype,
            implementation=implementation,
            drop_path=drop_path,
            head_dropout=head_dropout,
        )
    )
    return nnx.split(model, nnx.Param)[0], flatten_params(model)


def param_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each parameter."""
    return {name: leaf.shape for name, leaf in abstract_model(config)[1].items()}


def merge_params(graphdef: nnx.GraphDef[Module], params: Params) -> Module:
    """Returns the model with these parameters; works inside `jax.jit`."""
    paths = {tuple(int(part) if part.isdigit() else part for part in name.split(".")): name for name in params}
    nested = flax.traverse_util.unflatten_dict({path: params[name] for path, name in paths.items()})
    return nnx.merge(graphdef, nested)


def merge_head(config: ModelConfig, params: Params, dropout: float = HEAD_DROPOUT) -> QualityHead:
    """Returns the head of a VT-IQA from these parameters, whose others are left out; works inside `jax.jit`."""
    head = nnx.eval_shape(lambda: QualityHead(2 * config.feature_dim, dropout=dropout, rngs=nnx.Rngs(0)))
    named = {name.removeprefix("head."): array for name, array in params.items() if param_group(name)[0] == "head"}
    return merge_params(nnx.split(head, nnx.Param)[0], named)


def init_params(config: ModelConfig, seed: int) -> Params:
    """Returns freshly initialised parameters."""
    return flatten_params(create_model(config, rngs=nnx.Rngs(seed)))


def hash_params(params: Params) -> str:
    """Returns SHA-256 of names, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(params):
        array = np.ascontiguousarray(params[name])
        digest.update(f"{name} {array.shape} {array.dtype}".encode() + array.tobytes())
    return digest.hexdigest()


def backbone_params(params: Params) -> Params:
    """Returns the parameters of a model's backbone, by the names that they have in `VisionTransformer`."""
    return {name.removeprefix("backbone."): array for name, array in params.items() if name.startswith("backbone.")}


def param_group(name: str) -> tuple[str, int]:
    """Returns where a parameter of a VT-IQA or of its backbone belongs.

    Returns:
        ("embed", 0), ("block", i) counted from 0, ("norm", 0) for the backbone's last norm, or ("head", 0),
        ("ends", 0), ("detail", 0), ("novelty", 0), ("reasons", 0), ("subject", 0), ("intervals", 0) and ("taste", 0)
        for what computes scores and what else there is to say.
    """
    parts = name.removeprefix("backbone.").split(".")
    if parts[0] == "blocks":
        return "block", int(parts[1])
    if parts[0] in ("patch_embed", "cls_token", "pos_embed"):
        return "embed", 0
    others = "norm", "ends", "detail", "novelty", "reasons", "subject", "intervals", "taste"
    return (parts[0], 0) if parts[0] in others else ("head", 0)


def layer_index(name: str, depth: int) -> int:
    """Returns a parameter's depth index: 0 embedding, i + 1 block i, depth + 1 last norm and heads."""
    group, block = param_group(name)
    return {"embed": 0, "block": block + 1}.get(group, depth + 1)


def is_matmul_weight(name: str) -> bool:
    """Tells whether a parameter is a matrix multiplied in the compute dtype. Heads compute in float32."""
    return name.endswith(".kernel") and not {"head", "detail", "reasons", "subject"} & set(name.split("."))


def rescale_head(config: ModelConfig, params: Params, slope: float, intercept: float) -> Params:
    """Returns the parameters of the VT-IQA whose scores are `slope` times these plus `intercept`, on the host."""
    model = merge_params(abstract_model(config)[0], jax.tree.map(jax.numpy.asarray, params))
    assert isinstance(model, VTIQA)
    model.rescale(slope, intercept)
    return jax.device_get(flatten_params(model))
