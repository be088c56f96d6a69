"""The subject: which places show it, how much more they count, and where the head that finds it comes from."""

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from tests.detailed import CONFIG as WITHOUT
from tests.detailed import SCALE, draw_weights, noisy
from tests.test_export_detail import blurred, errors, expected, flat, judge, open_session
from tests.test_heads import scored_photos
from vtiqa_jax.data.manifest import read_csv
from vtiqa_jax.data.subjects import join_subjects, read_subjects
from vtiqa_jax.errors import UserError
from vtiqa_jax.export import onnx_detail, onnx_pixels, onnx_vtiqa, stablehlo
from vtiqa_jax.heads import subject as fitting
from vtiqa_jax.heads.curve import measure_octaves
from vtiqa_jax.heads.subject import check_cells, fit_subject
from vtiqa_jax.models import quantized
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import tiny_config
from vtiqa_jax.models.detail import (
    NO_STRUCTURE,
    SEEN_BEST,
    SEEN_WIDTH,
    SOFTNESS,
    SUBJECT_WEIGHT,
    find_holding_scale,
    find_softer_subject,
    see_subject,
    sum_losses,
)
from vtiqa_jax.models.params import Params, abstract_model, init_params, merge_params
from vtiqa_jax.models.pixels import cut_squares
from vtiqa_jax.models.vtiqa import VTIQA
from vtiqa_jax.photos.decode import decode
from vtiqa_jax.photos.resize import Rgb, prepare
from vtiqa_jax.scoring.mosaic_sampling import MosaicSampling
from vtiqa_jax.scoring.scorer import Scorer

CONFIG = WITHOUT.replace(
    subject=True,
    depth=3,
    readout_blocks=(1, 2, 3),
    native_mosaics=(4, 1, 1, 4),
    native_blocks=(1, 2),
    eval_mosaics=2,
)
PLACES = 9
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def params() -> Params:
    return draw_weights(CONFIG)


@pytest.fixture(scope="module")
def model(params: Params) -> VTIQA:
    merged = merge_params(abstract_model(CONFIG)[0], jax.tree.map(jnp.asarray, params))
    assert isinstance(merged, VTIQA)
    return merged


@pytest.fixture(scope="module")
def scorer(params: Params) -> Scorer:
    return Scorer(CONFIG, params, SCALE, devices=jax.devices()[:1])


@pytest.fixture(scope="module")
def plain(params: Params) -> Scorer:
    """Of the same model without a subject."""
    others = {name: array for name, array in params.items() if not name.startswith("subject.")}
    return Scorer(CONFIG.replace(subject=False), others, SCALE, devices=jax.devices()[:1])


@pytest.fixture(scope="module")
def photos() -> list[Rgb]:
    return [noisy(60, 80), blurred(90, 60, 1), noisy(100, 40, flat_from=20)]


# ---- the heads ----


def test_the_subject_is_softer_by_what_its_own_pixels_say(rng: np.random.Generator) -> None:
    structure = jnp.full((2, PLACES), NO_STRUCTURE + 1).at[:, 0].set(0)
    softness, subject = rng.standard_normal((2, 2, PLACES)).astype(np.float32)

    def by_hand(weight: float, subject: np.ndarray = subject) -> np.ndarray:
        """Means over places with structure: by the subject, less that of all."""
        weights = np.exp(weight * subject[:, 1:])
        return (weights * softness[:, 1:]).sum(1) / weights.sum(1) - softness[:, 1:].mean(1)

    found = find_softer_subject(jnp.asarray(softness), jnp.asarray(subject), structure)
    np.testing.assert_allclose(found, by_hand(SUBJECT_WEIGHT), atol=1e-5)
    for wrong in (by_hand(0), by_hand(1), by_hand(SUBJECT_WEIGHT, subject[::-1])):
        assert np.abs(found - wrong).max() > 0.01
    sky = find_softer_subject(jnp.asarray(softness).at[:, 0].add(100), jnp.asarray(subject), structure)
    np.testing.assert_allclose(sky, found, atol=1e-5)
    assert np.isnan(find_softer_subject(jnp.asarray(softness), jnp.asarray(subject), 0 * structure)).all()


