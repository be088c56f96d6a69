"""A small model that names faults, drawn at random; of photos of noise it names some and not others."""

import numpy as np

from vtiqa_jax.models.config import LabelScale, ModelConfig, tiny_config
from vtiqa_jax.models.faults import FALSE_ALARMS, FAULTS
from vtiqa_jax.models.params import Params, init_params

CONFIG: ModelConfig = tiny_config(native_factors=(1, 2, 4, 8), native_blocks=(1,), reasons=True)
"""Views of 28 px, places of 4 px."""
SCALE = LabelScale("test", 1.0, 5.0)


def draw_weights(config: ModelConfig = CONFIG, threshold: float = 0.5) -> Params:
    """Large ones, so that photos differ and faults are of every level.

    Args:
        config: of a model with reasons.
        threshold: strength from which every fault is named at a rate of .02; at half the rate .1 more is needed.
    """

    def gain(name: str) -> np.float32:
        if name.endswith("_faults.kernel"):
            return np.float32(10)
        return np.float32(3 if name.endswith("kernel") and not name.startswith("reasons.") else 1)

    weights = {name: np.asarray(array) * gain(name) for name, array in init_params(config, seed=0).items()}
    rates = np.log2(0.02 / np.array(FALSE_ALARMS)) / 10
    thresholds = np.tile((threshold + rates)[:, None], (1, len(FAULTS))).astype(np.float32)
    return weights | {"detail.curve": np.array([1, 5, 1, -1], np.float32), "reasons.thresholds": thresholds}
