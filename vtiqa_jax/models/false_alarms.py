"""Thresholds of faults for a rate of false alarms, at which good photos get a reason."""

import numpy as np
from jaxtyping import Float

from vtiqa_jax.errors import UserError
from vtiqa_jax.models.faults import FALSE_ALARMS, FAULTS

DEFAULT_RATE = 0.02
"""Share of good photos for which any reason is named at all."""


def choose_thresholds(thresholds: Float[np.ndarray, "rates faults"], false_alarms: float) -> dict[str, float]:
    """Returns the strengths from which faults are named, linear in the logarithm of the rate between known ones.

    Args:
        thresholds: for each of `FALSE_ALARMS`.
        false_alarms: share of good photos of which any fault is named, by all faults together.

    Raises:
        UserError: the rate lies beyond those that are known.
    """
    if not FALSE_ALARMS[0] <= false_alarms <= FALSE_ALARMS[-1]:
        raise UserError(
            f"the model has no thresholds for a rate of false alarms of {false_alarms:g};"
            f" choose one from {FALSE_ALARMS[0]:g} to {FALSE_ALARMS[-1]:g}"
        )
    known = np.log(FALSE_ALARMS)
    return {
        name: float(np.interp(np.log(false_alarms), known, strengths))
        for name, strengths in zip(FAULTS, thresholds.T, strict=True)
    }
