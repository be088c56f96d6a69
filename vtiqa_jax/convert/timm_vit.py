"""A ViT of another kind brought to DeiT's layout: LayerScale folded in, patches of 16 px, positions of views of 224 px.

DINOv2's ViTs (timm's `vit_*_patch14_dinov2`) have a LayerScale, patches of 14 px and positions of 518 px; ViTs
fine-tuned at 384 px have more positions; DeiT III's have none for the class token. Each change says how exact it is.
"""

import dataclasses
import math
import re

import jax
import numpy as np
from jaxtyping import Float

from vtiqa_jax.convert import translate
from vtiqa_jax.convert.files import Arrays
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.adapt import resize_pos_embed
from vtiqa_jax.models.config import ModelConfig

FOREIGN = re.compile(
    r"(reg_tokens?|register_tokens?|dist_token|distillation_token|norm_pre|fc_norm)\b|\.w12|\.[qk]_norm"
)
"""Parts of other ViTs for which DeiT's layout has no place."""
CHANGED = re.compile(
    r"patch_embed\.proj\.weight|pos_embed|blocks\.[0-9]+\.(ls[12]\.gamma|(attn\.proj|mlp\.fc2)\.(weight|bias))"
)
"""Parameters that a change here computes with."""
PATCH_KERNEL = "patch_embed.proj.weight"
LARGEST_PATCH = 64
"""Pixels; resampling a kernel takes memory with the fourth power of it."""


@dataclasses.dataclass(frozen=True)
class ViTSizes:
    """The sizes of a ViT that its arrays tell."""

    embed_dim: int
    depth: int
    mlp_dim: int
    patch_size: int
    """Pixels."""
    grid: int
    """Patches along a side of the square that there are positions for."""
    has_cls_position: bool
    """Whether the class token has a position, too."""
    has_fixed_positions: bool
    """Whether the class token's position is zero, as where positions are sines that were not trained (MAE, MoCo v3)."""


def _get(name: str, arrays: Arrays, key: str, why: str) -> np.ndarray:
    if key not in arrays:
        raise UserError(f"{name} has no {key}: {why}")
    return arrays[key]


def _read_grid(name: str, shape: tuple[int, ...], embed_dim: int) -> tuple[int, bool]:
    """Patches along a side, and whether the class token has a position, from the shape of the positions."""
    if shape[-1:] != (embed_dim,) or len(shape) not in (2, 3) or shape[:-2] not in ((), (1,)) or shape[-2] < 2:
        raise UserError(f"{name}: pos_embed has shape {shape}, not (1, positions, {embed_dim})")
    count = shape[-2]
    for patches in (count - 1, count):
        if math.isqrt(patches) ** 2 == patches:
            return math.isqrt(patches), patches < count
    raise UserError(
        f"{name}: pos_embed has {count} positions, which do not fill a square, with a class token or without;"
        " only ViTs of square pictures with at most a class token can be converted"
    )


def read_sizes(name: str, arrays: Arrays) -> ViTSizes:
    """Returns the sizes of a ViT.

    Args:
        name: the file's name, for the message.
        arrays: its arrays under timm's names.

    Raises:
        UserError: it is a ViT of another kind, or none.
    """
    if foreign := [key for key in arrays if FOREIGN.search(key)]:
        raise UserError(f"{name} is a ViT of another kind: it has {foreign[0]}, for which DeiT's layout has no place")
    cls_token = _get(name, arrays, "cls_token", "the quality is read from the class token")
    embed_dim = cls_token.shape[-1] if cls_token.ndim else 0
    if cls_token.shape != (1, 1, embed_dim) or embed_dim < 1:
        raise UserError(f"{name}: cls_token has shape {cls_token.shape}, not (1, 1, width)")
    kernel = _get(name, arrays, PATCH_KERNEL, "it does not look like a timm ViT")
    patch = kernel.shape[-1] if kernel.ndim else 0
    if kernel.shape != (embed_dim, 3, patch, patch) or not 1 <= patch <= LARGEST_PATCH:
        raise UserError(
            f"{name}: {PATCH_KERNEL} has shape {kernel.shape}, not ({embed_dim}, 3, patch, patch): only square patches"
            f" of RGB pixels, of 1 to {LARGEST_PATCH} px, are converted"
        )
    positions = _get(name, arrays, "pos_embed", "ViTs whose positions are rotary or relative are of another kind")
    grid, has_cls_position = _read_grid(name, positions.shape, embed_dim)
    blocks = {int(match[1]) for key in arrays if (match := re.match(r"blocks\.([0-9]+)\.", key))}
    if blocks != set(range(len(blocks))) or not blocks:
        missing = min(set(range(len(blocks) + 1)) - blocks)
        raise UserError(f"{name} has {len(blocks)} blocks, but no block {missing}; is the file complete?")
    fc1 = _get(name, arrays, "blocks.0.mlp.fc1.weight", "it does not look like a timm ViT")
    mlp_dim = fc1.shape[0] if fc1.ndim else 0
    if fc1.shape != (mlp_dim, embed_dim) or not mlp_dim or mlp_dim % embed_dim:
        raise UserError(
            f"{name}: blocks.0.mlp.fc1.weight has shape {fc1.shape}, not (a multiple of {embed_dim}, {embed_dim})"
        )
    fixed = has_cls_position and not np.any(positions.reshape(-1, embed_dim)[0])
    return ViTSizes(embed_dim, len(blocks), mlp_dim, patch, grid, has_cls_position, fixed)


def _relative_error(result: np.ndarray, expected: np.ndarray) -> float:
    difference, size = np.linalg.norm(result - expected), np.linalg.norm(expected)
    return float(difference / size if size else difference)


