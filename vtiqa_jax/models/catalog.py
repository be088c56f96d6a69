"""Any model by its name: the one that comes with the package, a quantized file or a checkpoint's folder."""

from pathlib import Path

from vtiqa_jax.models import checkpoint, quantized
from vtiqa_jax.models.checkpoint import Checkpoint

DEFAULT = Path(__file__).with_name("default.npz")
"""The packaged model: a VT-IQA of 8 blocks, trained by this project. docs/default-model.md is its card."""
DEFAULT_LICENSE = "Apache-2.0"
DEFAULT_ATTRIBUTION = (
    "Made by the vtiqa-jax authors from DINOv2-small (M. Oquab et al., TMLR 2024; facebookresearch/dinov2, Apache-2.0)"
    " with photographs and scores of BIQ2021 (N. Ahmed, H. Shahid, J. Electronic Imaging 31(5), 053010, 2022)."
    " It is not the published VT-IQA."
)


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
