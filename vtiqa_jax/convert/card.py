"""What an exported file says of itself: what it computes, on which scale, from which parameters."""

import importlib.metadata
import json

from vtiqa_jax.models import catalog
from vtiqa_jax.models.checkpoint import Checkpoint, LabelScale, to_metadata
from vtiqa_jax.models.params import hash_params

SCORE = "score: float32, on the scale"
DETAIL = (
    "detail: float32, what a photo shows at 100 %, on the scale; holds: float32, the largest scale at which it is"
    " sharp, clean and real, percent of its width; both NaN where nothing in it has structure"
)

INTERVALS = "low, high: float32, on the scale, between them the mean of thirty people is nine times in ten"
OPINIONS = "opinion_spread: float32, the standard deviation of single people's opinions, on the scale"


def make_card(name: str, checkpoint: Checkpoint, scale: LabelScale, inputs: str) -> dict[str, str]:
    """The entries of an exported model's metadata.

    Args:
        name: what the model is called, "default" or a path.
        checkpoint: the model.
        scale: what its scores mean.
        inputs: what the exported program takes.

    Returns:
        Text by key. `metadata` is JSON: config, scale and provenance, as in a checkpoint.
    """
    config = checkpoint.config
    known = {SCORE: True, DETAIL: config.native is not None, INTERVALS: config.intervals, OPINIONS: config.opinions}
    entries = {
        "vtiqa-jax": importlib.metadata.version("vtiqa-jax"),
        "input": inputs,
        "output": "; ".join(said for said, is_known in known.items() if is_known),
        "scale": scale.dataset,
        "low": f"{scale.low:g}",
        "high": f"{scale.high:g}",
        "higher_is_better": json.dumps(scale.higher_is_better),
        "params_sha256": hash_params(checkpoint.params),
        "metadata": json.dumps(to_metadata(checkpoint)),
    }
    if name == "default":  # of other models the license is not known
        entries |= {"license": catalog.DEFAULT_LICENSE, "attribution": catalog.DEFAULT_ATTRIBUTION}
    return entries
