"""The detail of large photos is compared with that of cameras' photos."""

import dataclasses
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.test_heads import a_photo, write
from vtiqa_jax.errors import UserError
from vtiqa_jax.heads import detail_percentiles
from vtiqa_jax.heads.detail_percentiles import choose_compared, with_detail_percentiles
from vtiqa_jax.models.adapt import without_detail
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, tiny_config
from vtiqa_jax.models.fingerprint import identify
from vtiqa_jax.models.params import init_params
from vtiqa_jax.models.percentiles import DETAIL, SCORES, read_percentiles
from vtiqa_jax.results import interpreter
from vtiqa_jax.results.interpreter import Interpreter
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.scoring.scorer import Scorer

SCALE = LabelScale("test", 1.0, 5.0)
KNOWN = {"detail": {"percentiles": np.linspace(2, 4, 101).tolist(), "photos": 300}}


@pytest.fixture(scope="module")
def model() -> Checkpoint:
    config = tiny_config(native_factors=(1, 2), native_blocks=(1,))
    params = init_params(config, 3)
    params["detail.curve"] = np.array([1, 5, 1, -1], np.float32)
    return Checkpoint(config, params, SCALE, {"made": "by a test"})


def compare(detail: float | None, height: int, width: int, *, higher_is_better: bool = True) -> float | None:
    scale = dataclasses.replace(SCALE, higher_is_better=higher_is_better)
    config = tiny_config(native_factors=(1,), native_blocks=(1,))
    result = ScoreResult("a.jpg", 3.0, detail=detail)
    sized = Interpreter.of(config, scale, KNOWN, {}).with_size(result, height, width)
    assert (sized.height, sized.width, sized.detail) == (height, width, detail)
    return sized.detail_percentile


@pytest.mark.parametrize(
    ("detail", "share"), [(2.0, 0.0), (2.5, 25.0), (4.0, 100.0), (1.0, 0.0), (5.0, 100.0), (None, None)]
)
def test_a_share_of_photos_shows_less_detail(detail: float | None, share: float | None) -> None:
    assert compare(detail, 2000, 2000) == (None if share is None else pytest.approx(share))
    turned = compare(detail, 2000, 2000, higher_is_better=False)
    assert turned == (None if share is None else pytest.approx(100 - share))


def test_a_small_photo_is_not_compared() -> None:
    """A picture of a page is sharper than any camera's, because it was shrunk."""
    assert compare(2.5, 4000, 999) is None
    assert compare(2.5, 1000, 4000) == compare(2.5, 4000, 1000) == pytest.approx(25)


def test_a_model_without_detail_or_percentiles_compares_nothing(model: Checkpoint) -> None:
    bare = without_detail(dataclasses.replace(model, provenance=model.provenance | KNOWN))
    assert bare.provenance == model.provenance
    unknown = Interpreter.of(model.config, SCALE, model.provenance, {})
    assert unknown.with_size(ScoreResult("a.jpg", 3.0, detail=2.5), 4000, 4000).detail_percentile is None
    assert "detail_percentile" in unknown.unknown
    assert "detail_percentile" not in Interpreter.of(model.config, SCALE, KNOWN, {}).unknown


