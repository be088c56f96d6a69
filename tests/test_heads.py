"""`vtiqa heads`: what stands on a frozen backbone, made again; its places, its fit, its cache, its mistakes."""

import dataclasses
import itertools
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image
from PIL.ExifTags import IFD, Base

from tests import made_up
from tests.conftest import Command
from vtiqa_jax import __main__
from vtiqa_jax.data.datasets import biq2021
from vtiqa_jax.data.manifest import ImageFolder, Manifest, read_csv
from vtiqa_jax.data.native_ladders import LADDERS, Cause
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.heads import build, curve, faulty, lessons, photographs, places, versions
from vtiqa_jax.heads.curve import fit_curve, measure_octaves
from vtiqa_jax.heads.detail import fit_detail
from vtiqa_jax.heads.ladder_batches import BLUR, FitOptions
from vtiqa_jax.heads.ladder_loss import MOST_OCTAVES, expected_octaves, misheld, misplaced
from vtiqa_jax.heads.photographs import learn_photographs
from vtiqa_jax.heads.places import Places, PlacesCache
from vtiqa_jax.heads.versions import PARTLY_LADDERS, Version, make_versions
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.adapt import with_soft_ends, without_detail, without_novelty, without_soft_ends
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig, tiny_config
from vtiqa_jax.models.detail import CAUSES, NO_STRUCTURE, SOFTNESS, DetailHead, summarize
from vtiqa_jax.models.params import Params, backbone_params, init_params, merge_params
from vtiqa_jax.models.pixels import cut_squares
from vtiqa_jax.photos.decode import decode
from vtiqa_jax.photos.metadata import is_as_taken
from vtiqa_jax.photos.resize import shrink
from vtiqa_jax.photos.stderr import quiet_decoders
from vtiqa_jax.results.interpreter import NO_PHOTOGRAPH
from vtiqa_jax.scoring.scorer import Scorer


@pytest.fixture
def small_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a few pixels, so that a photo takes no time."""
    for name, value in {
        "NATIVE_PART": (36, 48), "SHRUNK_PART": (32, 40), "ENLARGED_PARTS": {(20, 24): (1.0, 2.0)}, "SMALLEST": 40,
        "NARROWEST": 16, "NATIVE_LADDERS": 2, "SHRUNK_LADDERS": 2, "IMPERFECT_PART": (32, 40),
        "IMPERFECT_ENLARGED_PART": (20, 24), "IMPERFECT_FACTORS": (1.0, 2.0), "IMPERFECT_ENLARGEMENTS": 2,
        "NOISY_PART": (32, 40), "EDGE": 0.5,
    }.items():  # fmt: skip
        monkeypatch.setattr(versions, name, value)
    monkeypatch.setattr(faulty, "SMALLEST", 16)
    monkeypatch.setattr(lessons, "LARGEST_PART", (36, 48))
    monkeypatch.setattr("vtiqa_jax.heads.reasons.EPOCHS", 1)


def a_photo(seed: int, height: int = 90, width: int = 120) -> np.ndarray:
    """Large squares of several colours with fine texture."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(40, 215, (height // 10, width // 10, 3)).repeat(10, 0).repeat(10, 1)
    return np.clip(blocks + rng.normal(0, 6, blocks.shape), 0, 255).astype(np.uint8)


