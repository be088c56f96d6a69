"""The colours of quality, the same in every map and on every page."""

from matplotlib.colors import Colormap, LinearSegmentedColormap

RAMP = ("#a8320f", "#c8671c", "#b3923a", "#4f908d", "#1f6b9c")
"""From the worst, ember, over ochre to the best, sea: told apart with any kind of colour vision. `gallery/page.css` and
`export/page/` have them, too."""


def quality_colours(*, higher_is_better: bool) -> Colormap:
    """Returns the colours for numbers that are better the higher they are, or the lower."""
    return LinearSegmentedColormap.from_list("quality", RAMP if higher_is_better else RAMP[::-1])