def test_the_subject_counts_at_the_scale_that_shows_it_best() -> None:
    factors, softer = (1, 2, 4, 8), jnp.array([[0.1, 0.2, 0.4, 0.8]])

    def seen(blur: float, softer: jax.Array = softer) -> float:
        """Of a photo of which the first scale alone tells how blurred it is."""
        octaves = jnp.full((1, 4, SOFTNESS + 1), jnp.nan).at[0, 0].set(blur)
        return float(see_subject(octaves, softer, factors)[0])

    for factor in factors:
        weights = np.exp(-0.5 * ((np.log2(factor) - np.arange(4)) / SEEN_WIDTH) ** 2)
        expected_mean = (weights * np.asarray(softer[0])).sum() / weights.sum()
        assert seen(np.log2(factor) + SEEN_BEST) == pytest.approx(expected_mean, abs=1e-4)
    assert seen(-20.0) == pytest.approx(0.375, abs=1e-3) and seen(20.0) == pytest.approx(0.375, abs=1e-3)
    nothing = jnp.nan
    # A scale that a photo is too small for says nothing, and no scale at all leaves nothing.
    assert seen(SEEN_BEST, softer.at[0, 1:].set(nothing)) == pytest.approx(0.1)
    assert np.isnan(seen(SEEN_BEST, softer * nothing))


def test_the_blur_of_the_subject_counts_in_the_sum_and_where_a_photo_holds() -> None:
    factors = (1, 2, 4, 8)
    octaves = jnp.array([[[0.5, 0.1, 0.2, 0.8], [0.1, 0, 0, 0.2], [0, 0, 0, 0], [0, 0, 0, 0]]])
    softer = see_subject(octaves, jnp.array([[-0.4, -0.2, 0.0, 0.0]]), factors)
    seen = float(softer[0])
    difference = float(sum_losses(octaves, softer)[0] - sum_losses(octaves)[0])
    assert difference == pytest.approx(seen, abs=1e-6)
    holds, without = (float(find_holding_scale(octaves, factors, one)[0]) for one in (softer, None))
    assert np.log2(holds / without) == pytest.approx(-seen, abs=1e-5) and seen < -0.1


# ---- the model ----


def test_the_pass_that_scores_the_whole_finds_its_subject(model: VTIQA, rng: np.random.Generator) -> None:
    views = [jnp.asarray(rng.integers(0, 256, (2, 28, 28, 3), np.uint8)) for _ in range(3)]
    features, subject = model.see_views(views)
    assert subject is not None
    np.testing.assert_allclose(features, model.encode_views(views), atol=1e-5)
    np.testing.assert_allclose(subject, model.find_subject(views[0]), atol=1e-5)
    for other in (views[1], views[2], views[0][::-1]):  # of a mosaic, of the other photo
        assert np.abs(subject - model.find_subject(other)).max() > 0.1


def test_what_shows_at_full_size_is_told_by_the_subject_and_the_score_is_not(
    scorer: Scorer, plain: Scorer, model: VTIQA, photos: list[Rgb]
) -> None:
    found, without = (
        [(r.score or 0, r.detail or 0, r.holds or 0) for r in one.stream(photos)] for one in (scorer, plain)
    )
    for photo, (score, detail, holds), other in zip(photos, found, without, strict=True):
        whole, *_, native, structure = (jnp.asarray(array[None]) for array in CONFIG.preparation.make(photo))
        readings = model.read_native(native, structure, model.find_subject(whole))
        expected_detail, expected_holds = (float(number[0]) for number in model.judge_detail(readings))
        assert (detail, holds) == pytest.approx((expected_detail, 100 * expected_holds), rel=TOLERANCE)
        assert score == pytest.approx(other[0], abs=1e-5)
    # By the subject of the next photo, or by none, they are further off.
    for number in (1, 2):
        assert max(abs(one[number] / other[number] - 1) for one, other in zip(found, without, strict=True)) > 1e-3


def test_drawn_mosaics_change_no_subject(scorer: Scorer, photos: list[Rgb]) -> None:
    plain, drawn = scorer.stream(photos), scorer.stream(photos, sampling=MosaicSampling(2), batch_size=2)
    for one, other in zip(plain, drawn, strict=True):
        assert other.holds == pytest.approx(one.holds, rel=TOLERANCE)


