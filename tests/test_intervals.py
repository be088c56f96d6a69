"""How sure scores are: for the mean of thirty people, in every output, and right as often as it says."""

import dataclasses
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from PIL import Image

from tests.conftest import Command
from vtiqa_jax import __main__
from vtiqa_jax.commands.compare import say_preferred
from vtiqa_jax.commands.heads import read_held_out
from vtiqa_jax.data.manifest import ImageFolder, Manifest
from vtiqa_jax.errors import UserError
from vtiqa_jax.export import onnx_vtiqa, stablehlo
from vtiqa_jax.heads.held_out import LEAST, SPREAD, score_features, with_intervals
from vtiqa_jax.heads.intervals import fit_errors, fit_kinds, fit_opinions, weighted_quantiles
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, tiny_config
from vtiqa_jax.models.intervals import HIGH, LOW, QUANTILES, Intervals, Sureness
from vtiqa_jax.models.params import Params, init_params, rescale_head
from vtiqa_jax.photos.resize import prepare
from vtiqa_jax.results.columns import score_columns
from vtiqa_jax.results.preference import probability_preferred
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.scoring.scorer import Scorer
from vtiqa_jax.training.novelty import read_features

FEATURES = 12
SCALE = LabelScale("test", 1.0, 5.0)


@dataclasses.dataclass
class Made:
    """Photos whose errors are known: of the second kind, which the first feature tells, they are four times as large,
    and they grow with the score."""

    features: np.ndarray
    scores: np.ndarray
    errors: np.ndarray
    unsure: np.ndarray

    @classmethod
    def draw(cls, count: int, seed: int) -> "Made":
        rng = np.random.default_rng(seed)
        features = rng.normal(0, 1, (count, FEATURES)).astype(np.float32)
        unsure = features[:, 0] > 1
        scores = rng.uniform(2, 4, count)
        sizes = np.where(unsure, 0.4, 0.1) * np.exp(0.5 * (scores - 3))
        return cls(features, scores, sizes * rng.standard_t(6, count), unsure)


def load(fitted: Params) -> Intervals:
    made = Intervals(fitted["intervals.mean"].size, opinions="intervals.opinions" in fitted)
    for name, array in fitted.items():
        getattr(made, name.removeprefix("intervals."))[...] = jnp.asarray(array)
    return made


def judge(fitted: Params, photos: Made) -> Sureness:
    return load(fitted)(jnp.asarray(photos.scores, jnp.float32), jnp.asarray(photos.features))


@pytest.fixture(scope="module")
def fitted() -> Params:
    photos = Made.draw(4000, seed=0)
    kinds = fit_kinds(photos.features, photos.unsure)
    return fit_errors(kinds, photos.features, photos.scores, photos.errors, SCALE)


# ---- right as often as it says ----


def covered(fitted: Params, photos: Made) -> np.ndarray:
    said = judge(fitted, photos)
    people = photos.scores + photos.errors
    return (people >= np.asarray(said.low)) & (people <= np.asarray(said.high))


def test_nine_in_ten_of_other_photos_lie_within_of_either_kind_and_at_both_ends(fitted: Params) -> None:
    other = Made.draw(8000, seed=1)
    inside = covered(fitted, other)
    parts = [slice(None), other.unsure, ~other.unsure, other.scores < 2.5, other.scores > 3.5]
    assert all(abs(inside[part].mean() - 0.9) < 0.035 for part in parts)
    alike = fit_errors(fit_kinds(other.features), other.features, other.scores, other.errors, SCALE)
    assert covered(alike, other)[other.unsure].mean() < 0.8  # who does not know the kinds is wrong about one


def test_quantiles_are_those_of_one_more_error() -> None:
    """Of nine errors the smallest has one chance in ten to be above the tenth."""
    errors, levels = np.arange(1.0, 10), np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(weighted_quantiles(errors, np.ones(9), levels), [1, 5, 9])
    np.testing.assert_allclose(weighted_quantiles(errors[::-1], np.ones(9), levels), [1, 5, 9])
    heavy = weighted_quantiles(errors, np.where(errors == 9, 100.0, 1.0), levels)
    assert heavy[1] > 8 and heavy[0] < 9


def test_the_spread_of_single_opinions_is_found_by_two_people_each() -> None:
    rng = np.random.default_rng(0)
    opinions = rng.uniform(1, 5, 20_000)
    spreads = 0.3 + 0.1 * (opinions - 1)
    pairs = opinions[:, None] + spreads[:, None] * rng.normal(0, 1, (20_000, 2))
    found = fit_opinions(opinions, pairs.std(1, ddof=1), SCALE)["intervals.opinions"]
    place = (opinions - 3) / 2
    assert np.abs(4 * np.exp(found[0] + found[1] * place + found[2] * place**2) / spreads - 1).max() < 0.08


