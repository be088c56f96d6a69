"""Another backbone: a vision transformer with registers (T. Darcet et al., ICLR 2024).

Register tokens stand between the class token and the patches. They have no position, and the head does not read them.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.vit import VisionTransformer, trunc_normal
from vtiqa_jax.training.finetune import FinetuneRecipe


class RegisterTransformer(VisionTransformer):
    """The usual transformer with registers."""

    def __init__(self, num_registers: int, *, embed_dim: int, rngs: nnx.Rngs, **settings: Any) -> None:
        super().__init__(embed_dim=embed_dim, rngs=rngs, **settings)
        # A part of `patch_embed`: frozen, trained and kept with the rest of the embedding.
        shape = (1, num_registers, embed_dim)
        self.patch_embed.reg_token = nnx.Param(trunc_normal(rngs.params(), shape))

    def embed(self, images: Float[Array, "batch size size 3"]) -> Float[Array, "batch tokens dim"]:
        """Returns the input of the first block."""
        x, registers = super().embed(images), self.patch_embed.reg_token[...]
        registers = jnp.broadcast_to(registers, (len(x), *registers.shape[1:]))
        return jnp.concatenate([x[:, :1], registers, x[:, 1:]], axis=1)


@dataclasses.dataclass(frozen=True)
class RegisterConfig(ModelConfig):
    """The config of a model on this backbone."""

    num_registers: int = 4

    def make_backbone(self, **settings: Any) -> RegisterTransformer:
        """Makes the backbone with registers."""
        return RegisterTransformer(self.num_registers, **self.backbone_sizes, **settings)


@dataclasses.dataclass(frozen=True)
class RegisterRecipe(FinetuneRecipe):
    """Fine-tuning of a model that gets registers."""

    registers: int = 4
    """Number of register tokens."""

    def model_config(self, config: ModelConfig) -> RegisterConfig:
        """Adds registers to the config of the checkpoint."""
        return RegisterConfig(**dataclasses.asdict(config), num_registers=self.registers)
