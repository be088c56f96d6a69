"""A ViT of another kind brought to DeiT's layout: LayerScale folded in, patches of 16 px, positions of views of 224 px.

DINOv2's ViTs (timm's `vit_*_patch14_dinov2`) have a LayerScale, patches of 14 px and positions of 518 px; ViTs
fine-tuned at 384 px have more positions. Each change says how exact it is.
"""

import re

import jax
import numpy as np
from jaxtyping import Float

from vtiqa_jax.convert.files import Arrays
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.adapt import resize_pos_embed
from vtiqa_jax.models.vtiqa import ModelConfig

UNUSED = ("mask_token",)
"""Keys that only pre-training needs."""


def _relative_error(result: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(result - expected) / np.linalg.norm(expected))


def _fold_layer_scale(arrays: Arrays) -> tuple[Arrays, list[str]]:
    """`x + gamma * (W y + b)` is `x + (gamma W) y + gamma b`."""
    gammas = {key: array for key, array in arrays.items() if re.fullmatch(r"blocks\.\d+\.ls[12]\.gamma", key)}
    if not gammas:
        return arrays, []
    changed = {key: array for key, array in arrays.items() if key not in gammas}
    rng, worst = np.random.default_rng(0), 0.0
    for key, gamma in gammas.items():
        block, which = key.split(".")[1], key.split(".")[2]
        layer = f"blocks.{block}.{'attn.proj' if which == 'ls1' else 'mlp.fc2'}"
        weight, bias = changed[f"{layer}.weight"], changed[f"{layer}.bias"]
        inputs = rng.standard_normal((8, weight.shape[1])).astype(np.float32)
        expected = gamma * (inputs @ weight.T + bias)
        changed |= {f"{layer}.weight": gamma[:, None] * weight, f"{layer}.bias": gamma * bias}
        result = inputs @ changed[f"{layer}.weight"].T + changed[f"{layer}.bias"]
        worst = max(worst, _relative_error(result, expected))
    return changed, [f"LayerScale of {len(gammas)} branches folded in (relative error {worst:.0e})"]


def _resize_matrix(before: int, after: int) -> Float[np.ndarray, "after2 before2"]:
    """The matrix that resamples a flattened patch of `before` px to `after` px (bicubic)."""
    basis = np.eye(before**2, dtype=np.float32).reshape(before**2, before, before)
    resized = jax.image.resize(basis, (before**2, after, after), "cubic", antialias=False)
    return np.asarray(resized, np.float64).reshape(before**2, -1).T


def _resize_patches(arrays: Arrays, after: int) -> tuple[Arrays, list[str]]:
    """The kernel that gives a resampled patch the token of the original.

    By the pseudo-inverse of the resampling (Beyer et al., FlexiViT, CVPR 2023, section 3.4).
    """
    kernel = arrays["patch_embed.proj.weight"].astype(np.float64)
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
    return arrays | {"patch_embed.proj.weight": changed}, [note]


def _resize_positions(arrays: Arrays, side: int) -> tuple[Arrays, list[str]]:
    """The position embedding for `side` x `side` patches."""
    embedding = arrays["pos_embed"].astype(np.float32)
    before = round((embedding.shape[1] - 1) ** 0.5)
    if before == side:
        return arrays, []
    resampled = resize_pos_embed(embedding, side)
    error = _relative_error(resize_pos_embed(resampled, before), embedding)
    note = f"positions resampled from {before} x {before} to {side} x {side} (back again they differ by {error:.1%})"
    return arrays | {"pos_embed": resampled}, [note]


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
    arrays = {key.removeprefix("module."): array for key, array in arrays.items()}
    arrays = {key: array for key, array in arrays.items() if key not in UNUSED}
    foreign = [key for key in arrays if re.search(r"reg(ister)?_tokens?|norm_pre|\.w12|\.[qk]_norm|fc_norm", key)]
    if foreign:
        raise UserError(f"{name} is a ViT of another kind: it has {foreign[0]}, which DeiT's layout has no place for")
    try:
        patch = arrays["patch_embed.proj.weight"].shape[-1]
        # Mosaic patches of 32 px must be whole tokens.
        target = ModelConfig(patch_size=patch if ModelConfig.mosaic_patch % patch == 0 else ModelConfig.patch_size)
        arrays, folded = _fold_layer_scale(arrays)
        arrays, patches = _resize_patches(arrays, target.patch_size)
        arrays, positions = _resize_positions(arrays, target.view_size // target.patch_size)
    except (KeyError, ValueError, IndexError) as error:
        raise UserError(f"{name} does not look like a timm ViT: {error}") from error
    return arrays, [*folded, *patches, *positions]
