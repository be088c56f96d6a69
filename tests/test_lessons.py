"""What the head that names faults learns from, and what it is asked about without having learnt it."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtiqa_jax.data.judged import JudgedPhotos, join_judged
from vtiqa_jax.data.manifest import ImageFolder, Manifest
from vtiqa_jax.errors import ImageError, UserError
from vtiqa_jax.heads import lessons as learnt
from vtiqa_jax.heads import naming
from vtiqa_jax.heads.alarms import fit_thresholds
from vtiqa_jax.heads.faulty import HARDEST
from vtiqa_jax.heads.lessons import JUDGED_TIMES, LARGE_VERSIONS, NOBODY, SCORED_VERSIONS, SEEN, WHOLE_TIMES
from vtiqa_jax.heads.reasons import ordinal_loss
from vtiqa_jax.heads.seen import Seen, SeenCache
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, tiny_config
from vtiqa_jax.models.faults import FALSE_ALARMS, FAULTS
from vtiqa_jax.models.params import init_params
from vtiqa_jax.models.reasons import TONES

PARTS = len(HARDEST) + 3
"""Versions in parts of a large photo that was judged."""
NAMES = ("large.jpg", "judged_large.jpg", "judged.jpg", "broken.jpg", "scored.jpg")


def write(path: Path, name: str) -> None:
    """Writes the header of a photo, whose pixels nobody reads, and behind it which one it is."""
    side = 1500 if "large" in name else 1400
    path.write_bytes(b"P5\n%d %d\n255\n" % (side, side) + name.encode())


class StubCache(SeenCache):
    """Sees as many versions as the recipe says; the first fault is planted into every other one."""

    def __init__(self) -> None:
        """Needs no model."""

    def read(self, data: bytes, recipe: str, make: Callable[[], Iterator[Any]]) -> Seen:
        name = data.rpartition(b"\n")[2].decode()
        if name == "broken.jpg":
            raise ImageError("not an image")
        count = {"as it is": 1, "parts": PARTS}.get(recipe) or int(recipe)
        strengths = np.zeros((count, len(FAULTS)), np.float32)
        strengths[1::2, 0] = 2.0
        number = np.full((count, 1), NAMES.index(name), np.float32)
        tokens, places = np.zeros((count, 1, 1, 4), np.float16), np.ones((count, 1, 1), np.float32)
        return Seen(tokens, places, number, np.zeros((count, TONES), np.float32), strengths)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        write(tmp_path / name, name)
    return tmp_path


@pytest.fixture
def judged(folder: Path) -> JudgedPhotos:
    paths = tuple(folder / name for name in ("judged.jpg", "broken.jpg", "judged_large.jpg"))
    strengths = np.zeros((3, len(FAULTS)))
    strengths[0, 1], strengths[2, 0], strengths[2, 3], strengths[2, 4] = 3.0, 1.0, SEEN, SEEN / 2
    return JudgedPhotos(paths, strengths, np.array([1.0, 2.0, 3.0]), ("one", "another", "a third"))


def collect(folder: Path, judged: JudgedPhotos | None) -> tuple[learnt.Lessons, learnt.ByEye | None, list[str]]:
    photos = [folder / name for name in ("large.jpg", "judged_large.jpg")]
    scored = Manifest(("scored.jpg",), np.array([4.0], np.float32), ImageFolder(folder))
    return learnt.collect_lessons(StubCache(), photos, scored, judged)


def test_every_photo_counts_as_often_as_it_should_and_judged_ones_keep_their_numbers(
    folder: Path, judged: JudgedPhotos
) -> None:
    lessons, by_eye, left_out = collect(folder, judged)
    assert by_eye is not None
    assert [line.partition(": ")[2] for line in left_out] == ["not an image"]
    assert by_eye.weights.tolist() == [1.0, 3.0] and by_eye.is_large.tolist() == [False, True]
    np.testing.assert_array_equal(by_eye.seen.strengths, judged.strengths[[0, 2]])
    photo = lessons.seen.screen[:, 0].astype(int)
    counted = {
        (NAMES[number], of): int(lessons.times[(photo == number) & (lessons.judged == of)].sum())
        for number, of in {*zip(photo.tolist(), lessons.judged.tolist(), strict=True)}
    }
    assert counted == {
        ("large.jpg", NOBODY): LARGE_VERSIONS + WHOLE_TIMES,
        ("judged_large.jpg", 1): LARGE_VERSIONS + PARTS + JUDGED_TIMES,
        ("judged.jpg", 0): JUDGED_TIMES,
        ("scored.jpg", NOBODY): SCORED_VERSIONS,
    }
    for rows in lessons.rows(np.array([1])):
        assert set(photo[rows]) == {NAMES.index(name) for name in ("large.jpg", "judged.jpg", "scored.jpg")}
    without_parts, everything = lessons.rows()
    assert len(everything) == sum(counted.values()) == len(without_parts) + PARTS
    assert (photo[everything] == NAMES.index("judged_large.jpg")).sum() == counted["judged_large.jpg", 1]


def test_what_a_photo_has_of_its_own_is_unknown_in_its_versions(folder: Path, judged: JudgedPhotos) -> None:
    lessons, _, _ = collect(folder, judged)
    photo, is_version = lessons.seen.screen[:, 0].astype(int), lessons.times == 1
    own = lessons.seen.strengths[(photo == NAMES.index("judged_large.jpg")) & is_version]
    expected = np.zeros((PARTS + LARGE_VERSIONS, len(FAULTS)))  # both are even: every other one is planted
    expected[0::2, 0], expected[1::2, 0], expected[:, 3] = np.nan, 2.0, np.nan  # planted where it is planted
    np.testing.assert_array_equal(own, expected)
    assert np.isfinite(lessons.seen.strengths[photo != NAMES.index("judged_large.jpg")]).all()


def test_without_judged_photos_large_ones_count_as_faultless(folder: Path) -> None:
    lessons, by_eye, _ = collect(folder, None)
    assert by_eye is None and (lessons.judged == NOBODY).all()
    assert lessons.times.sum() == 2 * (LARGE_VERSIONS + WHOLE_TIMES) + SCORED_VERSIONS
    write(folder / "large.jpg", "broken.jpg")
    write(folder / "judged_large.jpg", "broken.jpg")
    write(folder / "scored.jpg", "broken.jpg")
    with pytest.raises(UserError, match=r"no photo can be used.*not an image"):
        collect(folder, None)


def test_what_is_not_known_counts_for_nothing() -> None:
    strengths = np.eye(len(FAULTS), dtype=np.float32)
    strengths[2, 5] = np.nan
    found = jnp.asarray(np.random.default_rng(0).normal(size=strengths.shape).astype(np.float32))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        gradient = jax.grad(ordinal_loss)(found, jnp.asarray(strengths))
    assert np.isfinite(gradient).all()
    assert gradient[2, 5] == 0 and np.count_nonzero(gradient) == strengths.size - 1


def test_a_photo_judged_by_eye_is_asked_about_by_a_head_that_did_not_learn_from_it(
    folder: Path, judged: JudgedPhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    lessons, by_eye, _ = collect(folder, judged)
    assert by_eye is not None
    config = tiny_config().replace(native_factors=(1,), native_blocks=(1,))
    model = Checkpoint(config, init_params(config, 0), LabelScale("test", 1.0, 5.0), {})
    learned: list[set[int]] = []
    asked: list[int] = []

    def fit(seen: Seen, rows: Sequence[np.ndarray], seed: int) -> dict[str, np.ndarray]:
        learned.append(set(seen.screen[np.concatenate(rows), 0].astype(int)))
        return {}

    def find(_: Checkpoint, seen: Seen) -> np.ndarray:
        photos = seen.screen[:, 0].astype(int)
        assert not learned[-1] & set(photos)
        asked.extend(photos)
        return np.repeat(photos[:, None].astype(np.float32), len(FAULTS), 1)

    monkeypatch.setattr(naming, "fit_reasons", fit)
    monkeypatch.setattr(naming, "find_strengths", find)
    strengths = naming.cross_fit(model, lessons, by_eye, 0)
    assert sorted(asked) == [1, 2]
    np.testing.assert_array_equal(strengths[:, 0], by_eye.seen.screen[:, 0])


def test_faults_are_named_from_where_they_are_rare_in_small_and_in_large_photos(
    folder: Path, judged: JudgedPhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    # As heads tell strengths: a threshold in another type would lie a little beside its photo's strength.
    small, large = (rng.normal(0, 1, (count, len(FAULTS))).astype(np.float32) for count in (900, 300))
    large[:, 2] += 2  # looks stronger in large photos, and nobody saw it
    large[:, 4] += 9
    seen = np.zeros_like(large)
    seen[:, 4] = 1.0  # everybody saw it
    lessons, by_eye, _ = collect(folder, judged)
    assert by_eye is not None
    rows = np.zeros(300, int)
    whole = dataclasses.replace(by_eye.seen.take(rows), strengths=seen.astype(np.float32))
    by_eye = learnt.ByEye(whole, np.ones(300), np.ones(300, bool), np.arange(300))
    monkeypatch.setattr(naming, "collect_lessons", lambda *_: (lessons, by_eye, []))
    monkeypatch.setattr(naming, "fit_reasons", lambda *_: {})
    monkeypatch.setattr(naming, "measure_strengths", lambda *_: small)
    monkeypatch.setattr(naming, "cross_fit", lambda *_: large)
    config = tiny_config().replace(native_factors=(1,), native_blocks=(1,))
    model = Checkpoint(config, init_params(config, 0), LabelScale("test", 1.0, 5.0), {})
    scored = Manifest(("scored.jpg",), np.array([4.0], np.float32), ImageFolder(folder))
    made, _ = naming.build_reasons(model, [], scored, None, folder / "cache")
    thresholds, of_small = made.params["reasons.thresholds"], fit_thresholds(small)
    assert (thresholds >= of_small).all()
    assert (thresholds[:, 2] > of_small[:, 2] + 0.5).all()
    assert (thresholds[:, 4] < 9).all()  # what is seen is no false alarm
    rate = FALSE_ALARMS.index(0.02)
    wrong = (large > thresholds[rate]) & (seen == 0)
    assert 0 < wrong.any(1).mean() <= 0.02 < ((large > of_small[rate]) & (seen == 0)).any(1).mean()


def test_each_table_of_judged_photos_counts_by_its_photos() -> None:
    first = JudgedPhotos((Path("a"), Path("b")), np.zeros((2, len(FAULTS))), np.array([2.0, 6.0]), ("x", "x"))
    second = JudgedPhotos((Path("c"),), np.ones((1, len(FAULTS))), np.array([50.0]), ("x",))
    joined = join_judged([first, second])
    assert joined.paths == (Path("a"), Path("b"), Path("c"))
    assert joined.weights.tolist() == [0.5, 1.5, 1.0]
    assert joined.strengths[:, 0].tolist() == [0, 0, 1]
    assert joined.sources[0] == joined.sources[1] != joined.sources[2]  # folders of one name in two tables


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200))
def test_photos_of_one_source_are_asked_about_together(listed: list[int]) -> None:
    sources = np.unique(listed, return_inverse=True)[1]
    fold = naming.deal(sources, 0)
    assert all(len(set(fold[sources == source])) == 1 for source in sources)
    sizes = np.bincount(fold, minlength=naming.FOLDS)
    assert sizes.sum() == len(listed) and np.ptp(sizes) <= np.bincount(sources).max()
