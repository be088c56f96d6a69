"""The colours of quality: one ramp in pictures and on pages."""

import re
from pathlib import Path

import numpy as np
import pytest

from vtiqa_jax.scoring.colours import RAMP, quality_colours

PACKAGE = Path(__file__).parents[1] / "vtiqa_jax"


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("export/page/map.js", r"const RAMP = (\[.*?\])"),
        ("export/page/style.css", r"linear-gradient\(90deg, (.*?)\)"),
        ("gallery/page.css", r":root \{(.*?)\}"),
    ],
)
def test_pages_have_the_colours_of_pictures(file: str, pattern: str) -> None:
    match = re.search(pattern, (PACKAGE / file).read_text(), re.DOTALL)
    assert match
    shown = re.findall(r"--q\d: (#\w{6})", match[1]) or re.findall(r"#\w{6}", match[1])
    assert tuple(shown) == RAMP


def test_the_worst_is_red_and_the_best_blue_whichever_way_the_scale_runs() -> None:
    worst, best = (np.array(quality_colours(higher_is_better=True)(place)) for place in (0.0, 1.0))
    assert worst[0] > worst[2]
    assert best[2] > best[0]
    turned = quality_colours(higher_is_better=False)
    np.testing.assert_allclose([turned(1.0), turned(0.0)], [worst, best])