@pytest.fixture
def few_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large photos of a few thousand pixels, and few of them."""
    for module in (interpreter, detail_percentiles):
        monkeypatch.setattr(module, "LARGE", 90 * 120)
    monkeypatch.setattr(detail_percentiles, "LEAST", 5)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    return [write(tmp_path / f"{seed}.jpg", a_photo(seed), size=(120, 90)) for seed in range(5)]


@pytest.mark.usefixtures("few_pixels")
def test_photos_that_count_are_large_and_as_taken(photos: list[Path], tmp_path: Path) -> None:
    """Told by their headers, before anything is fitted."""
    wrong = {
        "small.jpg": "less than 0.0108 megapixels",
        "no_camera.jpg": "do not say that a camera made it in this size",
        "shrunk.jpg": "do not say that a camera made it in this size",
        "broken.jpg": "cannot be read",
        "missing.jpg": "cannot be read",
    }
    write(tmp_path / "small.jpg", a_photo(6, 90, 110), size=(110, 90))
    write(tmp_path / "no_camera.jpg", a_photo(7), size=(120, 90), make="")
    write(tmp_path / "shrunk.jpg", a_photo(8), size=(4000, 3000))
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    chosen, left_out = choose_compared([*photos, *(tmp_path / name for name in wrong)], [tmp_path / "other.jpg"])
    assert chosen == photos and len(left_out) == len(wrong)
    for line, (name, why) in zip(left_out, wrong.items(), strict=True):
        assert line.startswith(str(tmp_path / name)) and why in line
    with pytest.raises(UserError, match=r"at least 5 photos, not of 4; the first that does not count: .*small.jpg"):
        choose_compared([*photos[:4], tmp_path / "small.jpg"], [])
    with pytest.raises(UserError, match=r"3\.jpg is among --photos, too"):
        choose_compared(photos, [Path(os.path.relpath(photos[3]))])


@pytest.mark.usefixtures("few_pixels")
def test_a_photo_is_compared_with_the_detail_of_others(model: Checkpoint, photos: list[Path], tmp_path: Path) -> None:
    flat = write(tmp_path / "flat.jpg", np.full((90, 120, 3), 120, np.uint8), size=(120, 90))
    made, left_out = with_detail_percentiles(model, [*photos, flat])
    assert left_out == [f"{flat}: {interpreter.NO_STRUCTURE}"]
    detail = [result.detail for result in Scorer(model.config, model.params, SCALE).stream(photos)]
    known = made.provenance["detail"]
    assert known["photos"] == 5 and made.provenance["made"] == "by a test"
    np.testing.assert_allclose(known["percentiles"], np.percentile(np.array(detail, float), range(101)), atol=1e-6)
    knowing = Scorer(made.config, made.params, SCALE, provenance=made.provenance)
    shares = [result.detail_percentile for result in knowing.stream(photos)]
    np.testing.assert_allclose(np.sort(np.array(shares, float)), [0, 25, 50, 75, 100], atol=0.1)
    # Of photos that others decoded the same is told.
    pixels = [a_photo(6), a_photo(7, 80, 120), a_photo(8)]
    prepared = [knowing.config.preparation.make(one) for one in pixels]
    told = list(knowing.score_prepared(prepared, [one.shape[:2] for one in pixels], 8))
    for ours, other in zip(told, knowing.stream(pixels), strict=True):
        assert (ours.height, ours.width) == (other.height, other.width)
        assert ours.detail_percentile == pytest.approx(other.detail_percentile, abs=0.1)
    assert [one.detail_percentile is None for one in told] == [False, True, False]
    # Too few that have detail do not undo what was fitted before.
    few, why = with_detail_percentiles(made, [*photos[:4], flat])
    assert few.provenance == made.provenance and "4 of 5 photos have it" in why[-1]


def test_what_is_no_photograph_is_not_compared() -> None:
    sized = Interpreter.of(tiny_config(native_factors=(1,), native_blocks=(1,)), SCALE, KNOWN, {})
    for novelty, is_compared in ((-1.0, True), (1.0, False)):
        result = sized.with_size(sized.result(3.0, detail=2.5, holds=50.0, novelty=novelty), 2000, 2000)
        assert (result.detail_percentile is not None) == is_compared


RISING = np.linspace(1, 5, 101).tolist()


@pytest.mark.parametrize(
    "damaged",
    [None, "x", [], RISING[:50], [*RISING[:100], math.nan], [*RISING[:100], None], RISING[::-1], ["a"] * 101, 3.0, {}],
)
@pytest.mark.parametrize("place", [DETAIL, SCORES])
def test_percentiles_that_are_damaged_are_told_in_one_line(
    place: tuple[str, ...], damaged: Any, model: Checkpoint
) -> None:
    for depth in range(1, len(place) + 1):
        provenance: Any = damaged
        for name in reversed(place[:depth]):
            provenance = {name: provenance}
        if depth < len(place) and damaged == {}:
            assert read_percentiles(provenance, place) is None
            continue
        with pytest.raises(UserError, match=f"the model's {'.'.join(place)} are not 101 rising numbers"):
            Interpreter.of(model.config, SCALE, provenance, {})
        with pytest.raises(UserError, match="not 101 rising numbers"):
            identify(dataclasses.replace(model, provenance=provenance), "float32")
    assert read_percentiles({}, place) is None
