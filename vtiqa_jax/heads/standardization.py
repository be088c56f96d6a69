"""Inputs of heads on one scale while they are fitted, and as they are when they are used."""

import dataclasses
from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32

from vtiqa_jax.models.params import Params

LEAST_DEVIATION = 0.05
"""Added to deviations: an input that hardly varies must not count as much as others."""


@dataclasses.dataclass(frozen=True)
class Standardization:
    """By which numbers inputs are shifted and scaled."""

    mean: Float32[np.ndarray, " features"]
    deviation: Float32[np.ndarray, " features"]

    @classmethod
    def of(cls, inputs: Float32[np.ndarray, "rows features"]) -> "Standardization":
        """Measures inputs."""
        return cls(inputs.mean(0), inputs.std(0) + np.float32(LEAST_DEVIATION))

    def __call__(self, inputs: Float[Array, "*shape features"]) -> Float[Array, "*shape features"]:
        """Returns standardized inputs."""
        return (inputs - self.mean) / self.deviation

    def fold_into(self, params: Params, layer: str) -> Params:
        """Returns the parameters of a head whose linear layer takes the inputs as they are.

        Args:
            params: of the head that takes standardized ones.
            layer: its name.
        """
        kernel, bias = params[f"{layer}.kernel"], params[f"{layer}.bias"]
        folded = {
            f"{layer}.kernel": kernel / self.deviation[:, None],
            f"{layer}.bias": bias - (self.mean / self.deviation) @ kernel,
        }
        return params | folded


def by_name(state: Any, prefix: str = "") -> Params:
    """Returns the parameters of a head's state on the host, by name.

    Args:
        state: of `nnx.Param`.
        prefix: of the names.
    """
    return {prefix + ".".join(map(str, path)): np.asarray(leaf) for path, leaf in nnx.to_flat_state(state)}