# ---- what it says ----


def test_far_photos_have_wide_intervals_within_the_scale(fitted: Params) -> None:
    photos = Made.draw(50, seed=2)
    away = [dataclasses.replace(photos, features=photos.features * by) for by in (1, 3, 9)]
    for near in away:
        near.features[:, 0] = -1  # of one kind
    widths = [np.asarray(said.high - said.low) for said in (judge(fitted, part) for part in away)]
    assert np.median(widths[1]) > 2 * np.median(widths[0]) and widths[2].min() > 3.5
    furthest = judge(fitted, away[2])
    assert np.asarray(furthest.low).min() >= 1 and np.asarray(furthest.high).max() <= 5
    assert np.asarray(furthest.deviation).min() > 4  # which knows of no ends


@pytest.mark.parametrize(("slope", "intercept"), [(2.0, 10.0), (-1.0, 6.0)])
def test_intervals_move_with_the_scale(fitted: Params, slope: float, intercept: float) -> None:
    photos = Made.draw(30, seed=3)
    moved = load(fitted | {"intervals.opinions": np.array([-2, 0.3, 0.1], np.float32)})
    before = moved(jnp.asarray(photos.scores, jnp.float32), jnp.asarray(photos.features))
    moved.rescale(slope, intercept)
    after = moved(jnp.asarray(slope * photos.scores + intercept, jnp.float32), jnp.asarray(photos.features))
    ends = [slope * np.asarray(end) + intercept for end in (before.low, before.high)]
    np.testing.assert_allclose(after.low, np.minimum(*ends), rtol=1e-4)
    np.testing.assert_allclose(after.high, np.maximum(*ends), rtol=1e-4)
    np.testing.assert_allclose(after.deviation, abs(slope) * np.asarray(before.deviation), rtol=1e-4)
    spreads = [np.asarray(said.opinion_spread) for said in (before, after)]
    np.testing.assert_allclose(spreads[1], abs(slope) * spreads[0], rtol=1e-4)


# ---- in a model ----


@pytest.fixture(scope="module")
def sure() -> Checkpoint:
    """A small model that says how sure it is; drawn at random."""
    config = tiny_config(intervals=True, opinions=True, soft_ends=True)
    rng = np.random.default_rng(0)
    drawn = init_params(config, 0)
    width = 2 * config.feature_dim
    changes = {
        "mean": rng.normal(0, 0.3, width), "precision": rng.uniform(0.5, 1.5, width),
        "direction": rng.normal(0, 0.3, width), "intercept": 0.2, "far": [0.9, 0.7], "ends": [1, 5],
        "curves": [[-2.5, 0.4, -0.3], [-1.8, -0.2, 0.3]], "opinions": [-1.6, 0.3, -0.2],
        "quantiles": np.sort(rng.normal(0, 1, (2, QUANTILES))),
    }  # fmt: skip
    ends = {"ends.low": 1.0, "ends.high": 5.0, "ends.reach": 0.25}
    changed = {f"intervals.{name}": np.asarray(value, np.float32) for name, value in changes.items()}
    changed |= {name: np.float32(value) for name, value in ends.items()}
    bare = Checkpoint(config, {name: np.asarray(array) for name, array in drawn.items()} | changed, SCALE, {})
    params = rescale_head(config.replace(intervals=False, opinions=False, soft_ends=False), {
        name: array for name, array in bare.params.items() if not name.startswith(("intervals.", "ends."))
    }, 2.0, 3.0)  # fmt: skip
    return dataclasses.replace(bare, params=params | changed)


def photos_of(sizes: list[tuple[int, int]]) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]


def score(made: Checkpoint, photos: list[np.ndarray]) -> list[ScoreResult]:
    assert made.scale is not None
    return list(Scorer(made.config, made.params, made.scale).stream(photos))


def test_a_result_has_an_interval_and_a_score_is_as_without(sure: Checkpoint) -> None:
    photos = photos_of([(40, 50), (50, 40), (96, 96)])
    found = score(sure, photos)
    assert all(r.low is not None and r.high is not None and 1 <= r.low < r.high <= 5 for r in found)
    assert all((r.deviation or 0) > 0 and (r.opinion_spread or 0) > 0 for r in found)
    plain = dataclasses.replace(
        sure,
        config=sure.config.replace(intervals=False, opinions=False),
        params={name: array for name, array in sure.params.items() if not name.startswith("intervals.")},
    )
    without = score(plain, photos)
    assert [r.score for r in without] == pytest.approx([r.score for r in found], abs=1e-5)
    assert {(r.low, r.high, r.deviation, r.opinion_spread) for r in without} == {(None,) * 4}
    shown = {column.name: column for column in score_columns(mosaics=False)}
    assert shown["low"].show(found[0]).strip() == f"{found[0].low:.1f} to {found[0].high:.1f}"
    assert shown["low"].show(without[0]).strip() == ""


