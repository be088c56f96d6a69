"""`vtiqa tune`: whose marks count, what is learnt from them, and when it is taken."""

import csv
import dataclasses
import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.conftest import Command
from vtiqa_jax import __main__
from vtiqa_jax.commands import tune as tune_command
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.params import Params, rescale_head
from vtiqa_jax.photos import decode
from vtiqa_jax.scoring.scorer import Scorer
from vtiqa_jax.scoring.steps import CPU_BATCH
from vtiqa_jax.tuning import fit, held_out, kept
from vtiqa_jax.tuning.fit import LEAST, find_scenes, tune, with_taste
from vtiqa_jax.tuning.from_xmp import read_rating, read_ratings
from vtiqa_jax.tuning.held_out import Verdict, hold_out
from vtiqa_jax.tuning.kept import KeptPhotos
from vtiqa_jax.tuning.marks import Marks, join_marks, read_marks
from vtiqa_jax.tuning.opinions import Opinions, Standard
from vtiqa_jax.tuning.ridge import STRENGTHS, fit_ridge


def write(path: Path, *rows: Sequence[object]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


# ---- marks ----


def test_what_the_page_exports_is_read_as_it_is(tmp_path: Path) -> None:
    rows = [["a/1.jpg", 3.1, "keep", 0], ["a/2.jpg", 2.0, "", ""], ["a/3.jpg", "", "reject", 0]]
    table = write(tmp_path / "marks.csv", ["image", "score", "mark", "group"], *rows)
    marks = read_marks(table, tmp_path)
    assert marks.ratings == {"mark": {tmp_path / "a/1.jpg": 1.0, tmp_path / "a/3.jpg": 0.0}}
    pairs = write(tmp_path / "pairs.csv", ["better", "worse"], ["a/1.jpg", "a/2.jpg"])
    joined = join_marks([marks, read_marks(pairs, tmp_path)])
    assert joined.count == 3 and joined.photos == tuple(tmp_path / f"a/{number}.jpg" for number in (1, 3, 2))


def test_photos_are_found_from_here_and_beside_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tables").mkdir()
    table = write(
        tmp_path / "tables" / "t.csv", ["Image", "Stars"], ["here.jpg", 1], ["./beside.jpg", 5], ["no.jpg", 2]
    )
    (tmp_path / "here.jpg").touch()
    (tmp_path / "tables" / "beside.jpg").touch()
    monkeypatch.chdir(tmp_path)
    assert read_marks(table).photos == tuple(tmp_path / name for name in ("here.jpg", "tables/beside.jpg", "no.jpg"))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([["image", "score"], ["a", 1]], "needs the columns image and stars or mark, or better and worse"),
        ([["image", "stars"], ["a", 6]], "line 2: stars are '6', not 1 to 5"),
        ([["image", "stars"], ["a", "0"]], "line 2: stars are '0', not 1 to 5"),
        ([["image", "stars"], ["a", "good"]], "line 2: stars are 'good', not 1 to 5"),
        ([["image", "mark"], ["a", "maybe"]], "line 2: mark is 'maybe', not keep or reject"),
        ([["image", "stars"], ["a", 2], ["./a", 3]], "line 3: a is marked otherwise in line 2"),
        ([["better", "worse"], ["a", "x/../a"]], "line 2: a photo is better than itself"),
        ([["better", "worse"], ["a", " "], ["a", "b"]], "line 2: a photo is not named"),
    ],
)
def test_marks_that_cannot_be_meant_are_refused_with_their_line(
    rows: list[list[object]], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        read_marks(write(tmp_path / "marks.csv", *rows), tmp_path)


def test_the_same_mark_twice_counts_once_and_a_later_source_wins(tmp_path: Path) -> None:
    table = write(tmp_path / "m.csv", ["image", "stars"], ["a", 2], ["./a", 2], ["b", 4])
    before = Marks({"stars": {tmp_path / "b": 1.0, tmp_path / "c": 3.0}})
    joined = join_marks([before, read_marks(table, tmp_path)])
    assert joined.ratings["stars"] == {tmp_path / "b": 4.0, tmp_path / "c": 3.0, tmp_path / "a": 2.0}


# ---- ratings of other programs ----

DESCRIPTION = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:{prefix}="http://ns.adobe.com/xap/1.0/"{attributes}>{content}</rdf:Description>'
    "</rdf:RDF></x:xmpmeta>"
)


