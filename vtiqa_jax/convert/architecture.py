"""Facts that a ViT's weights do not tell: the number of its heads, its activation and its epsilon.

Weights of 384 channels have the same shapes with 6 heads (DeiT-S, DINO) and with 12 (MoCo v3's ViT-S). So the number
comes from the `config.json` that Hugging Face's transformers and timm put beside their weights, or from a person; where
neither tells it, that of the published ViTs of the width is taken and told.
"""

import json
import re
from pathlib import Path
from typing import Any

from vtiqa_jax.convert.timm_vit import ViTSizes, target_patch_size
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.vit import LAYER_NORM_EPSILON

CONFIG = "config.json"
LARGEST_CONFIG = 1 << 20
"""Bytes; real ones have a few thousand."""

STANDARD_HEADS = {
    192: (3, "DeiT-Ti and timm's ViT-Ti have"),
    384: (6, "DeiT-S, DINO's and timm's ViT-S have"),
    768: (12, "every ViT-B has"),
    1024: (16, "every ViT-L has"),
    1280: (16, "every ViT-H has"),
}
"""Heads of the published ViTs of a width, and which these are."""
MOCO_WIDTH = 384
"""MoCo v3's ViT-S is as wide as DeiT-S, and has 12 heads."""

TIMM_NAME = re.compile(r"(?:vit|deit|deit3|flexivit)_(tiny|small|medium|base|large|huge|giant)(?:[._].*)?")
TIMM_HEADS = {
    ("tiny", 192): 3,
    ("small", 384): 6,
    ("medium", 512): 8,
    ("base", 768): 12,
    ("large", 1024): 16,
    ("huge", 1280): 16,
    ("giant", 1408): 16,
    ("giant", 1536): 24,
}
"""Heads of timm's architectures, by the size in their name and their width."""
TIMM_FIELDS = {
    "embed_dim": "hidden_size",
    "depth": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "img_size": "image_size",
    "in_chans": "num_channels",
    "act_layer": "hidden_act",
}
"""Hugging Face's names of the arguments of timm's models that have another one."""
SIDES = ("image_size", "patch_size")
"""Fields that may be a pair."""
PARTS = ("encoder", "vision_config", "backbone_config")
"""Where a Hugging Face model of several parts describes its ViT."""

EXACT_GELU = ("gelu", "gelu_python")
LARGEST_EPSILON = 1e-5
"""Beyond it another epsilon of the LayerNorms makes other features."""
LARGEST_NUMBER = 1_000_000


def _read_json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_CONFIG + 1)
        if len(text) > LARGEST_CONFIG:
            raise ValueError(f"it has more than {LARGEST_CONFIG >> 20} MiB")
        described = json.loads(text)
        if not isinstance(described, dict):
            raise ValueError("it holds no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path} describes the weights beside it, but cannot be read: {reason}") from error
    return described


def _of_timm(described: dict[str, Any], embed_dim: int) -> dict[str, Any]:
    """Returns what timm's config.json says, under Hugging Face's names."""
    arguments = described.get("model_args")
    settings: dict[str, Any] = {"architecture": described.get("architecture")}
    if isinstance(arguments, dict):
        settings |= {TIMM_FIELDS.get(str(key), str(key)): value for key, value in arguments.items()}
    name = settings["architecture"]
    if isinstance(name, str) and (match := TIMM_NAME.fullmatch(name)):
        settings.setdefault("hidden_act", "quick_gelu" if "quickgelu" in name else "gelu")
        settings.setdefault("layer_norm_eps", LAYER_NORM_EPSILON)
        settings.setdefault("num_attention_heads", TIMM_HEADS.get((match[1], embed_dim)))
    if "num_features" in described:
        settings.setdefault("hidden_size", described["num_features"])
    return settings


def _of_hugging_face(described: dict[str, Any]) -> dict[str, Any]:
    """Returns what the config.json of transformers says of the ViT."""
    if "num_attention_heads" not in described:
        parts = [described[part] for part in PARTS if isinstance(described.get(part), dict)]
        if len(parts) == 1:
            return parts[0]
    return described


def _number(path: Path, settings: dict[str, Any], field: str) -> int | None:
    """Returns a count or a side of a square; None where the file does not tell it.

    Raises:
        UserError: it is something else.
    """
    value = settings.get(field)
    if field in SIDES and isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_NUMBER:
        raise UserError(f"{path}: {field} is {_shown(value)}, where the weights beside it need one whole number")
    return value


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _check_sizes(path: Path, settings: dict[str, Any], sizes: ViTSizes) -> None:
    """Checks that a config.json is that of the weights beside it.

    Raises:
        UserError: it is of another model.
    """
    expected = {
        "hidden_size": sizes.embed_dim,
        "num_hidden_layers": sizes.depth,
        "intermediate_size": sizes.mlp_dim,
        "mlp_ratio": sizes.mlp_dim // sizes.embed_dim,
        "patch_size": sizes.patch_size,
        "num_channels": 3,
    }
    for field, found in expected.items():
        said = settings.get(field) if field == "mlp_ratio" else _number(path, settings, field)
        if said is not None and said != found:
            raise UserError(
                f"{path} does not fit the weights beside it: {field} is {_shown(said)} there, but {found} in the"
                " weights; move one of the two away"
            )
    side = _number(path, settings, "image_size")
    if side is not None and side // sizes.patch_size != sizes.grid:
        raise UserError(
            f"{path} does not fit the weights beside it: its pictures of {side} px have {side // sizes.patch_size}"
            f" patches of {sizes.patch_size} px along a side, but the weights have positions for {sizes.grid}"
        )


