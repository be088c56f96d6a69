"""The identity of the model that made a score: scores of equal identities can be compared."""

import dataclasses
import hashlib
import json
from typing import Any

import jax

from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.compute_dtype import ComputeDtype
from vtiqa_jax.models.params import hash_params
from vtiqa_jax.photos.resize import ARITHMETIC

Identity = dict[str, Any]
"""JSON."""


def identify(model: Checkpoint, compute_dtype: ComputeDtype) -> Identity:
    """Returns all that a photo's result depends on but its decoded pixels."""
    trained, detail = (model.provenance.get(name, {}).get("percentiles") for name in ("trained", "detail"))
    identity = {
        "weights": hash_params(jax.device_get(model.params)),
        "config": dataclasses.asdict(model.config),
        "scale": dataclasses.asdict(model.scale) if model.scale else None,
        "percentiles": _hash(trained["scores"]) if trained else None,
        "detail percentiles": _hash(detail) if detail else None,
        "compute_dtype": compute_dtype,
        "resizing": ARITHMETIC,
    }
    return json.loads(json.dumps(identity))


def fingerprint(identity: Identity) -> str:
    """Returns 16 hexadecimal digits that stand for an identity."""
    return _hash(identity)[:16]


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
