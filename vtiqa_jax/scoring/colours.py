"""The colours of quality, the same in every map and on every page."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

RAMP = ("#a8320f", "#c8671c", "#b3923a", "#4f908d", "#1f6b9c")
"""Colours from the worst, ember, over ochre to the best, sea: told apart with any kind of colour vision."""


def quality_colours(*, higher_is_better: bool) -> "Colormap":
    """Returns the colours for numbers that are better the higher they are, or the lower."""
    from matplotlib.colors import LinearSegmentedColormap  # pages do not wait for matplotlib

    return LinearSegmentedColormap.from_list("quality", RAMP if higher_is_better else RAMP[::-1])


def write_ramp() -> str:
    """Returns the colours as the beginning of a page's style sheet: `--q0`, the worst, to `--q4`."""
    return f":root {{ {' '.join(f'--q{stop}: {colour};' for stop, colour in enumerate(RAMP))} }}\n"
