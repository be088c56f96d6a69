"""Reasons: what the head sees, planted faults, innocent changes, thresholds, probabilities, and the cache between."""

import dataclasses
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image

from vtiqa_jax.data.judged import read_judged
from vtiqa_jax.data.planted_faults import AMOUNTS, PLANTED, amount_of, plant
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.heads import faulty
from vtiqa_jax.heads.alarms import LEAST_NAMED, fit_probabilities, fit_thresholds
from vtiqa_jax.heads.averaging import average_heads
from vtiqa_jax.heads.faulty import (
    HARDEST,
    INNOCENT_CHANGES,
    LARGEST_PART,
    OPPOSITE,
    SMALLEST,
    Faulty,
    draw_strengths,
    make_faulty,
    make_faulty_parts,
)
from vtiqa_jax.heads.naming import find_strengths, measure_strengths
from vtiqa_jax.heads.reasons import fit_reasons, ordinal_loss, weigh_errors
from vtiqa_jax.heads.seen import Seen, SeenCache, see_versions
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig, tiny_config
from vtiqa_jax.models.faults import FALSE_ALARMS, FAULTS
from vtiqa_jax.models.params import init_params
from vtiqa_jax.models.reasons import TONES, ReasonsHead, measure_tones

HEIGHT, WIDTH = 96, 128


