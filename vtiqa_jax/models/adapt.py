"""A checkpoint brought into another shape: fewer blocks, several readouts, another view size, soft ends, no detail."""

import copy
import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vtiqa_jax.errors import UserError
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.ends import soften_ends
from vtiqa_jax.models.params import layer_index, param_group
from vtiqa_jax.models.percentiles import SCORES, read_percentiles


def resize_pos_embed(embedding: Float[np.ndarray, "1 tokens dim"], side: int) -> Float[np.ndarray, "1 new_tokens dim"]:
    """Resamples the position embedding to `side` x `side` patches as timm and DeiT do: bicubic, antialiased.

    The class token's stays.
    """
    dim, before = embedding.shape[-1], round((embedding.shape[1] - 1) ** 0.5)
    square = jnp.asarray(embedding[:, 1:]).reshape(1, before, before, dim)
    resized = jax.image.resize(square, (1, side, side, dim), "cubic", antialias=True)
    return np.concatenate([embedding[:, :1], np.asarray(resized).reshape(1, side * side, dim)], axis=1)


def view_size_config(config: ModelConfig, size: int) -> ModelConfig:
    """Returns the config for views of `size` px: mosaics of patches of 32 px or, if they do not fit, the ViT's.

    Raises:
        UserError: `size` is no multiple of the transformer's patches, or too large for the stored photos.
    """
    if size % config.patch_size or size <= 0:
        raise UserError(f"--view-size {size} is not a multiple of the patches of {config.patch_size} px")
    patch = config.mosaic_patch if size % config.mosaic_patch == 0 else config.patch_size
    if size > config.local_resize:
        raise UserError(f"--view-size {size} is larger than the stored photos of {config.local_resize} px")
    global_resize = round(size * config.global_resize / config.view_size)
    return config.replace(mosaic_grid=size // patch, mosaic_patch=patch, global_resize=global_resize)


def with_view_size(start: Checkpoint, size: int) -> Checkpoint:
    """Returns the same VT-IQA for views of `size` px.

    Raises:
        UserError: see `view_size_config`.
    """
    config, name = view_size_config(start.config, size), "backbone.pos_embed"
    resampled = resize_pos_embed(np.asarray(start.params[name]), size // config.patch_size)
    return dataclasses.replace(start, config=config, params=start.params | {name: resampled})


def without_detail(start: Checkpoint) -> Checkpoint:
    """Returns the same model without what it says of a photo's own pixels, if it does: detail, its subject and reasons.

    It also forgets how much detail other photos have. These heads read blocks' patch tokens of one backbone, and are
    wrong as soon as the backbone learns.
    """
    heads = "detail", "subject", "reasons"
    params = {name: array for name, array in start.params.items() if param_group(name)[0] not in heads}
    config = start.config.replace(native_factors=(), native_mosaics=(), native_blocks=(), subject=False, reasons=False)
    provenance = {name: value for name, value in start.provenance.items() if name != "detail"}
    return dataclasses.replace(start, config=config, params=params, provenance=provenance)


def without_novelty(start: Checkpoint) -> Checkpoint:
    """Returns the same model without what knows photographs, if it has that: it is of the features of one backbone."""
    params = {name: array for name, array in start.params.items() if param_group(name)[0] != "novelty"}
    return dataclasses.replace(start, config=start.config.replace(novelty=False), params=params)


def without_intervals(start: Checkpoint) -> Checkpoint:
    """Returns the same model without how sure its scores are, if it says that: other scores have other errors."""
    params = {name: array for name, array in start.params.items() if param_group(name)[0] != "intervals"}
    config = start.config.replace(intervals=False, opinions=False)
    return dataclasses.replace(start, config=config, params=params)


def without_taste(start: Checkpoint) -> Checkpoint:
    """Removes one person's taste: it is of the features of one backbone."""
    params = {name: array for name, array in start.params.items() if param_group(name)[0] != "taste"}
    return dataclasses.replace(start, config=start.config.replace(taste=False), params=params)


def without_soft_ends(start: Checkpoint) -> Checkpoint:
    """Returns the same model with scores that may leave their scale: a training is to see how wrong they are."""
    params = {name: array for name, array in start.params.items() if param_group(name)[0] != "ends"}
    return dataclasses.replace(start, config=start.config.replace(soft_ends=False), params=params)


def with_soft_ends(start: Checkpoint, reach: float) -> Checkpoint:
    """Returns the same model with scores that approach the ends of its scale smoothly, and its percentiles by them.

    Args:
        start: a VT-IQA with a label scale, whose scores may leave it.
        reach: points inside both ends at which the bend begins.

    Raises:
        ValueError: `reach` is not above 0 and at most half the scale; the model has soft ends already, or no scale.
        UserError: its percentiles are damaged.
    """
    scale = start.scale
    if scale is None or start.config.soft_ends or not 0 < reach <= (scale.high - scale.low) / 2:
        raise ValueError(f"no ends of {reach:g} points for scores on {scale}, soft: {start.config.soft_ends}")
    ends = {"low": scale.low, "high": scale.high, "reach": reach}
    params = start.params | {f"ends.{name}": np.float32(number) for name, number in ends.items()}
    provenance = copy.deepcopy(start.provenance)
    if (scores := read_percentiles(provenance, SCORES)) is not None:
        softened = np.asarray(soften_ends(jnp.asarray(scores, jnp.float32), **ends))
        provenance["trained"]["percentiles"]["scores"] = softened.tolist()
    return dataclasses.replace(start, config=start.config.replace(soft_ends=True), params=params, provenance=provenance)


def with_readout(start: Checkpoint, blocks: Sequence[int]) -> Checkpoint:
    """Returns the backbone of a model for a VT-IQA whose head sees the class tokens of `blocks`, counted from 1.

    The blocks after the last of them are dropped, and so are the heads.

    Raises:
        UserError: there are no such blocks.
    """
    start = without_detail(start)
    config = start.config
    if list(blocks) != sorted(set(blocks)) or not blocks or blocks[0] < 1 or blocks[-1] > config.depth:
        raise UserError(
            f"--readout-blocks takes rising numbers of the checkpoint's {config.depth} blocks, not {list(blocks)}"
        )
    depth, readout = blocks[-1], tuple(blocks) if len(blocks) > 1 else ()
    prefix = "backbone." if config.kind == "backbone" else ""
    params = {prefix + name: array for name, array in start.params.items()}
    params = {
        name: array
        for name, array in params.items()
        if param_group(name)[0] == "norm" or layer_index(name, config.depth) <= depth
    }
    config = config.replace(kind="vtiqa", depth=depth, readout_blocks=readout, eval_mosaics=1)
    return dataclasses.replace(start, config=config, params=params)
