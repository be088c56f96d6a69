"""The table of names: each key of a published file, the parameter that it becomes, and how its array changes.

One line per pattern; `{block}` stands for each block's number. The table is total: a file must hold every key it
lists and, but for the extras named here, no other; read from right to left it gives the file back.
"""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.original import FUSION_DEPTH

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Transform:
    """How torch's array becomes ours, how ours becomes torch's, and the shape torch's has when ours is known."""

    to_jax: Callable[[np.ndarray], np.ndarray]
    to_torch: Callable[[np.ndarray], np.ndarray]
    torch_shape: Callable[[Shape], Shape]


def _side(shape: Shape) -> int:
    return round((shape[0] / 3) ** 0.5)


KEEP = Transform(lambda w: w, lambda w: w, lambda shape: shape)
# torch's Linear holds (out, in), ours (in, out).
LINEAR = Transform(lambda w: w.T, lambda w: w.T, lambda shape: shape[::-1])
# torch's Conv2d holds (out, in, rows, columns); ours multiplies patches flattened as (rows, columns, in).
PATCHES = Transform(
    lambda w: w.transpose(2, 3, 1, 0).reshape(-1, w.shape[0]),
    lambda w: w.reshape(_side(w.shape), _side(w.shape), 3, -1).transpose(3, 2, 0, 1),
    lambda shape: (shape[1], 3, _side(shape), _side(shape)),
)

Row = tuple[str, str, Transform]

BLOCK: list[Row] = [
    ("blocks.{block}.norm1.weight", "blocks.{block}.norm1.scale", KEEP),
    ("blocks.{block}.norm1.bias", "blocks.{block}.norm1.bias", KEEP),
    ("blocks.{block}.attn.qkv.weight", "blocks.{block}.attn.qkv.kernel", LINEAR),
    ("blocks.{block}.attn.qkv.bias", "blocks.{block}.attn.qkv.bias", KEEP),
    ("blocks.{block}.attn.proj.weight", "blocks.{block}.attn.proj.kernel", LINEAR),
    ("blocks.{block}.attn.proj.bias", "blocks.{block}.attn.proj.bias", KEEP),
    ("blocks.{block}.norm2.weight", "blocks.{block}.norm2.scale", KEEP),
    ("blocks.{block}.norm2.bias", "blocks.{block}.norm2.bias", KEEP),
    ("blocks.{block}.mlp.fc1.weight", "blocks.{block}.mlp.fc1.kernel", LINEAR),
    ("blocks.{block}.mlp.fc1.bias", "blocks.{block}.mlp.fc1.bias", KEEP),
    ("blocks.{block}.mlp.fc2.weight", "blocks.{block}.mlp.fc2.kernel", LINEAR),
    ("blocks.{block}.mlp.fc2.bias", "blocks.{block}.mlp.fc2.bias", KEEP),
]
TRANSFORMER: list[Row] = [
    ("cls_token", "cls_token", KEEP),
    *BLOCK,
    ("norm.weight", "norm.scale", KEEP),
    ("norm.bias", "norm.bias", KEEP),
]
VIT: list[Row] = [
    ("patch_embed.proj.weight", "patch_embed.proj.kernel", PATCHES),
    ("patch_embed.proj.bias", "patch_embed.proj.bias", KEEP),
    ("pos_embed", "pos_embed", KEEP),
    *TRANSFORMER,
]
# The numbers are positions in the release's nn.Sequential: 0 is the dropout, 2 and 4 are the ReLUs.
HEAD: list[Row] = [
    ("head.1.weight", "head.fc1.kernel", LINEAR),
    ("head.1.bias", "head.fc1.bias", KEEP),
    ("head.3.weight", "head.fc2.kernel", LINEAR),
    ("head.3.bias", "head.fc2.bias", KEEP),
    ("head.5.weight", "head.fc3.kernel", LINEAR),
    ("head.5.bias", "head.fc3.bias", KEEP),
]


@dataclasses.dataclass(frozen=True)
class FileTable:
    """The table of one published file: its rows, what else it may hold, and what its keys are prefixed with."""

    rows: tuple[Row, ...]
    depth: int
    extras: tuple[str, ...] = ()
    """Keys that published files hold and no model uses."""
    prefix: str = ""
    """Put before every key when the file is written (`nn.DataParallel` does so)."""

    def expanded(self) -> Iterator[Row]:
        """Returns every row of the file, with the blocks numbered."""
        for source, target, transform in self.rows:
            if "{block}" in source:
                for block in range(self.depth):
                    yield source.format(block=block), target.format(block=block), transform
            else:
                yield source, target, transform


def _under(module: str, rows: list[Row]) -> list[Row]:
    return [(source, f"{module}.{target}", transform) for source, target, transform in rows]


CLASSIFIER = ("head.weight", "head.bias")
"""The 1000-class head of ImageNet weights."""


def tables(config: ModelConfig) -> dict[str, FileTable]:
    """Returns the tables of the files that make up a model: one for "vtiqa" and "backbone", three for "original"."""
    if config.kind == "vtiqa":
        rows = [*_under("backbone", VIT), *HEAD]
        return {"": FileTable(tuple(rows), config.depth, prefix="module.")}
    if config.kind == "backbone":
        return {"": FileTable(tuple(VIT), config.depth, extras=CLASSIFIER)}
    fusion, selector = _under("fusion", [*TRANSFORMER, *HEAD]), _under("selector", HEAD)
    return {
        "VTIQA_org_backbone": FileTable(tuple(_under("backbone", VIT)), config.depth, CLASSIFIER, "module."),
        "VTIQA_org_safusion": FileTable(tuple(fusion), FUSION_DEPTH, ("pos_embed",), "module."),
        # The release spells it so.
        "VTIQA_org_slection": FileTable((*_under("selector.backbone", VIT), *selector), config.depth, prefix="module."),
    }