def a_photo(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Large squares of several colours with fine texture."""
    rng = np.random.default_rng(seed)
    squares = rng.integers(60, 190, (height // 16 + 1, width // 16 + 1, 3))
    large = squares.repeat(16, 0).repeat(16, 1)[:height, :width]
    return (large + rng.integers(-12, 13, (height, width, 1))).astype(np.uint8)


@pytest.fixture
def naming() -> ModelConfig:
    """A tiny model with reasons."""
    return tiny_config().replace(native_factors=(1, 2), native_blocks=(1,), reasons=True)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_stronger_fault_changes_a_photo_more_and_none_changes_its_size(fault: str) -> None:
    photo = a_photo(1)

    def change(strength: float, seed: int) -> float:
        planted = plant(photo, {fault: strength}, np.random.default_rng(seed))
        assert planted.shape == photo.shape and planted.dtype == np.uint8
        return float(np.abs(planted.astype(np.float32) - photo).mean())

    # Filters and sharpening are drawn: halos around a slight enlargement can change more than a plain one does.
    distances = [np.median([change(strength, seed) for seed in range(5)]) for strength in (1.0, 2.0, 3.0)]
    assert 0 < distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("fault", PLANTED)
def test_strengths_of_one_to_three_are_the_amounts_of_the_table(fault: str) -> None:
    np.testing.assert_allclose([amount_of(fault, strength) for strength in (1.0, 2.0, 3.0)], AMOUNTS[fault])
    amounts = [amount_of(fault, float(strength)) for strength in np.linspace(0.4, 3.6, 33)]
    assert (np.diff(amounts) > 0).all()


def test_faults_are_planted_in_the_order_of_a_camera_whoever_names_them_first() -> None:
    both = {"compression": 2.0, "defocus": 2.0}
    planted = [
        plant(a_photo(2), dict(order), np.random.default_rng(0)) for order in (both.items(), reversed(both.items()))
    ]
    np.testing.assert_array_equal(*planted)
    # Compressed last it has blocks of 8 pixels that a blur would have smeared.
    wrong = plant(
        plant(a_photo(2), {"compression": 2.0}, np.random.default_rng(0)), {"defocus": 2.0}, np.random.default_rng(0)
    )

    def blocks(photo: np.ndarray) -> float:
        steps = np.abs(np.diff(photo.mean(2), axis=1)).mean(0)
        return steps[7::8].mean() / steps.mean()

    assert blocks(planted[0]) > blocks(wrong)


def test_colour_noise_leaves_brightness_and_luminance_noise_colour() -> None:
    grey = np.full((64, 64, 3), 120, np.uint8)
    for fault, is_colour in (("chroma_noise", True), ("luminance_noise", False)):
        planted = plant(grey, {fault: 2.5}, np.random.default_rng(3)).astype(np.float32)
        brightness, colour = planted.mean(2).std(), (planted - planted.mean(2, keepdims=True)).std()
        assert (colour > 2 * brightness) == is_colour and (brightness > 2 * colour) != is_colour


def test_versions_begin_with_the_photo_and_repeat_by_their_seed() -> None:
    photo = a_photo(5, 320, 400)
    first, *others = make_faulty(photo, 5, 11, LARGEST_PART)
    np.testing.assert_array_equal(first.pixels, photo)
    assert not first.strengths.any() and any(other.strengths.any() for other in others)
    for one, other in zip(make_faulty(photo, 5, 11, LARGEST_PART), [first, *others], strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
        np.testing.assert_array_equal(one.strengths, other.strengths)
    with pytest.raises(ImageError, match="fewer than 300 pixels"):
        next(make_faulty(photo[:299], 5, 11, LARGEST_PART))


def corners_in(photo: np.ndarray) -> set[bytes]:
    """Returns all of a photo's squares of 8 pixels."""
    windows = np.lib.stride_tricks.sliding_window_view(photo, (8, 8, 3))[:, :, 0].reshape(-1, 192)
    return {window.tobytes() for window in windows}


def test_large_photos_are_cut_to_parts_with_their_own_pixels_or_shrunk() -> None:
    photo = a_photo(5, 420, 500)
    known = corners_in(photo)
    drawn = [next(make_faulty(photo, 1, seed, (300, 320))).pixels for seed in range(12)]
    assert {pixels.shape for pixels in drawn} == {(300, 320, 3)}
    assert 0 < sum(pixels[:8, :8].tobytes() in known for pixels in drawn) < len(drawn)


def test_parts_as_they_are_looked_at_have_each_of_the_hardest_faults_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faulty, "SCREEN_PART", (300, 320))
    photo = a_photo(5, 420, 500)
    first, *others = make_faulty_parts(photo, 11)
    assert first.pixels.shape == (300, 320, 3) and not first.strengths.any()
    assert first.pixels[:8, :8].tobytes() in corners_in(photo)  # its own pixels, never shrunk
    planted = [{FAULTS[fault] for fault in np.flatnonzero(version.strengths)} for version in others]
    assert planted[: len(HARDEST)] == [{fault} for fault in HARDEST] and len(planted) == len(HARDEST) + 2
    again = make_faulty_parts(photo, 11)
    for one, other in zip(again, [first, *others], strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
    with pytest.raises(ImageError, match=f"fewer than {SMALLEST} pixels"):
        list(make_faulty_parts(photo[: SMALLEST - 1], 11))


def test_faults_that_hide_each_other_are_not_planted_together() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_strengths(rng).keys() for _ in range(3000)]
    assert {len(names) for names in drawn} == {0, 1, 2, 3}
    assert not any(set(pair) <= names for names in drawn for pair in OPPOSITE)
    assert all(sum(fault in names for names in drawn) > 100 for fault in FAULTS)


@pytest.mark.parametrize("name", INNOCENT_CHANGES)
def test_an_innocent_change_keeps_size_and_changes_something(name: str) -> None:
    photo = a_photo(3, 160, 200)
    changed = INNOCENT_CHANGES[name][1](photo, np.random.default_rng(2))
    assert changed.shape == photo.shape and changed.dtype == np.uint8 and (changed != photo).any()


def test_a_subject_before_a_blurred_background_stays_sharp_to_the_pixel() -> None:
    photo = a_photo(3, 160, 200)
    changed = INNOCENT_CHANGES["shallow depth of field"][1](photo, np.random.default_rng(2))
    same = (changed == photo).all(2)
    rows = np.flatnonzero(same.mean(1) > 0.2)
    assert len(rows) > 30 and not same[0].all()


