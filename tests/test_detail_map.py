"""Maps of detail: which pixels each place is judged by, what has no structure, and what commands make of them."""

import base64
import dataclasses
import json
import re
from pathlib import Path

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from tests.conftest import Command
from tests.detailed import CONFIG, SCALE, draw_weights, noisy
from vtiqa_jax import Scorer, UserError, __main__
from vtiqa_jax.gallery import page, zooms
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.models.detail import CAUSE_WEIGHTS, SOFTNESS
from vtiqa_jax.models.params import Params, abstract_model, merge_params
from vtiqa_jax.models.views import normalize
from vtiqa_jax.models.vtiqa import VTIQA
from vtiqa_jax.photos.decode import decode, read
from vtiqa_jax.photos.files import find
from vtiqa_jax.photos.native import shrink_whole, structure_of_cells
from vtiqa_jax.photos.place_grid import PlaceGrid, Region, arrange_mosaics, arrange_tiles
from vtiqa_jax.scoring import detail_map
from vtiqa_jax.scoring.detail_map import DetailMap, choose_factor
from vtiqa_jax.scoring.map_pictures import draw_maps

PATCH, VIEW = CONFIG.mosaic_patch, CONFIG.view_size


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(CONFIG, draw_weights(), SCALE)


# ---- places and views ----

SIDES = st.integers(1, 30)


@given(SIDES, SIDES, st.integers(1, 7))
def test_every_place_is_in_a_view(rows: int, columns: int, grid: int) -> None:
    for arrange in (arrange_tiles, arrange_mosaics):
        views = arrange(rows, columns, grid)
        assert views.shape[1:] == (grid, grid)
        assert set(views.ravel().tolist()) == set(range(rows * columns))


@given(st.integers(7, 30), st.integers(7, 30))
def test_a_tile_s_places_are_neighbours_and_a_mosaic_s_are_not(rows: int, columns: int) -> None:
    for view in arrange_tiles(rows, columns, 7):
        down, across = np.divmod(view, columns)
        assert (np.diff(down, axis=0) == 1).all() and (np.diff(across, axis=1) == 1).all()
        assert (np.diff(down, axis=1) == 0).all() and (np.diff(across, axis=0) == 0).all()
    mosaics = arrange_mosaics(rows, columns, 7)
    steps = np.diff(mosaics[0].ravel()) % (rows * columns)
    assert (steps == len(mosaics) % (rows * columns)).all(), "evenly from all over, row by row"