def xmp(attributes: str = "", content: str = "", prefix: str = "xmp") -> bytes:
    return DESCRIPTION.format(attributes=f" {attributes}", content=content, prefix=prefix).encode()


OURS = 'xmlns:vtiqa="urn:vtiqa-jax:xmp:1.0/" vtiqa:WrittenRating="4"'


@pytest.mark.parametrize(
    ("text", "stars"),
    [
        (xmp('xmp:Rating="4"'), 4.0),
        (xmp(content="<xmp:Rating>2</xmp:Rating>"), 2.0),
        (xmp('xap:Rating="5"', prefix="xap"), 5.0),
        (xmp('xmp:Rating="-1"'), 0.0),
        (xmp('xmp:Rating="0"'), None),
        (xmp('xmp:Rating="7"'), None),
        (xmp('xmp:Rating="nan"'), None),
        (xmp('xmp:Label="4"'), None),
        (xmp(f'xmp:Rating="4" {OURS}'), None),
        (xmp(f'xmp:Rating="2" {OURS}'), 2.0),  # a person changed it
        (b'<!DOCTYPE x [<!ENTITY r "4">]>' + xmp(content="<xmp:Rating>&r;</xmp:Rating>"), None),
        (xmp('xmp:Rating="4"')[:-5], None),
        (b"", None),
    ],
)
def test_ratings_of_people_are_read_and_no_others(text: bytes, stars: float | None) -> None:
    assert read_rating(text) == stars


def jpeg(rating: int | None = None) -> bytes:
    data = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    if rating is None:
        return data
    content = b"http://ns.adobe.com/xap/1.0/\0" + xmp(f'xmp:Rating="{rating}"')
    return data[:2] + b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content + data[2:]


def test_ratings_lie_in_sidecars_and_inside_jpegs(tmp_path: Path) -> None:
    files = {
        "darktable.jpg": jpeg(), "darktable.jpg.xmp": xmp('xmp:Rating="1"'),
        "adobe.jpg": jpeg(), "adobe.xmp": xmp('xmp:Rating="2"'),
        "inside.jpg": jpeg(3), "both.jpg": jpeg(3), "both.jpg.xmp": xmp('xmp:Rating="4"'),
        "unrated.jpg": jpeg(3), "unrated.jpg.xmp": xmp('xmp:Label="Red"'),
        # the sidecar is that of a RAW beside it, or of nobody knows which
        "shared.jpg": jpeg(), "shared.png": jpeg(), "shared.xmp": xmp('xmp:Rating="5"'),
        "plain.jpg": jpeg(),
    }  # fmt: skip
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "plain.jpg.xmp").mkdir()
    (tmp_path / "shared.png.xmp").symlink_to(tmp_path / "nowhere")
    assert read_ratings(sorted(tmp_path.glob("*.[jp][pn]g"))).ratings["stars"] == {
        tmp_path / f"{name}.jpg": stars
        for name, stars in {"adobe": 2.0, "both": 4.0, "darktable": 1.0, "inside": 3.0, "unrated": 3.0}.items()
    }


# ---- the fit ----


def test_a_fit_is_the_most_likely_and_predicts_as_a_gaussian_process(rng: np.random.Generator) -> None:
    """Against the textbook: dense covariances, one strength after the other."""
    features, columns = rng.normal(0, 1, (30, 8)), np.column_stack([rng.normal(0, 1, 30), np.ones(30)])
    targets = (columns[:, 0] + features @ rng.normal(0, 1, 8) + rng.normal(0, 1, 30))[:, None]
    kernel, found = features @ features.T, []
    for strength in STRENGTHS:
        inverse = np.linalg.inv(np.eye(30) + strength * kernel)
        information = columns.T @ inverse @ columns
        fixed = np.linalg.solve(information, columns.T @ inverse @ targets)
        left = targets - columns @ fixed
        noise = (left.T @ inverse @ left).item() / 28
        likelihood = -28 * np.log(noise) + np.linalg.slogdet(inverse)[1] - np.linalg.slogdet(information)[1]
        found.append((likelihood, fixed, strength * inverse @ left))
    _, fixed, dual = max(found, key=lambda entry: entry[0])
    many = fit_ridge(kernel, columns, np.concatenate([targets, -2 * targets], axis=1))
    np.testing.assert_allclose(many.fixed, fixed * [1, -2], atol=1e-4)
    np.testing.assert_allclose(many.dual, dual * [1, -2], atol=1e-4)
    assert np.abs(dual).max() > 0.05, "there is a taste"


