"""Any model by its name: the one that comes with the package, a quantized file or a checkpoint's folder."""

from pathlib import Path

from vtiqa_jax.models import checkpoint, quantized
from vtiqa_jax.models.checkpoint import Checkpoint

DEFAULT = Path(__file__).with_name("default.npz")
"""The packaged model: a VT-IQA of 8 blocks, trained by this project. docs/default-model.md is its card."""


def load(name: str | Path = "default") -> Checkpoint:
    """Reads a model.

    Args:
        name: "default", a quantized file (.npz), or a checkpoint's folder.

    Raises:
        UserError: there is no such model, or it is damaged.
    """
    if name == "default":
        return quantized.load(DEFAULT)
    path = Path(name)
    return quantized.load(path) if path.suffix == ".npz" else checkpoint.load(path)
