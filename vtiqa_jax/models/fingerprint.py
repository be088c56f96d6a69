"""The identity of the model that made a score: scores of equal identities can be compared."""

import dataclasses
import hashlib
import json
from typing import Any

import jax

from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.params import hash_params
from vtiqa_jax.models.percentiles import DETAIL, SCORES, read_percentiles
from vtiqa_jax.photos.resize import ARITHMETIC

Identity = dict[str, Any]
"""JSON."""


def identify(model: Checkpoint, compute_dtype: ComputeDtype) -> Identity:
    """Returns all that a photo's result depends on but its decoded pixels.

    Raises:
        UserError: the percentiles in what the model was made from are damaged.
    """
    scores, detail = (read_percentiles(model.provenance, place) for place in (SCORES, DETAIL))
    identity = {
        "weights": hash_params(jax.device_get(model.params)),
        "config": dataclasses.asdict(model.config),
        "scale": dataclasses.asdict(model.scale) if model.scale else None,
        "percentiles": None if scores is None else _hash(scores.tolist()),
        "compute_dtype": compute_dtype,
        "resizing": ARITHMETIC,
    }
    if detail is not None:
        identity["detail percentiles"] = _hash(detail.tolist())
    return json.loads(json.dumps(identity))


def fingerprint(identity: Identity) -> str:
    """Returns 16 hexadecimal digits that stand for an identity."""
    return _hash(identity)[:16]


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
