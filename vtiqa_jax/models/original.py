"""The paper's model, for inference: a selector network chooses the mosaic, a small transformer fuses both views.

Source: Li et al., IEEE TCSVT 32(12), 2022, sections III-B and III-C, and the authors' release (`VTIQA_org_*.pt`). It is
scored, converted and exported; training it is not offered.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, UInt8

from vtiqa_jax.models import views
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.vit import Block, Implementation, layer_norm, trunc_normal
from vtiqa_jax.models.vtiqa import QualityHead, encode_views

FUSION_DEPTH = 2
FUSION_HEAD_WIDTH = 32
SENSITIVITY_POOL = 9
"""Window and stride, pixels, of the average pooling that makes the sensitivity map."""
SELECTION_WINDOW = 3
"""Side of the window, map entries, in which one patch of the mosaic is selected."""


class Fusion(nnx.Module):
    """Self-attention over the two class tokens, and the head (the release's `safusion`; paper, section III-C).

    As released, no position embedding is added, though the published file holds one.
    """

    def __init__(self, dim: int, dtype: ComputeDtype, implementation: Implementation, *, rngs: nnx.Rngs) -> None:
        self.cls_token = nnx.Param(trunc_normal(rngs.params(), (1, 1, dim)))
        self.blocks = nnx.List(Block(dim, 1, 1, dtype, implementation, rngs=rngs) for _ in range(FUSION_DEPTH))
        self.norm = layer_norm(dim, implementation, rngs=rngs)
        self.head = QualityHead(3 * dim, FUSION_HEAD_WIDTH, rngs=rngs)

    def __call__(
        self, global_features: Float[Array, "batch dim"], local_features: Float[Array, "batch dim"]
    ) -> Float[Array, " batch"]:
        batch, dim = global_features.shape
        cls_token = jnp.broadcast_to(self.cls_token[...], (batch, 1, dim))
        x = jnp.concatenate([cls_token, global_features[:, None], local_features[:, None]], axis=1)
        for block in self.blocks:
            x = block(x)
        fused = self.norm(x[:, 0])
        return self.head(jnp.concatenate([fused, global_features, local_features], axis=1))


class Selector(nnx.Module):
    """Scores the global view alone; the gradient of its score shows which regions matter (paper, section III-B)."""

    def __init__(
        self, config: ModelConfig, dtype: ComputeDtype, implementation: Implementation, *, rngs: nnx.Rngs
    ) -> None:
        self.config = config
        self.backbone = config.make_backbone(dtype=dtype, implementation=implementation, rngs=rngs)
        self.head = QualityHead(config.embed_dim, rngs=rngs)

    def __call__(self, global_view: Float[Array, "batch size size 3"]) -> Float[Array, " batch"]:
        return self.head(self.backbone(global_view))

    def sensitivity(self, global_view: Float[Array, "batch size size 3"]) -> Float[Array, "batch rows cols"]:
        """Returns the gradient of the score with respect to the normalised pixels, as a map.

        Summed over the channels and averaged over windows of 9 x 9 pixels: 224 px give 24 x 24. What is left at the
        edge is dropped.
        """
        gradient = jax.grad(lambda view: self(view).sum())(global_view).sum(-1)
        side = gradient.shape[1] // SENSITIVITY_POOL
        used = gradient[:, : side * SENSITIVITY_POOL, : side * SENSITIVITY_POOL]
        return used.reshape(-1, side, SENSITIVITY_POOL, side, SENSITIVITY_POOL).mean((2, 4))

    def positions(self, sensitivity: Float[Array, "batch rows cols"], height: int) -> Int[Array, "batch grid grid 2"]:
        """Finds the most sensitive patch of each window of 3 x 3 map entries; of equal ones the first, row by row.

        Returns:
            Upper left corners (row, column), pixels of a photo `height` high.
        """
        grid, window = self.config.mosaic_grid, SELECTION_WINDOW
        batch, side, _ = sensitivity.shape
        used = sensitivity[:, : grid * window, : grid * window].reshape(batch, grid, window, grid, window)
        best = used.transpose(0, 1, 3, 2, 4).reshape(batch, grid, grid, window * window).argmax(-1)
        first = jnp.arange(grid, dtype=best.dtype) * window
        rows = first[None, :, None] + best // window
        cols = first[None, None, :] + best % window
        # Computed in Python's floats and cut off, as in the release: the last bit decides.
        corner = jnp.array([int((1.5 + entry) / side * height) for entry in range(grid * window)], jnp.int32)
        return jnp.stack([corner[rows], corner[cols]], axis=-1)


class OriginalVTIQA(nnx.Module):
    """The paper's model."""

    def __init__(
        self,
        config: ModelConfig,
        *,
        dtype: ComputeDtype = "float32",
        implementation: Implementation = "xla",
        rngs: nnx.Rngs,
    ) -> None:
        """Draws the parameters; arguments as of `VTIQA`.

        Raises:
            ValueError: the views are too small to select regions in.
        """
        grid = config.mosaic_grid
        if grid * SELECTION_WINDOW > config.view_size // SENSITIVITY_POOL:
            raise ValueError(f"views of {config.view_size} px are too small to select {grid} x {grid} regions in them")
        self.config = config
        self.selector = Selector(config, dtype, implementation, rngs=rngs)
        self.backbone = config.make_backbone(dtype=dtype, implementation=implementation, rngs=rngs)
        self.fusion = Fusion(config.embed_dim, dtype, implementation, rngs=rngs)

    def __call__(
        self, global_view: Float[Array, "batch size size 3"], mosaic: Float[Array, "batch size size 3"]
    ) -> Float[Array, " batch"]:
        """Scores normalised views."""
        return self.fusion(*encode_views(self.backbone, global_view, mosaic))

    def select_mosaic(
        self,
        global_view: Float[Array, "batch size size 3"],
        local_images: UInt8[Array, "batch large large 3"],
    ) -> UInt8[Array, "batch size size 3"]:
        """Makes the mosaic of the regions that the selector finds in the normalised global view, unnormalised."""
        positions = self.selector.positions(self.selector.sensitivity(global_view), local_images.shape[1])
        return views.patches_at(local_images, positions, self.config.mosaic_patch)

    def score(
        self,
        global_images: UInt8[Array, "batch small small 3"],
        local_images: UInt8[Array, "batch large large 3"],
    ) -> Float[Array, " batch"]:
        """Scores stored photos, uint8 RGB at `config.global_resize` and `config.local_resize`."""
        global_view = views.normalize(views.center_crop(global_images, self.config.view_size))
        return self(global_view, views.normalize(self.select_mosaic(global_view, local_images)))