def test_damaged_intervals_are_no_result(sure: Checkpoint) -> None:
    broken = dataclasses.replace(sure, params=sure.params | {"intervals.intercept": np.float32(np.nan)})
    (result,) = score(broken, photos_of([(40, 50)]))
    assert result.score is None and "damaged" in str(result.error)


def test_files_keep_them(sure: Checkpoint, tmp_path: Path) -> None:
    photos = photos_of([(40, 50)])
    checkpoint.save(tmp_path / "whole", sure)
    for name in ("low", "high", "deviation", "opinion_spread"):
        (kept,), (there,) = score(checkpoint.load(tmp_path / "whole"), photos), score(sure, photos)
        assert getattr(kept, name) == pytest.approx(getattr(there, name), abs=1e-6)


@pytest.mark.parametrize("inputs", ["photos", "regions"])
def test_onnx_says_the_same(sure: Checkpoint, inputs: onnx_vtiqa.Inputs) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    (photo,) = photos_of([(40, 50)])
    built = onnx_vtiqa.build(sure.config, sure.params, inputs=inputs).SerializeToString()
    session = onnxruntime.InferenceSession(built, providers=["CPUExecutionProvider"])
    names = ["score", "low", "high", "opinion_spread"]
    corners = {"corners": np.empty((0, 2), np.int32)} if inputs == "regions" else {}
    said = session.run(names, {"photos": photo[None]} | corners)
    (ours,) = score(sure, [photo])
    np.testing.assert_allclose(np.ravel(said), [getattr(ours, name) for name in names], atol=2e-4)
    if inputs == "regions":  # a region is no photo: nobody was asked about it
        said = session.run(names, {"photos": photo[None], "corners": np.array([[0, 0], [5, 5]], np.int32)})
        assert [len(values) for values in said] == [3, 0, 0, 0]


def test_a_program_of_stablehlo_says_the_same(sure: Checkpoint) -> None:
    (photo,) = photos_of([(40, 50)])
    pair = prepare(photo, sure.config.screen_side, sure.config.stored_cuts)
    program = export.deserialize(bytearray(stablehlo.build(sure.config, sure.params)))
    said: Any = program.call(*(part[None] for part in pair))
    (ours,) = score(sure, [photo])
    assert {name: float(value[0]) for name, value in said.items()} == {
        name: pytest.approx(getattr(ours, name), abs=1e-4) for name in ("score", "low", "high", "opinion_spread")
    }


# ---- two photos ----


def sure_result(name: str, score: float, deviation: float) -> ScoreResult:
    return ScoreResult(name, score, low=score - deviation, high=score + deviation, deviation=deviation)


def test_the_preference_is_as_probable_as_both_are_sure() -> None:
    rng = np.random.default_rng(0)
    a, b = sure_result("a", 3.4, 0.3), sure_result("b", 3.0, 0.4)
    means = [r.score + r.deviation * rng.normal(0, 1, 100_000) for r in (a, b)]  # type: ignore[operator]
    assert probability_preferred(a, b, SCALE) == pytest.approx((means[0] > means[1]).mean(), abs=0.01)
    assert probability_preferred(b, a, SCALE) == pytest.approx(1 - probability_preferred(a, b, SCALE))
    assert probability_preferred(a, b, dataclasses.replace(SCALE, higher_is_better=False)) < 0.5
    assert probability_preferred(a, a, SCALE) == 0.5


@pytest.mark.parametrize(
    ("apart", "said"),
    [
        (0.02, "Either may be better: the mean opinion of thirty people prefers a in 52 % of such pairs."),
        (0.4, "a is likely better than b: in 83 % of such pairs the mean opinion of thirty people prefers it."),
        (-0.4, "b is likely better than a: in 83 % of such pairs the mean opinion of thirty people prefers it."),
        (2.0, "a is almost certainly better than b: in more than 99 % of such pairs the mean opinion of thirty people"
         " prefers it."),
    ],
)  # fmt: skip
def test_what_is_said_of_two(apart: float, said: str) -> None:
    assert say_preferred(sure_result("a", 3 + apart, 0.3), sure_result("b", 3.0, 0.3), SCALE) == said


