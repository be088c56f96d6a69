"""The two models of VT-IQA, under timm's attribute names.

`VTIQA` is the released model: one vision transformer sees both views, a small head regresses their two class tokens.
`OriginalVTIQA` is the paper's: the mosaic's patches are chosen by the gradient of a selector network, and a small
transformer fuses the two class tokens. Source: Li et al., IEEE TCSVT 32(12), 2022, and the authors' release
(esnthere/VT-IQA), whose vision transformer is timm's DeiT-S/16.

Parameters are float32. `compute_dtype` bfloat16 multiplies in bfloat16 and accumulates in float32; the residual
stream, LayerNorm and softmax stay in float32.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, UInt8

from vtiqa_jax import views
from vtiqa_jax.attention import attention, one_query
from vtiqa_jax.config import ModelConfig
from vtiqa_jax.layer_norm import LayerNorm
from vtiqa_jax.linear import ComputeDtype, Linear
from vtiqa_jax.parameter import parameter

# The released head and the selector's are (64, 8) wide, the paper's model's (32, 8).
HEAD_WIDTH = 64
FUSED_HEAD_WIDTH = 32
HEAD_DROPOUT = 0.5
FUSION_DEPTH = 2
FUSION_DROPOUT = 0.2
SENSITIVITY_POOL = 9
"""Window and stride, pixels, of the average pooling that makes the sensitivity map."""
SELECTION_WINDOW = 3
"""Side of the window, map entries, in which one patch of the mosaic is selected."""


def is_multiplied(path: str) -> bool:
    """Whether a parameter, by its dotted path, is a matrix that is multiplied in the compute type."""
    return path.endswith(".kernel") and not re.search(r"(^|\.)head\.", path)


class Attention(nnx.Module):
    """Multi-head self-attention with q, k, v in one layer, in that order (timm)."""

    def __init__(self, width: int, heads: int, compute_dtype: ComputeDtype) -> None:
        self.heads = heads
        self.compute_dtype = compute_dtype
        self.qkv = Linear(width, 3 * width, compute_dtype)
        self.proj = Linear(width, width, compute_dtype)

    def __call__(self, x: Float[Array, "batch tokens width"]) -> Float[Array, "batch tokens width"]:
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        return self.proj(attention(qkv, self.compute_dtype).reshape(batch, tokens, width))

    def class_token(self, x: Float[Array, "batch tokens width"]) -> Float[Array, "batch 1 width"]:
        """The first token of the result; no other is computed."""
        batch, tokens, width = x.shape
        q = self.qkv(x[:, :1], slice(width)).reshape(batch, 1, self.heads, -1)
        kv = self.qkv(x, slice(width, None)).reshape(batch, tokens, 2, self.heads, -1)
        return self.proj(one_query(q, kv).reshape(batch, 1, width))


@jax.checkpoint  # its derivative keeps nothing but x: a twelfth of a training step's memory
def gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The exact GELU, as torch computes it; the tanh approximation, JAX's default, breaks parity.

    JAX's own exact one uses erfc, which takes half as long again on a CPU.
    """
    return 0.5 * x * (1 + jax.lax.erf(x * np.float32(0.5**0.5)))


class Mlp(nnx.Module):
    """Two dense layers with the exact GELU between."""

    def __init__(self, width: int, hidden: int, compute_dtype: ComputeDtype) -> None:
        self.fc1 = Linear(width, hidden, compute_dtype)
        self.fc2 = Linear(hidden, width, compute_dtype)

    def __call__(self, x: Float[Array, "batch tokens width"]) -> Float[Array, "batch tokens width"]:
        return self.fc2(gelu(self.fc1(x)))