@dataclasses.dataclass
class Person:
    """Photos' features, among which the person likes one direction, and scores that know nothing of it."""

    features: np.ndarray
    scores: np.ndarray
    liking: np.ndarray
    scenes: np.ndarray

    @classmethod
    def draw(cls, seed: int, *, taste: float, count: int = 60) -> "Person":
        rng = np.random.default_rng(seed)
        features = rng.normal(0, 1, (count, 40)) * np.geomspace(3, 0.3, 40)
        scores = rng.normal(0, 1, count)
        liking = scores + taste * features[:, 0] / 3 + rng.normal(0, 0.5, count)
        return cls(features, scores, liking, np.arange(count))

    def marks(self, kind: str) -> Marks:
        photos = [Path(str(number)) for number in range(len(self.scores))]
        if kind == "pairs":
            ordered = (sorted((at, at + 1), key=lambda at: -self.liking[at]) for at in range(0, len(photos), 2))
            return Marks({}, tuple((photos[better], photos[worse]) for better, worse in ordered))
        values = self.liking if kind == "stars" else (self.liking > 0.5).astype(float)
        return Marks({"stars": dict(zip(photos, values.tolist(), strict=True))})

    def verdict(self, kind: str = "stars") -> Verdict:
        marks = self.marks(kind)
        opinions = Opinions.collect(marks, {photo: int(str(photo)) for photo in marks.photos})
        rows = opinions.apply(Standard.of(self.features).apply(self.features))
        return hold_out(opinions, rows @ rows.T, self.scores, self.scenes, np.random.default_rng(0))


@pytest.mark.parametrize(("kind", "count"), [("stars", 60), ("mark", 120), ("pairs", 240)])
def test_a_taste_is_found_and_better_on_marks_that_were_held_out(kind: str, count: int) -> None:
    found = Person.draw(1, taste=1.5, count=count).verdict(kind)
    assert found.is_better and found.after > found.before + 0.05
    assert found.low < found.after - found.before < found.high and found.low > 0


@pytest.mark.parametrize("kind", ["stars", "mark", "pairs"])
def test_a_person_without_a_taste_keeps_the_score(kind: str) -> None:
    """Chance is taken for a taste of none of them, and called chance."""
    found = [Person.draw(seed, taste=0.0, count=40).verdict(kind) for seed in range(8)]
    assert not any(verdict.is_better for verdict in found)
    assert kind != "mark" or any(verdict.after > verdict.before for verdict in found), "as chance would have it"
    assert np.median([verdict.chance for verdict in found]) > 0.2


def test_shots_of_one_scene_do_not_vouch_for_each_other() -> None:
    """Two shots of each scene, liked alike for no reason that other scenes share: what is learnt of one shot tells
    everything of the other, and nothing of other photos."""
    person = Person.draw(2, taste=0.0, count=40)
    rng = np.random.default_rng(3)
    moods = rng.normal(0, 2, 40)
    twice = Person(
        np.concatenate([person.features, person.features + rng.normal(0, 0.01, person.features.shape)]),
        np.tile(person.scores, 2),
        np.tile(person.scores + moods, 2),
        np.tile(np.arange(40), 2),
    )
    assert not twice.verdict().is_better
    assert dataclasses.replace(twice, scenes=np.arange(80)).verdict().is_better, "the scenes are what tells them"


def test_a_handful_of_scenes_is_never_enough() -> None:
    """However many shots there are of each: chance has but few ways to shuffle five scenes."""
    person = Person.draw(1, taste=1.5)
    assert person.verdict().is_better
    five = dataclasses.replace(person, scenes=np.arange(60) % 5).verdict()
    assert five.after > five.before + 0.05 and five.chance > 0.03 and not five.is_better