def test_a_view_shows_its_places_side_by_side() -> None:
    photo = noisy(3 * VIEW // 2, 2 * VIEW)
    grid = PlaceGrid.cut(photo, photo, Region(0, 0, *photo.shape[:2]), PATCH, 1)
    rows, columns = grid.structure.shape
    first, second, third, _ = grid.views(arrange_tiles(rows, columns, CONFIG.mosaic_grid))
    filled = grid.region.cut(photo)
    assert filled.shape == (photo.shape[0] - 2, *photo.shape[1:])
    np.testing.assert_array_equal(first, filled[:VIEW, :VIEW])
    np.testing.assert_array_equal(second, filled[:VIEW, VIEW:])
    np.testing.assert_array_equal(third, filled[-VIEW:, :VIEW], "the last one overlaps")


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 8])
def test_pixels_are_shrunk_by_rounded_means(factor: int) -> None:
    photo = noisy(24, 48)
    exact = photo.reshape(24 // factor, factor, 48 // factor, factor, 3).mean((1, 3))
    np.testing.assert_array_equal(shrink_whole(photo, factor), np.floor(exact + 0.5))


def test_structure_is_that_of_the_same_place() -> None:
    photo = np.full((40, 60, 3), 100, np.uint8)
    photo[:20, 40:, :] = np.where(np.arange(20) % 4 < 2, 80, 120)[None, :, None]
    found = structure_of_cells(photo, np.array([0, 0.5, 1]), np.array([0, 1 / 3, 2 / 3, 1]))
    assert found[0, 2] == pytest.approx(10, rel=0.1), "40 grey levels two pixels apart, across alone"
    assert (found[1] < 1).all() and (found[0, :2] < 1).all()


@given(st.integers(1, 90), st.integers(1, 90), st.floats(0, 1), st.floats(0, 1), st.integers(1, 60))
def test_a_region_around_a_point_lies_in_the_photo(
    height: int, width: int, row: float, column: float, side: int
) -> None:
    photo = np.zeros((height, width, 3), np.uint8)
    region = Region.around(photo, row, column, side)
    assert region.cut(photo).shape[:2] == (region.height, region.width) == (min(side, height), min(side, width))
    assert region.top - 0.51 <= row * height <= region.top + region.height + 0.51
    assert region.left - 0.51 <= column * width <= region.left + region.width + 0.51


@pytest.mark.parametrize(
    ("size", "factor"), [((4000, 6000), 4), ((8688, 5792), 4), ((1200, 2000), 2), ((1000, 1500), 2), ((480, 640), 1)]
)
def test_a_small_photo_is_shrunk_less(size: tuple[int, int], factor: int) -> None:
    assert choose_factor(*size, 224) == factor


# ---- maps ----


def judge_by_hand(weights: Params, tile: np.ndarray) -> np.ndarray:
    model = merge_params(abstract_model(CONFIG)[0], weights)
    assert isinstance(model, VTIQA) and model.detail is not None
    tokens = model.backbone.read_places(normalize(jnp.asarray(tile[None])), CONFIG.native_blocks, PATCH)
    by_cause = np.asarray(model.detail(tokens)[0])[0]
    return (by_cause[..., :SOFTNESS] @ np.array(CAUSE_WEIGHTS, np.float32)).reshape(7, 7)


def test_a_map_is_what_the_head_says_of_each_tile(scorer: Scorer) -> None:
    photo = noisy(8 * VIEW, 12 * VIEW)
    found = scorer.explain_detail(photo)
    assert (found.factor, found.octaves.shape) == (4, (14, 21))
    shrunk = shrink_whole(photo, 4)
    for row, column in ((0, 0), (1, 2), (0, 1)):
        tile = shrunk[row * VIEW : (row + 1) * VIEW, column * VIEW : (column + 1) * VIEW]
        expected = judge_by_hand(draw_weights(), tile)
        places = found.octaves[7 * row : 7 * row + 7, 7 * column : 7 * column + 7]
        np.testing.assert_allclose(places, expected, atol=1e-4)
        assert np.abs(places - expected.T).max() > 0.01, "rows are not columns"
    assert found.weights.sum() == pytest.approx(1, abs=1e-5)


def test_the_head_can_be_asked_as_it_was_trained(scorer: Scorer) -> None:
    photo = noisy(2 * VIEW, 3 * VIEW)
    tiles, mosaics = (scorer.explain_detail(photo, arrangement=kind) for kind in ("tiles", "mosaics"))
    assert tiles.octaves.shape == mosaics.octaves.shape == (14, 21)
    places = photo.reshape(14, PATCH, 21, PATCH, 3).swapaxes(1, 2).reshape(-1, PATCH, PATCH, 3)
    view = places[::6].reshape(7, 7, PATCH, PATCH, 3).swapaxes(1, 2).reshape(VIEW, VIEW, 3)
    np.testing.assert_allclose(
        mosaics.octaves.ravel()[::6].reshape(7, 7), judge_by_hand(draw_weights(), view), atol=1e-4
    )
    assert np.abs(tiles.octaves - mosaics.octaves).max() > 0.01


def test_around_a_point_the_photo_s_own_pixels_are_seen(scorer: Scorer) -> None:
    photo = noisy(8 * VIEW, 12 * VIEW)
    found = scorer.explain_detail(photo, at=(0.25, 0.75))
    side = detail_map.ZOOM_TILES * VIEW
    assert found.factor == 1
    assert found.region == Region(2 * VIEW - side // 2, 9 * VIEW - side // 2, side, side)
    assert found.center == pytest.approx((0.25, 0.75))
    expected = judge_by_hand(draw_weights(), found.region.cut(photo)[:VIEW, VIEW : 2 * VIEW])
    np.testing.assert_allclose(found.octaves[:7, 7:14], expected, atol=1e-4)
    assert found.middle(0, 0) == pytest.approx(
        ((found.region.top + PATCH / 2) / photo.shape[0], (found.region.left + PATCH / 2) / photo.shape[1])
    )


def test_what_has_no_structure_is_neither_good_nor_bad(scorer: Scorer) -> None:
    found = scorer.explain_detail(noisy(2 * VIEW, 4 * VIEW, flat_from=2 * VIEW))
    assert np.isfinite(found.octaves[:, :14]).all() and np.isnan(found.octaves[:, 15:]).all()
    assert (found.weights[:, 15:] == 0).all() and found.weights.sum() == pytest.approx(1, abs=1e-5)
    for point in (found.worst, found.sharpest):
        assert point is not None and point[1] < 0.54
    nothing = scorer.explain_detail(np.full((VIEW, VIEW, 3), 200, np.uint8))
    assert np.isnan(nothing.octaves).all() and not nothing.weights.any()
    assert nothing.worst is nothing.sharpest is None
    assert nothing.draw(), "all of it hatched"


def test_the_sharpest_area_has_lost_least_whatever_one_place_says() -> None:
    octaves = np.ones((20, 30), np.float32)
    octaves[2:7, 20:25], octaves[12:17, 4:9] = 0.2, 2
    octaves[10, 15], octaves[11, 25] = -1, 5
    octaves[16:, 28:] = np.nan
    octaves[19, 27] = 0.1  # hardly anything is known around it
    found = DetailMap(octaves, np.ones_like(octaves) / 600, 1, Region(100, 0, 200, 300), height=400, width=300)
    assert found.sharpest == pytest.approx((145 / 400, 225 / 300))
    assert found.worst == pytest.approx((245 / 400, 65 / 300))


@pytest.mark.parametrize("size", [(PATCH, 3 * VIEW), (VIEW + 3, PATCH + 1), (5, 7)])
def test_a_photo_of_few_places(scorer: Scorer, size: tuple[int, int]) -> None:
    found = scorer.explain_detail(noisy(*size))
    assert found.octaves.shape == (size[0] // PATCH, size[1] // PATCH)
    assert np.isfinite(found.octaves).all()


def test_what_cannot_be_mapped_is_told(scorer: Scorer, config: ModelConfig, weights: Params) -> None:
    with pytest.raises(UserError, match="needs a photo of 4 x 4 px at least, not 50 x 3"):
        scorer.explain_detail(noisy(3, 50))
    with pytest.raises(UserError, match=r"0 to 1, not 0\.4 55"):
        scorer.explain_detail(noisy(50, 50), at=(0.4, 55.0))
    with pytest.raises(UserError, match="this model has no detail"):
        Scorer(config, weights, SCALE).explain_detail(noisy(50, 50))


def test_a_notebook_shows_a_map_of_detail(scorer: Scorer) -> None:
    photo = noisy(60, 80, flat_from=40)
    shown = scorer.explain_detail(photo)._repr_png_()
    assert shown is not None and decode("", shown).pixels.shape[1] == 1100
    without = scorer.explain_detail_pixels(photo, photo)
    assert without._repr_png_() is None
    with pytest.raises(ValueError, match="does not have its photo"):
        without.draw()


@pytest.mark.parametrize("size", [(PATCH, 300), (300, PATCH), (40, 300)])
def test_a_strip_is_drawn_without_a_warning(scorer: Scorer, size: tuple[int, int]) -> None:
    photo = noisy(*size)
    maps = [dataclasses.replace(scorer.explain_detail(photo, at=at), photo=photo) for at in (None, (1.0, 0.0))]
    quality = dataclasses.replace(scorer.explain_pixels(photo), photo=photo)
    drawn = draw_maps(photo, [shown.paint for shown in (quality, *maps)], "a title\nof two lines")
    assert decode("", drawn).pixels.shape[1] == 1100


def test_each_part_of_a_picture_says_what_it_shows(scorer: Scorer) -> None:
    photo = noisy(60, 80)
    parts = [scorer.explain(photo), scorer.explain_detail(photo), scorer.explain_detail(photo, at=(0.0, 0.0))]
    titles = []
    for part in parts:
        axes = Figure().subplots()
        part.paint(axes)
        titles.append(axes.get_title())
    assert titles[0] == "score by region, x: the worst"
    assert all(title.startswith("detail, at 1:1") for title in titles[1:]), titles


# ---- commands ----


@pytest.fixture(scope="module")
def detailed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "detailed"
    checkpoint.save(path, Checkpoint(CONFIG, draw_weights(), SCALE, {}))
    return path


def write_photo(path: Path, height: int = 60, width: int = 80) -> Path:
    cv2.imwrite(str(path), noisy(height, width))
    return path


def test_explain_adds_the_map_of_detail(tmp_path: Path, detailed: Path, model: Path, command: Command) -> None:
    photo, flat = write_photo(tmp_path / "a.png"), tmp_path / "flat.png"
    cv2.imwrite(str(flat), np.full((60, 80, 3), 128, np.uint8))
    arguments = ("explain", photo, flat, "--out", tmp_path / "maps", "--checkpoint", detailed)
    status, out, err = command(__main__.main, *arguments)
    assert (status, err) == (0, "")
    first, second = out.splitlines()[1:]
    assert re.search(
        r"a\.png: detail \d\.\d\d, holds (up to \d+|at 100|at less than 12\.5) %; sharpest at 100 %: \w+", first
    )
    assert second.endswith("flat.png"), "of what has no structure nothing is said"
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [
        *("a.png.detail.npy", "a.png.npy", "a.png.png", "flat.png.npy", "flat.png.png"),
    ]
    array = np.load(tmp_path / "maps" / "a.png.detail.npy")
    np.testing.assert_allclose(array, Scorer.load(detailed).explain_detail(photo).octaves, atol=1e-4)
    widths = [read(tmp_path / "maps" / f"{name}.png.png").pixels.shape[1] for name in ("a", "flat")]
    assert widths == [1650, 1100]
    assert command(__main__.main, *arguments, "--at", 0.5, 0.25)[0] == 0
    assert read(tmp_path / "maps" / "a.png.png").pixels.shape[0] > 800, "two rows"
    assert command(__main__.main, "explain", photo, "--out", tmp_path / "maps", "--checkpoint", model)[0] == 0
    assert not (tmp_path / "maps" / "a.png.detail.npy").exists(), "it was of another map"


def test_a_name_that_is_too_long_for_an_array_leaves_nothing(tmp_path: Path, detailed: Path, command: Command) -> None:
    photo = write_photo(tmp_path / ("b" * 243 + ".png"))
    status, out, _ = command(__main__.main, "explain", photo, "--out", tmp_path / "maps", "--checkpoint", detailed)
    assert status == 1 and "its name is too long" in out
    assert list((tmp_path / "maps").iterdir()) == []


def test_a_point_is_checked_before_any_work(tmp_path: Path, detailed: Path, model: Path, command: Command) -> None:
    photo, maps = write_photo(tmp_path / "a.png"), tmp_path / "maps"
    for chosen, at, said in (
        (detailed, (0.5, 30), "0 to 1, not 0.5 30"),
        (model, (0.5, 0.5), "needs a model with detail"),
    ):
        status, _, err = command(__main__.main, "explain", photo, "--out", maps, "--checkpoint", chosen, "--at", *at)
        assert status == 2 and said in err
    assert not maps.exists()


def test_score_and_compare_say_what_holds(tmp_path: Path, detailed: Path, command: Command) -> None:
    photos = [write_photo(tmp_path / "a.png", 1000, 1200), write_photo(tmp_path / "b.png")]
    found = Scorer.load(detailed).table(photos)
    status, out, _ = command(__main__.main, "score", *photos, "--checkpoint", detailed)
    heading, *lines = out.splitlines()
    assert status == 0 and "  detail  holds up to" in heading
    for line, result in zip(lines, found, strict=True):
        assert f"{result.detail:.4f}" in line
    assert (found[0].width, found[0].height) == (1200, 1000)
    _, out, _ = command(__main__.main, "score", *photos, "--checkpoint", detailed, "--sort", "worst")
    assert out.splitlines()[:2] == ["the worst first (by rank: the score, and detail for 10 %):", heading]
    _, out, _ = command(__main__.main, "compare", *photos, "--checkpoint", detailed, "--mosaic-samples", 2)
    assert f"a.png: detail {found[0].detail:.2f}, holds" in out
    assert re.search(r"t 100 %(,| they)", out.splitlines()[-1])


# ---- the page ----


def test_what_is_shown_at_1_to_1_counts_and_lies_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zooms, "SIDE", 8)
    weights = np.zeros((6, 10), np.float32)
    weights[[0, 0, 2, 5], [0, 1, 4, 9]] = 0.4, 0.3, 0.2, 0.1
    weights[4, 2] = 0.15
    octaves = np.where(weights > 0, 1, np.nan).astype(np.float32)
    octaves[4, 2], octaves[5, 9] = 3, 9  # the worst counts less than most do
    found = DetailMap(octaves, weights, 1, Region(0, 0, 24, 40), height=24, width=40)
    monkeypatch.setattr(zooms, "MOST", 3)
    np.testing.assert_allclose(zooms.choose_points(found), [found.middle(0, 0), found.middle(2, 4)])
    weights[4, 2] = 0.25
    octaves[2, 4] = 0.5
    monkeypatch.setattr(zooms, "MOST", 2)
    points = [found.middle(0, 0), found.middle(4, 2)]
    np.testing.assert_allclose(zooms.choose_points(found), points, err_msg="and the worst")
    assert zooms.choose_points(DetailMap(octaves, 0 * weights, 1, found.region, 24, 40)) == []


def test_the_page_has_maps_of_detail(
    tmp_path: Path, detailed: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zooms, "SIDE", VIEW)
    photo, report = write_photo(tmp_path / "a.png", 4 * VIEW + 2, 5 * VIEW), tmp_path / "report"
    write_photo(tmp_path / "b.png", PATCH - 1, 40)
    (tmp_path / "c.png").write_bytes(b"no image")
    arguments = ("score", photo, tmp_path / "b.png", tmp_path / "c.png", "--checkpoint", detailed, "--report", report)
    assert command(__main__.main, *arguments, "--maps")[0] == 1
    (told,) = re.findall(r'id="maps">(.*?)</script>', (report / "index.html").read_text(), re.DOTALL)
    maps = json.loads(told)
    detail, small, broken = maps["details"]
    assert small is broken is None
    expected = Scorer.load(detailed).explain_detail(photo)
    levels = np.frombuffer(base64.b64decode(detail["levels"]), np.uint8).reshape(-1, detail["columns"])
    shown = maps["octaves"]["low"] + maps["octaves"]["step"] * levels
    inside = np.clip(expected.octaves, page.OCTAVES["low"], page.OCTAVES["low"] + 254 * page.OCTAVES["step"])
    np.testing.assert_allclose(np.where(levels == page.OCTAVES["none"], np.nan, shown), inside, atol=0.011)
    assert detail["top"] == pytest.approx(1 / (4 * VIEW + 2), abs=1e-4), "the middle of the photo is mapped"
    pictures = sorted(path.name for path in (report / "crops").iterdir())
    assert pictures == [f"00000-{place}.jpg" for place in range(len(detail["zooms"]))] and len(pictures) > 2
    zoom = detail["zooms"][0]
    top, left = round(zoom["top"] * (4 * VIEW + 2)), round(zoom["left"] * 5 * VIEW)
    crop = read(report / "crops" / "00000-0.jpg").pixels.astype(int)
    pixels = read(photo).pixels.astype(int)
    assert crop.shape == (VIEW, VIEW, 3)
    there, elsewhere = (np.abs(crop - pixels[row : row + VIEW, left : left + VIEW]).mean() for row in (top, top - 4))
    assert there < 0.7 * elsewhere, "JPEG loses much of noise"
    assert find([report]) == [] and find([tmp_path]) == [str(tmp_path / name) for name in ("a.png", "b.png", "c.png")]
    assert command(__main__.main, *arguments)[0] == 1, "it is made again"
    assert not (report / "crops").exists()