def test_eight_devices_find_the_same_subjects(params: Params, scorer: Scorer) -> None:
    """Each has views of one kind only, and whose photos they are is not its order."""
    photos = [blurred(60, 80, seed) for seed in range(8)]
    eight = Scorer(CONFIG, params, SCALE, devices=jax.devices())
    found, one = ([result.holds for result in each.stream(photos)] for each in (eight, scorer))
    assert len(jax.devices()) == 8 and found == pytest.approx(one, rel=TOLERANCE)
    assert found != pytest.approx(one[1:] + one[:1], rel=0.05)


def test_a_subject_needs_native_views() -> None:
    with pytest.raises(ValueError, match="a subject need native views"):
        tiny_config(subject=True)


def test_a_quantized_model_keeps_the_head(tmp_path: Path) -> None:
    config = tiny_config(embed_dim=32, native_factors=(1, 2), native_blocks=(1,), subject=True)
    drawn = init_params(config, 0)
    quantized.save(tmp_path / "m.npz", Checkpoint(config, drawn, SCALE, {}))
    loaded = quantized.load(tmp_path / "m.npz")
    assert loaded.config == config
    kernel = np.asarray(drawn["subject.linear.kernel"], np.float16).astype(np.float32)
    np.testing.assert_array_equal(loaded.params["subject.linear.kernel"], kernel)


def test_a_map_of_the_whole_photo_counts_places_by_the_subject(scorer: Scorer, plain: Scorer, model: VTIQA) -> None:
    photo = noisy(8 * 28, 12 * 28)
    found, without = (one.explain_detail(photo) for one in (scorer, plain))
    (whole,) = prepare(photo, None, CONFIG.view_cuts[:1])
    subject = np.asarray(model.find_subject(jnp.asarray(whole[None])))[0].reshape(7, 7)
    rows, columns = found.weights.shape
    cells = np.arange(rows) * 7 // rows, np.arange(columns) * 7 // columns
    expected_weights = without.weights * np.exp(SUBJECT_WEIGHT * subject[np.ix_(*cells)])
    expected_weights /= expected_weights.sum()
    np.testing.assert_allclose(found.weights, expected_weights, atol=1e-6)
    assert np.abs(found.weights - without.weights).max() > 1e-4
    near, plainly = (one.explain_detail(photo, at=(0.5, 0.5)) for one in (scorer, plain))
    np.testing.assert_array_equal(near.weights, plainly.weights)


def test_places_of_a_map_differ_as_their_own_pixels_say(scorer: Scorer, plain: Scorer, model: VTIQA) -> None:
    photo = noisy(3 * 28, 3 * 28)
    near, plainly = (one.explain_detail(photo, at=(0.5, 0.5)) for one in (scorer, plain))
    assert near.factor == 1 and near.octaves.shape == (21, 21) and model.subject is not None
    softness = np.asarray(model.subject.pixels(cut_squares(jnp.asarray(photo), 21))).reshape(21, 21)
    expected_octaves = plainly.octaves + softness - (plainly.weights * softness).sum()
    np.testing.assert_allclose(near.octaves, expected_octaves, atol=1e-4)
    assert np.abs(near.octaves - plainly.octaves).max() > 0.01
    assert (near.weights * near.octaves).sum() == pytest.approx((plainly.weights * plainly.octaves).sum(), abs=1e-4)


# ---- exported ----


def of_the_next_photo(op: Any, places: Any) -> Any:
    return op.Gather(FOUND(op, places), np.array([1, 0]), axis=0)


FOUND = onnx_detail.find_subject


def as_soft_as_the_first(op: Any, views: Any, grid: int, patch: int) -> Any:
    softness = SOFTNESS_OF(op, views, grid, patch)
    first = op.Slice(softness, np.array([0]), np.array([1]), np.array([0]))
    return op.Expand(first, op.Shape(softness))


SOFTNESS_OF = onnx_pixels.find_softness


