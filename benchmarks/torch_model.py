"""Builds the released model in PyTorch for timing: as the authors run it, and as fast as PyTorch can.

Weights are random, because speed does not depend on them. `sdpa` computes attention by PyTorch's fused kernel instead
of the explicit products of the authors' timm.
"""

import torch
from torch import nn
from torch.nn import functional

WIDTH, HEADS, SIZE, PATCH, GRID, CELL = 384, 6, 224, 16, 7, 32


class Block(nn.Module):
    """timm's pre-norm block."""

    def __init__(self, sdpa: bool) -> None:
        super().__init__()
        self.sdpa = sdpa
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6), nn.LayerNorm(WIDTH, eps=1e-6)
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc1, self.fc2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens [n, tokens, width] to tokens."""
        batch, tokens, _ = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(batch, tokens, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        if self.sdpa:
            attended = functional.scaled_dot_product_attention(q, k, v)
        else:
            attended = ((q @ k.transpose(-2, -1)) * (WIDTH // HEADS) ** -0.5).softmax(-1) @ v
        x = x + self.proj(attended.transpose(1, 2).reshape(batch, tokens, WIDTH))
        return x + self.fc2(functional.gelu(self.fc1(self.norm2(x))))


class Model(nn.Module):
    """Two views through one DeiT-S/16, one after the other as the authors do, or together (`joined`)."""

    def __init__(self, *, sdpa: bool, joined: bool) -> None:
        super().__init__()
        self.joined = joined
        self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.cls = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos = nn.Parameter(torch.zeros(1, (SIZE // PATCH) ** 2 + 1, WIDTH))
        self.blocks = nn.ModuleList(Block(sdpa) for _ in range(12))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)
        self.head = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(2 * WIDTH, 64), nn.ReLU(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 1)
        )

    def features(self, view: torch.Tensor) -> torch.Tensor:
        """Class tokens [n, width] of normalised views [n, 3, 224, 224]."""
        x = self.patches(view).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.pos
        for block in self.blocks:
            x = block(x)
        return self.norm(x[:, 0])

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Scores [n]."""
        if self.joined:
            both = self.features(torch.cat([first, second])).chunk(2)
        else:
            both = (self.features(first), self.features(second))
        return self.head(torch.cat(both, 1))[:, 0]


def views(small: torch.Tensor, large: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the centre crop and the centre mosaic of uint8 photos [n, 3, h, w], normalised, on their device."""
    pitch = large.shape[-1] // GRID
    steps = torch.arange(GRID, device=large.device) * pitch + (pitch - CELL) // 2
    rows = (steps[:, None] + torch.arange(CELL, device=large.device)).flatten()
    mosaic = large[:, :, rows][:, :, :, rows]
    mean = torch.tensor([0.485, 0.456, 0.406], device=large.device).reshape(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225], device=large.device).reshape(1, 3, 1, 1)
    return tuple((view.float() / 255 - mean) / std for view in (small[:, :, 10:234, 10:234], mosaic))  # type: ignore[return-value]
