"""Why a photo is bad, in words: its faults by name, the strongest first."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vtiqa_jax.errors import UserError

WORDS: dict[str, tuple[str, str, str]] = {
    "defocus": ("slightly out of focus", "out of focus", "badly out of focus"),
    "motion": ("slight motion blur", "motion blur", "severe motion blur"),
    "luminance_noise": ("slight luminance noise", "luminance noise", "severe luminance noise"),
    "chroma_noise": ("slight colour noise", "colour noise", "severe colour noise"),
    "compression": ("slight compression artefacts", "compression artefacts", "severe compression artefacts"),
    "enlarged": ("slightly enlarged", "enlarged", "greatly enlarged"),
    "too_dark": ("slightly too dark", "too dark", "far too dark"),
    "clipped_highlights": ("slightly clipped highlights", "clipped highlights", "severely clipped highlights"),
    "low_contrast": ("slight haze or low contrast", "haze or low contrast", "severe haze or low contrast"),
    "colour_cast": ("slight colour cast", "colour cast", "severe colour cast"),
}
"""Words for a slight, a plain and a severe fault, in the order of `models.faults.FAULTS`."""
LEVELS = ("slight", "plain", "severe")
PLAIN, SEVERE = 1.5, 2.5
"""Strengths from which a fault is plain, and severe: half way between what was planted."""
ALIASES = {
    "blur": "defocus",
    "focus": "defocus",
    "shake": "motion",
    "noise": "luminance_noise",
    "grain": "luminance_noise",
    "color_noise": "chroma_noise",
    "jpeg": "compression",
    "artefacts": "compression",
    "artifacts": "compression",
    "upscaled": "enlarged",
    "dark": "too_dark",
    "underexposed": "too_dark",
    "highlights": "clipped_highlights",
    "clipped": "clipped_highlights",
    "overexposed": "clipped_highlights",
    "haze": "low_contrast",
    "contrast": "low_contrast",
    "cast": "colour_cast",
    "color_cast": "colour_cast",
}
"""Other names that people may give a fault; `find_fault` knows the words of a plain one, too."""


class Fault(NamedTuple):
    """How much of a fault a photo has. A reason is a fault that is named; `str` says it in words."""

    name: str
    """Name in `models.faults.FAULTS`, such as "luminance_noise"."""
    strength: float
    """1 is slight, 2 plain and 3 severe; below 0.5 there is hardly any."""
    probability: float
    """Probability that a person names it, 0 to 1."""
    is_named: bool = False
    """Whether its strength reaches the threshold of the rate of false alarms that was asked for."""

    @property
    def level(self) -> str:
        """How strong it is: "slight", "plain" or "severe"."""
        return LEVELS[(self.strength >= PLAIN) + (self.strength >= SEVERE)]

    def __str__(self) -> str:
        return WORDS[self.name][LEVELS.index(self.level)]


def name_faults(faults: Sequence[Fault], thresholds: Mapping[str, float]) -> tuple[Fault, ...]:
    """Returns faults of which those are named that are at least as strong as their threshold."""
    return tuple(fault._replace(is_named=fault.strength >= thresholds[fault.name]) for fault in faults)


def say_reasons(reasons: Sequence[Fault]) -> str:
    """Says reasons in words: "severe motion blur; too dark"."""
    return "; ".join(map(str, reasons))


def _normalize(text: str) -> str:
    return text.strip().lower().replace("-", "_").replace(" ", "_")


def say_reading(text: str) -> str:
    """Says which fault is meant by one of `ALIASES`: blur, say, might be another one. Nothing of another text."""
    name = ALIASES.get(_normalize(text))
    return f"{text} is read as {WORDS[name][1]}; the faults are {', '.join(WORDS)}" if name else ""


def find_fault(text: str) -> str:
    """Finds the fault that a person means.

    Args:
        text: its name, its words or one of `ALIASES`, with spaces, hyphens or underscores.

    Raises:
        UserError: there is no such fault.
    """
    asked = _normalize(text)
    by_words = {plain.replace(" ", "_"): name for name, (_, plain, _) in WORDS.items()}
    found = asked if asked in WORDS else (by_words | ALIASES).get(asked)
    if found is None:
        raise UserError(f"{text!r} is not a fault; choose from {', '.join(WORDS)}")
    return found
