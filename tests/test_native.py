"""Views of a photo at its own pixels: where they are taken, what they hold, and what a model is fed."""

import itertools
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest

from vtiqa_jax.models.config import LabelScale, tiny_config
from vtiqa_jax.models.params import init_params
from vtiqa_jax.photos import native
from vtiqa_jax.photos.native import NativeViews, Places, choose_places, cut_places, rank_places
from vtiqa_jax.photos.preparation import Preparation
from vtiqa_jax.photos.resize import Cut, shrink
from vtiqa_jax.scoring.scorer import Scorer


def grey(height: int, width: int, level: int = 128) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("shape", [(1, 1), (3, 9), (12, 7)])
def test_window_sums_are_those_of_every_square(size: int, shape: tuple[int, int], rng: np.random.Generator) -> None:
    values = rng.integers(0, 1 << 18, shape)
    expected = np.zeros_like(values)
    for row, column in np.ndindex(shape):
        top, left = row - size // 2, column - size // 2
        expected[row, column] = values[max(top, 0) : top + size, max(left, 0) : left + size].sum()
    np.testing.assert_array_equal(native._window_sums(values, size), expected)


def test_in_every_cell_the_place_of_most_structure_is_found(rng: np.random.Generator) -> None:
    """A checkered square, elsewhere in each cell, and a fainter one beside it."""
    grid, cell = 4, 30
    screen, expected = grey(grid * cell, grid * cell), []
    checkers = np.where(np.indices((9, 9)).sum(0) // 2 % 2, 200, 60)[:, :, None]
    for row, column in itertools.product(range(grid), repeat=2):
        top, left = row * cell + rng.integers(1, 20), column * cell + rng.integers(1, 20)
        screen[row * cell + 10, column * cell + 10] = 120
        screen[top : top + 9, left : left + 9] = checkers
        expected.append((top + 4.5, left + 4.5))
    places = choose_places(screen, grid)
    assert np.abs(places.centres * grid * cell - expected).max() <= 3  # all windows within the square are alike
    assert places.structure.min() > 20


def test_structure_is_in_grey_levels() -> None:
    """Of a ramp that rises by 3 from column to column: 3 across, none down."""
    ramp = np.repeat(3 * np.arange(60, dtype=np.uint8)[None, :, None], 40, 0).repeat(3, 2)
    np.testing.assert_allclose(choose_places(ramp, 1).structure, 3 / 2, rtol=1e-6)
    np.testing.assert_allclose(choose_places(ramp.transpose(1, 0, 2).copy(), 1).structure, 3 / 2, rtol=1e-6)


@pytest.mark.parametrize("level", [0, 255])
def test_a_flat_photo_has_no_structure(level: int) -> None:
    places = choose_places(grey(50, 70, level), 7)
    assert not places.structure.any()


def test_of_equal_places_the_first_is_taken() -> None:
    places = choose_places(grey(70, 140), 7)
    rows, columns = np.arange(7)[:, None] * 10 + 0.5, np.arange(7) * 20 + 0.5
    np.testing.assert_allclose(places.centres[:, 0].reshape(7, 7) * 70, np.broadcast_to(rows, (7, 7)))
    np.testing.assert_allclose(places.centres[:, 1].reshape(7, 7) * 140, np.broadcast_to(columns, (7, 7)))


@pytest.mark.parametrize("count", [4, 9])
def test_several_places_of_a_cell_are_the_best_of_its_parts(count: int, rng: np.random.Generator) -> None:
    """And the places of most structure in all cells are those that are found when there is one of each."""
    grid, side = 3, round(count**0.5)
    screen = rng.integers(0, 256, (144, 180, 3), np.uint8)
    ranked = rank_places(screen, grid, count)
    (alone,) = rank_places(screen, grid, 1)
    first = choose_places(screen, grid)
    for places in (ranked[0], alone):
        np.testing.assert_array_equal(places.centres, first.centres)
        np.testing.assert_array_equal(places.structure, first.structure)
    structure = np.stack([places.structure for places in ranked])
    assert (np.diff(structure, axis=0) <= 0).all() and len(ranked) == count
    centres = np.stack([places.centres for places in ranked])  # [rank, cell, 2]
    cells = np.floor(centres * grid).astype(int)
    np.testing.assert_array_equal(cells[..., 0] * grid + cells[..., 1], np.tile(np.arange(grid**2), (count, 1)))
    row, column = np.moveaxis(np.floor(centres * grid * side).astype(int) % side, -1, 0)
    assert (np.sort(row * side + column, axis=0) == np.arange(count)[:, None]).all(), "each part has one"


def test_views_of_a_factor_show_its_places_by_their_rank(rng: np.random.Generator) -> None:
    native_views = NativeViews((1, 2, 4), (4, 1, 4), 3, 8)
    photo = rng.integers(0, 256, (200, 240, 3), np.uint8)
    views, structure = native_views.make(photo, screen := shrink(photo, 100))
    ranked = rank_places(screen, 3, 4)
    expected = [(factor, rank) for factor, count in ((1, 4), (2, 1), (4, 4)) for rank in range(count)]
    assert native_views.spans == [slice(0, 4), slice(4, 5), slice(5, 9)]
    for number, (factor, rank) in enumerate(expected):
        np.testing.assert_array_equal(views[number], cut_places(photo, ranked[rank], 8, factor))
        np.testing.assert_array_equal(structure[number], ranked[rank].structure)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 3), (6, 5), (8, 200)])