# ---- made by held-out photos ----


def write_photos(folder: Path, count: int) -> tuple[str, ...]:
    rng = np.random.default_rng(2)
    names = tuple(f"{number}.png" for number in range(count))
    for name in names:
        Image.fromarray(rng.integers(0, 256, (30, 30, 3), np.uint8)).save(folder / name)
    return names


def test_held_out_photos_tell_how_sure_a_model_is(sure: Checkpoint, tmp_path: Path) -> None:
    names = write_photos(tmp_path, LEAST)
    source = ImageFolder(tmp_path)
    files = [Image.open(tmp_path / name) for name in names]
    scores = score_features(sure, read_features(sure, (np.asarray(file) for file in files)))
    assert scores == pytest.approx([r.score for r in score(sure, [np.asarray(file) for file in files])], abs=1e-4)
    errors = np.random.default_rng(3).normal(0, 0.2, LEAST)
    mos = (scores + errors).astype(np.float32)
    targets = {"std": np.full(LEAST, 0.6, np.float32)}
    made = with_intervals(sure, Manifest(names, mos, source, targets=targets))
    results = score(made, [np.asarray(file) for file in files])
    inside = np.mean([r.low <= opinion <= r.high for r, opinion in zip(results, mos, strict=True)])  # type: ignore[operator]
    assert 0.86 <= inside <= 0.96
    assert np.median([r.deviation for r in results]) == pytest.approx(0.2, rel=0.3)  # type: ignore[type-var]
    assert {round(r.opinion_spread or 0, 1) for r in results} == {0.6}
    assert not with_intervals(sure, Manifest(names, mos, source)).config.opinions
    for wrong, said in (
        (Manifest(names[1:], mos[1:], source), "at least 100 held-out photos"),
        (Manifest(names, mos + 9, source), "beyond the model's"),
        (Manifest(names, mos, source, targets={"std": -targets["std"]}), "must not be below 0"),
    ):
        with pytest.raises(UserError, match=said):
            with_intervals(sure, wrong)


@pytest.mark.parametrize("title", [None, "std", "Std"])
def test_a_csv_may_say_how_far_opinions_are_apart(title: str | None, tmp_path: Path) -> None:
    names = write_photos(tmp_path, 2)
    cells = [("image", "mos", *filter(None, [title])), *((name, "3", *(["0.5"] if title else [])) for name in names)]
    (tmp_path / "unseen.csv").write_text("".join(",".join(row) + "\n" for row in cells))
    photos = read_held_out(tmp_path / "unseen.csv")
    assert {name: list(values) for name, values in photos.targets.items()} == ({SPREAD: [0.5, 0.5]} if title else {})


def test_the_command_compares_by_people(sure: Checkpoint, tmp_path: Path, command: Command) -> None:
    names = write_photos(tmp_path, 2)
    checkpoint.save(tmp_path / "model", sure)
    paths = [tmp_path / name for name in names]
    status, out, _ = command(__main__.main, "compare", *paths, "--checkpoint", tmp_path / "model")
    assert status == 0 and "the mean opinion of thirty people prefers" in out and "mosaics" not in out
    results = score(sure, [np.asarray(Image.open(path)) for path in paths])
    for result in results:
        assert f"{result.score:.4f} (people say {result.low:.1f} to {result.high:.1f})" in out
    status, out, _ = command(
        __main__.main, "compare", *paths, "--checkpoint", tmp_path / "model", "--mosaic-samples", 2
    )
    assert status == 0 and "the mean opinion of thirty people prefers" in out and "2 mosaics" in out


def test_lines_stay_in_columns_on_a_scale_to_100() -> None:
    (column,) = (column for column in score_columns(mosaics=False) if column.name == "low")
    ends = (4.0, 6.2), (52.1, 100.0), (None, None)
    assert len({len(column.show(ScoreResult("a.jpg", 77.0, low=low, high=high))) for low, high in ends}) == 1


def test_a_config_without_intervals_has_no_opinions() -> None:
    with pytest.raises(ValueError, match="opinions belong to intervals"):
        tiny_config(opinions=True)
    with pytest.raises(ValueError, match="belong to a VT-IQA"):
        tiny_config(kind="original", intervals=True)
    assert not [name for name in init_params(tiny_config(), 0) if name.startswith("intervals.")]


def test_the_ends_are_those_of_the_table() -> None:
    assert pytest.approx(0.05) == (LOW + 1) / (QUANTILES + 1)
    assert pytest.approx(0.95) == (HIGH + 1) / (QUANTILES + 1)