def test_tones_of_known_pictures() -> None:
    black, white, red = (np.full((1, 8, 8, 3), colour, np.uint8) for colour in (0, 255, (255, 0, 0)))
    half = np.concatenate([black[:, :, :4], white[:, :, 4:]], axis=2)
    tones = {name: np.asarray(measure_tones(jnp.asarray(image)))[0] for name, image in {
        "black": black, "white": white, "red": red, "half": half}.items()}  # fmt: skip
    assert tones["black"].shape == (TONES,)
    np.testing.assert_allclose(tones["black"][:5], 0)
    np.testing.assert_allclose(tones["white"][:5], 1)
    np.testing.assert_allclose(tones["red"][:5], [1, 0, 0, 1, 0])  # red is clipped, and not all channels
    np.testing.assert_allclose(tones["half"][5:21], 0.5)
    assert all(np.abs(values).max() < 4 for values in tones.values())


def test_places_without_photo_and_absent_scales_say_nothing(rng: np.random.Generator) -> None:
    head = ReasonsHead(6, 2, 5, rngs=nnx.Rngs(0))
    tokens = jnp.asarray(rng.normal(size=(2, 9, 6)).astype(np.float32))
    structure = jnp.asarray(rng.uniform(0.1, 3, (2, 9)).astype(np.float32)).at[0, 3:].set(0)
    summary = head.see_places(tokens, structure)
    np.testing.assert_allclose(summary[0], head.see_places(tokens[0, :3], structure[0, :3]), atol=1e-6)
    assert not np.allclose(summary[0], head.see_places(tokens[0], jnp.ones(9)), atol=1e-3)  # counted all the same
    absent = np.asarray(head.see_places(tokens[0], jnp.zeros(9)))
    assert not absent.any() and np.asarray(summary)[:, -1].all()


def test_probabilities_rise_with_strengths_by_the_curve(rng: np.random.Generator) -> None:
    head = ReasonsHead(6, 2, 5, rngs=nnx.Rngs(0))
    summaries = head.see_places(jnp.asarray(rng.normal(size=(4, 2, 9, 6)).astype(np.float32)), jnp.ones((4, 2, 9)))
    screen, tones = (jnp.asarray(rng.normal(size=(4, size)).astype(np.float32)) for size in (5, TONES))
    strengths, probabilities = map(np.asarray, head(summaries, screen, tones))
    slope, intercept = np.asarray(head.curve[...]).T
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-slope * strengths - intercept)), rtol=1e-5)
    assert strengths.shape == (4, len(FAULTS))


def test_a_model_with_reasons_needs_native_views() -> None:
    with pytest.raises(ValueError, match="native"):
        tiny_config().replace(reasons=True)


def test_thresholds_give_the_false_alarms_asked_for(rng: np.random.Generator) -> None:
    count = 20_000
    common = rng.normal(size=(count, 1))
    good = 3 + 0.6 * common + rng.normal(size=(count, len(FAULTS))) * np.linspace(0.2, 2, len(FAULTS))
    thresholds = fit_thresholds(good)
    shares = (good[None] > thresholds[:, None]).any(2).mean(1)
    np.testing.assert_allclose(shares, FALSE_ALARMS, rtol=0.1)
    alone = (good > thresholds[2]).mean(0)
    np.testing.assert_allclose(alone, alone.mean(), rtol=0.2)  # all faults alike
    each = np.quantile(good, 1 - FALSE_ALARMS[2], axis=0)  # the rate for each fault, not for all together
    assert (good > each).any(1).mean() > 2 * FALSE_ALARMS[2]


def test_nothing_slight_is_named_however_rare() -> None:
    good = np.random.default_rng(0).normal(-3, 0.1, (500, len(FAULTS)))
    assert (fit_thresholds(good) == LEAST_NAMED).all()


