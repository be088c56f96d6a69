"""The detail of large photos is compared with that of cameras' photos."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from tests.test_heads import a_photo, write
from vtiqa_jax.errors import UserError
from vtiqa_jax.heads import detail_percentiles
from vtiqa_jax.heads.detail_percentiles import check_compared, with_detail_percentiles
from vtiqa_jax.models.adapt import without_detail
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, tiny_config
from vtiqa_jax.models.params import init_params
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


@pytest.mark.usefixtures("few_pixels")
def test_photos_that_count_are_large_and_as_taken(model: Checkpoint, tmp_path: Path) -> None:
    photos = [write(tmp_path / f"{seed}.jpg", a_photo(seed), size=(120, 90)) for seed in range(5)]
    wrong = {
        "small.jpg": "less than 0.0108 megapixels",
        "no_camera.jpg": "do not say that a camera made it in this size",
        "shrunk.jpg": "do not say that a camera made it in this size",
        "broken.jpg": "not an image",
        "missing.jpg": "No such file",
        "grey.jpg": interpreter.NO_STRUCTURE,
    }
    write(tmp_path / "small.jpg", a_photo(6, 90, 110), size=(110, 90))
    write(tmp_path / "no_camera.jpg", a_photo(7), size=(120, 90), make="")
    write(tmp_path / "shrunk.jpg", a_photo(8), size=(4000, 3000))
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    write(tmp_path / "grey.jpg", np.full((90, 120, 3), 120, np.uint8), size=(120, 90))
    made, left_out = with_detail_percentiles(model, [*photos, *(tmp_path / name for name in wrong)])
    assert len(left_out) == len(wrong)
    for line, (name, why) in zip(left_out, wrong.items(), strict=True):
        assert line.startswith(str(tmp_path / name)) and why in line
    scorer = Scorer(model.config, model.params, SCALE)
    detail = [result.detail for result in scorer.stream(photos)]
    known = made.provenance["detail"]
    assert known["photos"] == 5 and made.provenance["made"] == "by a test"
    np.testing.assert_allclose(known["percentiles"], np.percentile(np.array(detail, float), range(101)), atol=1e-6)
    knowing = Scorer(made.config, made.params, SCALE, provenance=made.provenance)
    shares = [result.detail_percentile for result in knowing.stream(photos)]
    np.testing.assert_allclose(np.sort(np.array(shares, float)), [0, 25, 50, 75, 100], atol=0.1)
    with pytest.raises(UserError, match=r"at least 5 photos, not of 4; the first that does not count: .*small.jpg"):
        with_detail_percentiles(model, [*photos[:4], tmp_path / "small.jpg"])


@pytest.mark.usefixtures("few_pixels")
def test_what_cannot_be_compared_with_is_told(tmp_path: Path) -> None:
    photos = [tmp_path / f"{number}.jpg" for number in range(5)]
    check_compared(photos, [tmp_path / "other.jpg"])
    with pytest.raises(UserError, match="at least 5 photos, not of 4"):
        check_compared(photos[:4], [])
    with pytest.raises(UserError, match=r"3\.jpg is among --photos, too"):
        check_compared(photos, [Path(os.path.relpath(photos[3]))])
