"""The colours of quality: one ramp in pictures and on pages."""

import re
from pathlib import Path

import numpy as np

from vtiqa_jax.scoring.colours import RAMP, quality_colours, write_ramp
from vtiqa_jax.scoring.quality_map import MIN_RANGE

PACKAGE = Path(__file__).parents[1] / "vtiqa_jax"


def test_pages_have_the_colours_of_pictures() -> None:
    assert tuple(re.findall(r"--q\d: (#\w{6})", write_ramp())) == RAMP
    for file in ("export/page/style.css", "gallery/page.css"):
        light = re.sub(r"@media.*?\n}\n", "", (PACKAGE / file).read_text(), flags=re.DOTALL)
        assert re.findall(r"var\(--q\d\)", light), file
        assert not {colour for colour in RAMP if f"--q: {colour}" in light or f"{colour}," in light}, "of their own"


def test_maps_on_pages_span_as_much_as_those_in_pictures() -> None:
    (least,) = re.findall(r"const MIN_RANGE = ([\d.]+);", (PACKAGE / "web" / "ramp.js").read_text())
    assert float(least) == MIN_RANGE


def test_the_worst_is_red_and_the_best_blue_whichever_way_the_scale_runs() -> None:
    worst, best = (np.array(quality_colours(higher_is_better=True)(place)) for place in (0.0, 1.0))
    assert worst[0] > worst[2]
    assert best[2] > best[0]
    turned = quality_colours(higher_is_better=False)
    np.testing.assert_allclose([turned(1.0), turned(0.0)], [worst, best])