def test_pairs_are_never_predicted_by_pairs_with_the_same_photos(rng: np.random.Generator) -> None:
    photos = [Path(str(number)) for number in range(30)]
    pairs = tuple(tuple(photos[at] for at in rng.choice(30, 2, replace=False)) for _ in range(50))
    opinions = Opinions.collect(Marks({}, pairs), {photo: int(str(photo)) for photo in photos})  # type: ignore[arg-type]
    scenes = np.arange(30) // 2
    parts = held_out.cut_into_parts(opinions, scenes, rng)
    assert sorted(np.concatenate([held for held, _ in parts])) == list(range(50)), "each is held out once"
    for held, others in parts:
        used = [set(scenes[np.concatenate([opinions.first[rows], opinions.second[rows]])]) for rows in (held, others)]
        assert not used[0] & used[1]
    assert sum(len(others) for _, others in parts) > 100


def test_contradictions_cancel() -> None:
    """A > B and B > A, and a cycle: nothing is learnt, and nothing breaks."""
    photos = [Path(str(number)) for number in range(12)]
    there = [*itertools.pairwise(photos), (photos[-1], photos[0])]
    marks = Marks({}, (*there, *((worse, better) for better, worse in there)))
    person = Person.draw(4, taste=0.0, count=12)
    person.marks = lambda kind: marks  # type: ignore[method-assign]
    found = person.verdict()
    assert not found.is_better and found.before == pytest.approx(0.5)


# ---- the command ----