class Block(nnx.Module):
    """A pre-norm transformer block. When `rngs` is given, `dropout` acts on what both branches add, and `drop_path`
    leaves a branch out for whole samples (stochastic depth). `class_only` computes the first token and no other."""

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_ratio: int,
        compute_dtype: ComputeDtype,
        *,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        self.norm1 = LayerNorm(width)
        self.attn = Attention(width, heads, compute_dtype)
        self.norm2 = LayerNorm(width)
        self.mlp = Mlp(width, mlp_ratio * width, compute_dtype)
        self.dropout = nnx.Dropout(dropout)
        self.drop_path = nnx.Dropout(drop_path, broadcast_dims=(1, 2))

    def __call__(
        self, x: Float[Array, "batch tokens width"], *, class_only: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "batch computed width"]:
        def added(branch: Array) -> Array:
            still = rngs is None
            return self.drop_path(self.dropout(branch, deterministic=still, rngs=rngs), deterministic=still, rngs=rngs)

        attend = self.attn.class_token if class_only else self.attn
        kept = x[:, :1] if class_only else x
        x = kept + added(attend(self.norm1(x)))
        return x + added(self.mlp(self.norm2(x)))


class PatchEmbed(nnx.Module):
    """The image cut into patches, each projected to a token: timm's strided convolution, written as one product."""

    def __init__(self, patch_size: int, width: int, compute_dtype: ComputeDtype) -> None:
        self.patch_size = patch_size
        self.proj = Linear(3 * patch_size**2, width, compute_dtype)

    def __call__(self, images: Float[Array, "batch size size 3"]) -> Float[Array, "batch patches width"]:
        batch, size, _, channels = images.shape
        side, patch = size // self.patch_size, self.patch_size
        patches = images.reshape(batch, side, patch, side, patch, channels).transpose(0, 1, 3, 2, 4, 5)
        return self.proj(patches.reshape(batch, side * side, patch * patch * channels))


class VisionTransformer(nnx.Module):
    """timm's `vision_transformer` without its classifier: normalised images in, class tokens out; of several blocks,
    each through the final norm and side by side, when the config reads out several."""

    def __init__(self, config: ModelConfig, compute_dtype: ComputeDtype, drop_path: float = 0.0) -> None:
        rates = [drop_path * index / max(1, config.depth - 1) for index in range(config.depth)]
        self.patch_embed = PatchEmbed(config.patch_size, config.width, compute_dtype)
        self.cls_token = parameter(1, 1, config.width)
        self.pos_embed = parameter(1, config.tokens, config.width)
        self.blocks = nnx.List(
            Block(config.width, config.heads, config.mlp_ratio, compute_dtype, drop_path=rate) for rate in rates
        )
        self.norm = LayerNorm(config.width)
        self.readout = config.readout or (config.depth,)

    def embed(self, images: Float[Array, "batch size size 3"]) -> Float[Array, "batch tokens width"]:
        """What the first block sees: class token and patches, with their position embedding."""
        patches = self.patch_embed(images)
        batch, _, width = patches.shape
        cls_token = jnp.broadcast_to(self.cls_token[...], (batch, 1, width))
        return jnp.concatenate([cls_token, patches], axis=1) + self.pos_embed[...]

    def __call__(
        self, images: Float[Array, "batch size size 3"], *, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "batch features"]:
        x = self.embed(images)
        found = []
        for number, block in enumerate(self.blocks, start=1):
            # Nothing reads the last block's other tokens.
            x = block(x, class_only=number == len(self.blocks), rngs=rngs)
            if number in self.readout:
                found.append(self.norm(x[:, 0]))
        return jnp.concatenate(found, axis=1)


class QualityHead(nnx.Module):
    """Features to one score: Dropout, then two hidden layers with ReLU (the release's `head`). Always float32."""

    def __init__(self, inputs: int, hidden: int) -> None:
        self.dropout = nnx.Dropout(HEAD_DROPOUT)
        self.fc1 = Linear(inputs, hidden)
        self.fc2 = Linear(hidden, 8)
        self.fc3 = Linear(8, 1)

    def __call__(
        self, features: Float[Array, "batch features"], *, rngs: nnx.Rngs | None = None
    ) -> Float[Array, " batch"]:
        x = self.dropout(features, deterministic=rngs is None, rngs=rngs)
        return self.fc3(jax.nn.relu(self.fc2(jax.nn.relu(self.fc1(x)))))[:, 0]


