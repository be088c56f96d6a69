"""The small model that comes with the package. docs/default-model.md is its card."""

from pathlib import Path

from vtiqa_jax import packed
from vtiqa_jax.checkpoint import Checkpoint

PATH = Path(__file__).with_name("default.npz")


def load() -> Checkpoint:
    """The packaged model: a VT-IQA of 8 blocks, trained by this project. It is not the published VT-IQA."""
    return packed.load(PATH)