def test_probabilities_are_those_of_eyes_weighed_by_how_many_photos_each_stands_for(rng: np.random.Generator) -> None:
    strengths = rng.uniform(-3, 4, (4000, len(FAULTS)))
    chance = 1 / (1 + np.exp(-(1.5 * strengths - 4)))
    named = rng.random(chance.shape) < chance
    kept = named.any(1) | (rng.random(len(named)) < 0.5)  # photos with faults were looked for
    weights = np.where(named.any(1), 1.0, 2.0)[kept]
    slope, intercept = fit_probabilities(strengths[kept], named[kept], weights).T
    np.testing.assert_allclose(slope, 1.5, atol=0.2)
    np.testing.assert_allclose(intercept, -4, atol=0.5)
    wrong = fit_probabilities(strengths[kept], ~named[kept], weights)
    assert (np.abs(wrong[:, 0] - 1.5) > 0.2).all()


@pytest.mark.usefixtures("as_people_run")
def test_the_loss_falls_where_strengths_agree_and_counts_faults_that_are_there(rng: np.random.Generator) -> None:
    strengths = jnp.asarray(np.eye(len(FAULTS), dtype=np.float32) * np.linspace(0.5, 3.5, len(FAULTS)))
    right = jnp.where(strengths > 0, strengths, -2.0)
    assert ordinal_loss(right, strengths) < ordinal_loss(right - 1, strengths)
    assert ordinal_loss(right, strengths) < ordinal_loss(right.at[:, ::-1].get(), strengths)
    weights = np.asarray(weigh_errors(strengths))
    defocus, enlarged, dark = (FAULTS.index(name) for name in ("defocus", "enlarged", "too_dark"))
    assert weights[defocus, defocus] > weights[defocus, dark] > weights[defocus, enlarged] > 0


def test_heads_side_by_side_find_the_mean_of_what_each_finds(rng: np.random.Generator) -> None:
    members = [ReasonsHead(6, 3, 5, hidden=8, queries=2, rngs=nnx.Rngs(seed)) for seed in (0, 1)]
    together = ReasonsHead(6, 3, 5, hidden=16, queries=4, rngs=nnx.Rngs(2))
    states = [nnx.to_flat_state(nnx.split(member, nnx.Param)[1]) for member in members]
    named = [
        {".".join(map(str, path)): rng.normal(size=leaf.shape).astype(np.float32) for path, leaf in state}
        for state in states
    ]

    def with_params(head: ReasonsHead, params: dict[str, np.ndarray]) -> ReasonsHead:
        graphdef, state = nnx.split(head, nnx.Param)
        flat = [
            (path, leaf.replace(jnp.asarray(params[".".join(map(str, path))])))
            for path, leaf in nnx.to_flat_state(state)
        ]
        return nnx.merge(graphdef, nnx.from_flat_state(flat))

    structure = (rng.random((7, 3, 9)) < 0.6).astype(np.float32)
    structure[0, 1] = 0  # a photo too small for one of the scales
    inputs = [rng.normal(size=shape).astype(np.float32) for shape in ((7, 3, 9, 6), (7, 5), (7, TONES))]
    tokens, screen, tones = map(jnp.asarray, inputs)

    def strengths(head: ReasonsHead) -> np.ndarray:
        return np.asarray(head(head.see_places(tokens, jnp.asarray(structure)), screen, tones)[0])

    each = [strengths(with_params(member, params)) for member, params in zip(members, named, strict=True)]
    found = strengths(with_params(together, average_heads(named, scales=3)))
    # Queries that look at the units of the other head, or a sum instead of a mean, are wrong by more than a strength.
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-3)
    assert np.abs(each[0] - each[1]).max() > 1


