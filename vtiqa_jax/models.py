"""Any model by its name: the one that comes with the package, a packed file or a checkpoint."""

from pathlib import Path

from vtiqa_jax import checkpoint, packed
from vtiqa_jax.checkpoint import Checkpoint

DEFAULT = Path(__file__).with_name("default.npz")
"""The packaged model: a VT-IQA of 8 blocks, trained by this project. docs/default-model.md is its card."""


def load(name: str | Path = "default") -> Checkpoint:
    """The model called "default", or in a packed file (.npz), or in a checkpoint's folder. Errors: UserError."""
    if name == "default":
        return packed.load(DEFAULT)
    path = Path(name)
    return packed.load(path) if path.suffix == ".npz" else checkpoint.load(path)
