"""VT-IQA as released: one vision transformer sees both views, a small head regresses their class tokens to a score.

Source: Li et al., IEEE TCSVT 32(12), 2022, and the authors' release (esnthere/VT-IQA), whose vision transformer is
timm's DeiT-S/16. Layers have timm's names.

    model = VTIQA(ModelConfig(), rngs=nnx.Rngs(0))
    scores = model(global_view, mosaic)                              # inference
    scores = model(global_view, mosaic, rngs=nnx.Rngs(dropout=1))    # training: dropout acts

Parameters, the residual stream, LayerNorm, softmax and the head are float32. With `dtype` "bfloat16" the transformer's
matrix products and the activations between them are bfloat16. With "float32" every product has the precision
"highest": JAX's default would be TF32 on an NVIDIA GPU and bfloat16 on a TPU, and break parity.

`implementation` says what computes a block: "xla" is the textbook, "cudnn" takes cuDNN's fused attention, "cpu" the
kernels of `cpu_kernels.py`, which compute the same and are tuned for XLA's CPU backend.
"""

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import Initializer
from jaxtyping import Array, Float, UInt8

from vtiqa_jax.models import cpu_kernels, views
from vtiqa_jax.models.detail import DetailHead, add_causes, find_holding_scale
from vtiqa_jax.models.ends import SoftEnds
from vtiqa_jax.models.intervals import Intervals, Sureness
from vtiqa_jax.models.novelty import Novelty
from vtiqa_jax.models.reasons import ReasonsHead, measure_tones
from vtiqa_jax.models.taste import Taste
from vtiqa_jax.photos.native import NativeViews
from vtiqa_jax.photos.preparation import Preparation
from vtiqa_jax.photos.resize import Cut

Kind = Literal["vtiqa", "original", "backbone"]
ComputeDtype = Literal["float32", "bfloat16"]
Implementation = Literal["cpu", "cudnn", "xla"]

