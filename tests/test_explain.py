"""Maps of quality: what they are made of, and that the packaged model's show where a photo was damaged."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

import vtiqa_jax
from tests.conftest import Command
from vtiqa_jax import Scorer, UserError, __main__
from vtiqa_jax.data import demo
from vtiqa_jax.models import views
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.params import Params, abstract_model, merge_params
from vtiqa_jax.models.vtiqa import VTIQA
from vtiqa_jax.photos.decode import decode, read
from vtiqa_jax.photos.resize import prepare
from vtiqa_jax.scoring.quality_map import REGIONS, QualityMap


@pytest.fixture
def scorer(config: ModelConfig, weights: Params, scale: LabelScale) -> Scorer:
    return Scorer(config, weights, scale)


def test_a_region_takes_the_mosaics_place(
    scorer: Scorer, config: ModelConfig, weights: Params, rng: np.random.Generator
) -> None:
    photo = rng.integers(0, 256, (90, 120, 3), np.uint8)
    small, large = prepare(photo, config.screen_side, config.stored_cuts)
    found = scorer.explain(photo)
    model = merge_params(abstract_model(config)[0], weights)
    assert isinstance(model, VTIQA)
    whole = views.normalize(views.center_crop(jnp.asarray(small[None]), config.view_size))

    half = config.view_size // 2

    def score(row: int, column: int) -> float:
        top, left = (round(number * (config.local_resize - half) / (REGIONS - 1)) for number in (row, column))
        square = large[top : top + half, left : left + half]
        band = np.concatenate([square, square[:, ::-1]], axis=1)
        view = jnp.asarray(np.concatenate([band, band[::-1]])[None])
        return float(model(whole, views.normalize(view))[0])

    for row, column in ((0, 0), (1, 3), (4, 2)):
        assert found.scores[row, column] == pytest.approx(score(row, column), abs=1e-4)
        if row != column:
            assert found.scores[row, column] != pytest.approx(score(column, row), abs=1e-4)


def map_of(scores: np.ndarray, higher_is_better: bool = True) -> QualityMap:
    middles = np.linspace(0.1, 0.9, len(scores))
    return QualityMap(scores.astype(np.float32), middles, LabelScale("test", 1.0, 5.0, higher_is_better))


def test_the_worst_place_and_the_map_agree() -> None:
    scores = np.full((5, 5), 4.0)
    scores[1, 3] = 2.0
    found = map_of(scores)
    assert found.worst == pytest.approx((0.3, 0.7))
    resampled = found.resample(30, 60)
    assert np.unravel_index(resampled.argmin(), resampled.shape) in [(8, 41), (8, 42), (9, 41), (9, 42)]
    assert resampled.min() >= 2 and resampled.max() == 4
    # Beyond the outer middles it stays as it is there.
    assert (map_of(np.arange(25.0).reshape(5, 5)).resample(20, 20)[:2, :2] == 0).all()


def test_where_lower_is_better_the_highest_is_the_worst() -> None:
    scores = np.full((5, 5), 2.0)
    scores[4, 0] = 3.0
    assert map_of(scores, higher_is_better=False).worst == pytest.approx((0.9, 0.1))


def noise(photo: np.ndarray) -> np.ndarray:
    return np.clip(photo + np.random.default_rng(0).normal(0, 60, photo.shape), 0, 255).astype(np.uint8)


def blur(photo: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(photo, (0, 0), 6)


@pytest.mark.slow
@pytest.mark.parametrize(("damage", "middle"), [(noise, (0.3, 0.7)), (blur, (0.75, 0.25))])
def test_the_packaged_model_finds_planted_damage(
    damage: Callable[[np.ndarray], np.ndarray], middle: tuple[float, float]
) -> None:
    photo = demo.originals()["coffee.png"][:400, :400]
    rows, columns = np.mgrid[:400, :400] / 400
    disc = (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 < 0.18**2
    found = vtiqa_jax.load(compute_dtype="bfloat16").explain(np.where(disc[:, :, None], damage(photo), photo))
    row, column = found.worst
    assert disc[int(400 * row), int(400 * column)]


def test_a_notebook_shows_the_photo_beside_its_map(scorer: Scorer, rng: np.random.Generator, tmp_path: Path) -> None:
    photo = rng.integers(0, 256, (60, 80, 3), np.uint8)
    found = scorer.explain(photo)
    shown = found._repr_png_()
    assert shown is not None
    picture = decode("", shown).pixels
    assert picture.shape[1] == 1100 and picture.std() > 10
    found.save(tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes() == shown
    without = scorer.explain_pixels(photo)
    assert without._repr_png_() is None
    with pytest.raises(ValueError, match="does not have its photo"):
        without.save(tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_the_papers_model_is_refused(scorer: Scorer, config: ModelConfig) -> None:
    scorer.config = dataclasses.replace(config, kind="original")
    with pytest.raises(UserError, match="selects its regions itself"):
        scorer.explain(np.zeros((50, 50, 3), np.uint8))


# ---- the command ----


def test_the_command_writes_a_picture_and_an_array(
    tmp_path: Path, model: Path, command: Command, rng: np.random.Generator
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    cv2.imwrite(str(photos / "a $1$.png"), rng.integers(0, 256, (60, 80, 3), np.uint8))
    (photos / "broken.jpg").write_bytes(b"no image")
    status, out, err = command(__main__.main, "explain", photos, "--out", tmp_path / "maps", "--checkpoint", model)
    assert status == 1 and "1 of 2 photos have no map" in err
    assert "broken.jpg" in out
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["a $1$.png.npy", "a $1$.png.png"]
    assert np.load(tmp_path / "maps" / "a $1$.png.npy").shape == (48, 48)
    picture = read(tmp_path / "maps" / "a $1$.png.png").pixels
    assert picture.shape[1] == 1100 and picture.std() > 10


def test_a_name_that_is_too_long_for_a_map_stops_no_other(
    tmp_path: Path, model: Path, command: Command, rng: np.random.Generator
) -> None:
    """And the folder of the maps may be a link, as may a map."""
    photos, maps = tmp_path / "photos", tmp_path / "maps"
    names = ["a.png", "b" * 251 + ".png", "c.png", "d" * 247 + ".png"]
    photos.mkdir()
    for name in names:
        cv2.imwrite(str(photos / name), rng.integers(0, 256, (60, 80, 3), np.uint8))
    (tmp_path / "disk").mkdir()
    maps.symlink_to("disk")
    (maps / "a.png.npy").symlink_to(tmp_path / "map.npy")
    status, out, err = command(__main__.main, "explain", photos, "--out", maps, "--checkpoint", model)
    assert (status, err) == (1, "1 of 4 photos have no map\n")
    assert f"failed  {photos / names[1]}: its name is too long" in out and len(out.splitlines()) == 5
    made = [f"{name}.{ending}" for name in (names[0], *names[2:]) for ending in ("npy", "png")]
    assert sorted(path.name for path in (tmp_path / "disk").iterdir()) == made
    assert maps.is_symlink() and np.load(tmp_path / "map.npy").shape == (48, 48)


def test_maps_are_not_explained_themselves(
    tmp_path: Path, model: Path, command: Command, rng: np.random.Generator
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), rng.integers(0, 256, (60, 80, 3), np.uint8))
    arguments = ("explain", tmp_path, "--out", tmp_path / "maps", "--checkpoint", model)
    assert [command(__main__.main, *arguments)[0] for _ in range(2)] == [0, 0]
    assert len(list((tmp_path / "maps").iterdir())) == 2


def test_maps_on_the_page(tmp_path: Path, model: Path, command: Command, rng: np.random.Generator) -> None:
    photo, report = tmp_path / "a.png", tmp_path / "report"
    cv2.imwrite(str(photo), rng.integers(0, 256, (60, 80, 3), np.uint8))
    (tmp_path / "b.png").write_bytes(b"no image")
    arguments = ("score", photo, tmp_path / "b.png", "--checkpoint", model, "--maps")
    status, _, err = command(__main__.main, *arguments)
    assert status == 2 and "--maps needs --report DIR" in err
    assert command(__main__.main, *arguments, "--report", report)[0] == 1
    page = (report / "index.html").read_text()
    (told,) = re.findall(r'id="maps">(.*?)</script>', page, re.DOTALL)
    maps = json.loads(told)
    drawn = Scorer.load(model).explain(photo).resample(16, 16)
    assert maps["low"] == pytest.approx(drawn.min(), abs=1e-4)
    assert maps["high"] == pytest.approx(drawn.max(), abs=1e-4)
    assert [found is None for found in maps["maps"]] == [False, True]


def test_photos_of_one_name_are_refused_before_any_work(
    tmp_path: Path, model: Path, command: Command, rng: np.random.Generator
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), rng.integers(0, 256, (60, 80, 3), np.uint8))
    status, _, err = command(
        __main__.main, "explain", tmp_path / "one", tmp_path / "two", "--out", tmp_path / "maps", "--checkpoint", model
    )
    assert status == 2 and "2 photos are named a.png" in err
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [(0, 0, "upper left"), (0, 3, "top"), (3, 6, "right"), (3, 3, "middle"), (6, 3, "bottom"), (6, 6, "lower right")],
)
def test_the_worst_place_is_told_in_words(row: int, column: int, words: str) -> None:
    scores = np.full((7, 7), 4.0, np.float32)
    scores[row, column] = 1
    middles = (np.arange(7, dtype=np.float32) + np.float32(0.5)) / np.float32(7)
    assert QualityMap(scores, middles, LabelScale("test", 1.0, 5.0)).worst_place == words


@pytest.mark.parametrize("name", ["a.jpg.png", "a.jpg.npy"])
def test_a_map_replaces_nothing_that_is_no_map(name: str, tmp_path: Path, command: Command) -> None:
    for file in ("a.jpg", name):
        (tmp_path / file).write_bytes(cv2.imencode(".png", np.full((40, 60, 3), 99, np.uint8))[1].tobytes())
    before = (tmp_path / name).read_bytes()
    status, _, error = command(__main__.main, "explain", tmp_path / "a.jpg", "--out", tmp_path)
    assert status == 2 and "exists and is not a map" in error
    assert (tmp_path / name).read_bytes() == before
