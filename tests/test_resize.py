"""What a model sees of a photo: the release's bicubic, the same on every machine, and the antialiased screen size."""

import hashlib
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from vtiqa_jax.models.config import deit_small
from vtiqa_jax.photos.resize import Cut, prepare, resize_bicubic, resize_nearest, shrink


def textured(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Fine and coarse detail."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.addWeighted(cv2.GaussianBlur(noise, (0, 0), 1), 0.5, cv2.GaussianBlur(noise, (0, 0), 4), 0.5, 0)


def opencv(pixels: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("size", [(512, 512), (500, 400), (1000, 700), (3, 5), (1, 900)])
def test_the_bicubic_is_the_releases(size: tuple[int, int]) -> None:
    """Opencv rounds a few pixels otherwise, by one level, and with Intel's IPP others than without it."""
    pixels = textured(*size)
    for side in (244, 768):
        ours = resize_bicubic(pixels, (side, side)).astype(int)
        difference = np.abs(ours - opencv(pixels, side))
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.1, "without IPP OpenCV has weights of 11 bits, and every sixteenth differs"


def test_pillows_kernel_is_another() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    pillow = np.asarray(Image.fromarray(noise).resize((768, 768), Image.Resampling.BICUBIC))
    difference = np.abs(resize_bicubic(noise, (768, 768)).astype(int) - pillow)
    assert difference.max() > 10 and (difference > 0).mean() > 0.5


def test_a_cut_is_cut_out_of_the_whole() -> None:
    pixels, config = textured(300, 420), deit_small(eval_mosaics=2)
    for cut in (*config.eval_cuts, *config.stored_cuts, Cut(768, np.array([767, 3, 3]), np.arange(5))):
        whole = resize_bicubic(pixels, (cut.side, cut.side))
        (found,) = prepare(pixels, None, (cut,))
        np.testing.assert_array_equal(found, whole[cut.rows[:, None], cut.columns])


PIXELS_ALONE = """
import hashlib, sys
import cv2, numpy as np
from vtiqa_jax.models.config import deit_small
from vtiqa_jax.photos.resize import prepare
cv2.setUseOptimized(sys.argv[1] == "optimized")
noise = np.random.default_rng(0).integers(0, 256, (700, 610, 3), np.uint8)
views = prepare(noise, 512, deit_small().eval_cuts)
print(hashlib.sha256(b"".join(view.tobytes() for view in views)).hexdigest())
"""


def test_no_instruction_set_changes_what_a_model_sees() -> None:
    """OpenCV's resize changes one pixel of sixteen without IPP; NumPy's and Pillow's operations none."""
    found = set()
    for words, environment in (
        ("optimized", {}),
        ("plain", {"OPENCV_IPP": "disabled", "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F"}),
    ):
        ran = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PIXELS_ALONE, words],
            env=os.environ | environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found.add(ran.stdout.splitlines()[-1])
    assert len(found) == 1
    noise = np.random.default_rng(0).integers(0, 256, (700, 610, 3), np.uint8)
    views = prepare(noise, 512, deit_small().eval_cuts)
    assert found == {hashlib.sha256(b"".join(view.tobytes() for view in views)).hexdigest()}


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 3000, 3), (5, 2, 3), (3000, 1, 3)])
@pytest.mark.parametrize("screen_side", [None, 512])
def test_any_size_can_be_prepared(shape: tuple[int, int, int], screen_side: int | None) -> None:
    small, large = prepare(np.full(shape, 9, np.uint8), screen_side, deit_small().stored_cuts)
    assert small.shape == (244, 244, 3)
    assert large.shape == (768, 768, 3)
    assert (large == 9).all()


def test_nearest_repeats_pixels() -> None:
    pixels = textured(7, 5)
    np.testing.assert_array_equal(
        resize_nearest(pixels, (20, 30)), cv2.resize(pixels, (30, 20), interpolation=cv2.INTER_NEAREST)
    )


# ---- the screen size ----


@pytest.mark.parametrize("size", [(512, 512), (512, 300), (20, 512), (1, 1)])
def test_a_photo_up_to_the_screens_size_is_untouched(size: tuple[int, int]) -> None:
    pixels = textured(*size)
    assert shrink(pixels, 512) is pixels
    assert shrink(textured(600, 900), None).shape == (600, 900, 3), "the release shrinks none"


def test_detail_that_the_screen_cannot_show_becomes_grey_and_not_noise() -> None:
    """A chequerboard of single pixels, as leaves and grass of a large photo."""
    board = np.repeat((255 * (np.indices((2048, 2048)).sum(0) % 2))[:, :, None], 3, 2).astype(np.uint8)
    screen = shrink(board, 512)
    assert screen.shape == (512, 512, 3)
    assert screen.std() < 2
    assert resize_bicubic(board, (500, 500)).std() > 20, "the release's rule makes coarse patterns of it"


@pytest.mark.parametrize(
    ("size", "shrunk"), [((513, 513), (512, 512)), ((3000, 2000), (512, 341)), ((1, 9999), (1, 512))]
)
def test_the_longer_side_becomes_the_screens(size: tuple[int, int], shrunk: tuple[int, int]) -> None:
    assert shrink(textured(*size), 512).shape[:2] == shrunk


def test_every_channel_is_shrunk_as_pillow_shrinks_the_photo() -> None:
    pixels = textured(900, 700)
    expected = np.asarray(Image.fromarray(pixels).resize((398, 512), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(shrink(pixels, 512), expected)