def _check_layers(path: Path, settings: dict[str, Any]) -> list[str]:
    """Describes the layers.

    Raises:
        UserError: this model computes something else.
    """
    activation, epsilon = settings.get("hidden_act"), settings.get("layer_norm_eps")
    name, assumed, notes = settings.get("architecture"), [], []
    if isinstance(name, str) and re.search("rope|relpos", name):
        raise UserError(
            f"{path}: the positions of {_shown(name)} are rotary or relative; this model adds them to patches"
        )
    if activation is None:
        assumed.append("the exact GELU")
    elif activation not in EXACT_GELU:
        raise UserError(f"{path}: hidden_act is {_shown(activation)}; this model computes only the exact GELU")
    if epsilon is None:
        assumed.append(f"{LAYER_NORM_EPSILON:g} as epsilon of the LayerNorms")
    elif isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 <= epsilon <= LARGEST_EPSILON:
        raise UserError(
            f"{path}: layer_norm_eps is {_shown(epsilon)}; this model has {LAYER_NORM_EPSILON:g}, and beyond"
            f" {LARGEST_EPSILON:g} features differ"
        )
    elif epsilon != LAYER_NORM_EPSILON:
        notes.append(f"the LayerNorms' epsilon is {epsilon:g} in {CONFIG} and {LAYER_NORM_EPSILON:g} here")
    return [*([f"assumed, as in timm's ViTs: {', '.join(assumed)}"] if assumed else []), *notes]


def _assume_heads(source: Path, sizes: ViTSizes, prefix: str) -> tuple[int, str]:
    """Returns the heads of the published ViTs of a width, and the line that tells it.

    Raises:
        UserError: there are none of this width, or they have different numbers.
    """
    of_moco = sizes.has_fixed_positions or re.search(r"\b(base|momentum)_encoder\b", prefix)
    if sizes.embed_dim not in STANDARD_HEADS or (sizes.embed_dim == MOCO_WIDTH and of_moco):
        raise UserError(_ask(source, sizes))
    count, of_whom = STANDARD_HEADS[sizes.embed_dim]
    return count, f"{count} attention heads, assumed: {of_whom} so many; --heads N tells another number"


def _ask(source: Path, sizes: ViTSizes) -> str:
    usual = ""
    if sizes.embed_dim in STANDARD_HEADS:
        count, of_whom = STANDARD_HEADS[sizes.embed_dim]
        usual = f"; {of_whom} {count}{', MoCo v3 has 12' if sizes.embed_dim == MOCO_WIDTH else ''}"
    return (
        f"{source} does not say how many attention heads its {sizes.embed_dim} channels are divided into, nor does a"
        f" {CONFIG} beside it; tell it with --heads N{usual}"
    )


def describe(source: Path, sizes: ViTSizes, heads: int | None, prefix: str = "") -> tuple[ModelConfig, list[str]]:
    """Returns the config of a backbone.

    Args:
        source: the weights file; a `config.json` beside it is read.
        sizes: what the weights say themselves.
        heads: the number of attention heads, if a person tells it.
        prefix: below which the weights stand in the file.

    Returns:
        The config of what `timm_vit.to_deit` makes of the weights, and lines that say where it is from.

    Raises:
        UserError: nothing tells the number of heads, and published ViTs of the width have several or there are none;
            what tells it contradicts itself or the weights; the activation or epsilon is one that this model lacks.
    """
    path, settings = source.with_name(CONFIG), {}
    is_described = path.is_file()
    if is_described:
        described = _read_json(path)
        is_timms = "architecture" in described or "model_args" in described
        settings = _of_timm(described, sizes.embed_dim) if is_timms else _of_hugging_face(described)
    said = _number(path, settings, "num_attention_heads")
    _check_sizes(path, settings, sizes)
    notes = _check_layers(path, settings)
    if heads is not None and said is not None and heads != said:
        raise UserError(f"--heads {heads} contradicts {path}, which says {said}")
    if heads is not None:
        count, line = heads, f"{heads} attention heads, by --heads"
    elif said is not None:
        count, line = said, f"{said} attention heads, by {CONFIG}"
    elif is_described:  # of a model of another kind, perhaps: no reason to assume anything
        raise UserError(_ask(source, sizes))
    else:
        count, line = _assume_heads(source, sizes, prefix)
    if count < 1 or sizes.embed_dim % count:
        raise UserError(f"{source}: its {sizes.embed_dim} channels do not divide into {line}")
    config = ModelConfig(
        kind="backbone",
        embed_dim=sizes.embed_dim,
        depth=sizes.depth,
        num_heads=count,
        mlp_ratio=sizes.mlp_dim // sizes.embed_dim,
        patch_size=target_patch_size(sizes),
    )
    return config, [line, *notes]