def write(path: Path, pixels: np.ndarray, *, size: tuple[int, int] | None = None, make: str = "Maker") -> Path:
    """Writes a JPEG whose EXIF names a camera, and a size in pixels if one is given."""
    exif = Image.Exif()
    if make:
        exif[Base.Make] = make
    if size:
        inner = exif.get_ifd(IFD.Exif)
        inner[Base.ExifImageWidth], inner[Base.ExifImageHeight] = size
    Image.fromarray(pixels).save(path, quality=95, exif=exif)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four photos as a camera made them."""
    (tmp_path / "photos").mkdir()
    for seed in range(4):
        write(tmp_path / "photos" / f"{seed}.jpg", a_photo(seed), size=(120, 90))
    return tmp_path / "photos"


def scored_photos(folder: Path, count: int, low: float = 1.2, high: float = 4.8) -> Path:
    """A CSV of photos, the blurred ones worse."""
    folder.mkdir()
    lines = ["image,mos"]
    for row in range(count):
        image = Image.fromarray(a_photo(100 + row)).resize((24 + row, 20 + row)).resize((90, 70))
        image.save(folder / f"{row}.png")
        lines.append(f"{row}.png,{low + (high - low) * row / (count - 1)}")
    (folder / "scores.csv").write_text("\n".join(lines) + "\n")
    return folder / "scores.csv"


def striped(folder: Path, count: int) -> Path:
    """Pictures that are no photographs."""
    folder.mkdir()
    for number in range(count):
        stripes = np.arange(70)[:, None, None] // (number + 2) % 2 * 255
        Image.fromarray(np.broadcast_to(stripes, (70, 90, 3)).astype(np.uint8)).save(folder / f"{number}.png")
    return folder


# ---- which photos are as a camera made them ----


def test_a_photo_is_as_taken_if_its_camera_names_its_size(tmp_path: Path) -> None:
    pixels = a_photo(0)

    def judge(path: Path, shape: tuple[int, ...] = pixels.shape) -> bool:
        return is_as_taken(path.read_bytes(), shape)

    taken = write(tmp_path / "a.jpg", pixels, size=(120, 90))
    assert judge(taken)
    assert judge(taken, (120, 90, 3))  # turned by its orientation
    assert not judge(write(tmp_path / "b.jpg", pixels, size=(240, 180)))
    assert not judge(write(tmp_path / "c.jpg", pixels))
    assert not judge(write(tmp_path / "d.jpg", pixels, size=(120, 90), make=""))
    Image.fromarray(pixels).save(tmp_path / "e.png")
    assert not judge(tmp_path / "e.png")
    data = taken.read_bytes()
    start = data.index(b"Exif\0\0")
    with quiet_decoders():
        for end in range(start, data.index(b"Maker")):
            assert not is_as_taken(data[:end], pixels.shape)
            damaged = data[:end] + bytes([data[end] ^ 0xFF]) + data[end + 1 :]
            assert not is_as_taken(damaged, (90, 121, 3))


# ---- versions ----


@pytest.mark.usefixtures("small_versions")
def test_ladders_stand_together_and_begin_with_their_best() -> None:
    made = list(make_versions(a_photo(0, 180, 240), is_native=True, seed=1))
    ladders = [list(group) for _, group in itertools.groupby(made, lambda version: version.ladder)]
    names = [ladder[0].ladder for ladder in ladders]
    assert len(set(names)) == len(names), "a ladder is there in two places"
    assert {name.split()[0] for name in names} == {"native", "shrunk"}
    for ladder in ladders:
        best = ladder[0]
        assert (best.octaves, best.factor) == (0, 1) and len(ladder) > 1
        assert {version.is_sharp for version in ladder} == {best.ladder.startswith("shrunk")}
        name = best.ladder.split()[-1]
        cause = LADDERS[name].cause if name in LADDERS else "noise" if name == "noisy" else "blur"
        assert {version.cause for version in ladder} == {cause}
        costs = [(version.octaves, version.beneath, version.factor) for version in ladder if version.where is None]
        assert costs == sorted(costs) and len(set(costs)) == len(costs)
        for version in ladder:
            grown = version.factor if "and enlarged" not in best.ladder else 1
            assert version.pixels.shape[:2] == tuple(round(side * grown) for side in best.pixels.shape[:2])


@pytest.mark.usefixtures("small_versions")
@pytest.mark.parametrize("is_native", [True, False])
def test_every_photo_is_also_shown_bad_to_begin_with(is_native: bool) -> None:
    """Of how much that took nothing is known: no such ladder begins sharp, and none with the photo itself."""
    photo = a_photo(0, 180, 240)
    made = [version for version in make_versions(photo, is_native=is_native, seed=1) if "imperfect" in version.ladder]
    ladders = [list(group) for _, group in itertools.groupby(made, lambda version: version.ladder)]
    assert len(ladders) == versions.IMPERFECT_LADDERS + versions.IMPERFECT_ENLARGEMENTS
    assert not any(version.is_sharp for version in made)
    shown = {photo[top : top + 20, left : left + 24].tobytes() for top in range(161) for left in range(217)}
    assert len(shown) > 30000
    enlarged = [ladder[0].pixels for ladder in ladders if "enlarged" in ladder[0].ladder]
    assert {pixels.shape for pixels in enlarged} == {(20, 24, 3)}
    assert not any(pixels.tobytes() in shown for pixels in enlarged)


@pytest.mark.usefixtures("small_versions")
@pytest.mark.parametrize("is_native", [True, False])
def test_every_photo_is_also_shown_blurred_beneath_its_noise(is_native: bool) -> None:
    """The grain stays as it is: what differs between two steps is smooth, and less so from the clean photo on."""
    made = [v for v in make_versions(a_photo(0, 180, 240), is_native=is_native, seed=1) if "soft and" in v.ladder]
    ladders = [list(group) for _, group in itertools.groupby(made, lambda version: version.ladder)]
    assert len(ladders) == versions.NOISY_LADDERS * (1 + is_native)
    for clean, sharp, *soft in ladders:
        assert (clean.octaves, clean.beneath, sharp.beneath) == (0, 0, 0)
        assert len(soft) > 2 and {version.octaves for version in (sharp, *soft)} == {sharp.octaves}
        noise = LADDERS["camera_noise"]
        assert noise.octaves[0] < sharp.octaves <= np.interp(versions.MOST_ISO, noise.amounts, noise.octaves)
        texture = [np.abs(np.diff(version.pixels.astype(float), axis=1)).mean() for version in (sharp, *soft)]
        assert texture[-1] < 0.95 * texture[0]
        assert not np.array_equal(clean.pixels, sharp.pixels)


@pytest.mark.usefixtures("small_versions")
@pytest.mark.parametrize("is_native", [True, False])
def test_every_photo_is_also_shown_blurred_in_part(is_native: bool) -> None:
    made = [v for v in make_versions(a_photo(0, 180, 240), is_native=is_native, seed=1) if "partly" in v.ladder]
    assert len(made) == 4 * PARTLY_LADDERS * (1 + is_native)
    for whole, inside, around, soft in zip(*[iter(made)] * 4, strict=True):
        assert whole.where is None is soft.where and (whole.beneath, soft.beneath) == (0, inside.beneath)
        assert inside.where is not None and around.where is not None
        np.testing.assert_allclose(inside.where + around.where, 1, atol=1e-6)
        assert 0.01 < inside.where.mean() < 0.7
        for mixed in (inside, around):
            assert mixed.seen_as is not None and np.array_equal(mixed.seen_as, whole.pixels)
            assert mixed.where is not None
            np.testing.assert_array_equal(mixed.pixels[mixed.where < 1e-3], whole.pixels[mixed.where < 1e-3])
            np.testing.assert_array_equal(mixed.pixels[mixed.where > 0.999], soft.pixels[mixed.where > 0.999])
        assert not np.array_equal(inside.pixels, around.pixels)


@pytest.mark.usefixtures("small_versions")
def test_a_seed_makes_the_same_versions_and_another_one_others() -> None:
    def make(seed: int) -> list[Version]:
        return list(make_versions(a_photo(0), is_native=True, seed=seed))

    one, again, other = make(1), make(1), make(2)
    assert all(np.array_equal(a.pixels, b.pixels) and a.ladder == b.ladder for a, b in zip(one, again, strict=True))
    assert [version.ladder for version in one] != [version.ladder for version in other]


@pytest.mark.usefixtures("small_versions")
def test_only_what_shows_something_at_full_size_is_taken() -> None:
    def make(*size: int, is_native: bool = False) -> list[Version]:
        photo = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        return list(make_versions(photo, is_native=is_native, seed=0))

    assert make(60, 79) == []  # shrunk to half it would be too small
    assert any(version.is_sharp for version in make(60, 80))
    assert {version.is_sharp for version in make(60, 70, is_native=True)} == {False}
    for sliver in ((1, 400), (400, 1), (15, 400)):
        assert make(*sliver, is_native=True) == []


# ---- what versions have lost ----


def octaves(start: float, cost: float, factor: float, shrunk: float, cause: Cause) -> tuple[float, np.ndarray]:
    """Of a version that `cause` makes worse, and that had lost `start` by each: by that cause, and by the others."""
    number = CAUSES.index(cause)
    costs, factors = (jnp.array([[float(value)]]) for value in (cost, factor))
    before = jnp.full((1, SOFTNESS + 1), float(start))
    lost = expected_octaves(before, jnp.array([[number]]), costs, 0 * costs, factors, jnp.array([float(shrunk)]))
    each = np.asarray(lost)[0, 0, 0]
    if cause == "blur":
        assert each[SOFTNESS] == each[number]
    return float(each[number]), np.delete(each, [number, SOFTNESS] if cause == "blur" else number)


@pytest.mark.usefixtures("as_people_run")
@pytest.mark.parametrize("cause", CAUSES)
def test_spreads_add_up_in_squares_cause_by_cause(cause: Cause) -> None:
    for start, cost in itertools.product((0, 0.4, 1, 2), (0, 0.5, 1.5)):
        total = (4**start - 1) + (4**cost - 1)
        own, others = octaves(start, cost, 1, 1, cause)
        assert own == pytest.approx(np.log2(1 + total) / 2, abs=1e-5)
        assert others == pytest.approx(start, abs=1e-5)


@pytest.mark.usefixtures("as_people_run")
@pytest.mark.parametrize("factor", [1.25, 2.0, 4.0])
def test_enlarging_costs_its_octaves_and_adds_no_noise(factor: float) -> None:
    for start in (0, 0.3, 1.1):
        blur, others = octaves(start, 0, factor, 1, "blur")
        assert blur == pytest.approx(start + np.log2(factor), abs=1e-5)
        assert others == pytest.approx(start, abs=1e-5)


@pytest.mark.usefixtures("as_people_run")
@pytest.mark.parametrize("cause", CAUSES)
def test_shrinking_gives_them_back(cause: Cause) -> None:
    assert octaves(0, 0, 1, 4, cause)[0] == 0
    lost = [octaves(0.2, 2.5, 1, shrunk, cause)[0] for shrunk in (1, 2, 4, 8)]
    assert all(earlier - 1 < later < earlier for earlier, later in itertools.pairwise(lost))
    assert lost[0] - lost[1] > 0.9 and lost[3] < 0.3
    # Of 3: what is left of an enlargement that is shrunk again.
    assert 0 < octaves(0, 0, 8, 8, "blur")[0] <= 0.5
    assert octaves(0, 9, 1, 1, cause)[0] == pytest.approx(MOST_OCTAVES)
    assert octaves(-0.3, 0, 1, 1, cause)[0] == 0


@pytest.mark.usefixtures("as_people_run")
def test_an_enlarged_photo_shall_hold_at_as_much_less_of_its_size() -> None:
    """Also where scales or whole photos are missing, whose gradients stay finite."""
    factor = jnp.array([[1.0, 1.5, 2.0, 4.0]] * 3)
    start = jnp.zeros((3, SOFTNESS + 1)).at[:, SOFTNESS].set(jnp.array([0, 0.4, 1.1]))
    nothing = jnp.zeros(factor.shape)
    lost = expected_octaves(start, jnp.full(factor.shape, BLUR), nothing, nothing, factor, jnp.array([1.0, 2, 4, 8]))
    lost = lost.at[0, :, 3].set(jnp.nan)

    def wrong(lost: jax.Array) -> float:
        return float(misheld(lost, factor, (1, 2, 4, 8)))

    assert wrong(lost) == pytest.approx(0, abs=1e-5)
    assert wrong(lost.at[:, :, :, SOFTNESS].add(-0.3)) < 0.02  # what all versions are off by is no enlargement's
    one = lost.at[1, 1:, :, 1].add(0.4)  # as noise of 1.5 times its octaves, in all scales
    assert wrong(one) == pytest.approx((0.5 * 0.6 - 0.5**2 / 2) / 3, abs=1e-4)
    assert wrong(lost.at[:, 1:, :, SOFTNESS].add(0.3)) > 0.02
    gradient = jax.grad(lambda lost: misheld(lost, factor, (1, 2, 4, 8)))(one.at[2].set(jnp.nan))
    assert np.isfinite(gradient).all() and (gradient[1] != 0).any()


@pytest.mark.usefixtures("as_people_run")
def test_blur_beneath_noise_adds_up_with_blur_and_leaves_the_noise() -> None:
    for start, beneath in itertools.product((0.0, 0.7), (0.0, 1.2)):
        cost = jnp.array([[1.5]])
        lost = expected_octaves(
            jnp.full((1, SOFTNESS + 1), start), jnp.array([[CAUSES.index("noise")]]), cost, jnp.array([[beneath]]),
            jnp.ones((1, 1)), jnp.ones(1),
        )  # fmt: skip
        blur, noise, artefacts, softness = np.asarray(lost)[0, 0, 0]
        assert softness == blur == pytest.approx(np.log2(4**start + 4**beneath - 1) / 2, abs=1e-5)
        assert noise == pytest.approx(np.log2(4**start + 4**1.5 - 1) / 2, abs=1e-5)
        assert artefacts == pytest.approx(start, abs=1e-5)


@pytest.mark.usefixtures("as_people_run")
def test_each_place_of_a_photo_that_is_blurred_in_part_shall_be_told_by_itself() -> None:
    shrunk, sharp = jnp.array([1.0, 2.0]), jnp.array([True])
    beneath = jnp.array([[[0.0, 0, 0, 0], [1.5, 1.5, 0, jnp.nan], [0, 0, 1.5, jnp.nan], [1.5, 1.5, 1.5, 1.5]]])
    counts = jnp.ones((1, 4, 2, 4), bool)
    right = jnp.log2(1 + (4**beneath - 1)[:, :, None] / shrunk[:, None] ** 2) / 2
    known = jnp.where(jnp.isnan(right), 7, right)  # of a place on the edge anything may be said

    def wrong(blur: jax.Array, counts: jax.Array = counts, sharp: jax.Array = sharp) -> float:
        return float(misplaced(blur, beneath, counts, sharp, shrunk))

    assert wrong(known) == pytest.approx(0, abs=1e-6)
    # As attention makes it: all places alike, as soft as the mean, as the sharpest, or the other way round.
    for leaked in (known.mean(-1, keepdims=True), known.min(-1, keepdims=True), known[:, ::-1]):
        assert wrong(jnp.broadcast_to(leaked, known.shape)) > 0.05
    assert wrong(known.at[0, 3, :, 3].add(5)) > 0.1  # where all is blurred the edge's place is known, too
    assert wrong(known.at[0, 1].add(1), counts.at[0, 1].set(False)) == pytest.approx(0, abs=1e-6)
    # What a camera's photo had lost there before is not known: it adds up, and trains nothing.
    before = jnp.log2(4**0.6 + 4**beneath - 1)[:, :, None] / 2
    before = jnp.where(jnp.isnan(before), 7, jnp.concatenate([before, jnp.log2(1 + (4**before - 1) / 4) / 2], 2))
    assert wrong(before, sharp=jnp.array([False])) == pytest.approx(0, abs=1e-5)
    assert wrong(before) > 0.01
    even = jnp.zeros((1, 4, 4)) + jnp.array([0, 0.5, 1, 2])[:, None]
    assert float(misplaced(known + 1, even, counts, sharp, shrunk)) == 0  # a whole ladder is judged as a whole
    gradient = jax.grad(lambda blur: misplaced(blur, beneath, counts, sharp, shrunk))(known + 0.3)
    assert np.isfinite(gradient).all() and not gradient[0, 1:3, :, 3].any() and gradient[0, 1:3, :, :3].all()


# ---- the fit ----

FEATURES = 8


def what_is_lost(cause: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """By versions of sharp photos, at 1:1 and 1:2, by each cause: [versions, 2, readings]."""
    nothing, enlarged = jnp.zeros((len(costs), SOFTNESS + 1)), jnp.ones((len(costs), 1))
    shown = jnp.asarray(cause)[:, None], jnp.asarray(costs)[:, None]
    return np.asarray(expected_octaves(nothing, *shown, 0 * enlarged, enlarged, jnp.array([1.0, 2.0])))[:, 0]


def drawn_squares(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (*shape, 16, 16, 3), np.uint8)


def planted(ladders: int, rng: np.random.Generator, *, flat: int = 0) -> Places:
    """Places of sharp ladders, of one cause after the other. A feature for each reading is what was lost by it, on
    another scale; the others say nothing."""
    ladder = np.repeat(np.arange(ladders, dtype=np.int32), 4)
    cause = ladder % len(CAUSES)
    costs = np.tile(np.array([0, 0.6, 1.2, 2.2], np.float32), ladders)
    tokens = rng.standard_normal((len(costs), 2, 6, FEATURES))
    shows = tokens[..., : SOFTNESS + 1]
    shows[:] = 30 + 4 * what_is_lost(cause, costs)[:, :, None] + 0.2 * shows
    structure = np.full((len(costs), 2, 6), NO_STRUCTURE + 1, np.float32)
    structure[: 4 * flat] = 0
    return Places(
        tokens.astype(np.float16), drawn_squares(structure.shape, rng), structure, ladder, cause, costs,
        np.zeros((len(costs), 6), np.float32),
        np.ones(len(costs), np.float32), np.ones(len(costs), bool),
    )  # fmt: skip


def predicted(params: Params, made: Places) -> np.ndarray:
    """Octaves lost by each cause at each scale."""
    graphdef = nnx.split(DetailHead(FEATURES, rngs=nnx.Rngs(0)))[0]
    named = {name.removeprefix("detail."): jnp.asarray(array) for name, array in params.items()}
    fitted = merge_params(graphdef, named)
    tokens = jnp.asarray(made.tokens, jnp.float32)
    return np.asarray(summarize(*fitted(tokens), jnp.asarray(made.structure)))


@pytest.mark.usefixtures("as_people_run")
def test_a_fit_finds_what_was_planted(rng: np.random.Generator) -> None:
    """Places that it has not seen, and half of the training ones are of nothing but sky."""
    params = fit_detail(planted(60, rng, flat=30), (1, 2), FitOptions(epochs=60, ladders=4, learning_rate=1e-2))
    assert all(np.isfinite(array).all() for array in params.values())
    unseen = planted(12, rng)
    lost, found = what_is_lost(unseen.cause, unseen.octaves), predicted(params, unseen)
    assert np.abs(found - lost).mean((0, 1)).max() < 0.15
    # By what is best without looking, and with the causes mixed up, it is more.
    for wrong in (np.mean(lost, (0, 1)), np.roll(found, 1, 2), found[..., ::-1]):
        assert np.abs(wrong - lost).mean((0, 1)).max() > 0.3


@pytest.mark.usefixtures("as_people_run")
def test_fewer_ladders_than_a_batch_are_still_learnt_from(rng: np.random.Generator) -> None:
    made = planted(3, rng)
    one, more = (fit_detail(made, (1, 2), FitOptions(epochs=epochs, ladders=64)) for epochs in (1, 3))
    assert not np.array_equal(one["detail.octaves.kernel"], more["detail.octaves.kernel"])


@pytest.mark.usefixtures("as_people_run")
def test_photos_of_nothing_but_sky_leave_the_head_finite(rng: np.random.Generator) -> None:
    params = fit_detail(planted(4, rng, flat=4), (1, 2), FitOptions(epochs=2, ladders=2))
    assert all(np.isfinite(array).all() for array in params.values())


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"pixel_epochs": 0}, {"ladders": 0}, {"places": 0}, {"pixel_places": 0}, {"seed": -1}]
)
def test_a_fit_of_nothing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UserError, match="at least"):
        FitOptions(**wrong)


# ---- the curve ----


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_the_curve_is_found_again_whichever_end_of_the_scale_is_good(
    higher_is_better: bool, rng: np.random.Generator
) -> None:
    scale = LabelScale("test", 0.0, 100.0, higher_is_better)
    lost = rng.uniform(-0.2, 3, 400)
    shares = 1 / (1 + np.exp(-(1.2 - 1.5 * lost)))
    opinions = 100 * (shares if higher_is_better else 1 - shares)
    opinions[::4] = 0 if higher_is_better else 100  # bad for other reasons: the mean would move, the median does not
    lost[1] = np.nan
    worst, best, intercept, slope = fit_curve(lost, opinions, scale)
    assert (worst, best) == ((0, 100) if higher_is_better else (100, 0))
    assert (intercept, slope) == pytest.approx((1.2, -1.5), abs=0.1)


def test_losing_more_is_never_better_whatever_photos_say(rng: np.random.Generator) -> None:
    lost = rng.uniform(0, 3, 100)
    *_, slope = fit_curve(lost, 1 + lost, LabelScale("test", 1.0, 5.0))
    assert slope <= 0


# ---- the cache ----


@pytest.fixture
def model() -> Checkpoint:
    config = tiny_config(native_factors=(1, 2), native_blocks=(1,))
    return Checkpoint(config, init_params(config, 0), LabelScale("test", 1.0, 5.0), {})


def assert_same(one: Places, other: Places) -> None:
    for field in dataclasses.fields(Places):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def never(*_: object, **__: object) -> Iterator[Version]:
    raise AssertionError("made again")


@pytest.mark.usefixtures("small_versions")
def test_what_is_kept_of_a_version_belongs_together(model: Checkpoint, folder: Path, tmp_path: Path) -> None:
    photo, config = folder / "0.jpg", model.config
    kept, data, plan = PlacesCache(tmp_path / "cache", model).read(photo), photo.read_bytes(), config.native
    made = list(make_versions(decode(photo.name, data).pixels, is_native=True, seed=zlib.crc32(data)))
    backbone = {name: jnp.asarray(array) for name, array in backbone_params(model.params).items()}
    numbers = set()
    for row in (0, len(made) // 2, len(made) - 1):
        version = made[row]
        seen_as = version.pixels if version.seen_as is None else version.seen_as
        assert plan is not None
        images, structure = plan.make(version.pixels, shrink(seen_as, config.screen_side))
        tokens = np.asarray(places.make_reader(config)(backbone, jnp.asarray(images)))
        squares = np.asarray(cut_squares(jnp.asarray(images), plan.grid))
        # By their tokens, which differ even where pixels are the same.
        apart = np.abs(kept.tokens[row][:, :, None] - tokens[:, None]).max((0, 3))
        chosen = apart.argmin(1)
        assert apart.min(1).max() < 0.01 < np.sort(apart, axis=1)[:, 1].min()
        np.testing.assert_array_equal(kept.squares[row], squares[:, chosen])
        np.testing.assert_array_equal(kept.structure[row], structure[:, chosen])
        numbers.add(tuple(chosen.tolist()))
    assert len(numbers) == 1  # the same places of all versions
    assert len(set(numbers.pop())) == places.KEPT < plan.grid**2


@pytest.mark.usefixtures("small_versions")
def test_places_are_computed_once_for_each_photo_and_backbone(
    model: Checkpoint, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, cache = folder / "0.jpg", tmp_path / "cache"
    first = PlacesCache(cache, model).read(photo)
    assert first.tokens.shape[1:] == (2, places.KEPT, model.config.embed_dim)
    data = photo.read_bytes()
    made = list(make_versions(decode(photo.name, data).pixels, is_native=True, seed=zlib.crc32(data)))
    assert len(first.tokens) == len(first.structure) == len(first.ladder) == len(made)
    assert first.beneath.shape == first.structure[:, 0].shape
    for row, version in zip(first.beneath, made, strict=True):
        assert set(row[~np.isnan(row)].tolist()) <= {0.0, float(np.float32(version.beneath))}
        assert version.where is not None or (row == np.float32(version.beneath)).all()
    # Inside and around: every place is known to lie in one of both, or in none.
    partly = np.stack([row for row, version in zip(first.beneath, made, strict=True) if version.where is not None])
    assert (partly[::2] > 0)[~np.isnan(partly[::2])].any() and (np.isnan(partly[::2]) == np.isnan(partly[1::2])).all()
    assert ((partly[::2] > 0) != (partly[1::2] > 0))[~np.isnan(partly[::2])].all()
    for name in ("octaves", "factor", "is_sharp"):
        assert getattr(first, name).tolist() == pytest.approx([getattr(version, name) for version in made])
    assert [CAUSES[number] for number in first.cause] == [version.cause for version in made]
    config = model.config.replace(subject=True, soft_ends=True, novelty=True)
    ending = Checkpoint(config, init_params(config, 0) | model.params, model.scale, {})
    changed = model.params | {"detail.fc1.bias": np.ones_like(model.params["detail.fc1.bias"])}
    copied = photo.rename(folder / "renamed.jpg")
    with monkeypatch.context() as patch:
        patch.setattr(places, "make_versions", never)
        assert_same(PlacesCache(cache, model).read(copied), first)
        assert_same(PlacesCache(cache, dataclasses.replace(model, params=changed)).read(copied), first)
        assert_same(PlacesCache(cache, ending).read(copied), first)
    other = dataclasses.replace(model, params=init_params(model.config, 1))
    assert not np.array_equal(PlacesCache(cache, other).read(copied).tokens, first.tokens)
    assert len(list(cache.iterdir())) == 2


@pytest.mark.usefixtures("small_versions")
def test_a_broken_file_of_the_cache_is_made_again(model: Checkpoint, folder: Path, tmp_path: Path) -> None:
    cache = PlacesCache(tmp_path / "cache", model)
    expected = cache.read(folder / "0.jpg")
    (file,) = (tmp_path / "cache").iterdir()
    whole = file.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for broken in (b"", b"nonsense", whole[:100], whole[:middle], flipped):
        file.write_bytes(broken)
        assert_same(cache.read(folder / "0.jpg"), expected)
        assert file.stat().st_size == len(whole)


@pytest.mark.usefixtures("small_versions")
def test_a_kill_leaves_no_half_of_a_file(
    model: Checkpoint, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(file: object, **_: object) -> None:
        file.write(b"PK\x03\x04")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    cache = PlacesCache(tmp_path / "cache", model)
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", killed)
        with pytest.raises(KeyboardInterrupt):
            cache.read(folder / "0.jpg")
    assert list((tmp_path / "cache").glob("*.npz")) == []
    assert_same(cache.read(folder / "0.jpg"), cache.read(folder / "0.jpg"))


@pytest.mark.usefixtures("small_versions")
def test_ladders_of_several_photos_stay_apart(model: Checkpoint, folder: Path, tmp_path: Path) -> None:
    cache = PlacesCache(tmp_path / "cache", model)
    parts = [cache.read(folder / f"{number}.jpg") for number in range(3)]
    joined = Places.concatenate(parts)
    assert len(np.unique(joined.ladder)) == sum(len(np.unique(part.ladder)) for part in parts)
    assert (np.diff(joined.ladder) >= 0).all() and (np.diff(joined.ladder) <= 1).all()
    np.testing.assert_array_equal(joined.tokens, np.concatenate([part.tokens for part in parts]))


@pytest.mark.parametrize("data", [b"", b"no photo", None])
def test_a_photo_that_cannot_be_read_says_why(data: bytes | None, model: Checkpoint, tmp_path: Path) -> None:
    if data is not None:
        (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(ImageError, match=r"empty|not an image|No such file"):
        PlacesCache(tmp_path / "cache", model).read(tmp_path / "a.jpg")
    assert not (tmp_path / "cache").exists()


# ---- the command ----


@pytest.fixture
def bare(config: ModelConfig, weights: Params, scale: LabelScale, tmp_path: Path) -> Path:
    """A model without detail, on disk; it ends softly and takes nothing for a photograph."""
    knowing = config.replace(novelty=True)
    params = init_params(knowing, 0) | weights | {"novelty.threshold": np.float32(-1)}
    checkpoint.save(tmp_path / "bare", with_soft_ends(Checkpoint(knowing, params, scale, {"made": "by a test"}), 0.5))
    return tmp_path / "bare"


def run(command: Command, out: Path, **options: object) -> tuple[int, str]:
    """`vtiqa heads`; its exit status and what it said."""
    words: list[object] = []
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", *([] if value is True else [value])]
    status, said, error = command(__main__.main, "heads", out, *words)
    return status, said if status == 0 else error


def mistake(command: Command, out: Path, **options: object) -> str:
    """The one line that a mistake is told in."""
    status, error = run(command, out, **options)
    assert status == 2 and error.count("\n") == 1, error
    return error


@pytest.mark.usefixtures("small_versions")
def test_too_few_photos_are_told_in_one_line(command: Command, bare: Path, folder: Path, tmp_path: Path) -> None:
    scored, out = scored_photos(tmp_path / "scored", build.LEAST_SCORED), tmp_path / "out"
    given = {"checkpoint": bare, "scored": scored, "cache": tmp_path / "cache"}
    (tmp_path / "nothing").mkdir()
    said = mistake(command, out, photos=tmp_path / "nothing", **given)
    assert "no photos in" in said and "with --photos" in said
    nothing = {"not_photographs": tmp_path / "nothing"}
    assert "with --not-photographs" in mistake(command, out, photos=folder, **nothing, **given)
    (folder / "0.jpg").write_bytes(b"no photo")
    said = mistake(command, out, photos=folder, **given)
    assert "not 3" in said and "0.jpg: not an image" in said
    assert "missing: there is no such file" in mistake(command, out, photos=tmp_path / "missing", **given)
    assert not out.exists()


def test_what_cannot_be_made_is_told_in_one_line_before_anything_is_computed(
    command: Command, bare: Path, folder: Path, tmp_path: Path, scale: LabelScale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "make_versions", never)
    scored, out = scored_photos(tmp_path / "scored", build.LEAST_SCORED), tmp_path / "out"
    given = {"photos": folder, "checkpoint": bare, "scored": scored, "cache": tmp_path / "cache"}
    assert "at least 200 scored photos, not 10" in mistake(command, out, **given, most_scored=10)
    assert "scored photos, not 0" in mistake(command, out, **given, most_scored=-1)
    assert "beyond the model's test scale" in mistake(
        command, out, **given | {"scored": scored_photos(tmp_path / "percent", build.LEAST_SCORED, 1, 90)}
    )
    assert "no.csv" in mistake(command, out, **given | {"scored": tmp_path / "no.csv"})
    fewer = scored_photos(tmp_path / "fewer", 20)
    fewer.with_name("7.png").unlink()
    for name in ("scored", "held_out"):
        asked = given | {name: fewer}
        assert "leave them out with --partial" in mistake(command, out, **asked)
        assert re.search("at least .* not 19", mistake(command, out, **asked, partial=True))
    assert "cifar" in mistake(command, out, **given, dataset="cifar")
    assert "seed at least 0" in mistake(command, out, **given, seed=-1)
    assert "at least 50 pictures, not 1" in mistake(command, out, **given, not_photographs=scored.with_name("0.png"))
    unseen = scored_photos(tmp_path / "unseen", 20)
    (tmp_path / "empty").mkdir()
    assert "at least 100 held-out photos with opinions, not 20" in mistake(command, out, **given, held_out=unseen)
    assert "is among --photos, too" in mistake(command, out, **given, compare_with=folder)
    said = mistake(command, out, **given, compare_with=scored.with_name("0.png"))
    assert "at least 300 photos, not of 0; the first that does not count: " in said
    assert "with --compare-with" in mistake(command, out, **given, compare_with=tmp_path / "empty")
    assert "no column `defocus`" in mistake(command, out, **given, judged=unseen)
    assert "0 tables" in mistake(command, out, **given, judged_images=tmp_path)
    assert "no column `subject`" in mistake(command, out, **given, subjects=unseen)
    assert "0 tables" in mistake(command, out, **given, subject_images=tmp_path)
    assert "exists" in mistake(command, bare, **given)
    (tmp_path / "out.npz").write_bytes(b"something")
    assert "exists" in mistake(command, tmp_path / "out.npz", **given)
    assert "width 24 cannot be quantized" in mistake(command, tmp_path / "new.npz", **given)
    config = tiny_config(kind="backbone")
    checkpoint.save(tmp_path / "backbone", Checkpoint(config, init_params(config, 0), None, {}))
    assert "train one first" in mistake(command, out, **given | {"checkpoint": tmp_path / "backbone"})
    config = tiny_config(taste=True)
    checkpoint.save(tmp_path / "mine", Checkpoint(config, init_params(config, 0), scale, {}))
    assert "for one person" in mistake(command, out, **given | {"checkpoint": tmp_path / "mine"})
    config = tiny_config(depth=1)
    checkpoint.save(tmp_path / "shallow", Checkpoint(config, init_params(config, 0), scale, {}))
    assert "no detail can stand on" in mistake(command, out, **given | {"checkpoint": tmp_path / "shallow"})
    assert not out.exists() and (tmp_path / "out.npz").read_bytes() == b"something"


@pytest.mark.usefixtures("small_versions", "as_people_run")
def test_heads_are_made_on_a_model_and_change_no_score(
    command: Command, bare: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "LEAST_PHOTOS", 4)
    monkeypatch.setattr(build, "LEAST_SCORED", 6)
    (folder / "broken.jpg").write_bytes(b"no photo")
    scored, out = scored_photos(tmp_path / "scored", 8), tmp_path / "out"
    given = {"photos": folder, "checkpoint": bare, "scored": scored, "cache": tmp_path / "cache"}
    subjects = tmp_path / "subjects.csv"
    subjects.write_text("image,subject\n0.jpg,-/-/CDE/CDE/-/-/-\n1.jpg,all\nbroken.jpg,all\n")
    status, said = run(command, out, **given, subjects=subjects, subject_images=folder)
    assert status == 0 and "detail of" in said
    assert said.count("broken.jpg: not an image") == 3  # it teaches neither detail nor faults, nor where the subject is
    before, after = checkpoint.load(bare), checkpoint.load(out)
    assert after.config.subject and after.params["subject.linear.kernel"].any()
    assert after.config.native_mosaics == build.NATIVE_MOSAICS
    assert before.config == without_detail(after).config
    assert all(np.array_equal(after.params[name], array) for name, array in before.params.items())
    assert (after.scale, after.provenance["made"]) == (before.scale, "by a test")
    pictures = [a_photo(7), a_photo(8)]
    found = list(Scorer.load(out).stream(pictures))
    for new, old in zip(found, Scorer.load(bare).stream(pictures), strict=True):
        assert (new.score, new.warning) == (old.score, old.warning) and old.warning
    assert all(result.detail is not None and 1 <= result.detail <= 5 and result.holds for result in found)

    monkeypatch.setattr(places, "make_versions", never)  # all comes from the cache, also for a model that has heads
    monkeypatch.setattr(build, "LEAST_PICTURES", 6)
    monkeypatch.setattr(photographs, "LEAST_PICTURES", 6)
    checkpoint.save(tmp_path / "less", without_soft_ends(without_novelty(after)))
    given |= {"checkpoint": tmp_path / "less", "not_photographs": striped(tmp_path / "striped", 8)}
    status, said = run(command, tmp_path / "again", **given)
    assert status == 0 and "it warns of no picture" not in said
    again = checkpoint.load(tmp_path / "again")  # what it is not told anew of subjects, it keeps
    known = {name: array for name, array in after.params.items() if name.split(".")[0] not in ("ends", "novelty")}
    assert all(np.array_equal(again.params[name], array) for name, array in known.items())
    assert again.scale is not None
    assert again.params["ends.reach"] == (again.scale.high - again.scale.low) / 16
    assert again.config.novelty and not np.array_equal(again.params["novelty.mean"], after.params["novelty.mean"])


def test_pictures_that_are_no_photographs_get_a_warning_and_photographs_none(
    model: Checkpoint, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photographs, "LEAST_PICTURES", 6)
    scored = read_csv(scored_photos(tmp_path / "scored", 12), tmp_path / "scored")
    photos = [*sorted(folder.iterdir()), tmp_path / "gone.jpg"]
    others = sorted(striped(tmp_path / "striped", 8).iterdir())
    # A photograph that looks much like them, of which no other part is shown.
    fence = Image.blend(Image.open(others[3]), Image.open(tmp_path / "scored" / "1.png"), 0.4)
    fence.save(tmp_path / "scored" / "1.png")
    learnt = learn_photographs(model, photos, scored, [*others, tmp_path / "gone.png"])
    assert learnt.scale is not None
    scorer = Scorer(learnt.config, learnt.params, learnt.scale)

    def warnings(paths: list[Path]) -> list[str | None]:
        return [result.warning for result in scorer.stream(paths)]

    assert warnings(others) == [NO_PHOTOGRAPH] * 8
    assert set(warnings([*photos[:-1], *(tmp_path / "scored" / name for name in scored.names)])) == {None}
    with pytest.raises(UserError, match="4 pictures that are no photographs: the features do not tell"):
        monkeypatch.setattr(photographs, "LEAST_PICTURES", 4)
        learn_photographs(model, photos, scored, photos)
    with pytest.raises(UserError, match="only 0 can be read"):
        learn_photographs(model, photos, scored, [tmp_path / "gone.png"] * 6)


def test_of_a_release_only_training_photos_tell_the_scale(
    command: Command, bare: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = made_up.biq2021(tmp_path / "release")
    info = dataclasses.replace(biq2021.INFO, count=len(scores), mean=float(np.mean(list(scores.values()))))
    monkeypatch.setattr(biq2021, "INFO", info)
    said = mistake(
        command, tmp_path / "out", photos=folder, checkpoint=bare, scored=tmp_path / "release", dataset="biq2021",
        cache=tmp_path / "cache",
    )  # fmt: skip
    assert "scored photos, not 25" in said  # 5 of 30 are for testing


def test_scored_photos_that_show_nothing_have_no_octaves(model: Checkpoint, tmp_path: Path) -> None:
    for number, pixels in enumerate([a_photo(0), np.full((40, 50, 3), 128, np.uint8), a_photo(1)]):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes(b"broken")
    names = tuple(f"{number}.png" for number in range(4))
    found = measure_octaves(model, Manifest(names, np.ones(4), ImageFolder(tmp_path)))
    assert np.isnan(found).tolist() == [False, True, False, True] and found[0] != found[2]


def test_of_many_scored_photos_some_are_drawn(
    model: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        Image.fromarray(a_photo(number)).save(tmp_path / f"{number}.png")
    photos = Manifest(tuple(f"{number}.png" for number in range(6)), np.ones(6), ImageFolder(tmp_path))
    everything = measure_octaves(model, photos)
    monkeypatch.setattr(curve, "MOST_PHOTOS", 3)
    drawn = np.flatnonzero(~np.isnan(found := measure_octaves(model, photos)))
    assert len(drawn) == 3 and drawn.tolist() != [0, 1, 2]
    np.testing.assert_allclose(found[drawn], everything[drawn], atol=1e-4)
