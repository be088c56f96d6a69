"""The metadata of an exported file: what it computes, on which scale, from which parameters."""

import importlib.metadata
import json
from typing import Any

import numpy as np

from vtiqa_jax.models import catalog
from vtiqa_jax.models.checkpoint import Checkpoint, to_metadata
from vtiqa_jax.models.config import LabelScale
from vtiqa_jax.models.false_alarms import DEFAULT_RATE
from vtiqa_jax.models.faults import FALSE_ALARMS
from vtiqa_jax.models.params import Params, hash_params
from vtiqa_jax.results.reasons import PLAIN, SEVERE, WORDS

SCORE = "score: float32, on the scale"
TASTE = "score: float32, on the scale, by one person's taste"
DETAIL = (
    "detail: float32, what a photo shows at 100 %, on the scale; holds: float32, the largest scale at which it is"
    " sharp, clean and real, percent of its width; both NaN where nothing in it has structure"
)

INTERVALS = "low, high: float32, on the scale, between them the mean of thirty people is nine times in ten"
OPINIONS = "opinion_spread: float32, the standard deviation of single people's opinions, on the scale"
NOVELTY = "novelty: float32, how unlike a photograph a picture is; above 0 it is none, and its score means little"
REASONS = (
    "strengths: float32 [batch, faults], how much of each fault a photo has; probabilities: float32 [batch, faults],"
    " that a judge calls it plain; the entry `reasons` has the faults and from which strength each is named"
)


def describe_reasons(params: Params) -> dict[str, Any]:
    """Returns the names of faults, what is said of them, and from which strength they are named, as JSON."""
    rates = [f"{rate:g}" for rate in FALSE_ALARMS]
    return {
        "faults": list(WORDS),
        "words": list(WORDS.values()),
        "levels": [PLAIN, SEVERE],
        "false_alarms": f"{DEFAULT_RATE:g}",
        "thresholds": dict(zip(rates, np.asarray(params["reasons.thresholds"]).astype(float).tolist(), strict=True)),
    }


def make_card(name: str, checkpoint: Checkpoint, scale: LabelScale, inputs: str) -> dict[str, str]:
    """Makes the entries of an exported model's metadata.

    Args:
        name: what the model is called, "default" or a path.
        checkpoint: the model.
        scale: what its scores mean.
        inputs: what the exported program takes.

    Returns:
        Text by key. `metadata` is JSON: config, scale and provenance, as in a checkpoint; `reasons` is JSON, too.
    """
    config = checkpoint.config
    known = {
        TASTE if config.taste else SCORE: True,
        DETAIL: config.native is not None,
        REASONS: config.reasons,
        INTERVALS: config.intervals,
        OPINIONS: config.opinions,
        NOVELTY: config.novelty,
    }
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
    if config.reasons:
        entries["reasons"] = json.dumps(describe_reasons(checkpoint.params))
    if name == "default":  # of other models the license is not known
        entries |= {"license": catalog.DEFAULT_LICENSE, "attribution": catalog.DEFAULT_ATTRIBUTION}
    return entries
