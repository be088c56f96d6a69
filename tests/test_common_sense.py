"""The packaged model notices what everybody notices, on photographs that it never saw."""

import numpy as np
import pytest
from common_sense import WAYS, Photo, examine, noticed

import vtiqa_jax
from vtiqa_jax.data import demo


def test_what_is_noticed_by_hand() -> None:
    clean = np.array([0.8, 0.5])
    worse = np.array([[0.7, 0.6, 0.5], [0.4, 0.45, 0.6]])
    found = noticed(clean, worse)
    assert found["below clean"] == [1.0, 1.0, 0.5]
    assert found["falling"] == 0.5
    assert found["strong drop"] == pytest.approx((0.3 - 0.1) / 2)


@pytest.mark.slow
def test_the_packaged_model_has_common_sense() -> None:
    photos: dict[str, Photo] = {}
    originals = demo.originals()
    for name in ("astronaut.png", "coffee.png", "chelsea.png", "flower.jpg"):
        pixels = originals[name]
        top, left = (max(0, (side - 512) // 2) for side in pixels.shape[:2])
        photos[name] = np.ascontiguousarray(pixels[top : top + 512, left : left + 512])
    found = examine(vtiqa_jax.load(), photos, tuple(WAYS))
    for way in WAYS:
        assert found[way]["below clean"][2] == 1, way
        assert found[way]["falling"] >= 3 / 4, way
    for kind in ("random noise", "one colour", "stripes", "chequerboard"):
        assert found[kind]["photos above"] == 1, kind