def made_up_seen(rng: np.random.Generator, count: int) -> Seen:
    """Versions whose tokens, and tones, have more of a direction the stronger each fault is."""
    strengths = (rng.random((count, len(FAULTS))) < 0.15) * rng.uniform(0.4, 3.6, (count, len(FAULTS)))
    directions = rng.normal(size=(len(FAULTS), 24))
    tokens = rng.normal(size=(count, 2, 9, 24)) + 2 * (strengths @ directions)[:, None, None]
    tones = 0.3 * rng.normal(size=(count, TONES))
    tones[:, : len(FAULTS)] += strengths
    return Seen(
        tokens.astype(np.float16), np.ones((count, 2, 9), np.float32), rng.normal(size=(count, 5)).astype(np.float32),
        tones.astype(np.float32), strengths.astype(np.float32),
    )  # fmt: skip


@pytest.mark.usefixtures("as_people_run")
def test_a_fitted_head_finds_faults_in_versions_that_it_never_saw(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vtiqa_jax.heads.reasons.PLACES", 5)
    everything = made_up_seen(rng, 1500)
    train, test = everything.take(np.arange(1200)), everything.take(np.arange(1200, 1500))
    monkeypatch.setattr("vtiqa_jax.heads.reasons.EPOCHS", 12)
    params = fit_reasons(train, [np.arange(1200), np.arange(0, 1200, 2)])
    head = ReasonsHead(24, 2, 5, rngs=nnx.Rngs(1))
    graphdef, state = nnx.split(head, nnx.Param)
    flat = [
        (path, leaf.replace(jnp.asarray(params[f"reasons.{'.'.join(map(str, path))}"])))
        for path, leaf in nnx.to_flat_state(state)
    ]
    fitted = nnx.merge(graphdef, nnx.from_flat_state(flat))

    def separation(head: ReasonsHead) -> np.ndarray:
        summaries = head.see_places(jnp.asarray(test.tokens, jnp.float32), jnp.asarray(test.structure))
        found = np.asarray(head(summaries, jnp.asarray(test.screen), jnp.asarray(test.tones))[0])
        return np.array([
            (values[there][:, None] > values[~there]).mean()
            for values, there in zip(found.T, test.strengths.T > 1.5, strict=True)
        ])  # fmt: skip

    assert separation(fitted).min() > 0.9
    assert separation(head).min() < 0.7  # as it was drawn


@pytest.fixture
def good_model(naming: ModelConfig) -> Checkpoint:
    config = naming.replace(reasons=False)
    return Checkpoint(config, init_params(config, 0), LabelScale("test", 1.0, 5.0, True), {})


def test_what_was_seen_is_kept_by_photo_backbone_and_recipe(good_model: Checkpoint, tmp_path: Path) -> None:
    versions = [Faulty(a_photo(seed), np.full(len(FAULTS), seed, np.float32)) for seed in range(5)]
    cache = SeenCache(tmp_path / "cache", good_model)
    first = cache.read(b"photo", "5", lambda: iter(versions))
    assert first.tokens.shape[0] == 5 and first.tokens.dtype == np.float16 and first.tones.shape == (5, TONES)
    np.testing.assert_array_equal(first.strengths[:, 0], np.arange(5))
    (file,) = (tmp_path / "cache").iterdir()
    config = good_model.config.replace(
        subject=True, soft_ends=True, novelty=True, reasons=True, intervals=True, opinions=True
    )
    complete = dataclasses.replace(good_model, config=config, params=init_params(config, 0) | good_model.params)
    for model in (good_model, complete):
        again = SeenCache(tmp_path / "cache", model).read(b"photo", "5", lambda: pytest.fail("seen again"))
        for field in dataclasses.fields(Seen):
            np.testing.assert_array_equal(getattr(again, field.name), getattr(first, field.name))
    file.write_bytes(file.read_bytes()[:500])  # another program filled the disk
    np.testing.assert_array_equal(cache.read(b"photo", "5", lambda: iter(versions)).tokens, first.tokens)
    moved = {"backbone.norm.bias": good_model.params["backbone.norm.bias"] + 1}
    other = dataclasses.replace(good_model, params=good_model.params | moved)
    assert (
        SeenCache(tmp_path / "cache", other).read(b"photo", "5", lambda: iter(versions)).tokens != first.tokens
    ).any()
    assert len(SeenCache(tmp_path / "cache", complete).read(b"photo", "2", lambda: iter(versions[:2])).tokens) == 2
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_what_is_seen_of_a_version_is_what_scoring_sees(good_model: Checkpoint, naming: ModelConfig) -> None:
    versions = [Faulty(a_photo(seed), np.zeros(len(FAULTS), np.float32)) for seed in range(5)]
    params = good_model.params | {
        name: array for name, array in init_params(naming, 3).items() if name.startswith("reasons.")
    }
    model = dataclasses.replace(good_model, config=naming, params=params)
    seen_versions = see_versions(
        good_model, {name: jnp.asarray(array) for name, array in good_model.params.items()}, versions
    )
    scored = measure_strengths(model, [version.pixels for version in versions])
    np.testing.assert_allclose(find_strengths(model, seen_versions), scored, atol=2e-2)
    other = measure_strengths(model, [version.pixels[:, ::-1] for version in versions])
    assert np.abs(other - scored).max() > 5e-2  # mirrored photos
    plain = measure_strengths(model, [versions[0].pixels, np.full_like(versions[0].pixels, 90)])
    assert np.isfinite(plain[0]).all() and np.isnan(plain[1]).any()  # of a photo without structure not all are told


HEADER = "image," + ",".join(FAULTS)


def test_judged_photos_are_read_with_their_weights(tmp_path: Path) -> None:
    Image.fromarray(a_photo(1)).save(tmp_path / "a.png")
    row = "a.png," + ",".join(str(0.3 * place) for place in range(len(FAULTS)))
    (tmp_path / "judged.csv").write_text(f"{HEADER},weight\n{row},4.5\n")
    found = read_judged(tmp_path / "judged.csv")
    assert found.paths == (tmp_path / "a.png",) and found.weights.tolist() == [4.5]
    assert found.strengths.tolist() == [[0.3 * place for place in range(len(FAULTS))]]
    (tmp_path / "judged.csv").write_text(f"{HEADER}\n{row}\n")
    assert read_judged(tmp_path / "judged.csv").weights.tolist() == [1.0]


def test_judged_photos_of_one_folder_are_of_one_source(tmp_path: Path) -> None:
    names = ("a.png", "ann/a.png", "ann/b.png", "bob/a.png")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(a_photo(1)).save(tmp_path / name)
    zeros = ",".join("0" * len(FAULTS))
    (tmp_path / "judged.csv").write_text("\n".join([HEADER, *(f"{name},{zeros}" for name in names)]))
    assert read_judged(tmp_path / "judged.csv").sources == ("a.png", "ann", "ann", "bob")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER}\nb.png,{','.join('0' * len(FAULTS))}\n", "line 2: no such photo"),
        (f"{HEADER}\na.png,{','.join(['plain'] * len(FAULTS))}\n", "line 2: defocus is 'plain'"),
        ("image,defocus\na.png,1\n", "no column `motion`"),
        (f"{HEADER}\n", "lists no photos"),
        (f"{HEADER}\na.png,{','.join(['40'] * len(FAULTS))}\n", "line 2: defocus is 40, which is no strength"),
        (f"{HEADER},weight\na.png,{','.join('1' * len(FAULTS))},0\n", "line 2: weight is 0, which is no weight"),
    ],
)
def test_a_table_of_judged_photos_that_cannot_be_right_is_refused(text: str, message: str, tmp_path: Path) -> None:
    Image.fromarray(a_photo(1)).save(tmp_path / "a.png")
    (tmp_path / "judged.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        read_judged(tmp_path / "judged.csv")
