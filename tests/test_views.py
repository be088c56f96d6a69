"""Every view against slow loops, for random sizes and offsets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtiqa_jax.models import views
from vtiqa_jax.models.config import ModelConfig, deit_small, tiny_config
from vtiqa_jax.training.finetune import FinetuneRecipe

mosaic = jax.jit(views.mosaic, static_argnames="patch")
patches_at = jax.jit(views.patches_at, static_argnames="patch")


@st.composite
def cut(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Photos of any size at least one cell a grid cell, offsets anywhere in their cells, and the cell."""
    grid, cell, batch = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    height, width = (draw(st.integers(grid * cell, grid * cell + 20)) for _ in range(2))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    photos = rng.integers(0, 256, (batch, height, width, 3), np.uint8)
    rows = rng.integers(0, height // grid - cell + 1, (batch, grid), np.int32)
    cols = rng.integers(0, width // grid - cell + 1, (batch, grid), np.int32)
    return photos, rows, cols, cell


def slow_mosaic(photo: np.ndarray, rows: np.ndarray, cols: np.ndarray, cell: int) -> np.ndarray:
    grid = len(rows)
    out = np.zeros((grid * cell, grid * cell, 3), np.uint8)
    for i in range(grid):
        for j in range(grid):
            for y in range(cell):
                for x in range(cell):
                    source = i * (photo.shape[0] // grid) + rows[i] + y, j * (photo.shape[1] // grid) + cols[j] + x
                    out[i * cell + y, j * cell + x] = photo[source]
    return out


@settings(max_examples=25, deadline=None, derandomize=True)
@given(cut())
def test_mosaic_is_the_double_loop(case: tuple[np.ndarray, np.ndarray, np.ndarray, int]) -> None:
    photos, rows, cols, cell = case
    slow = [slow_mosaic(photo, r, c, cell) for photo, r, c in zip(photos, rows, cols, strict=True)]
    each = mosaic(photos, rows, cols, cell)
    np.testing.assert_array_equal(each, slow)
    for_all = mosaic(photos, rows[0], cols[0], cell)
    np.testing.assert_array_equal(for_all, [slow_mosaic(photo, rows[0], cols[0], cell) for photo in photos])


@settings(max_examples=10, deadline=None, derandomize=True)
@given(cut())
def test_patches_at_the_mosaics_corners_are_the_mosaic(case: tuple[np.ndarray, np.ndarray, np.ndarray, int]) -> None:
    photos, rows, cols, cell = case
    grid = rows.shape[1]
    tops = np.arange(grid) * (photos.shape[1] // grid) + rows
    lefts = np.arange(grid) * (photos.shape[2] // grid) + cols
    corners = np.stack(np.broadcast_arrays(tops[:, :, None], lefts[:, None, :]), -1).astype(np.int32)
    patches = patches_at(photos, corners, cell)
    np.testing.assert_array_equal(patches, mosaic(photos, rows, cols, cell))


def test_the_test_time_mosaic_starts_at_38_in_cells_of_109(rng: np.random.Generator) -> None:
    photo = rng.integers(0, 256, (1, 768, 768, 3), np.uint8)
    offsets = np.full(7, 38)
    expected = slow_mosaic(photo[0], offsets, offsets, 32)
    assert np.array_equal(views.keep(jnp.asarray(photo), deit_small().eval_cuts[1])[0], expected)
    assert not np.array_equal(expected, slow_mosaic(photo[0], offsets + 1, offsets, 32))


def test_further_mosaics_lie_elsewhere_in_their_cells(rng: np.random.Generator) -> None:
    """Patches of 32 px in cells of 109: mosaic 1 at 1.2549 and 1.0698 of the 77 px, modulo 1."""
    photos = jnp.asarray(rng.integers(0, 256, (1, 768, 768, 3), np.uint8))
    corners = {1: (int(0.2548776662466927 * 77), int(0.0698402909980532 * 77)), 2: (0, int(0.6396805819961064 * 77))}
    for number, (row, col) in corners.items():
        cut = views.keep(photos, deit_small(eval_mosaics=3).eval_cuts[1 + number])
        np.testing.assert_array_equal(cut[0, :32, :32], photos[0, row : row + 32, col : col + 32])


@pytest.mark.parametrize(("stored", "start"), [(244, 10), (224, 0)])
def test_the_test_time_global_view_is_the_middle(rng: np.random.Generator, stored: int, start: int) -> None:
    photo = rng.integers(0, 256, (1, stored, stored, 3), np.uint8)
    middle = photo[:, start : start + 224, start : start + 224]
    np.testing.assert_array_equal(views.center_crop(jnp.asarray(photo), 224), middle)
    kept = deit_small(global_resize=stored).eval_cuts[0]
    np.testing.assert_array_equal(views.keep(jnp.asarray(photo), kept), middle)


def test_crop_and_flip_follow_each_photos_own_values(rng: np.random.Generator) -> None:
    photos = rng.integers(0, 256, (3, 9, 8, 3), np.uint8)
    top, left = np.array([0, 4, 2], np.int32), np.array([3, 0, 1], np.int32)
    cropped = views.crop(jnp.asarray(photos), jnp.asarray(top), jnp.asarray(left), 5)
    expected = [p[t : t + 5, x : x + 5] for p, t, x in zip(photos, top, left, strict=True)]
    np.testing.assert_array_equal(cropped, expected)
    flipped = views.flip(jnp.asarray(photos), jnp.array([True, False, True]))
    np.testing.assert_array_equal(flipped, [photos[0][:, ::-1], photos[1], photos[2][:, ::-1]])
    np.testing.assert_array_equal(views.flip(jnp.asarray(photos), jnp.array(True)), photos[:, :, ::-1])


def test_normalize_is_the_networks_input() -> None:
    pixels = np.array([[[[0, 128, 255]]]], np.uint8)
    expected = (np.array([0, 128, 255]) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(views.normalize(jnp.asarray(pixels))[0, 0, 0], expected, rtol=1e-6)


def test_augmentation_stays_inside_and_reaches_every_offset(config: ModelConfig) -> None:
    """Photos whose pixels hold their own row and column say where each view was cut."""
    batch = 400
    side = config.local_resize
    where = np.stack(np.broadcast_arrays(*np.ogrid[:side, :side], 0), -1).astype(np.uint8)
    local = jnp.asarray(np.repeat(where[None], batch, 0))
    small_ones = local[:, : config.global_resize, : config.global_resize]
    batch_of_photos = {"global_images": small_ones, "local_images": local}
    augment = jax.jit(lambda key: FinetuneRecipe().augment(key, batch_of_photos, config))
    global_view, mosaic = map(np.asarray, augment(jax.random.key(0)))
    left_to_right = np.sort(global_view[:, 0, [0, -1], 1], 1)
    assert (left_to_right[:, 1] - left_to_right[:, 0] == config.view_size - 1).all()
    assert set(left_to_right[:, 0]) == set(range(config.global_resize - config.view_size + 1))
    mirrored = global_view[:, 0, 0, 1] > global_view[:, 0, -1, 1]
    assert 0.4 < mirrored.mean() < 0.6
    # One flip for both views: a mirrored global view comes with a mirrored mosaic.
    np.testing.assert_array_equal(mirrored, mosaic[:, 0, 0, 1] > mosaic[:, 0, -1, 1])
    pitch = config.local_resize // config.mosaic_grid
    tops = mosaic[:, :: config.mosaic_patch, 0, 0] - np.arange(config.mosaic_grid) * pitch
    assert tops.min() == 0
    assert tops.max() == pitch - config.mosaic_patch
    # Rows are sampled apart from each other and from photo to photo.
    assert len({tuple(row) for row in tops}) == batch


def test_config_refuses_views_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="patches of 5 px"):
        tiny_config(patch_size=5)
    with pytest.raises(ValueError, match="at least the views' 28 px"):
        tiny_config(global_resize=27)
    with pytest.raises(ValueError, match="not a multiple of num_heads"):
        tiny_config(num_heads=5)