@pytest.fixture(scope="module")
def start(config: ModelConfig, weights: Params, scale: LabelScale, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model, whose scores are on its scale, with what a taste makes untrue."""
    params = rescale_head(config, weights, 0.1, 2.8)
    percentiles = {"labels": [1.0] * 101, "scores": np.linspace(1, 5, 101).tolist()}
    path = tmp_path_factory.mktemp("start") / "small"
    checkpoint.save(path, Checkpoint(config, params, scale, {"trained": {"percentiles": percentiles}}))
    return path


COUNT = 40


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of blots, each in another light and of another colour."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(5)
    for number in range(COUNT):
        blots = rng.normal(rng.uniform(60, 190, 3), rng.uniform(10, 50), (6, 8, 3))
        pixels = cv2.resize(np.clip(blots, 0, 255), (64, 48), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number:02}.png"), np.clip(pixels, 0, 255).astype(np.uint8))
    return folder


def redness(photos: Path) -> np.ndarray:
    means = [decode.read(path).pixels.mean((0, 1)) for path in sorted(photos.iterdir())]
    return np.array([red - (blue + green) / 2 for red, green, blue in means])


def stars_by(values: np.ndarray) -> list[int]:
    return (1 + 5 * np.argsort(np.argsort(values)) // len(values)).tolist()


@pytest.fixture(scope="module")
def table(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Marks of a person who likes red."""
    rows = zip(sorted(path.name for path in photos.iterdir()), stars_by(redness(photos)), strict=True)
    return write(tmp_path_factory.mktemp("marks") / "marks.csv", ["image", "stars"], *rows)


def test_a_taste_is_written_and_scores_by_it(
    table: Path, photos: Path, start: Path, command: Command, tmp_path: Path
) -> None:
    out = tmp_path / "mine"
    arguments = ("tune", table, "--out", out, "--images", photos, "--checkpoint", start)
    status, said, _ = command(__main__.main, *arguments)
    assert status == 0, said
    assert "40 marks" in said and f"better: score with it by vtiqa score PHOTOS --checkpoint {out}" in said
    made, before = checkpoint.load(out), checkpoint.load(start)
    assert made.config == before.config.replace(taste=True)
    assert "percentiles" not in made.provenance["trained"] and made.provenance["tuned"]["marks"] == COUNT

    paths, stars = sorted(photos.iterdir()), redness(photos)
    mine, theirs = (Scorer.load(path).score(paths) for path in (out, start))
    assert np.corrcoef(mine, stars)[0, 1] > np.corrcoef(theirs, stars)[0, 1] + 0.1
    assert mine.mean() == pytest.approx(theirs.mean(), abs=0.05) and mine.std() == pytest.approx(theirs.std(), rel=0.05)
    assert Scorer.load(out).unknown >= {"percentile", "low", "high"}

    # With what is kept no photo is looked at again, and the result is the same.
    shutil.copytree(tmp_path / "mine.kept", tmp_path / "kept")
    status, again, _ = command(__main__.main, *arguments, "--force", "--cache", tmp_path / "kept")
    assert (status, again) == (0, said)
    # A tuned model is tuned anew from people's scores.
    second = tmp_path / "second"
    command(__main__.main, *arguments[:2], "--out", second, *arguments[4:6], "--checkpoint", out)
    np.testing.assert_allclose(Scorer.load(second).score(paths), mine, atol=1e-4)


def test_a_scale_on_which_less_is_better_is_tuned_as_well(
    table: Path, photos: Path, start: Path, tmp_path: Path
) -> None:
    model = checkpoint.load(start)
    worse = LabelScale("test", 1.0, 5.0, higher_is_better=False)
    marks = read_marks(table, photos)
    seen, _ = KeptPhotos(tmp_path / "kept", model).read(marks.photos)
    mine = [
        Scorer(made.config, made.params, made.scale).score(sorted(photos.iterdir()))  # type: ignore[arg-type]
        for made in (with_taste(given, tune(given, marks, seen)) for given in (model, turned_round(model, worse)))
    ]
    np.testing.assert_allclose(mine[1], 6 - mine[0], atol=1e-3)


def turned_round(model: Checkpoint, scale: LabelScale) -> Checkpoint:
    return dataclasses.replace(model, params=rescale_head(model.config, model.params, -1.0, 6.0), scale=scale)


def test_what_is_no_better_is_not_written(
    photos: Path, start: Path, command: Command, rng: np.random.Generator, tmp_path: Path
) -> None:
    names = sorted(path.name for path in photos.iterdir())
    table = write(tmp_path / "m.csv", ["image", "mark"], *([name, rng.choice(["keep", "reject"])] for name in names))
    out = tmp_path / "mine"
    status, said, _ = command(__main__.main, "tune", table, "--out", out, "--images", photos, "--checkpoint", start)
    assert status == 1 and "not better" in said and "agreement on held-out marks" in said
    assert not out.exists()


def test_a_stopped_command_goes_on_where_it_was(
    table: Path, photos: Path, start: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    marks, model = read_marks(table, photos), checkpoint.load(start)
    read, batches = kept.read_features, []

    def stop_at_third(*given: Any) -> np.ndarray:
        batches.append(given)
        if len(batches) == 3:
            raise KeyboardInterrupt
        return read(*given)

    monkeypatch.setattr(kept, "read_features", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        KeptPhotos(tmp_path / "kept", model).read(marks.photos)
    assert len(list((tmp_path / "kept").iterdir())) == 2 * CPU_BATCH
    damaged = sorted((tmp_path / "kept").iterdir())[0]
    damaged.write_bytes(damaged.read_bytes()[:300])
    seen, _ = KeptPhotos(tmp_path / "kept", model).read(marks.photos)
    assert len(batches) == 3 + -(-(COUNT - 2 * CPU_BATCH + 1) // CPU_BATCH), "the damaged one, and those that are left"
    whole, _ = KeptPhotos(tmp_path / "other", model).read(marks.photos)
    for photo in marks.photos:
        np.testing.assert_allclose(seen[photo].features, whole[photo].features, atol=1e-5)


def test_photos_that_are_gone_or_broken_are_left_out_and_told(
    table: Path, photos: Path, start: Path, command: Command, tmp_path: Path
) -> None:
    shutil.copytree(photos, tmp_path / "some")
    (tmp_path / "some" / "03.png").unlink()
    (tmp_path / "some" / "07.png").write_bytes(b"no picture")
    out = tmp_path / "mine"
    given = ("tune", table, "--out", out, "--images", tmp_path / "some", "--checkpoint", start)
    status, said, _ = command(__main__.main, *given)
    assert status == 0 and "38 marks" in said
    assert "2 marked photos are left out" in said and "03.png: No such file" in said and "07.png: not an image" in said
    status, _, wrong = command(__main__.main, *given[:2], "--out", out, "--force", "--checkpoint", start)
    assert status == 2 and "only 0 of 40 marks can be read" in wrong and "--images DIR" in wrong
    assert (out / "sha256.json").is_file(), "what was there stays"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "at least 10 marks, not 0"),
        ([(f"{number:02}.png", number % 5 + 1) for number in range(LEAST - 1)], "at least 10 marks, not 9"),
        ([(f"{number:02}.png", 5) for number in range(20)], "all marks are alike"),
        ([("00.png", 1)] + [(f"copy{number}.png", number % 5 + 1) for number in range(12)], "only 2 scenes"),
    ],
)
def test_marks_that_teach_nothing_are_told_in_one_line(
    rows: list[tuple[str, int]], said: str, photos: Path, start: Path, command: Command, tmp_path: Path
) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    for number in range(12):
        shutil.copy(photos / "01.png", tmp_path / "photos" / f"copy{number}.png")
    table = write(tmp_path / "m.csv", ["image", "stars"], *rows)
    status, _, wrong = command(
        __main__.main, "tune", table, "--out", tmp_path / "mine", "--images", tmp_path / "photos", "--checkpoint", start
    )
    assert status == 2 and said in wrong and len(wrong.splitlines()) == 1
    assert not (tmp_path / "mine").exists()


def test_mistakes_are_told_before_any_photo_is_read(
    table: Path, photos: Path, start: Path, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a").touch()
    for arguments, said in (
        (("tune", "--out", tmp_path / "mine"), "no marks are given"),
        (("tune", table, "--out", tmp_path / "there", "--checkpoint", start), "exists already"),
        (("tune", table, "--out", tmp_path / "mine.npz"), "a tuned model is a folder"),
        (("tune", "--from-xmp", tmp_path / "no", "--out", tmp_path / "mine", "--checkpoint", start), "no such file"),
        (("tune", tmp_path / "no.csv", "--out", tmp_path / "mine", "--checkpoint", start), "cannot be read"),
        (("tune", table, "--out", tmp_path / "mine", "--checkpoint", tmp_path), "is not a checkpoint"),
    ):
        status, _, wrong = command(__main__.main, *arguments)
        assert status == 2 and said in wrong and len(wrong.splitlines()) == 1


def test_of_very_many_marks_some_are_drawn_before_photos_are_looked_at(
    table: Path, photos: Path, start: Path, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tune_command, "MOST", 25)
    given = ("--out", tmp_path / "mine", "--images", photos, "--checkpoint", start, "--cache", tmp_path / "kept")
    status, said, _ = command(__main__.main, "tune", table, *given)
    assert status in (0, 1) and said.startswith("25 of 40 marks are drawn") and "\n25 marks\n" in said
    assert len(list((tmp_path / "kept").iterdir())) == 25


def test_drawn_marks_are_some_of_all_kinds(rng: np.random.Generator) -> None:
    a, b, c = (Path(name) for name in "abc")
    marks = Marks({"stars": {a: 1.0, b: 2.0}, "mark": {a: 1.0}}, ((a, b), (b, c)))
    assert marks.draw(5, rng) == marks
    drawn = [marks.draw(2, rng) for _ in range(60)]
    assert {some.count for some in drawn} == {2} and len({str(some) for some in drawn}) == 10
    assert all(marks.ratings["stars"].items() >= some.ratings["stars"].items() for some in drawn)


def test_scenes_are_numbered_from_0_each_once(rng: np.random.Generator) -> None:
    shots = rng.normal(0, 1, (5, 20, 20)).astype(np.float32)
    assert sorted(find_scenes(shots[[0, 1, 0, 2, 3, 1, 4]])) == [0, 0, 1, 1, 2, 3, 4]
    assert find_scenes(shots).tolist() == list(range(5))


def test_it_is_said_what_a_taste_goes_with(rng: np.random.Generator) -> None:
    taste, noise = rng.normal(0, 1, (2, 50))
    said = fit.describe(taste, np.column_stack([-2 * taste, noise, taste + noise, np.ones(50)]))
    assert list(said) == ["brightness", "colour"] and said["brightness"] == pytest.approx(-1) and said["colour"] > 0.5
