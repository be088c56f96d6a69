"""A backbone at another view size: the position embedding resampled (as timm and DeiT do when fine-tuning larger)."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vtiqa_jax.checkpoint import Checkpoint
from vtiqa_jax.config import ModelConfig
from vtiqa_jax.errors import UserError


def positions(embedding: Float[np.ndarray, "1 tokens width"], side: int) -> Float[np.ndarray, "1 new_tokens width"]:
    """The class token's position, and those of a square of patches resampled to `side` x `side` (bicubic,
    antialiased)."""
    width, before = embedding.shape[-1], round((embedding.shape[1] - 1) ** 0.5)
    square = jnp.asarray(embedding[:, 1:]).reshape(1, before, before, width)
    resized = jax.image.resize(square, (1, side, side, width), "cubic", antialias=True)
    return np.concatenate([embedding[:, :1], np.asarray(resized).reshape(1, side * side, width)], axis=1)


def for_views_of(config: ModelConfig, size: int) -> ModelConfig:
    """The config for views of `size` px: mosaics of patches of 32 px where they fit, otherwise of the transformer's.

    Errors: UserError when `size` is no multiple of the transformer's patches or too large for the stored photos.
    """
    if size % config.patch_size or size <= 0:
        raise UserError(f"--view-size {size} is not a multiple of the patches of {config.patch_size} px")
    cell = config.cell if size % config.cell == 0 else config.patch_size
    shrunk = round(size * config.global_size / config.view_size)
    if size > config.local_size:
        raise UserError(f"--view-size {size} is larger than the stored photos of {config.local_size} px")
    return config.replace(grid=size // cell, cell=cell, global_size=shrunk)


def to_views_of(start: Checkpoint, size: int) -> Checkpoint:
    """The same VT-IQA for views of `size` px. Errors: UserError, see `for_views_of`."""
    config, name = for_views_of(start.config, size), "backbone.pos_embed"
    resampled = positions(np.asarray(start.params[name]), size // config.patch_size)
    return dataclasses.replace(start, config=config, params=start.params | {name: resampled})