LAYER_NORM_EPSILON = 1e-6
"""timm's value. PyTorch's default, 1e-5, breaks parity."""
HEAD_WIDTH = 64
HEAD_DROPOUT = 0.5
CUDNN_COMPUTE_CAPABILITY = 8.0
"""The oldest NVIDIA GPUs (Ampere) for which cuDNN has fused attention in bfloat16."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Which model, and its sizes. The defaults are those of the release (DeiT-S/16; paper, section III).

    `kind` is "vtiqa" (the released model), "original" (the paper's model with gradient-based region selection and
    self-attention fusion) or "backbone" (a vision transformer without a head: a starting point for training).
    """

    kind: Kind = "vtiqa"
    embed_dim: int = 384
    depth: int = 12
    num_heads: int = 6
    mlp_ratio: int = 4
    patch_size: int = 16
    """Side of the transformer's patches, pixels."""
    mosaic_grid: int = 7
    """Cells along a side of the mosaic."""
    mosaic_patch: int = 32
    """Side of one patch of the mosaic, pixels."""
    global_resize: int = 244
    """Side of the shrunk photo that the global view is cut from, pixels."""
    local_resize: int = 768
    """Side of the large photo that the mosaic's patches are cut from, pixels."""
    readout_blocks: tuple[int, ...] = ()
    """Blocks, counted from 1, whose class tokens the head sees, the last block among them. Empty: the last block alone,
    as released."""
    eval_mosaics: int = 1
    """Mosaics that a photo is scored by; their class tokens are averaged. 1 is the centre of each cell, as released."""
    screen_side: int | None = None
    """Pixels that a photo's longer side is shrunk to first, with antialiasing, if it has more: the size of the photos
    that the model was trained on. None: never, as released."""
    native_factors: tuple[int, ...] = ()
    """Whole factors, rising from 1, that a photo is shrunk by for its native views. Empty: the model has no detail."""
    native_blocks: tuple[int, ...] = ()
    """Blocks, counted from 1, whose patch tokens the detail head reads."""
    soft_ends: bool = False
    """Whether scores approach the ends of their scale smoothly, see `SoftEnds`. If not, they may leave it, as
    released."""
    novelty: bool = False
    """Whether the model says how unlike a photograph a picture is, see `Novelty`."""
    reasons: bool = False
    """Whether the model names a photo's faults, see `ReasonsHead`; it reads what the detail head reads, too."""
    intervals: bool = False
    """Whether the model says how sure its scores are, see `Intervals`."""
    opinions: bool = False
    """Whether it then also says how far single opinions are apart."""
    taste: bool = False
    """Whether scores are one person's and not people's, see `Taste`."""

    def __post_init__(self) -> None:
        rising = (
            list(self.readout_blocks) == sorted(set(self.readout_blocks)) and min(self.readout_blocks, default=1) > 0
        )
        if self.readout_blocks and (not rising or self.readout_blocks[-1] != self.depth or self.kind != "vtiqa"):
            raise ValueError(
                f"readout_blocks {self.readout_blocks} must rise and end in the last block, {self.depth}, of a VT-IQA"
            )
        if self.eval_mosaics < 1 or (self.eval_mosaics > 1 and self.kind != "vtiqa"):
            raise ValueError(f"eval_mosaics {self.eval_mosaics} must be at least 1, and 1 but for a VT-IQA")
        if self.embed_dim % self.num_heads:
            raise ValueError(f"embed_dim {self.embed_dim} is not a multiple of num_heads {self.num_heads}")
        if self.view_size % self.patch_size:
            raise ValueError(f"views of {self.view_size} px do not divide into patches of {self.patch_size} px")
        if self.global_resize < self.view_size or self.local_resize < self.view_size:
            raise ValueError(f"global_resize and local_resize must be at least the views' {self.view_size} px")
        if self.screen_side is not None and self.screen_side < self.view_size:
            raise ValueError(f"screen_side {self.screen_side} must be at least the views' {self.view_size} px")
        factors, blocks = self.native_factors, self.native_blocks
        if bool(factors) != bool(blocks) or (factors and self.kind != "vtiqa"):
            raise ValueError("native_factors and native_blocks belong together, and to a VT-IQA")
        if factors and (factors[0] != 1 or list(factors) != sorted(set(factors))):
            raise ValueError(f"native_factors {factors} must rise from 1")
        if blocks and (list(blocks) != sorted(set(blocks)) or blocks[0] < 1 or blocks[-1] >= self.depth):
            raise ValueError(f"native_blocks {blocks} must rise, and end before the last block, {self.depth}")
        if (self.soft_ends or self.novelty or self.intervals or self.taste) and self.kind != "vtiqa":
            raise ValueError("soft_ends, novelty, intervals and taste belong to a VT-IQA")
        if self.intervals and self.taste:
            raise ValueError("intervals are of people's mean, which a score by taste is not")
        if self.opinions and not self.intervals:
            raise ValueError("opinions belong to intervals")
        if self.reasons and not factors:
            raise ValueError("reasons need native views")
        if self.mosaic_patch % self.patch_size and factors:
            raise ValueError(f"native views need places of whole patches of {self.patch_size} px")

    @property
    def view_size(self) -> int:
        """Side of both views, pixels (224 in the release)."""
        return self.mosaic_grid * self.mosaic_patch

    @property
    def stored_sides(self) -> tuple[int | None, int, int]:
        """`screen_side`, and the sides of the two squares that a photo is then stored as, pixels."""
        return self.screen_side, self.global_resize, self.local_resize

    @property
    def stored_cuts(self) -> tuple[Cut, Cut]:
        """The two squares that a photo is stored as, whole."""
        return Cut.whole(self.global_resize), Cut.whole(self.local_resize)

    @property
    def view_cuts(self) -> tuple[Cut, ...]:
        """The views at test time: the global view, then each mosaic."""
        mosaics = (
            views.mosaic_cut(self.local_resize, self.mosaic_grid, self.mosaic_patch, number)
            for number in range(self.eval_mosaics)
        )
        return views.middle_cut(self.global_resize, self.view_size), *mosaics

    @property
    def eval_cuts(self) -> tuple[Cut, ...]:
        """What the model is fed at test time: its views; of the paper's model, which selects patches, whole squares."""
        return self.view_cuts if self.kind == "vtiqa" else self.stored_cuts

    @property
    def native(self) -> NativeViews | None:
        """The views of a photo at its own pixels; None where the model has no detail."""
        if not self.native_factors:
            return None
        return NativeViews(self.native_factors, self.mosaic_grid, self.mosaic_patch)

    @property
    def preparation(self) -> Preparation:
        """What the model is fed of a photo at test time."""
        return Preparation(self.screen_side, self.eval_cuts, self.native)

    @property
    def feature_dim(self) -> int:
        """Length of the backbone's features of one view."""
        return self.embed_dim * max(1, len(self.readout_blocks))

    @property
    def num_tokens(self) -> int:
        """Length of the transformer's sequence: the class token and the patches of one view."""
        return (self.view_size // self.patch_size) ** 2 + 1

    def make_backbone(self, **settings: Any) -> "VisionTransformer":
        """The backbone of this config, freshly initialised; a config of one's own may have another.

        Args:
            settings: the keyword arguments of `VisionTransformer`.
        """
        return VisionTransformer(self, **settings)

    def replace(self, **changes: Any) -> "ModelConfig":
        """A copy of this config with some fields changed."""
        return dataclasses.replace(self, **changes)


def deit_small(**changes: Any) -> ModelConfig:
    """DeiT-S/16, the backbone of the release (22 M parameters)."""
    return ModelConfig(**changes)


def deit_tiny(**changes: Any) -> ModelConfig:
    """DeiT-Ti/16 (5.5 M parameters)."""
    return ModelConfig(embed_dim=192, num_heads=3, **changes)


def deit_base(**changes: Any) -> ModelConfig:
    """DeiT-B/16 (86 M parameters)."""
    return ModelConfig(embed_dim=768, num_heads=12, **changes)


def tiny_config(**changes: Any) -> ModelConfig:
    """A toy for tests (30,000 parameters, views of 28 px): too small to judge photos."""
    sizes: dict[str, Any] = {
        "embed_dim": 24,
        "depth": 2,
        "num_heads": 2,
        "patch_size": 4,
        "mosaic_patch": 4,
        "global_resize": 34,
        "local_resize": 96,
    }
    return ModelConfig(**(sizes | changes))


def select_implementation(device: jax.Device, dtype: ComputeDtype) -> Implementation:
    """The fastest implementation on a device.

    Chosen in Python when a step is built: `jax.lax.platform_dependent` would trace every branch, and cuDNN's checks
    raise on a machine without a GPU.
    """
    if device.platform == "cpu":
        return "cpu"
    cuda = device.platform == "gpu" and "cuda" in device.client.platform_version  # ROCm calls itself gpu, too
    if cuda and dtype == "bfloat16" and float(device.compute_capability) >= CUDNN_COMPUTE_CAPABILITY:
        return "cudnn"
    return "xla"


def exact_products(dtype: ComputeDtype) -> contextlib.AbstractContextManager[Any]:
    """A context in which float32 products are not rounded to TF32 or bfloat16 by the hardware."""
    return jax.default_matmul_precision("highest") if dtype == "float32" else contextlib.nullcontext()


# Jitted, so that each shape is traced and compiled once and not once for each of its layers: a second of every start.
trunc_normal = jax.jit(
    nnx.initializers.truncated_normal(stddev=0.02), static_argnames=("shape", "dtype", "out_sharding")
)
"""timm's initialiser of a ViT's matrices and embeddings."""


def linear(
    in_features: int,
    out_features: int,
    dtype: ComputeDtype,
    implementation: Implementation,
    *,
    kernel_init: Initializer = trunc_normal,
    rngs: nnx.Rngs,
) -> nnx.Linear:
    """A dense layer that multiplies in `dtype`."""
    if implementation == "cpu":
        # The kernel rounds its operands itself and returns float32.
        product = cpu_kernels.dot_general(dtype)
        return nnx.Linear(
            in_features, out_features, dtype=jnp.float32, dot_general=product, kernel_init=kernel_init, rngs=rngs
        )
    precision = jax.lax.Precision.HIGHEST if dtype == "float32" else None
    return nnx.Linear(
        in_features, out_features, dtype=jnp.dtype(dtype), precision=precision, kernel_init=kernel_init, rngs=rngs
    )


def layer_norm(features: int, implementation: Implementation, *, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """LayerNorm in float32; the variance from the differences to the mean, as PyTorch computes it."""
    kind = cpu_kernels.LayerNorm if implementation == "cpu" else nnx.LayerNorm
    return kind(features, epsilon=LAYER_NORM_EPSILON, dtype=jnp.float32, use_fast_variance=False, rngs=rngs)


class Attention(nnx.Module):
    """Multi-head self-attention; one matrix makes q, k and v, in that order (timm)."""

    def __init__(
        self, dim: int, num_heads: int, dtype: ComputeDtype, implementation: Implementation, *, rngs: nnx.Rngs
    ) -> None:
        self.num_heads = num_heads
        self.dtype: ComputeDtype = dtype
        self.implementation: Implementation = implementation
        self.qkv = linear(dim, 3 * dim, dtype, implementation, rngs=rngs)
        self.proj = linear(dim, dim, dtype, implementation, rngs=rngs)

    def __call__(
        self, x: Float[Array, "batch tokens dim"], *, cls_only: bool = False
    ) -> Float[Array, "batch queries dim"]:
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.num_heads, dim // self.num_heads)
        queries = 1 if cls_only else tokens
        if self.implementation == "cpu":
            attended = cpu_kernels.cls_attention(qkv) if cls_only else cpu_kernels.attention(qkv, self.dtype)
        else:
            fused = self.implementation == "cudnn" and not cls_only
            lengths = None
            if fused and tokens % 2:  # cuDNN has a backward pass for even lengths alone
                lengths = jnp.full(batch, tokens, jnp.int32)
                qkv = jnp.pad(qkv, ((0, 0), (0, 1), (0, 0), (0, 0), (0, 0)))
            q, k, v = qkv[:, : None if fused else queries, 0], qkv[:, :, 1], qkv[:, :, 2]
            with exact_products(self.dtype):
                attended = jax.nn.dot_product_attention(
                    q, k, v,
                    query_seq_lengths=lengths, key_value_seq_lengths=lengths,
                    implementation="cudnn" if fused else "xla",
                )[:, :queries]  # fmt: skip
        return self.proj(attended.reshape(batch, queries, dim))


def gelu(x: Float[Array, "..."], implementation: Implementation) -> Float[Array, "..."]:
    """The exact GELU, computed in float32. JAX's default, the tanh approximation, breaks parity."""
    if implementation == "cpu":
        return cpu_kernels.gelu(x)
    return jax.nn.gelu(x.astype(jnp.float32), approximate=False).astype(x.dtype)


class Mlp(nnx.Module):
    """Two dense layers with GELU between."""

    def __init__(
        self, dim: int, hidden_dim: int, dtype: ComputeDtype, implementation: Implementation, *, rngs: nnx.Rngs
    ) -> None:
        self.implementation: Implementation = implementation
        self.fc1 = linear(dim, hidden_dim, dtype, implementation, rngs=rngs)
        self.fc2 = linear(hidden_dim, dim, dtype, implementation, rngs=rngs)

    def __call__(self, x: Float[Array, "batch tokens dim"]) -> Float[Array, "batch tokens dim"]:
        return self.fc2(gelu(self.fc1(x), self.implementation))


class Block(nnx.Module):
    """A pre-norm transformer block. `drop_path` skips a branch for whole samples in training (stochastic depth)."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: int,
        dtype: ComputeDtype,
        implementation: Implementation,
        *,
        drop_path: float = 0.0,
        rngs: nnx.Rngs,
    ) -> None:
        self.norm1 = layer_norm(dim, implementation, rngs=rngs)
        self.attn = Attention(dim, num_heads, dtype, implementation, rngs=rngs)
        self.norm2 = layer_norm(dim, implementation, rngs=rngs)
        self.mlp = Mlp(dim, mlp_ratio * dim, dtype, implementation, rngs=rngs)
        self.drop_path = nnx.Dropout(drop_path, broadcast_dims=(1, 2))

    def __call__(
        self, x: Float[Array, "batch tokens dim"], *, cls_only: bool = False, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "batch queries dim"]:
        """`cls_only` computes the class token and no other."""

        def residual(branch: Array) -> Array:
            return self.drop_path(branch.astype(jnp.float32), deterministic=rngs is None, rngs=rngs)

        attended = residual(self.attn(self.norm1(x), cls_only=cls_only))
        x = (x[:, :1] if cls_only else x) + attended
        return x + residual(self.mlp(self.norm2(x)))


class PatchEmbed(nnx.Module):
    """The image cut into patches, each projected to a token: timm's strided convolution, written as one product."""

    def __init__(
        self, patch_size: int, embed_dim: int, dtype: ComputeDtype, implementation: Implementation, *, rngs: nnx.Rngs
    ) -> None:
        self.patch_size = patch_size
        self.proj = linear(3 * patch_size**2, embed_dim, dtype, implementation, rngs=rngs)

    def __call__(self, images: Float[Array, "batch size size 3"]) -> Float[Array, "batch patches dim"]:
        batch, size, _, channels = images.shape
        side, patch = size // self.patch_size, self.patch_size
        patches = images.reshape(batch, side, patch, side, patch, channels).transpose(0, 1, 3, 2, 4, 5)
        return self.proj(patches.reshape(batch, side * side, patch * patch * channels)).astype(jnp.float32)


class VisionTransformer(nnx.Module):
    """timm's `vision_transformer` without its classifier: normalised images to class tokens.

    When the config reads out several blocks, the class token of each goes through the final norm, and they are
    concatenated.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        dtype: ComputeDtype = "float32",
        implementation: Implementation = "xla",
        drop_path: float = 0.0,
        rngs: nnx.Rngs,
    ) -> None:
        dim, depth = config.embed_dim, config.depth
        rates = [drop_path * index / max(1, depth - 1) for index in range(depth)]
        self.patch_embed = PatchEmbed(config.patch_size, dim, dtype, implementation, rngs=rngs)
        self.cls_token = nnx.Param(trunc_normal(rngs.params(), (1, 1, dim)))
        self.pos_embed = nnx.Param(trunc_normal(rngs.params(), (1, config.num_tokens, dim)))
        self.blocks = nnx.List(
            Block(dim, config.num_heads, config.mlp_ratio, dtype, implementation, drop_path=rate, rngs=rngs)
            for rate in rates
        )
        self.norm = layer_norm(dim, implementation, rngs=rngs)
        self.readout_blocks = config.readout_blocks or (depth,)

    def embed(self, images: Float[Array, "batch size size 3"]) -> Float[Array, "batch tokens dim"]:
        """The first block's input: class token and patches, plus their position embedding."""
        patches = self.patch_embed(images)
        batch, _, dim = patches.shape
        cls_token = jnp.broadcast_to(self.cls_token[...], (batch, 1, dim))
        return jnp.concatenate([cls_token, patches], axis=1) + self.pos_embed[...]

    def __call__(
        self, images: Float[Array, "batch size size 3"], *, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "batch features"]:
        x = self.embed(images)
        features = []
        for number, block in enumerate(self.blocks, start=1):
            # Nothing reads the last block's other tokens.
            x = block(x, cls_only=number == len(self.blocks), rngs=rngs)
            if number in self.readout_blocks:
                features.append(self.norm(x[:, 0]))
        return jnp.concatenate(features, axis=1)

    def read_places(
        self, images: Float[Array, "batch size size 3"], blocks: Sequence[int], patch: int
    ) -> Float[Array, "batch places features"]:
        """Reads what the patch tokens say of each place, a square of `patch` pixels; row by row.

        Args:
            images: normalised.
            blocks: whose tokens are read, counted from 1, rising; those after the last are not computed.
            patch: side of a place, pixels.
        """
        side = patch // self.patch_embed.patch_size
        x, features = self.embed(images), []
        batch, tokens, dim = x.shape
        grid = round((tokens - 1) ** 0.5) // side
        for number, block in enumerate(self.blocks[: blocks[-1]], start=1):
            x = block(x)
            if number in blocks:
                places = self.norm(x[:, 1:]).reshape(batch, grid, side, grid, side, dim)
                features.append(places.mean((2, 4)).reshape(batch, grid * grid, dim))
        return jnp.concatenate(features, axis=2)


def balanced_lecun_normal() -> Initializer:
    """LeCun's normal initialiser with rows of alternating sign.

    Units behind a ReLU that can only add to the score leave bad photos no room; a draw of mostly one sign cost .1 of
    SRCC among them.
    """
    base = nnx.initializers.lecun_normal()

    def init(key: Array, shape: Any, dtype: Any = jnp.float32, out_sharding: Any = None) -> Array:
        signs = jnp.where(jnp.arange(shape[0]) % 2, -1, 1).astype(dtype)
        return jnp.abs(base(key, shape, dtype, out_sharding)) * signs.reshape(-1, 1)

    return init


class QualityHead(nnx.Module):
    """Features to one score: dropout, then two hidden layers with ReLU (the release's `head`). Always float32."""

    def __init__(
        self, in_features: int, hidden_dim: int = HEAD_WIDTH, *, dropout: float = HEAD_DROPOUT, rngs: nnx.Rngs
    ) -> None:
        # Unit gain: timm's 0.02 would leave three narrow layers in a row almost without a gradient.
        unit_gain = nnx.initializers.lecun_normal()
        self.dropout = nnx.Dropout(dropout)
        self.fc1 = linear(in_features, hidden_dim, "float32", "xla", kernel_init=unit_gain, rngs=rngs)
        self.fc2 = linear(hidden_dim, 8, "float32", "xla", kernel_init=unit_gain, rngs=rngs)
        self.fc3 = linear(8, 1, "float32", "xla", kernel_init=balanced_lecun_normal(), rngs=rngs)

    def __call__(
        self, features: Float[Array, "batch features"], *, rngs: nnx.Rngs | None = None
    ) -> Float[Array, " batch"]:
        x = self.dropout(features, deterministic=rngs is None, rngs=rngs)
        return self.fc3(jax.nn.relu(self.fc2(jax.nn.relu(self.fc1(x)))))[:, 0]

    def rescale(self, slope: float, intercept: float) -> None:
        """Changes the last layer so that every score s becomes slope * s + intercept."""
        kernel, bias = self.fc3.kernel[...], self.fc3.bias[...]  # type: ignore[index]
        self.fc3.kernel[...] = kernel * jnp.float32(slope)
        self.fc3.bias[...] = bias * jnp.float32(slope) + jnp.float32(intercept)  # type: ignore[index]


def encode_views(
    backbone: VisionTransformer,
    global_view: Float[Array, "batch size size 3"],
    mosaic: Float[Array, "batch size size 3"],
    rngs: nnx.Rngs | None = None,
) -> tuple[Float[Array, "batch features"], Float[Array, "batch features"]]:
    """The features of both views, in one pass through the backbone."""
    features = backbone(jnp.concatenate([global_view, mosaic]), rngs=rngs)
    batch = global_view.shape[0]  # not `len`: `vtiqa export` leaves the batch open
    return features[:batch], features[batch:]


class VTIQA(nnx.Module):
    """The released model."""

    def __init__(
        self,
        config: ModelConfig,
        *,
        dtype: ComputeDtype = "float32",
        implementation: Implementation = "xla",
        drop_path: float = 0.0,
        head_dropout: float = HEAD_DROPOUT,
        rngs: nnx.Rngs,
    ) -> None:
        """Draws the parameters.

        Args:
            config: the sizes.
            dtype: what the transformer multiplies in.
            implementation: what computes a block; `select_implementation` knows the fastest one for a device.
            drop_path: rate at which the last block's branches are skipped in training; the others' rise to it evenly.
            head_dropout: rate at which the head's inputs are dropped in training; 0.5 as released.
            rngs: the stream `params` draws the parameters.
        """
        self.config = config
        self.backbone = config.make_backbone(dtype=dtype, implementation=implementation, drop_path=drop_path, rngs=rngs)
        self.head = QualityHead(2 * config.feature_dim, dropout=head_dropout, rngs=rngs)
        self.detail = DetailHead(len(config.native_blocks) * config.embed_dim, rngs=rngs) if config.native else None
        self.ends = SoftEnds() if config.soft_ends else None
        self.novelty = Novelty(2 * config.feature_dim) if config.novelty else None
        place, scales = len(config.native_blocks) * config.embed_dim, len(config.native_factors)
        self.reasons = ReasonsHead(place, scales, config.feature_dim, rngs=rngs) if config.reasons else None
        self.intervals = Intervals(2 * config.feature_dim, opinions=config.opinions) if config.intervals else None
        self.taste = Taste(2 * config.feature_dim) if config.taste else None

    def __call__(
        self,
        global_view: Float[Array, "batch size size 3"],
        mosaic: Float[Array, "batch size size 3"],
        *,
        rngs: nnx.Rngs | None = None,
    ) -> Float[Array, " batch"]:
        """Scores of a batch of photos.

        Args:
            global_view: the photos, shrunk, normalised by `views.normalize`.
            mosaic: small patches from all over each photo, side by side, normalised.
            rngs: makes it the training pass; the stream `dropout` draws dropout and stochastic depth.

        Returns:
            Scores on the label scale that the model was trained on.
        """
        features = jnp.concatenate(encode_views(self.backbone, global_view, mosaic, rngs), axis=1)
        return self._finish(self.head(features, rngs=rngs), features)

    def _finish(self, scores: Float[Array, " batch"], features: Float[Array, "batch both"]) -> Float[Array, " batch"]:
        """Makes of the head's scores what is told: by the person's taste, within the scale."""
        scores = self.taste(scores, features) if self.taste else scores
        return self.ends(scores) if self.ends else scores

    def rescale(self, slope: float, intercept: float) -> None:
        """Changes the head, and the ends of the scale, so that every score s becomes slope * s + intercept."""
        for part in filter(None, (self.head, self.ends, self.intervals, self.taste)):
            part.rescale(slope, intercept)

    def encode_views(self, images: Sequence[UInt8[Array, "batch size size 3"]]) -> Float[Array, "views batch features"]:
        """Features of photos by what `config.eval_cuts` keeps of them: of the global view, then of each mosaic."""
        features = self.backbone(views.normalize(jnp.concatenate(images)))
        return features.reshape(len(images), -1, self.config.feature_dim)

    def encode(
        self,
        global_images: UInt8[Array, "batch small small 3"],
        local_images: UInt8[Array, "batch large large 3"],
    ) -> Float[Array, "views batch features"]:
        """Features of stored photos, as `score` sees them: of the global view, then of each mosaic."""
        first, *others = self.config.eval_cuts
        return self.encode_views([views.keep(global_images, first), *(views.keep(local_images, cut) for cut in others)])

    def score_features(
        self, global_features: Float[Array, "batch features"], local_features: Float[Array, "batch features"]
    ) -> Float[Array, " batch"]:
        """Scores by the features of both views."""
        features = jnp.concatenate([global_features, local_features], axis=1)
        return self._finish(self.head(features), features)

    def judge_novelty(
        self, global_features: Float[Array, "batch features"], local_features: Float[Array, "batch features"]
    ) -> Float[Array, " batch"]:
        """Returns how unlike photographs pictures are, by the features of both views; see `Novelty`."""
        assert self.novelty is not None
        return self.novelty(jnp.concatenate([global_features, local_features], axis=1))

    def judge_intervals(
        self,
        scores: Float[Array, " batch"],
        global_features: Float[Array, "batch features"],
        local_features: Float[Array, "batch features"],
    ) -> Sureness:
        """Returns how sure scores are, by the features of both views; see `Intervals`."""
        assert self.intervals is not None
        return self.intervals(scores, jnp.concatenate([global_features, local_features], axis=1))

    def read_places(self, native_views: UInt8[Array, "batch size size 3"]) -> Float[Array, "batch places features"]:
        """Reads what the heads see of each place of native views."""
        blocks, patch = self.config.native_blocks, self.config.mosaic_patch
        return self.backbone.read_places(views.normalize(native_views), blocks, patch)

    def read_native(
        self, native_views: UInt8[Array, "batch scales size size 3"], structure: Float[Array, "batch scales places"]
    ) -> tuple[Float[Array, "batch scales causes"], Float[Array, "batch scales summary"]]:
        """Reads all that the heads see of a photo's own pixels; see `photos.native`.

        Returns:
            The octaves that are lost at each scale by each cause, see `DetailHead`: NaN where a photo shows no
            structure, or is too small. And what `ReasonsHead.see_places` says of each scale; nothing without reasons.
        """
        detail, reasons = self.detail, self.reasons
        assert detail is not None

        def see(scale: tuple[Array, Array]) -> tuple[Array, Array]:
            images, levels = scale
            tokens = self.read_places(images)
            summary = reasons.see_places(tokens, levels) if reasons else jnp.zeros((*levels.shape[:1], 0))
            return detail(tokens, levels), summary

        # A scale at a time: all of them would leave a CPU's caches.
        octaves, summaries = jax.lax.map(see, (native_views.swapaxes(0, 1), structure.swapaxes(0, 1)))
        return octaves.swapaxes(0, 1), summaries.swapaxes(0, 1)

    def judge_places(
        self, native_views: UInt8[Array, "batch size size 3"]
    ) -> tuple[Float[Array, "batch places"], Float[Array, "batch places"]]:
        """Judges each place of native views.

        Returns:
            The octaves lost there by all causes together, and how much the place counts, as a logit, the mean over
            causes; see `DetailHead.places`.
        """
        assert self.detail is not None
        octaves, logits = self.detail.places(self.read_places(native_views))
        return add_causes(octaves), logits.mean(-1)

    def judge_detail(
        self, octaves: Float[Array, "batch scales causes"]
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
        """Judges photos at their own pixels, by the octaves of `read_native`.

        Returns:
            On the score's scale, what they show at 100 %; and the largest scale at which they hold, see
            `find_holding_scale`.
        """
        assert self.detail is not None
        holds = find_holding_scale(octaves, self.config.native_factors)
        return self.detail.on_scale(add_causes(octaves[:, 0])), holds

    def judge_reasons(
        self,
        summaries: Float[Array, "batch scales summary"],
        global_features: Float[Array, "batch features"],
        global_view: UInt8[Array, "batch size size 3"],
    ) -> tuple[Float[Array, "batch faults"], Float[Array, "batch faults"]]:
        """Judges which of `reasons.FAULTS` photos have.

        Args:
            summaries: of `read_native`.
            global_features: of the global view.
            global_view: as it is seen, not normalised.

        Returns:
            The strength of each fault, and the probability that a judge calls it plain.
        """
        assert self.reasons is not None
        return self.reasons(summaries, global_features, measure_tones(global_view))

    def score(
        self,
        global_images: UInt8[Array, "batch small small 3"],
        local_images: UInt8[Array, "batch large large 3"],
    ) -> Float[Array, " batch"]:
        """Scores of stored photos, seen as the release's test scripts see them when `config.eval_mosaics` is 1.

        Args:
            global_images: the photos at `config.global_resize`, uint8 RGB.
            local_images: the photos at `config.local_resize`, uint8 RGB.
        """
        features = self.encode(global_images, local_images)
        return self.score_features(features[0], features[1:].mean(0))

    def explain(
        self,
        global_images: UInt8[Array, "batch small small 3"],
        local_images: UInt8[Array, "batch large large 3"],
        regions: int,
    ) -> Float[Array, "batch regions regions"]:
        """Scores of stored photos whose local view is one region alone, not a mosaic from all over the photo.

        The global view is the whole photo each time: what differs is where the details come from.

        Args:
            global_images: see `score`.
            local_images: see `score`.
            regions: along a side, at least 2; see `views.region_views`.
        """
        batch, size = global_images.shape[0], self.config.view_size
        whole = self.backbone(views.normalize(views.center_crop(global_images, size)))

        def score_row(row: UInt8[Array, "regions batch size size 3"]) -> Float[Array, "regions batch"]:
            local = self.backbone(views.normalize(row.reshape(-1, size, size, 3)))
            return self.score_features(jnp.tile(whole, (regions, 1)), local).reshape(regions, batch)

        # A row at a time: all of them would leave a CPU's caches.
        rows = views.region_views(local_images, size, regions).reshape(regions, regions, batch, size, size, 3)
        return jax.lax.map(score_row, rows).transpose(2, 0, 1)