def _fold_layer_scale(name: str, arrays: Arrays, sizes: ViTSizes) -> tuple[Arrays, list[str]]:
    """Folds layer scale into weights: `x + gamma * (W y + b)` is `x + (gamma W) y + gamma b`."""
    gammas = {key for key in arrays if re.fullmatch(r"blocks\.[0-9]+\.ls[12]\.gamma", key)}
    if not gammas:
        return arrays, []
    changed = {key: array for key, array in arrays.items() if key not in gammas}
    rng, worst, dim = np.random.default_rng(0), 0.0, sizes.embed_dim
    for block in range(sizes.depth):
        for scale, layer, inputs in (("ls1", "attn.proj", dim), ("ls2", "mlp.fc2", sizes.mlp_dim)):
            keys = [f"blocks.{block}.{scale}.gamma"] + [f"blocks.{block}.{layer}.{what}" for what in ("weight", "bias")]
            for key, shape in zip(keys, ((dim,), (dim, inputs), (dim,)), strict=True):
                found = _get(name, arrays, key, "other blocks have a LayerScale; is it whole?").shape
                if found != shape:
                    raise UserError(f"{name}: {key} has shape {found}, not {shape}")
            gamma, weight, bias = (arrays[key] for key in keys)
            drawn = rng.standard_normal((8, inputs)).astype(np.float32)
            changed |= {keys[1]: gamma[:, None] * weight, keys[2]: gamma * bias}
            result = drawn @ changed[keys[1]].T + changed[keys[2]]
            worst = max(worst, _relative_error(result, gamma * (drawn @ weight.T + bias)))
    return changed, [f"LayerScale of {len(gammas)} branches folded in (relative error {worst:.0e})"]


def _resize_matrix(before: int, after: int) -> Float[np.ndarray, "after2 before2"]:
    """Returns the matrix that resamples a flattened patch of `before` px to `after` px (bicubic)."""
    basis = np.eye(before**2, dtype=np.float32).reshape(before**2, before, before)
    resized = jax.image.resize(basis, (before**2, after, after), "cubic", antialias=False)
    return np.asarray(resized, np.float64).reshape(before**2, -1).T


def _resize_patches(arrays: Arrays, after: int) -> tuple[Arrays, list[str]]:
    """Returns the kernel that gives a resampled patch the token of the original.

    By the pseudo-inverse of the resampling (Beyer et al., FlexiViT, CVPR 2023, section 3.4).
    """
    kernel = arrays[PATCH_KERNEL].astype(np.float64)
    before = kernel.shape[-1]
    if before == after:
        return arrays, []
    matrix, flat = _resize_matrix(before, after), kernel.reshape(*kernel.shape[:2], -1)
    resampled = flat @ np.linalg.pinv(matrix)
    patches = np.random.default_rng(0).standard_normal((64, before**2))
    expected = np.einsum("pk,ock->pco", patches, flat)
    error = _relative_error(np.einsum("pk,ock->pco", patches @ matrix.T, resampled), expected)
    changed = resampled.reshape(*kernel.shape[:2], after, after).astype(np.float32)
    note = f"patch kernel resampled from {before} to {after} px (tokens of resampled patches differ by {error:.0e})"
    return arrays | {PATCH_KERNEL: changed}, [note]


def _resize_positions(arrays: Arrays, sizes: ViTSizes, side: int) -> tuple[Arrays, list[str]]:
    """Returns the position embedding for the class token and `side` x `side` patches."""
    embedding = arrays["pos_embed"].reshape(1, -1, sizes.embed_dim)
    notes = []
    if not sizes.has_cls_position:
        embedding = np.concatenate([np.zeros_like(embedding[:, :1]), embedding], axis=1)
        notes.append("the class token, which has no position, gets one of zeros (exact)")
    if sizes.grid != side:
        resampled, before = resize_pos_embed(embedding, side), sizes.grid
        error = _relative_error(resize_pos_embed(resampled, before), embedding)
        notes.append(
            f"positions resampled from {before} x {before} to {side} x {side} (back again they differ by {error:.1%})"
        )
        embedding = resampled
    if embedding.shape == arrays["pos_embed"].shape:
        return arrays, []
    return arrays | {"pos_embed": embedding}, notes


def to_deit(name: str, arrays: Arrays) -> tuple[Arrays, list[str]]:
    """Brings a ViT to DeiT's layout.

    Args:
        name: the file's name, for the message.
        arrays: its arrays under timm's names.

    Returns:
        The arrays under the same names, and a line for each change that was made.

    Raises:
        UserError: the file holds parts that no change here removes, or is no ViT.
    """
    sizes = read_sizes(name, arrays)
    used = {key: array for key, array in arrays.items() if CHANGED.fullmatch(key)}
    translate.refuse(name, [f"{key} {wrong}" for key, a in used.items() if (wrong := translate.describe_numbers(a))])
    arrays = arrays | {key: array.astype(np.float32, copy=False) for key, array in used.items()}
    target = ModelConfig(patch_size=target_patch_size(sizes))
    with np.errstate(over="ignore", invalid="ignore"):
        changed, folded = _fold_layer_scale(name, arrays, sizes)
        changed, patches = _resize_patches(changed, target.patch_size)
        changed, positions = _resize_positions(changed, sizes, target.view_size // target.patch_size)
    if too_large := [key for key, a in changed.items() if CHANGED.fullmatch(key) and not np.isfinite(a).all()]:
        raise UserError(f"{name}: {too_large[0]} holds numbers that are too large to be scaled or resampled")
    return changed, [*folded, *patches, *positions]


def target_patch_size(sizes: ViTSizes) -> int:
    """Returns the patch size after `to_deit`, pixels: as it is if it divides the mosaic's patches, else DeiT's."""
    return sizes.patch_size if ModelConfig.mosaic_patch % sizes.patch_size == 0 else ModelConfig.patch_size
