"""Differences between two models' identities, see `models.fingerprint`."""

from collections.abc import Mapping
from typing import Any


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Returns the names of what differs between two identities, or other JSON: `config.eval_mosaics`, say."""
    names = []
    for name in sorted(first.keys() | second.keys()):
        one, other = first.get(name), second.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            names += [f"{name}.{inner}" for inner in differences(one, other)]
        elif one != other:
            names.append(name)
    return names