def _both(
    backbone: VisionTransformer,
    first: Float[Array, "batch size size 3"],
    second: Float[Array, "batch size size 3"],
    rngs: nnx.Rngs | None,
) -> tuple[Float[Array, "batch features"], Float[Array, "batch features"]]:
    """Both views through the backbone in one batched pass."""
    features = backbone(jnp.concatenate([first, second]), rngs=rngs)
    return features[: len(first)], features[len(first) :]


class VTIQA(nnx.Module):
    """The released model."""

    def __init__(self, config: ModelConfig, compute_dtype: ComputeDtype, drop_path: float = 0.0) -> None:
        self.config = config
        self.backbone = VisionTransformer(config, compute_dtype, drop_path)
        self.head = QualityHead(2 * config.features, HEAD_WIDTH)

    def __call__(
        self,
        global_view: Float[Array, "batch size size 3"],
        mosaic: Float[Array, "batch size size 3"],
        *,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, " batch"]:
        """Scores of normalised views. `rngs` (stream `dropout`) makes it the training pass."""
        return self.head(jnp.concatenate(_both(self.backbone, global_view, mosaic, rngs), axis=1), rngs=rngs)

    def score(
        self,
        global_versions: UInt8[Array, "batch small small 3"],
        local_versions: UInt8[Array, "batch large large 3"],
    ) -> Float[Array, " batch"]:
        """Scores of stored photos (`vtiqa_jax.images.Versions`), seen as the release's test scripts do when the config
        asks for one mosaic; the class tokens of several are averaged."""
        count = self.config.mosaics
        mosaics = [views.still_mosaic(local_versions, self.config, number) for number in range(count)]
        both = jnp.concatenate([views.centre_global(global_versions, self.config), *mosaics])
        features = self.backbone(views.normalise(both)).reshape(1 + count, len(global_versions), -1)
        return self.head(jnp.concatenate([features[0], features[1:].mean(0)], axis=1))


class Fusion(nnx.Module):
    """Self-attention over the two class tokens, and the head (the release's `safusion`; paper, section III-C).

    As released, no position embedding is added, though the published file holds one.
    """

    def __init__(self, width: int, compute_dtype: ComputeDtype) -> None:
        self.cls_token = parameter(1, 1, width)
        self.blocks = nnx.List(Block(width, 1, 1, compute_dtype, dropout=FUSION_DROPOUT) for _ in range(FUSION_DEPTH))
        self.norm = LayerNorm(width)
        self.head = QualityHead(3 * width, FUSED_HEAD_WIDTH)

    def __call__(
        self,
        global_features: Float[Array, "batch width"],
        local_features: Float[Array, "batch width"],
        *,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, " batch"]:
        batch, width = global_features.shape
        cls_token = jnp.broadcast_to(self.cls_token[...], (batch, 1, width))
        x = jnp.concatenate([cls_token, global_features[:, None], local_features[:, None]], axis=1)
        for block in self.blocks:
            x = block(x, rngs=rngs)
        fused = self.norm(x[:, 0])
        return self.head(jnp.concatenate([fused, global_features, local_features], axis=1), rngs=rngs)


