"""A ViT or DINOv2 of Hugging Face's transformers under timm's names."""

import re

import numpy as np

from vtiqa_jax.convert.files import Arrays

NAMES = (
    (r"^(vit|deit|dinov2)\.", ""),
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
    (r"^classifier\.", "head."),
)
"""Replaced one after the other."""


def to_timm(arrays: Arrays) -> Arrays:
    """The arrays under timm's names, query, key and value as one; those of a file of another layout as they are."""
    if not any(key.endswith("embeddings.cls_token") for key in arrays):
        return arrays
    renamed: Arrays = {}
    for key, array in arrays.items():
        if not key.startswith("pooler."):  # nothing of ours follows it
            for pattern, name in NAMES:
                key = re.sub(pattern, name, key)
            renamed[key] = array
    for query in [key for key in renamed if ".attn.query." in key]:
        parts = [query.replace("query", part) for part in ("query", "key", "value")]
        if all(part in renamed for part in parts):  # what is missing is reported by the table
            joined = np.concatenate([renamed.pop(part) for part in parts])
            renamed[query.replace("query", "qkv")] = joined
    return renamed
