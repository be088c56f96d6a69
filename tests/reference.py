"""The published system once more, written in plain PyTorch from its description, sharing nothing with the package.

Checked against what the authors' own code returned for the same stand-in weights on three photographs (docs/parity.md).
"""

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Weights = dict[str, Tensor]


def tensors(weights: dict[str, np.ndarray]) -> Weights:
    return {key: torch.from_numpy(value) for key, value in weights.items()}


def views(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Global view and mosaic, uint8 [224, 224, 3], patch by patch."""
    small, large = (cv2.resize(photo, (side, side), interpolation=cv2.INTER_CUBIC) for side in (244, 768))
    mosaic = np.zeros((224, 224, 3), np.uint8)
    pitch = int(768 / 7)
    offset = int(pitch / 2 - 32 / 2)
    for i in range(7):
        for j in range(7):
            y, x = i * pitch + offset, j * pitch + offset
            mosaic[i * 32 : i * 32 + 32, j * 32 : j * 32 + 32] = large[y : y + 32, x : x + 32]
    return small[10:234, 10:234], mosaic


def normalize(pixels: np.ndarray) -> Tensor:
    """uint8 [n, 224, 224, 3] to the network's input [n, 3, 224, 224]."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return ((torch.from_numpy(pixels.copy()).float() / 255 - mean) / std).permute(0, 3, 1, 2)


def blocks(weights: Weights, x: Tensor, heads: int) -> list[Tensor]:
    """The input and the output of every block."""
    depth = 1 + max(int(key.split(".")[1]) for key in weights if key.startswith("blocks."))
    outputs = [x]
    for block in range(depth):
        w = {k.removeprefix(f"blocks.{block}."): v for k, v in weights.items() if k.startswith(f"blocks.{block}.")}
        batch, tokens, width = x.shape
        y = F.layer_norm(x, (width,), w["norm1.weight"], w["norm1.bias"], 1e-6)
        qkv = F.linear(y, w["attn.qkv.weight"], w["attn.qkv.bias"])
        q, k, v = qkv.reshape(batch, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        attention = (q @ k.transpose(-2, -1) * (width // heads) ** -0.5).softmax(-1)
        y = (attention @ v).transpose(1, 2).reshape(batch, tokens, width)
        x = x + F.linear(y, w["attn.proj.weight"], w["attn.proj.bias"])
        y = F.layer_norm(x, (width,), w["norm2.weight"], w["norm2.bias"], 1e-6)
        y = F.linear(y, w["mlp.fc1.weight"], w["mlp.fc1.bias"])
        y = F.gelu(y)
        x = x + F.linear(y, w["mlp.fc2.weight"], w["mlp.fc2.bias"])
        outputs.append(x)
    return outputs


def embed(weights: Weights, images: Tensor) -> Tensor:
    patches = F.conv2d(images, weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"], stride=16)
    return patches.flatten(2).transpose(1, 2)


def vit(weights: Weights, images: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Class tokens after the final norm, and the tokens after every block."""
    patches = embed(weights, images)
    width = patches.shape[-1]
    x = torch.cat([weights["cls_token"].expand(len(patches), -1, -1), patches], 1) + weights["pos_embed"]
    outputs = blocks(weights, x, width // 64)
    return F.layer_norm(outputs[-1], (width,), weights["norm.weight"], weights["norm.bias"], 1e-6)[:, 0], outputs[1:]


def head(weights: Weights, x: Tensor) -> Tensor:
    x = F.relu(F.linear(x, weights["head.1.weight"], weights["head.1.bias"]))
    x = F.relu(F.linear(x, weights["head.3.weight"], weights["head.3.bias"]))
    return F.linear(x, weights["head.5.weight"], weights["head.5.bias"])[:, 0]


def released(weights: Weights, global_view: Tensor, mosaic: Tensor) -> Tensor:
    both = [vit(weights, view)[0] for view in (global_view, mosaic)]
    return head(weights, torch.cat(both, 1))


def sensitivity(selector: Weights, global_view: Tensor) -> Tensor:
    view = global_view.clone().requires_grad_()
    head(selector, vit(selector, view)[0]).sum().backward()
    return F.avg_pool2d(view.grad.sum(1, keepdim=True), 9, 9)[:, 0]


def positions(maps: np.ndarray) -> np.ndarray:
    """Corners of the most sensitive patches, one window after the other."""
    corners = np.zeros((len(maps), 7, 7, 2), np.int16)
    for n, entries in enumerate(maps):
        for i in range(7):
            for j in range(7):
                window = entries[i * 3 : i * 3 + 3, j * 3 : j * 3 + 3]
                x, y = divmod(int(np.argmax(window)), 3)
                corners[n, i, j] = [int((1.5 + i * 3 + x) / 24 * 768), int((1.5 + j * 3 + y) / 24 * 768)]
    return corners


def original(backbone: Weights, fusion: Weights, global_view: Tensor, mosaic: Tensor) -> Tensor:
    tokens = torch.stack([vit(backbone, view)[0] for view in (global_view, mosaic)], 1)
    x = torch.cat([fusion["cls_token"].expand(len(tokens), -1, -1), tokens], 1)
    x = blocks(fusion, x, 1)[-1]
    fused = F.layer_norm(x, (384,), fusion["norm.weight"], fusion["norm.bias"], 1e-6)[:, 0]
    return head(fusion, torch.cat([fused, tokens[:, 0], tokens[:, 1]], 1))