@pytest.mark.parametrize(
    ("fault", "is_right"),
    [
        (None, True),
        ((onnx_detail, "SUBJECT_WEIGHT", 0.0), False),
        ((onnx_detail, "SEEN_BEST", 0.0), False),
        ((onnx_detail, "SEEN_WIDTH", 0.4), False),
        ((onnx_detail, "LEAST_WEIGHT", 0.0), False),
        ((onnx_detail, "find_subject", of_the_next_photo), False),
        ((onnx_pixels, "find_softness", as_soft_as_the_first), False),
    ],
    ids=[
        "right",
        "all places count alike",
        "seen where all is sharp",
        "seen at one scale alone",
        "far from all scales nothing",
        "the next photo's subject",
        "all views as soft as the first",
    ],
)
def test_an_onnx_graph_weighs_by_the_subject(
    fault: tuple[Any, str, object] | None,
    is_right: bool,
    params: Params,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        if fault:
            patch.setattr(*fault)
        graph = onnx_vtiqa.build(CONFIG, params)
    session = open_session(graph)
    pairs = [[blurred(*size, seed) for seed in (0, 1)] for size in ((31, 31), (100, 300), (300, 450))]
    wrong = [errors(judge(session, pair), expected(CONFIG, params, pair)).max() for pair in pairs]
    assert (max(wrong) < TOLERANCE) == is_right


def test_the_graph_of_a_page_finds_the_subject_of_its_photo(params: Params) -> None:
    session, pixels = open_session(onnx_vtiqa.build(CONFIG, params, inputs="regions")), blurred(300, 450, 1)
    whole = session.run(["score", "detail", "holds"], {"photos": pixels[None], "corners": np.zeros((0, 2), np.int32)})
    ours = expected(CONFIG, params, [pixels])
    assert errors(np.stack(whole, axis=1), ours).max() < TOLERANCE
    other = expected(CONFIG, params | {"subject.linear.kernel": 0 * params["subject.linear.kernel"]}, [pixels])
    assert errors(np.stack(whole, axis=1), other).max() > 10 * TOLERANCE
    two = session.run(["detail"], {"photos": pixels[None], "corners": np.array([(0, 0), (9, 60)], np.int32)})
    assert two[0].shape == (0,)


def test_a_stablehlo_program_weighs_by_the_subject(params: Params) -> None:
    call = export.deserialize(bytearray(stablehlo.build(CONFIG, params))).call
    photos = [blurred(120, 90, 0), flat(120, 90, 0), blurred(120, 90, 2)]
    stored = [np.stack(same) for same in zip(*(prepare(one, None, CONFIG.stored_cuts) for one in photos), strict=True)]
    native = [np.stack(same) for same in zip(*(CONFIG.native.make(one, one) for one in photos), strict=True)]  # type: ignore[union-attr]
    ours = expected(CONFIG, params, photos)

    def wrong(stored: list[np.ndarray]) -> float:
        said = call(*stored, *native)
        return float(errors(np.stack([said[name] for name in ("detail", "detail", "holds")], 1), ours)[:, 1:].max())

    assert wrong(stored) < TOLERANCE
    assert wrong([stored[0][::-1], stored[1]]) > 10 * TOLERANCE  # wholes of other photos


# ---- the fit ----


def planted(rng: np.random.Generator, photos: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Places of which two features of five tell, on other scales, whether they show the subject; it is rare."""
    shows = rng.random((photos, PLACES)) < 0.2
    shows[:, 0] |= ~shows.any(1)
    tokens = rng.standard_normal((photos, PLACES, 5))
    tokens[..., 1] += 2 * shows
    tokens[..., 3] -= shows
    return (tokens * [1, 30, 1, 0.5, 1] + [0, 200, 0, 5, 0]).astype(np.float32), shows


def logits_of(fitted: Params, tokens: np.ndarray) -> np.ndarray:
    return (tokens @ fitted["subject.linear.kernel"])[..., 0]


def test_the_fit_is_the_least_of_its_loss(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, shows = planted(rng)
    deviation = tokens.reshape(-1, 5).std(0) + fitting.LEAST_DEVIATION

    def loss(fitted: Params) -> float:
        weights = fitted["subject.linear.kernel"][:, 0] * deviation
        shares = np.exp(logits_of(fitted, tokens).astype(np.float64))
        shares /= shares.sum(1, keepdims=True)
        entropies = [-np.log(shares[photo][shows[photo]]).mean() for photo in range(len(shows))]
        return float(sum(entropies) + 100 / 2 * weights @ weights)

    found = fit_subject(tokens, shows)
    assert {name: array.shape for name, array in found.items()} == {"subject.linear.kernel": (5, 1)}
    for feature in range(5):
        for step in (-0.02, 0.02):
            moved = found["subject.linear.kernel"].copy()
            moved[feature] += step / deviation[feature]
            assert loss(found | {"subject.linear.kernel": moved}) > loss(found)
    monkeypatch.setattr(fitting, "PENALTY", 10.0)
    assert loss(fit_subject(tokens, shows)) > loss(found) + 1


def test_places_of_other_photos_are_told_apart(rng: np.random.Generator) -> None:
    fitted = fit_subject(*planted(rng))
    tokens, shows = planted(rng)
    logits = logits_of(fitted, tokens)

    def share(shows: np.ndarray) -> float:
        """Of pairs of places the one that shows the subject is the more probable one."""
        return float((logits[shows][:, None] > logits[~shows]).mean())

    assert share(shows) > 0.9
    assert share(shows[::-1]) < 0.6


def test_octaves_on_the_scored_photos_are_those_of_scoring(params: Params, model: VTIQA, tmp_path: Path) -> None:
    scored = read_csv(scored_photos(tmp_path / "scored", 5), tmp_path / "scored")
    octaves = measure_octaves(Checkpoint(CONFIG, params, SCALE, {}), scored)
    assert model.detail is not None
    found = np.asarray(model.detail.on_scale(jnp.asarray(octaves, jnp.float32)))
    photos = [decode(name, scored.images.read(name)).pixels for name in scored.names]
    np.testing.assert_allclose(found, expected(CONFIG, params, photos)[:, 1], atol=TOLERANCE)
    other = params | {"subject.linear.kernel": 0 * params["subject.linear.kernel"]}
    assert np.abs(found - expected(CONFIG, other, photos)[:, 1]).max() > 10 * TOLERANCE


def test_subjects_are_marked_in_the_model_s_cells(params: Params) -> None:
    check_cells(Checkpoint(CONFIG, params, SCALE, {}))
    with pytest.raises(UserError, match="marks 7 x 7 cells, and the model sees 14 x 14"):
        check_cells(Checkpoint(CONFIG.replace(mosaic_grid=14, global_resize=68), params, SCALE, {}))


# ---- marked by eye ----


def test_marked_cells_are_read_row_by_row(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "s.csv").write_text("image,subject\na.jpg, -/-/CDE/AG/-/-/B \nb.jpg,all\n")
    found = read_subjects(tmp_path / "s.csv")
    assert found.paths == (tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert [divmod(place, 7) for place in np.flatnonzero(found.shows[0])] == [
        (2, 2), (2, 3), (2, 4), (3, 0), (3, 6), (6, 1)
    ]  # fmt: skip
    assert found.shows[1].all()
    (tmp_path / "t.csv").write_text("subject,image\nall,../b.jpg\n")
    (tmp_path / "folder").mkdir()
    joined = join_subjects([found, read_subjects(tmp_path / "t.csv", tmp_path / "folder")])
    assert joined.paths[2] == tmp_path / "folder" / "../b.jpg" and joined.shows.sum(1).tolist() == [6, 49, 49]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.jpg,-/-/-", 'line 2: subject is \'-/-/-\', neither "all" nor 7 rows parted by "/"'),
        ("a.jpg,all\na.jpg,-/-/CH/-/-/-/-", "line 3: subject is '-/-/CH/-/-/-/-', where the row 'CH' is neither"),
        ("a.jpg,-/-/DC/-/-/-/-", "the row 'DC' is neither"),
        ("a.jpg,-/-//-/-/-/-", "the row '' is neither"),
        ("a.jpg,", "line 2: subject is ''"),
        ("b.jpg,all", "line 2: no such photo"),
        ("", "lists no photos"),
    ],
)
def test_a_table_that_marks_no_subject_is_refused(rows: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "s.csv").write_text(f"image,subject\n{rows}\n")
    with pytest.raises(UserError, match=re.escape(message)):
        read_subjects(tmp_path / "s.csv")


@pytest.mark.parametrize("name", ["subjects.csv", "large_subjects.csv"])
def test_the_tables_of_this_project_are_read(name: str, tmp_path: Path) -> None:
    table = Path(__file__).parents[1] / "experiments" / "judged" / name
    lines = table.read_text().splitlines()[1:]
    for line in lines:
        path = tmp_path / line.rpartition(",")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = read_subjects(table, tmp_path)
    assert len(set(found.paths)) == len(lines) == len(found.shows)
    assert found.shows.any(1).all()
    marked = [line.rpartition(",")[2] for line in lines]
    assert found.shows.sum(1).tolist() == [49 if text == "all" else len(re.findall("[A-G]", text)) for text in marked]
