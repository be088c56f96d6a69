"""A ViT or DINOv2 of Hugging Face's transformers under timm's names."""

import re

import numpy as np

from vtiqa_jax.convert.files import Arrays

PATCH_KERNEL = "embeddings.patch_embeddings.projection.weight"
"""The array that tells this layout."""
NAMES = (
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.", ""),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.attention\.attention\.", ".attn."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
    (r"^layernorm\.", "norm."),
)
"""Replaced one after the other."""


def to_timm(arrays: Arrays) -> Arrays:
    """Renames arrays to timm's names, query, key and value as one; those of another layout stay as they are.

    Raises:
        ValueError: two arrays get one name, or query, key and value do not go together.
    """
    if PATCH_KERNEL not in arrays:
        return arrays
    renamed: Arrays = {}
    for key, array in arrays.items():
        name = key
        for pattern, replacement in NAMES:
            name = re.sub(pattern, replacement, name)
        if name in renamed:
            raise ValueError(f"{key} and another array are both {name}")
        renamed[name] = array
    for query in [key for key in renamed if ".attn.query." in key]:
        parts = [query.replace("query", part) for part in ("query", "key", "value")]
        if all(part in renamed for part in parts):  # what is missing is reported by the table
            third = [renamed.pop(part) for part in parts]
            if len({(array.shape, array.dtype) for array in third}) > 1 or not third[0].ndim:
                raise ValueError(f"{', '.join(parts)} differ in shape or type")
            renamed[query.replace("query", "qkv")] = np.concatenate(third)
    return renamed