class Selector(nnx.Module):
    """Judges the global view alone; the gradient of its judgement says which regions matter (paper, section III-B)."""

    def __init__(self, config: ModelConfig, compute_dtype: ComputeDtype) -> None:
        self.config = config
        self.backbone = VisionTransformer(config, compute_dtype)
        self.head = QualityHead(config.width, HEAD_WIDTH)

    def __call__(
        self, global_view: Float[Array, "batch size size 3"], *, rngs: nnx.Rngs | None = None
    ) -> Float[Array, " batch"]:
        return self.head(self.backbone(global_view), rngs=rngs)

    def sensitivity(self, global_view: Float[Array, "batch size size 3"]) -> Float[Array, "batch rows cols"]:
        """The gradient of the quality with respect to the normalised pixels, summed over the channels and averaged
        over windows of 9 x 9 pixels (224 px give 24 x 24; what is left at the edge is dropped)."""
        gradient = jax.grad(lambda view: self(view).sum())(global_view).sum(-1)
        side = gradient.shape[1] // SENSITIVITY_POOL
        used = gradient[:, : side * SENSITIVITY_POOL, : side * SENSITIVITY_POOL]
        return used.reshape(-1, side, SENSITIVITY_POOL, side, SENSITIVITY_POOL).mean((2, 4))

    def positions(self, sensitivity: Float[Array, "batch rows cols"], height: int) -> Int[Array, "batch grid grid 2"]:
        """Upper left corners (row, column), pixels of a photo `height` high, of the most sensitive patch of each
        window of 3 x 3 map entries; the first in row-major order when several are equal."""
        grid, window = self.config.grid, SELECTION_WINDOW
        batch, side, _ = sensitivity.shape
        used = sensitivity[:, : grid * window, : grid * window].reshape(batch, grid, window, grid, window)
        best = used.transpose(0, 1, 3, 2, 4).reshape(batch, grid, grid, window * window).argmax(-1)
        first = jnp.arange(grid, dtype=best.dtype) * window
        rows = first[None, :, None] + best // window
        cols = first[None, None, :] + best % window
        # Computed in Python's floats and cut off, as the release does: the last bit decides.
        corner = jnp.array([int((1.5 + entry) / side * height) for entry in range(grid * window)], jnp.int32)
        return jnp.stack([corner[rows], corner[cols]], axis=-1)


class OriginalVTIQA(nnx.Module):
    """The paper's model."""

    def __init__(self, config: ModelConfig, compute_dtype: ComputeDtype) -> None:
        if config.grid * SELECTION_WINDOW > config.view_size // SENSITIVITY_POOL:
            raise ValueError(f"views of {config.view_size} px are too small to select {config.grid}^2 regions in them")
        self.config = config
        self.selector = Selector(config, compute_dtype)
        self.backbone = VisionTransformer(config, compute_dtype)
        self.fusion = Fusion(config.width, compute_dtype)

    def __call__(
        self,
        global_view: Float[Array, "batch size size 3"],
        mosaic: Float[Array, "batch size size 3"],
        *,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, " batch"]:
        """Scores of normalised views. `rngs` (stream `dropout`) makes it the training pass."""
        return self.fusion(*_both(self.backbone, global_view, mosaic, None), rngs=rngs)

    def select(
        self,
        global_view: Float[Array, "batch size size 3"],
        local_versions: UInt8[Array, "batch large large 3"],
    ) -> UInt8[Array, "batch size size 3"]:
        """The mosaic, not yet normalised, of the regions that the selector finds in the normalised global view."""
        positions = self.selector.positions(self.selector.sensitivity(global_view), local_versions.shape[1])
        return views.patches_at(local_versions, positions, self.config.cell)

    def score(
        self,
        global_versions: UInt8[Array, "batch small small 3"],
        local_versions: UInt8[Array, "batch large large 3"],
    ) -> Float[Array, " batch"]:
        """Scores of stored photos (`vtiqa_jax.images.Versions`)."""
        global_view = views.normalise(views.centre_global(global_versions, self.config))
        return self(global_view, views.normalise(self.select(global_view, local_versions)))


Model = VTIQA | OriginalVTIQA | VisionTransformer
Scorable = VTIQA | OriginalVTIQA


def build(config: ModelConfig, compute_dtype: ComputeDtype = "float32", drop_path: float = 0.0) -> Model:
    """The structure of the model that `config.kind` names. `drop_path` is the last block's rate in training passes;
    the paper's model takes none."""
    if config.kind == "original":
        return OriginalVTIQA(config, compute_dtype)
    model = VTIQA if config.kind == "vtiqa" else VisionTransformer
    return model(config, compute_dtype, drop_path)


def head_count(width: int) -> int:
    """Attention heads of a ViT of this width: 64 channels each, as in every DeiT and ViT of timm.

    No weights file says it. Errors: ValueError for another width.
    """
    if width % 64:
        raise ValueError(f"a width of {width} is not a multiple of 64 channels a head")
    return width // 64
