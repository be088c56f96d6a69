"""A ViT of another kind brought to DeiT's layout: LayerScale folded in, patches of 16 px, positions of views of 224 px.

DINOv2's ViTs (timm's `vit_*_patch14_dinov2`) have a LayerScale, patches of 14 px and positions of 518 px; ViTs
fine-tuned at 384 px have more positions. Each change says how exact it is.
"""

import re

import jax
import numpy as np
from jaxtyping import Float

from vtiqa_jax import resize
from vtiqa_jax.config import ModelConfig
from vtiqa_jax.errors import UserError

Arrays = dict[str, np.ndarray]
UNUSED = ("mask_token",)
"""Keys that only pre-training needs."""


def _folded(arrays: Arrays) -> tuple[Arrays, list[str]]:
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
        wanted = gamma * (inputs @ weight.T + bias)
        changed |= {f"{layer}.weight": gamma[:, None] * weight, f"{layer}.bias": gamma * bias}
        found = inputs @ changed[f"{layer}.weight"].T + changed[f"{layer}.bias"]
        worst = max(worst, float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted)))
    return changed, [f"LayerScale of {len(gammas)} branches folded in (relative error {worst:.0e})"]


def _upsampling(before: int, after: int) -> Float[np.ndarray, "after2 before2"]:
    """The matrix that resamples a patch of `before` px to `after` px (bicubic), both flattened."""
    basis = np.eye(before**2, dtype=np.float32).reshape(before**2, before, before)
    resized = jax.image.resize(basis, (before**2, after, after), "cubic", antialias=False)
    return np.asarray(resized, np.float64).reshape(before**2, -1).T


def _patches(arrays: Arrays, after: int) -> tuple[Arrays, list[str]]:
    """The kernel that gives a resampled patch the token of the original (pseudo-inverse resize; Beyer et al., FlexiViT,
    CVPR 2023, section 3.4)."""
    kernel = arrays["patch_embed.proj.weight"].astype(np.float64)
    before = kernel.shape[-1]
    if before == after:
        return arrays, []
    matrix = _upsampling(before, after)
    resampled = kernel.reshape(*kernel.shape[:2], -1) @ np.linalg.pinv(matrix)
    patches = np.random.default_rng(0).standard_normal((64, before**2))
    wanted = np.einsum("pk,ock->pco", patches, kernel.reshape(*kernel.shape[:2], -1))
    found = np.einsum("pk,ock->pco", patches @ matrix.T, resampled)
    error = float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))
    changed = resampled.reshape(*kernel.shape[:2], after, after).astype(np.float32)
    note = f"patch kernel resampled from {before} to {after} px (tokens of resampled patches differ by {error:.0e})"
    return arrays | {"patch_embed.proj.weight": changed}, [note]


def _positions(arrays: Arrays, side: int) -> tuple[Arrays, list[str]]:
    embedding = arrays["pos_embed"].astype(np.float32)
    before = round((embedding.shape[1] - 1) ** 0.5)
    if before == side:
        return arrays, []
    resampled = resize.positions(embedding, side)
    back = resize.positions(resampled, before)
    error = float(np.linalg.norm(back - embedding) / np.linalg.norm(embedding))
    note = f"positions resampled from {before} x {before} to {side} x {side} (back again they differ by {error:.1%})"
    return arrays | {"pos_embed": resampled}, [note]


def to_deit(name: str, arrays: Arrays) -> tuple[Arrays, list[str]]:
    """The arrays of a ViT, under timm's names, in DeiT's layout, and a line for each change that was made.

    Errors: UserError when the file called `name` holds parts that no change here removes, or is no ViT.
    """
    arrays = {key.removeprefix("module."): array for key, array in arrays.items()}
    arrays = {key: array for key, array in arrays.items() if key not in UNUSED}
    foreign = [key for key in arrays if re.search(r"reg(ister)?_tokens?|norm_pre|\.w12|\.[qk]_norm|fc_norm", key)]
    if foreign:
        raise UserError(f"{name} is a ViT of another kind: it has {foreign[0]}, which DeiT's layout has no place for")
    try:
        patch = arrays["patch_embed.proj.weight"].shape[-1]
        # Mosaic patches of 32 px must be whole tokens.
        wanted = ModelConfig(patch_size=patch if ModelConfig.cell % patch == 0 else ModelConfig.patch_size)
        notes: list[str] = []
        for change in (
            _folded,
            lambda found: _patches(found, wanted.patch_size),
            lambda found: _positions(found, wanted.view_size // wanted.patch_size),
        ):
            arrays, more = change(arrays)
            notes += more
    except (KeyError, ValueError, IndexError) as error:
        raise UserError(f"{name} does not look like a timm ViT: {error}") from error
    return arrays, notes
