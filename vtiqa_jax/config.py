"""Sizes of the models and the meaning of their scores: everything a checkpoint must say about itself."""

import dataclasses
from typing import Any, Literal

Kind = Literal["vtiqa", "original", "backbone"]


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Which model, and its sizes. The defaults are those of the release (DeiT-S/16; paper, section III).

    `kind` is "vtiqa" (the released model), "original" (the paper's model with gradient-based region selection
    and self-attention fusion) or "backbone" (a vision transformer without a head: a starting point for training).
    """

    kind: Kind = "vtiqa"
    width: int = 384
    depth: int = 12
    heads: int = 6
    mlp_ratio: int = 4
    patch_size: int = 16
    """Side of the transformer's patches, pixels."""
    grid: int = 7
    """Cells along a side of the mosaic."""
    cell: int = 32
    """Side of one patch of the mosaic, pixels."""
    global_size: int = 244
    """Side of the shrunk photo that the global view is cut from, pixels."""
    local_size: int = 768
    """Side of the large photo that the mosaic's patches are cut from, pixels."""
    readout: tuple[int, ...] = ()
    """Blocks, counted from 1, whose class tokens the head sees, the last block among them; empty for it alone, as
    released."""
    mosaics: int = 1
    """Mosaics that a photo is scored by: their class tokens are averaged. 1 is the middle of each cell, as released."""

    def __post_init__(self) -> None:
        rising = list(self.readout) == sorted(set(self.readout)) and min(self.readout, default=1) >= 1
        if self.readout and (not rising or self.readout[-1] != self.depth or self.kind != "vtiqa"):
            raise ValueError(f"readout {self.readout} must rise and end in the last block, {self.depth}, of a VT-IQA")
        if self.mosaics < 1 or (self.mosaics > 1 and self.kind != "vtiqa"):
            raise ValueError(f"mosaics {self.mosaics} must be at least 1, and 1 but for a VT-IQA")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.view_size % self.patch_size:
            raise ValueError(f"views of {self.view_size} px do not divide into patches of {self.patch_size} px")
        if self.global_size < self.view_size or self.local_size < self.view_size:
            raise ValueError(f"global_size and local_size must be at least the views' {self.view_size} px")

    @property
    def view_size(self) -> int:
        """Side of both views, pixels (224 in the release)."""
        return self.grid * self.cell

    @property
    def features(self) -> int:
        """Length of what the backbone tells of one view."""
        return self.width * max(1, len(self.readout))

    @property
    def tokens(self) -> int:
        """Length of the transformer's sequence: the patches of one view and the class token."""
        return (self.view_size // self.patch_size) ** 2 + 1

    def replace(self, **changes: Any) -> "ModelConfig":
        """This config with some fields changed."""
        return dataclasses.replace(self, **changes)


def deit_small(**changes: Any) -> ModelConfig:
    """DeiT-S/16, the backbone of the release (22 M parameters)."""
    return ModelConfig(**changes)


def deit_tiny(**changes: Any) -> ModelConfig:
    """DeiT-Ti/16 (5.5 M parameters)."""
    return ModelConfig(width=192, heads=3, **changes)


def deit_base(**changes: Any) -> ModelConfig:
    """DeiT-B/16 (86 M parameters)."""
    return ModelConfig(width=768, heads=12, **changes)


def small(**changes: Any) -> ModelConfig:
    """A toy for tests (30,000 parameters, views of 28 px): too small to judge photos."""
    sizes: dict[str, Any] = {
        "width": 24,
        "depth": 2,
        "heads": 2,
        "patch_size": 4,
        "cell": 4,
        "global_size": 34,
        "local_size": 96,
    }
    return ModelConfig(**(sizes | changes))


@dataclasses.dataclass(frozen=True)
class LabelScale:
    """The label scale that a model's scores are on."""

    dataset: str
    low: float
    high: float
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"a label range must rise, not go from {self.low:g} to {self.high:g}")

    def __str__(self) -> str:
        better = "higher" if self.higher_is_better else "lower"
        return f"{self.dataset} scale, {self.low:g} to {self.high:g}, {better} is better"
