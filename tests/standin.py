"""Stand-in weights: seeded arrays under the published files' keys and shapes, scaled so that scores differ visibly.

The published weights cannot be downloaded by a program; every test of the converter uses these. As files:

    python -m tests.standin FOLDER
"""

import itertools
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]


def _blocks(width: int, depth: int, ratio: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for block in range(depth):
        for norm in ("norm1", "norm2"):
            shapes |= {f"blocks.{block}.{norm}.{what}": (width,) for what in ("weight", "bias")}
        products = {
            "attn.qkv": (3 * width, width),
            "attn.proj": (width, width),
            "mlp.fc1": (ratio * width, width),
            "mlp.fc2": (width, ratio * width),
        }
        for name, shape in products.items():
            shapes |= {f"blocks.{block}.{name}.weight": shape, f"blocks.{block}.{name}.bias": shape[:1]}
    return shapes


def _vit(width: int, depth: int) -> dict[str, tuple[int, ...]]:
    embedding = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 197, width),
        "patch_embed.proj.weight": (width, 3, 16, 16),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    return embedding | _blocks(width, depth, 4)


def _head(inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
    sizes = [inputs, hidden, 8, 1]
    shapes: dict[str, tuple[int, ...]] = {}
    for index, (before, after) in zip((1, 3, 5), itertools.pairwise(sizes), strict=True):
        shapes |= {f"head.{index}.weight": (after, before), f"head.{index}.bias": (after,)}
    return shapes


def _draw(shapes: dict[str, tuple[int, ...]], seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    weights = {}
    for key, shape in sorted(shapes.items()):
        values = rng.standard_normal(shape)
        if key.endswith(("norm1.weight", "norm2.weight")) or key == "norm.weight":
            values = 1 + 0.2 * values
        elif key.endswith(".bias"):
            values = 0.1 * values
        elif key in ("cls_token", "pos_embed"):
            values = 0.3 * values
        else:
            gain = 2.0 if "head" in key or "qkv" in key else 1.0
            values = gain * values / np.sqrt(int(np.prod(shape[1:])))
        if key == "head.5.bias":
            values = values + 3.0
        if key in ("head.1.bias", "head.3.bias"):
            values = np.abs(values) + 0.2
        weights[key] = values.astype(np.float32)
    return weights


CLASSIFIER = {"head.weight": (1000, 384), "head.bias": (1000,)}


def released(seed: int = 101) -> Arrays:
    """The released model, VTIQA_<data set>.pt, without the `module.` prefix."""
    return _draw(_vit(384, 12) | _head(768, 64), seed)


def original() -> tuple[Arrays, Arrays, Arrays]:
    """The paper's three files: backbone, fusion, selector, without the `module.` prefix."""
    own = {"cls_token": (1, 1, 384), "pos_embed": (1, 3, 384), "norm.weight": (384,), "norm.bias": (384,)}
    fusion = own | _blocks(384, 2, 1) | _head(1152, 32)
    return (
        _draw(_vit(384, 12) | CLASSIFIER, 21),
        _draw(fusion, 22),
        _draw(_vit(384, 12) | _head(384, 64), 23),
    )


def deit(seed: int = 7, depth: int = 2, width: int = 64) -> Arrays:
    """A DeiT backbone with a 1000-class head; by default a small one."""
    classifier = {"head.weight": (1000, width), "head.bias": (1000,)}
    return _draw(_vit(width, depth) | classifier, seed)


HUGGING_FACE = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "norm": "layernorm",
}
OF_A_BLOCK = {
    "vit": {
        "norm1": "layernorm_before",
        "attn.proj": "attention.output.dense",
        "norm2": "layernorm_after",
        "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense",
    },
    "dinov2": {
        "norm1": "norm1",
        "attn.proj": "attention.output.dense",
        "ls1": "layer_scale1",
        "norm2": "norm2",
        "mlp.fc1": "mlp.fc1",
        "mlp.fc2": "mlp.fc2",
        "ls2": "layer_scale2",
    },
}


def hugging_face(weights: Arrays, kind: str) -> Arrays:
    """timm's arrays as transformers writes them; names are those of transformers 5.24."""
    renamed: Arrays = {}
    for key, array in weights.items():
        layer, _, what = key.rpartition(".")
        if not layer or layer in HUGGING_FACE:
            renamed[HUGGING_FACE[layer or key] + (f".{what}" if layer else "")] = array
            continue
        _, block, layer = layer.split(".", 2)
        if layer == "attn.qkv":
            for part, third in zip(("query", "key", "value"), np.split(array, 3), strict=True):
                renamed[f"encoder.layer.{block}.attention.attention.{part}.{what}"] = third
        else:
            what = what.replace("gamma", "lambda1")
            renamed[f"encoder.layer.{block}.{OF_A_BLOCK[kind][layer]}.{what}"] = array
    return renamed


def prefixed(weights: Arrays) -> Arrays:
    """As `nn.DataParallel` names them."""
    return {f"module.{key}": value for key, value in weights.items()}


def save_pt(path: Path, weights: Arrays, wrap: str | None = None) -> Path:
    """Writes a state dict as the authors do; needs torch."""
    import torch

    state = {key: torch.from_numpy(value) for key, value in weights.items()}
    torch.save({wrap: state} if wrap else state, path)
    return path


def main(folder: Path) -> None:
    """Writes all four files in the published layout."""
    folder.mkdir(parents=True, exist_ok=True)
    save_pt(folder / "VTIQA_standin.pt", prefixed(released()))
    names = ("VTIQA_org_backbone", "VTIQA_org_safusion", "VTIQA_org_slection")
    for name, weights in zip(names, original(), strict=True):
        save_pt(folder / f"{name}.pt", prefixed(weights))


if __name__ == "__main__":
    import sys

    main(Path(sys.argv[1]))
