"""`vtiqa info`: what a model is and where it came from."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from vtiqa_jax.models import catalog
from vtiqa_jax.models.fingerprint import fingerprint, identify

SHOWN = 200
"""Characters of one entry that are shown."""


def _flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    lines: dict[str, str] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            lines |= _flatten(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            lines[prefix + name] = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    return lines


def info(model: str = "default", /) -> None:
    """Prints a model's card: its kind, sizes, label scale, and what it was made from.

    Example: vtiqa info default

    Args:
        model: Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model.
    """
    loaded = catalog.load(model)
    count = sum(int(np.prod(array.shape)) for array in loaded.params.values())
    lines = {"model": model, "parameters": f"{count:,}", "scale": str(loaded.scale or "a backbone without a head")}
    if loaded.scale:
        config = loaded.config
        known = {
            "detail": config.native,
            "reasons": config.reasons,
            "intervals": config.intervals,
            "novelty": config.novelty,
            "one person's taste": config.taste,
        }
        lines["says"] = ", ".join(["score", *(name for name, is_known in known.items() if is_known)])
    lines["fingerprint"] = fingerprint(identify(loaded, "float32"))
    lines |= _flatten(vars(loaded.config), "config.") | _flatten(loaded.provenance, "provenance.")
    width = max(map(len, lines))
    for name, value in lines.items():
        print(f"{name:<{width}}  {value}")
