"""A model's kind, its sizes, and the label scale of its scores. Nothing here computes: it is read without JAX."""

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from vtiqa_jax.photos import cuts
from vtiqa_jax.photos.native import NativeViews
from vtiqa_jax.photos.preparation import Preparation
from vtiqa_jax.photos.resize import Cut

if TYPE_CHECKING:
    from vtiqa_jax.models.vit import VisionTransformer

MOST_MOSAICS = 16
"""Native views at one factor: a file could ask for more than any machine has room for."""
Kind = Literal["vtiqa", "original", "backbone"]


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Which model, and its sizes. The defaults are those of the release (DeiT-S/16; paper, section III).

    `kind` is "vtiqa" (the released model), "original" (the paper's model with gradient-based region selection and
    self-attention fusion) or "backbone" (a vision transformer without a head: a starting point for training).
    """

    kind: Kind = "vtiqa"
    embed_dim: int = 384
    depth: int = 12
    num_heads: int = 6
    mlp_ratio: int = 4
    patch_size: int = 16
    """Side of the transformer's patches, pixels."""
    mosaic_grid: int = 7
    """Cells along a side of the mosaic."""
    mosaic_patch: int = 32
    """Side of one patch of the mosaic, pixels."""
    global_resize: int = 244
    """Side of the shrunk photo that the global view is cut from, pixels."""
    local_resize: int = 768
    """Side of the large photo that the mosaic's patches are cut from, pixels."""
    readout_blocks: tuple[int, ...] = ()
    """Blocks, counted from 1, whose class tokens the head sees, the last block among them. Empty: the last block alone,
    as released."""
    eval_mosaics: int = 1
    """Mosaics that a photo is scored by; their class tokens are averaged. 1 is the centre of each cell, as released."""
    screen_side: int | None = None
    """Pixels that a photo's longer side is shrunk to first, with antialiasing, if it has more: the size of the photos
    that the model was trained on. None: never, as released."""
    native_factors: tuple[int, ...] = ()
    """Whole factors, rising from 1, that a photo is shrunk by for its native views. Empty: the model has no detail."""
    native_mosaics: tuple[int, ...] = ()
    """Native views at each factor, square numbers; see `NativeViews`. Empty: one."""
    native_blocks: tuple[int, ...] = ()
    """Blocks, counted from 1, whose patch tokens the detail head reads."""
    subject: bool = False
    """Whether softness counts most where a photo's subject is, see `SubjectHead`."""
    soft_ends: bool = False
    """Whether scores approach the ends of their scale smoothly, see `SoftEnds`. If not, they may leave it, as
    released."""
    novelty: bool = False
    """Whether the model says how unlike a photograph a picture is, see `Novelty`."""
    reasons: bool = False
    """Whether the model names a photo's faults, see `ReasonsHead`; it reads what the detail head reads, too."""
    intervals: bool = False
    """Whether the model says how sure its scores are, see `Intervals`."""
    opinions: bool = False
    """Whether it then also says how far single opinions are apart."""
    taste: bool = False
    """Whether scores are one person's and not people's, see `Taste`."""

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "ModelConfig":
        """Makes a config of what `dataclasses.asdict` and JSON made of one: JSON has lists for tuples."""
        values: dict[str, Any] = dict(fields)
        values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**values)

    def __post_init__(self) -> None:
        rising = (
            list(self.readout_blocks) == sorted(set(self.readout_blocks)) and min(self.readout_blocks, default=1) > 0
        )
        if self.readout_blocks and (not rising or self.readout_blocks[-1] != self.depth or self.kind != "vtiqa"):
            raise ValueError(
                f"readout_blocks {self.readout_blocks} must rise and end in the last block, {self.depth}, of a VT-IQA"
            )
        if self.eval_mosaics < 1 or (self.eval_mosaics > 1 and self.kind != "vtiqa"):
            raise ValueError(f"eval_mosaics {self.eval_mosaics} must be at least 1, and 1 but for a VT-IQA")
        if self.embed_dim % self.num_heads:
            raise ValueError(f"embed_dim {self.embed_dim} is not a multiple of num_heads {self.num_heads}")
        if self.view_size % self.patch_size:
            raise ValueError(f"views of {self.view_size} px do not divide into patches of {self.patch_size} px")
        if self.global_resize < self.view_size or self.local_resize < self.view_size:
            raise ValueError(f"global_resize and local_resize must be at least the views' {self.view_size} px")
        if self.screen_side is not None and self.screen_side < self.view_size:
            raise ValueError(f"screen_side {self.screen_side} must be at least the views' {self.view_size} px")
        factors, blocks = self.native_factors, self.native_blocks
        if bool(factors) != bool(blocks) or (factors and self.kind != "vtiqa"):
            raise ValueError("native_factors and native_blocks belong together, and to a VT-IQA")
        if factors and (factors[0] != 1 or list(factors) != sorted(set(factors))):
            raise ValueError(f"native_factors {factors} must rise from 1")
        mosaics = self.native_mosaics
        are_squares = all(0 < count <= MOST_MOSAICS and math.isqrt(count) ** 2 == count for count in mosaics)
        if mosaics and (len(mosaics) != len(factors) or not are_squares):
            raise ValueError(
                f"native_mosaics {mosaics} must be squares up to {MOST_MOSAICS}, one for each of the factors {factors}"
            )
        if blocks and (list(blocks) != sorted(set(blocks)) or blocks[0] < 1 or blocks[-1] >= self.depth):
            raise ValueError(f"native_blocks {blocks} must rise, and end before the last block, {self.depth}")
        if (self.soft_ends or self.novelty or self.intervals or self.taste) and self.kind != "vtiqa":
            raise ValueError("soft_ends, novelty, intervals and taste belong to a VT-IQA")
        if self.intervals and self.taste:
            raise ValueError("intervals are of people's mean, which a score by taste is not")
        if self.opinions and not self.intervals:
            raise ValueError("opinions belong to intervals")
        if (self.reasons or self.subject) and not factors:
            raise ValueError("reasons and a subject need native views")
        if self.mosaic_patch % self.patch_size and factors:
            raise ValueError(f"native views need places of whole patches of {self.patch_size} px")

    @property
    def view_size(self) -> int:
        """Side of both views, pixels (224 in the release)."""
        return self.mosaic_grid * self.mosaic_patch

    @property
    def stored_sides(self) -> tuple[int | None, int, int]:
        """`screen_side`, and the sides of the two squares that a photo is then stored as, pixels."""
        return self.screen_side, self.global_resize, self.local_resize

    @property
    def stored_cuts(self) -> tuple[Cut, Cut]:
        """The two squares that a photo is stored as, whole."""
        return Cut.whole(self.global_resize), Cut.whole(self.local_resize)

    @property
    def view_cuts(self) -> tuple[Cut, ...]:
        """The views at test time: the global view, then each mosaic."""
        mosaics = (
            cuts.mosaic_cut(self.local_resize, self.mosaic_grid, self.mosaic_patch, number)
            for number in range(self.eval_mosaics)
        )
        return cuts.middle_cut(self.global_resize, self.view_size), *mosaics

    @property
    def eval_cuts(self) -> tuple[Cut, ...]:
        """What the model is fed at test time: its views; of the paper's model, which selects patches, whole squares."""
        return self.view_cuts if self.kind == "vtiqa" else self.stored_cuts

    @property
    def native(self) -> NativeViews | None:
        """The views of a photo at its own pixels; None where the model has no detail."""
        if not self.native_factors:
            return None
        mosaics = self.native_mosaics or (1,) * len(self.native_factors)
        return NativeViews(self.native_factors, mosaics, self.mosaic_grid, self.mosaic_patch)

    @property
    def preparation(self) -> Preparation:
        """What the model is fed of a photo at test time."""
        return Preparation(self.screen_side, self.eval_cuts, self.native)

    @property
    def feature_dim(self) -> int:
        """Length of the backbone's features of one view."""
        return self.embed_dim * max(1, len(self.readout_blocks))

    @property
    def num_tokens(self) -> int:
        """Length of the transformer's sequence: the class token and the patches of one view."""
        return (self.view_size // self.patch_size) ** 2 + 1

    @property
    def backbone_sizes(self) -> dict[str, Any]:
        """The arguments of `VisionTransformer` that are sizes, by timm's names."""
        same = ("patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "readout_blocks")
        return {"img_size": self.view_size} | {name: getattr(self, name) for name in same}

    def make_backbone(self, **settings: Any) -> "VisionTransformer":
        """Draws a backbone of these sizes; a config of one's own may have another.

        Args:
            settings: the other keyword arguments of `VisionTransformer`.
        """
        from vtiqa_jax.models.vit import VisionTransformer

        return VisionTransformer(**self.backbone_sizes, **settings)

    def replace(self, **changes: Any) -> "ModelConfig":
        """Returns a copy of this config with some fields changed."""
        return dataclasses.replace(self, **changes)


def deit_small(**changes: Any) -> ModelConfig:
    """Returns DeiT-S/16, the backbone of the release (22 M parameters)."""
    return ModelConfig(**changes)


def deit_tiny(**changes: Any) -> ModelConfig:
    """Returns DeiT-Ti/16 (5.5 M parameters)."""
    return ModelConfig(embed_dim=192, num_heads=3, **changes)


def deit_base(**changes: Any) -> ModelConfig:
    """Returns DeiT-B/16 (86 M parameters)."""
    return ModelConfig(embed_dim=768, num_heads=12, **changes)


def tiny_config(**changes: Any) -> ModelConfig:
    """Returns a toy for tests (30,000 parameters, views of 28 px): too small to judge photos."""
    sizes: dict[str, Any] = {
        "embed_dim": 24,
        "depth": 2,
        "num_heads": 2,
        "patch_size": 4,
        "mosaic_patch": 4,
        "global_resize": 34,
        "local_resize": 96,
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
