"""The metric `vtiqa` for pyiqa, which knows it once this package is imported."""

from pathlib import Path

import torch
from pyiqa.default_model_configs import DEFAULT_CONFIGS
from pyiqa.utils.registry import ARCH_REGISTRY

import vtiqa_jax

NAME = "VTIQA"
DEFAULT_CONFIGS["vtiqa"] = {"metric_opts": {"type": NAME}, "metric_mode": "NR", "score_range": "1, 5"}


class VTIQA(torch.nn.Module):
    """A model of vtiqa-jax as pyiqa's kind of network. It computes where JAX does, and has no gradient."""

    def __init__(self, model: str | Path = "default") -> None:
        """Loads the model.

        Args:
            model: see `vtiqa_jax.load`.

        Raises:
            vtiqa_jax.UserError: there is no such model.
        """
        super().__init__()
        self.scorer = vtiqa_jax.load(model)

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        """Scores photos by their pixels, rounded to 8 bits as files have them.

        Args:
            photos: [photos, 1 or 3, height, width], RGB from 0 to 1.

        Returns:
            float32 [photos, 1].

        Raises:
            vtiqa_jax.UserError: a gradient is asked for, as by `as_loss=True`.
            vtiqa_jax.ImageError: a score is not a finite number.
        """
        if torch.is_grad_enabled() and photos.requires_grad:
            raise vtiqa_jax.UserError("vtiqa has no gradient in PyTorch; vtiqa_jax.load_model has one in JAX")
        pixels = photos.detach().float().mul(255).round().to(torch.uint8)
        scores = self.scorer.score(list(pixels.permute(0, 2, 3, 1).cpu().numpy()))
        return torch.from_numpy(scores).to(photos.device)[:, None]


def register_archs() -> None:
    """Makes the network known to pyiqa, which calls this when it looks for plug-ins."""
    ARCH_REGISTRY.register(VTIQA, name=NAME)