def test_a_screen_with_fewer_pixels_than_cells_has_all_places(shape: tuple[int, int], rng: np.random.Generator) -> None:
    places = choose_places(rng.integers(0, 256, (*shape, 3), np.uint8), 7)
    assert places.centres.shape == (49, 2) and places.structure.shape == (49,)
    assert (places.centres > 0).all() and (places.centres < 1).all()


def test_the_steepest_edges_do_not_overflow() -> None:
    """Stripes two pixels wide, black and white: every pixel differs from that after the next by all there is."""
    stripes = np.where(np.arange(2048) // 2 % 2, 255, 0).astype(np.uint8)
    screen = np.broadcast_to(stripes[None, :, None], (2048, 2048, 3)).copy()
    middle = choose_places(screen, 7).structure[24]
    assert middle == pytest.approx(255 / 4)


def test_at_full_size_a_view_holds_the_photos_pixels(rng: np.random.Generator) -> None:
    photo = rng.integers(0, 256, (90, 120, 3), np.uint8)
    centres = np.array([(0.5, 0.5), (0.25, 0.75), (0.3, 0.2), (0.7, 0.6)])
    view = cut_places(photo, Places(centres, np.ones(4, np.float32)), 8, 1)
    for number, (row, column) in enumerate(centres):
        top, left = round(row * 90 - 4), round(column * 120 - 4)
        found = view[8 * (number // 2) : 8 * (number // 2) + 8, 8 * (number % 2) : 8 * (number % 2) + 8]
        np.testing.assert_array_equal(found, photo[top : top + 8, left : left + 8])


@pytest.mark.parametrize("factor", [2, 3, 8])
def test_a_shrunk_view_holds_rounded_means(factor: int, rng: np.random.Generator) -> None:
    photo = rng.integers(0, 256, (70, 65, 3), np.uint8)
    view = cut_places(photo, Places(np.array([[0.5, 0.5]]), np.ones(1, np.float32)), 4, factor)
    top, left = round(35 - 2 * factor), round(32.5 - 2 * factor)
    for row, column in np.ndindex(4, 4):
        square = photo[top + row * factor :, left + column * factor :][:factor, :factor]
        np.testing.assert_array_equal(view[row, column], np.floor(square.mean((0, 1), np.float64) + 0.5))


@pytest.mark.parametrize("shape", [(8, 8), (8, 50), (33, 9)])
def test_places_at_the_edge_stay_within_the_photo(shape: tuple[int, int]) -> None:
    """Whose pixels are their own positions."""
    rows, columns = np.indices(shape)
    photo = np.stack([rows, columns, np.full(shape, 7)], -1).astype(np.uint8)
    corners = np.array([(0, 0), (0, 1), (1, 0), (1, 1)], np.float64)
    view = cut_places(photo, Places(corners, np.ones(4, np.float32)), 8, 1).reshape(2, 8, 2, 8, 3)
    last = np.array(shape) - 8
    np.testing.assert_array_equal(view[:, 0, :, 0, 0], [[0, 0], [last[0]] * 2])
    np.testing.assert_array_equal(view[:, 0, :, 0, 1], [[0, last[1]]] * 2)
    assert (view[..., 2] == 7).all()


def test_a_photo_that_is_too_small_for_a_scale_is_black_there_and_has_no_structure(rng: np.random.Generator) -> None:
    views = NativeViews((1, 2, 4), (1, 1, 1), 7, 4)
    photo = rng.integers(1, 256, (15, 400, 3), np.uint8)  # 16 px are needed for a quarter
    seen, structure = views.make(photo, shrink(photo, 64))
    assert seen[:2].min() > 0 and not seen[2].any()
    assert structure[0].min() > 0 and not structure[2].any()
    np.testing.assert_array_equal(structure[0], structure[1])
    at_least, _ = views.make(np.concatenate([photo, photo[:1]]), shrink(photo, 64))
    assert at_least[2].any()


@pytest.mark.parametrize(
    "native_views", [None, NativeViews((1, 2, 8), (1, 1, 1), 7, 4), NativeViews((1, 8), (4, 9), 7, 4)]
)
@pytest.mark.parametrize("shape", [(1, 1), (40, 31), (300, 200)])
def test_what_is_made_has_the_shapes_and_types_that_are_said(
    native_views: NativeViews | None, shape: tuple[int, int], rng: np.random.Generator
) -> None:
    preparation = Preparation(64, (Cut.whole(34), Cut(96, np.arange(5), np.arange(9))), native_views)
    arrays = preparation.make(rng.integers(0, 256, (*shape, 3), np.uint8))
    assert [array.shape for array in arrays] == preparation.shapes
    assert [array.dtype for array in arrays] == preparation.dtypes
    assert sum(array.nbytes for array in arrays) == preparation.bytes


def test_a_screen_that_is_known_changes_nothing(rng: np.random.Generator) -> None:
    preparation = tiny_config(screen_side=40, native_factors=(1, 2), native_blocks=(1,)).preparation
    photo = rng.integers(0, 256, (90, 130, 3), np.uint8)
    for one, other in zip(preparation.make(photo), preparation.make(photo, shrink(photo, 40)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_file_and_its_pixels_are_judged_alike(tmp_path: Path, scale: LabelScale, rng: np.random.Generator) -> None:
    config = tiny_config(native_factors=(1, 2), native_blocks=(1,))
    photo = rng.integers(0, 256, (60, 80, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), photo[:, :, ::-1])
    scorer = Scorer(config, init_params(config, 0), scale, devices=jax.devices()[:1])
    file, array = scorer.stream([tmp_path / "a.png", photo], batch_size=2)
    assert file.detail is not None and file.holds is not None
    assert (file.score, file.detail, file.holds) == pytest.approx((array.score, array.detail, array.holds), abs=1e-5)
