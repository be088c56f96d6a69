"""timm's `vision_transformer` in Flax: layers have timm's names, sizes its arguments.

Parameters, the residual stream, LayerNorm and softmax are float32. With `dtype` "bfloat16" matrix products and the
activations between them are bfloat16. With "float32" every product has the precision "highest": JAX's default would be
TF32 on an NVIDIA GPU and bfloat16 on a TPU, and break parity.

`implementation` says what computes a block: "xla" is the textbook, "cudnn" takes cuDNN's fused attention, "cpu" the
kernels of `cpu_kernels.py`, which compute the same and are tuned for XLA's CPU backend.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import Initializer
from jaxtyping import Array, Float

from vtiqa_jax.models import cpu_kernels
from vtiqa_jax.models.compute_dtype import ComputeDtype

Implementation = Literal["cpu", "cudnn", "xla"]

LAYER_NORM_EPSILON = 1e-6
"""timm's value. PyTorch's default, 1e-5, breaks parity."""
CUDNN_COMPUTE_CAPABILITY = 8.0
"""The oldest NVIDIA GPUs (Ampere) for which cuDNN has fused attention in bfloat16."""


def select_implementation(device: jax.Device, dtype: ComputeDtype) -> Implementation:
    """Returns the fastest implementation on a device.

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
    """Returns a context in which float32 products are not rounded to TF32 or bfloat16 by the hardware."""
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
    """Returns a dense layer that multiplies in `dtype`."""
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
    """Normalises in float32; the variance is of differences to the mean, as PyTorch computes it."""
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
    """Returns the exact GELU, computed in float32. JAX's default, the tanh approximation, breaks parity."""
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
        """Applies the block; `cls_only` computes the class token and no other."""

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

    When several blocks are read out, the class token of each goes through the final norm, and they are concatenated.
    """

    def __init__(
        self,
        *,
        img_size: int = 224,
        patch_size: int = 16,
        embed_dim: int = 384,
        depth: int = 12,
        num_heads: int = 6,
        mlp_ratio: int = 4,
        readout_blocks: tuple[int, ...] = (),
        dtype: ComputeDtype = "float32",
        implementation: Implementation = "xla",
        drop_path: float = 0.0,
        rngs: nnx.Rngs,
    ) -> None:
        """Draws the parameters.

        Args:
            img_size: side of a view, pixels.
            patch_size: side of a patch, pixels.
            embed_dim: length of a token.
            depth: how many blocks.
            num_heads: of the attention in each block.
            mlp_ratio: length of a block's hidden layer, in tokens' lengths.
            readout_blocks: whose class tokens are returned, counted from 1, rising; the last one's when empty.
            dtype: what the blocks multiply in.
            implementation: what computes a block.
            drop_path: rate at which the last block's branches are skipped in training; the others' rise to it evenly.
            rngs: the stream `params` draws the parameters.
        """
        num_tokens = (img_size // patch_size) ** 2 + 1
        rates = [drop_path * index / max(1, depth - 1) for index in range(depth)]
        self.patch_embed = PatchEmbed(patch_size, embed_dim, dtype, implementation, rngs=rngs)
        self.cls_token = nnx.Param(trunc_normal(rngs.params(), (1, 1, embed_dim)))
        self.pos_embed = nnx.Param(trunc_normal(rngs.params(), (1, num_tokens, embed_dim)))
        self.blocks = nnx.List(
            Block(embed_dim, num_heads, mlp_ratio, dtype, implementation, drop_path=rate, rngs=rngs) for rate in rates
        )
        self.norm = layer_norm(embed_dim, implementation, rngs=rngs)
        self.readout_blocks = readout_blocks or (depth,)

    def embed(self, images: Float[Array, "batch size size 3"]) -> Float[Array, "batch tokens dim"]:
        """Returns the first block's input: class token and patches, plus their position embedding."""
        patches = self.patch_embed(images)
        batch, _, dim = patches.shape
        cls_token = jnp.broadcast_to(self.cls_token[...], (batch, 1, dim))
        return jnp.concatenate([cls_token, patches], axis=1) + self.pos_embed[...]

    def __call__(
        self, images: Float[Array, "batch size size 3"], *, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "batch features"]:
        features = [self.norm(x[:, 0]) for number, x in self._run(images, rngs) if number in self.readout_blocks]
        return jnp.concatenate(features, axis=1)

    def _run(
        self, images: Float[Array, "batch size size 3"], rngs: nnx.Rngs | None = None
    ) -> Iterator[tuple[int, Float[Array, "batch tokens dim"]]]:
        """Yields the number of each block, from 1, and the tokens after it; of the last one the class token alone."""
        x = self.embed(images)
        for number, block in enumerate(self.blocks, start=1):
            # Nothing reads the last block's other tokens.
            x = block(x, cls_only=number == len(self.blocks), rngs=rngs)
            yield number, x

    def read_places(
        self, images: Float[Array, "batch size size 3"], blocks: Sequence[int], patch: int
    ) -> Float[Array, "batch places features"]:
        """Reads what the patch tokens say of each place, a square of `patch` pixels; row by row.

        Args:
            images: normalised.
            blocks: whose tokens are read, counted from 1, rising; those after the last are not computed.
            patch: side of a place, pixels.
        """
        places = []
        for number, x in self._run(images):
            if number in blocks:
                places.append(self._average_places(x, patch))
            if number == blocks[-1]:
                break
        return jnp.concatenate(places, axis=2)

    def read_both(
        self, images: Float[Array, "images size size 3"], views: int, blocks: Sequence[int], patch: int
    ) -> tuple[Float[Array, "images features"], Float[Array, "batch places place_features"]]:
        """Reads in one pass the features of all views of photos, and the places of their first view.

        Args:
            images: normalised; the first view of all photos, then the second and so on.
            views: of each photo.
            blocks: see `read_places`.
            patch: see `read_places`.
        """
        features, places = [], []
        for number, x in self._run(images):
            if number in self.readout_blocks:
                features.append(self.norm(x[:, 0]))
            if number in blocks:
                places.append(self._average_places(x[: x.shape[0] // views], patch))
        return jnp.concatenate(features, axis=1), jnp.concatenate(places, axis=2)

    def _average_places(self, x: Float[Array, "batch tokens dim"], patch: int) -> Float[Array, "batch places dim"]:
        """Returns what the patch tokens of a block say of each place, see `read_places`."""
        side = patch // self.patch_embed.patch_size
        batch, tokens, dim = x.shape
        grid = round((tokens - 1) ** 0.5) // side
        places = self.norm(x[:, 1:]).reshape(batch, grid, side, grid, side, dim)
        return places.mean((2, 4)).reshape(batch, grid * grid, dim)
