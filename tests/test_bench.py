"""`vtiqa bench`: which sets are found, which of their photos are taken, and what anybody's command may print."""

import dataclasses
import json
import os
import re
import shlex
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import made_up
from tests.conftest import Command
from vtiqa_jax import __main__ as program
from vtiqa_jax.bench import baselines
from vtiqa_jax.bench.outside import score_by_command
from vtiqa_jax.bench.parts import Training, choose_test_part, list_trainings
from vtiqa_jax.bench.rows import hash_photos
from vtiqa_jax.bench.table import format_table
from vtiqa_jax.data import datasets, splits
from vtiqa_jax.data.datasets.find import find_releases, read_found
from vtiqa_jax.data.datasets.info import Dataset
from vtiqa_jax.errors import UserError
from vtiqa_jax.evaluation import metrics
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig
from vtiqa_jax.models.params import Params
from vtiqa_jax.scoring.scorer import Scorer

# ---- which sets are there ----


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of each, under names that say nothing."""
    folder = tmp_path_factory.mktemp("releases")
    for number, (name, make) in enumerate(made_up.MAKERS.items()):
        make(folder / ("deep/down" if number % 2 else "") / f"set {number}", 18 if name != "koniq10k" else 24)
    return folder


@pytest.mark.parametrize("through", ["folder", "link"])
def test_each_set_is_found_by_its_files(releases: Path, tmp_path: Path, through: str) -> None:
    folder = releases
    if through == "link":
        folder = tmp_path / "sets"
        folder.mkdir()
        for path in releases.iterdir():
            (folder / path.name).symlink_to(path, target_is_directory=True)
    found = find_releases(folder)
    assert found.releases.keys() == datasets.READERS.keys()
    for number, name in enumerate(made_up.MAKERS):
        (place,) = found.releases[name]
        assert place.name == f"set {number}" or place.parent.name == f"set {number}"
        dataset = read_found(name, found, partial=True)
        assert len(dataset.photos.names) == len(dataset.all_names) >= 18


def test_a_link_leads_to_no_second_copy_and_a_copy_is_told(tmp_path: Path) -> None:
    made_up.rbid(tmp_path / "rbid", 6)
    (tmp_path / "again").symlink_to(tmp_path / "rbid", target_is_directory=True)
    (tmp_path / "rbid" / "round").symlink_to(tmp_path, target_is_directory=True)
    read_found("rbid", find_releases(tmp_path), partial=True)
    made_up.rbid(tmp_path / "backup", 6)
    with pytest.raises(UserError, match=r"RBID is there 2 times: .*backup, .*; name the folder of one"):
        read_found("rbid", find_releases(tmp_path), partial=True)
    read_found("rbid", find_releases(tmp_path / "backup"), partial=True)


def test_half_a_set_and_what_is_not_unpacked_are_told(tmp_path: Path) -> None:
    made_up.koniq10k(tmp_path / "koniq", 24)
    photos = tmp_path / "koniq" / "koniq10k_1024x768" / "1024x768"
    for photo in sorted(photos.iterdir())[:12]:
        photo.unlink()
    with zipfile.ZipFile(tmp_path / "koniq" / "koniq10k_1024x768.zip", "w") as archive:
        archive.writestr("1024x768/1.jpg", "")
    found = find_releases(tmp_path)
    for partial in (False, True):
        if partial:
            assert len(read_found("koniq10k", found, partial=True).photos.names) == 12
        else:
            with pytest.raises(UserError, match=r"24 photos, KonIQ-10k has 10073.*; not unpacked: .*768\.zip"):
                read_found("koniq10k", found)
    for photo in photos.iterdir():
        photo.unlink()
    with pytest.raises(UserError, match=r"24 of 24 photos of KonIQ-10k are not in .*; not unpacked: .*768\.zip"):
        read_found("koniq10k", found, partial=True)


def test_photos_beside_the_folder_of_the_table(tmp_path: Path) -> None:
    made_up.kadid10k(tmp_path / "kadid10k", 12)
    (tmp_path / "kadid10k" / "tables").mkdir()
    (tmp_path / "kadid10k" / "dmos.csv").rename(tmp_path / "kadid10k" / "tables" / "dmos.csv")
    assert len(read_found("kadid10k", find_releases(tmp_path), partial=True).photos.names) == 12


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "nowhere is not a folder"),
        (("empty",), "no data set in empty; it may hold koniq10k, spaq"),
        (("zipped",), r"it may hold .*; not unpacked: zipped/kadid10k\.zip"),
        (("rbid", "--only", "livew"), "no LIVE in the Wild in rbid; it holds rbid"),
        (("rbid", "--only", "live"), "'live' is not a data set; did you mean livew"),
        (("rbid", "--split-files", "split.json"), "--split-files takes NAME=FILE"),
        (("rbid", "--lower-is-better"), "--lower-is-better and --trained-on need --command"),
        (("rbid", "--command", "true", "--checkpoint", "mine"), "exclude each other"),
        (("rbid", "--command", "true", "--out", "/dev/stdout"), "--out must be a file"),
        (("rbid", "--command", "true", "--trained-on", "tid"), "'tid' is not a data set; did you mean"),
        (("rbid", "--command", "true"), "none of the data sets in rbid can be scored; the lines above say why"),
    ],
)
def test_mistakes_are_one_line(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    made_up.rbid(tmp_path / "rbid", 3)
    (tmp_path / "zipped").mkdir()
    (tmp_path / "zipped" / "kadid10k.zip").touch()
    status, _, error = command(program.main, "bench", *words)
    assert status == 2
    assert re.search(said, error)
    assert [line for line in error.splitlines() if not line.startswith("left out: ")] == error.splitlines()[-1:]
    assert not (tmp_path / "bench.json").exists()


# ---- which photos are taken ----


@pytest.fixture(scope="module")
def biq(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("biq")
    made_up.biq2021(folder, 24)
    return datasets.read("biq2021", folder, partial=True)


@pytest.fixture(scope="module")
def livew(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("livew")
    made_up.livew(folder, 24)
    return datasets.read("livew", folder, partial=True)


def write_split(path: Path, names: tuple[str, ...], test: int) -> str:
    """A split whose last photos are for testing; its hash."""
    rows = np.arange(len(names))
    split = splits.Split(rows[:-test], rows[:0], rows[-test:])
    content = splits.to_json(split, names)
    path.write_text(json.dumps(content))
    return content["sha256"]


def test_a_set_that_trained_nothing_is_taken_by_its_official_test_or_whole(biq: Dataset, livew: Dataset) -> None:
    official = choose_test_part(biq, [Training(("SPAQ",), "clean", "0")])
    assert {biq.official[row] for row in official.rows} == {"test"} and len(official.rows) == 4
    assert (official.name, official.is_trained_on, official.has_leak) == ("official test", False, False)
    whole = choose_test_part(livew, [])
    assert (whole.name, len(whole.rows)) == ("all", 24), "the practice photos are no part of it"
    assert len(choose_test_part(biq, [], part="all").rows) == 24
    authors = choose_test_part(livew, [], part="paper")
    assert (authors.name, len(authors.rows)) == ("the authors' test", 7), "they keep the 7 practice photos: 31 rows"
    with pytest.raises(UserError, match="LIVE in the Wild has no official split"):
        choose_test_part(livew, [], part="official")


def test_a_set_that_trained_the_model_is_marked_and_its_training_photos_are_not_taken(
    biq: Dataset, livew: Dataset
) -> None:
    by_official = choose_test_part(biq, [Training(("KonIQ-10k", "BIQ2021"), "official", "1")])
    assert by_official.is_trained_on and not by_official.has_leak
    assert {biq.official[row] for row in by_official.rows} == {"test"}
    for trainings in (
        [Training(("BIQ2021",), "clean", "1")],
        [Training(("BIQ2021",), "official", "1"), Training(("BIQ2021",), "clean", "2")],
    ):
        with pytest.raises(
            UserError, match=r"BIQ2021: .* trained on photos of this set, .*; give that run's split with"
        ):
            choose_test_part(biq, trainings)
        assert choose_test_part(biq, trainings, part="official").has_leak
    # Without an official split even a training by one says nothing.
    with pytest.raises(UserError, match=r"--split-files livew=RUN/split\.json"):
        choose_test_part(livew, [Training(("LIVE in the Wild",), "official", None)])
    assert choose_test_part(biq, [Training(("BIQ2021",), "official", "1")], part="all").has_leak
    split = splits.authors_split("livew", livew.all_names)
    for hash_of_split, leaks in (
        (splits.to_json(split, livew.photos.names)["sha256"], False),
        ("1", True),
        (None, True),
    ):
        # Another of the authors' splits has other test photos.
        found = choose_test_part(livew, [Training(("LIVE in the Wild",), "paper", hash_of_split)], part="paper")
        assert found.has_leak is leaks


def test_only_the_split_of_the_training_makes_a_set_clean(livew: Dataset, tmp_path: Path) -> None:
    names, other = livew.photos.names, tmp_path / "other.json"
    used = write_split(tmp_path / "split.json", names, 6)
    write_split(other, names, 9)
    training = [Training(("LIVE in the Wild",), "clean", used)]
    part = choose_test_part(livew, training, split_file=tmp_path / "split.json")
    assert part.is_trained_on and not part.has_leak
    assert [part.dataset.photos.names[row] for row in part.rows] == list(names[-6:])
    with pytest.raises(UserError, match=r"other\.json is not the split by which the model was trained"):
        choose_test_part(livew, training, split_file=other)
    assert choose_test_part(livew, training, split_file=other, part="all").has_leak
    with pytest.raises(UserError, match=r"is not the split by which"):
        choose_test_part(
            livew, [*training, Training(("LIVE in the Wild",), "clean", "3")], split_file=tmp_path / "split.json"
        )


def test_the_model_that_a_model_began_with_counts() -> None:
    first = {"data": ["SPAQ", "RBID"], "protocol": "clean", "split sha256": "1"}
    last = {"data": "KonIQ-10k", "protocol": "official", "split sha256": "2", "started from": {"trained": first}}
    assert list_trainings({"trained": last}) == [
        Training(("KonIQ-10k",), "official", "2"),
        Training(("SPAQ", "RBID"), "clean", "1"),
    ]
    assert list_trainings({}) == []


# ---- anybody's command ----


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    return [tmp_path / name for name in ("a.jpg", "b (2).jpg", "c,d.jpg", "é f.jpg")]


def python(code: str) -> str:
    """A command that runs `code` with the paths that it is given, as `paths`."""
    whole = f"import sys\npaths = [line.rstrip('\\n') for line in open(sys.argv[1] if sys.argv[1:] else 0)]\n{code}"
    return f"{shlex.quote(sys.executable)} -S -c {shlex.quote(whole)}"


@pytest.mark.parametrize("way", ["{list}", ""])
@pytest.mark.parametrize("between", ["\\t", ",", ", ", " ", ";"])
def test_paths_come_in_and_scores_come_out_in_any_order(way: str, between: str, photos: list[Path]) -> None:
    code = f"for n, path in reversed([*enumerate(paths)]): print(path + '{between}' + str(n / 4))\nprint()"
    results = list(score_by_command(f"{python(code)} {way}", photos))
    assert {result.image: result.score for result in results} == {photo: n / 4 for n, photo in enumerate(photos)}
    assert [result.image for result in results] == photos[::-1]


def test_photos_without_a_score_are_told(photos: list[Path]) -> None:
    code = "for path, score in zip(paths, ('1', 'nan', 'inf')): print(path, score)"
    results = list(score_by_command(python(code), photos))
    assert [(result.score, result.error) for result in results] == [
        (1.0, None),
        (None, "the command printed nan"),
        (None, "the command printed inf"),
        (None, "the command printed no score for it"),
    ]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('Loading the model ...')", r"'Loading the model \.\.\.' in line 1, which is not a path, a tab and a"),
        ("print(paths[0], 1)\nprint(paths[1])", "in line 2, which is not a path"),
        ("for path in paths: print(0.5)", r"printed '0\.5' in line 1, which is not a path"),
        ("print(paths[0], 1)\nprint('other.jpg', 1)", r"a score for 'other\.jpg' in line 2, which is not in its list"),
        ("print(paths[0], 1)\nprint(paths[0], 2)", r"printed .*a\.jpg a second time in line 2"),
        ("", "printed no score for 4 photos"),
        ("print(paths[0], 1)\nsys.exit(3)", "ended with status 3 after 1 of 4 photos"),
        ("sys.exit(1)", "ended with status 1 after 0 of 4 photos"),
    ],
)
def test_what_is_no_score_is_one_line(code: str, said: str, photos: list[Path]) -> None:
    with pytest.raises(UserError, match=said) as told:
        list(score_by_command(python(code), photos))
    assert "\n" not in str(told.value)


def test_what_is_left_of_an_interrupted_run_may_all_be_without_a_score(photos: list[Path]) -> None:
    told = {result.error for result in score_by_command(python(""), photos, are_left=True)}
    assert told == {"the command printed no score for it"}


def test_a_name_that_is_no_utf_8_comes_back(tmp_path: Path) -> None:
    photo = Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.jpg"))
    code = "for path in paths: sys.stdout.buffer.write(path.encode('utf-8', 'surrogateescape') + b' 2\\n')"
    opened = python(code).replace("else 0)", 'else 0, errors="surrogateescape")')
    assert [result.score for result in score_by_command(opened, [photo])] == [2.0]


def test_a_command_that_is_not_there(photos: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="ended with status 127 after 0 of 4 photos, and its own message is above"):
        list(score_by_command("no-such-scorer --fast", photos))
    assert "no-such-scorer" in capfd.readouterr().err


def test_a_command_that_goes_on_after_a_bad_line_is_ended(photos: list[Path]) -> None:
    code = "import time\nprint('text', flush=True)\ntime.sleep(600)"
    with pytest.raises(UserError, match="'text' in line 1"):
        list(score_by_command(f"exec {python(code)}", photos))


def test_the_command_of_the_document_is_one(photos: list[Path], tmp_path: Path) -> None:
    """With a stand-in for pyiqa."""
    page = (Path(__file__).parents[1] / "docs" / "bench.md").read_text()
    (block,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "my_scorer.py").write_text(block)
    (tmp_path / "pyiqa.py").write_text("def create_metric(name):\n    return lambda path: len(path) / 7\n")
    scored = score_by_command(f"{shlex.quote(sys.executable)} -S {shlex.quote(str(tmp_path / 'my_scorer.py'))}", photos)
    assert {result.image: result.score for result in scored} == {photo: len(str(photo)) / 7 for photo in photos}


# ---- figures ----


def test_whole_scenes_are_resampled(rng: np.random.Generator) -> None:
    """Forty versions of each of 25 pictures are 25 opinions: the interval is that of 25 photos."""
    mos = rng.standard_normal(25)
    scores = mos + rng.standard_normal(25)
    often = np.repeat(np.arange(25), 40)
    by_photo = metrics.bootstrap_ci(scores, mos)["srcc"]
    by_scene = metrics.bootstrap_ci(scores[often], mos[often], [str(scene) for scene in often])["srcc"]
    naive = metrics.bootstrap_ci(scores[often], mos[often])["srcc"]
    assert np.subtract(*by_scene[::-1]) == pytest.approx(np.subtract(*by_photo[::-1]), rel=0.2)
    assert np.subtract(*naive[::-1]) < 0.4 * np.subtract(*by_scene[::-1])
    assert np.isnan(metrics.bootstrap_ci(scores, mos, ["a", "b"] * 12 + ["a"])["srcc"]).all(), (
        "of two scenes there is none"
    )


def test_figures_of_a_set_with_scenes_resample_them(rng: np.random.Generator) -> None:
    mos = np.repeat(rng.standard_normal(12), 10)
    scores, scenes = mos + rng.standard_normal(120), [f"scene {row // 10}" for row in range(120)]
    plain, by_scene = metrics.compare(scores, mos), metrics.compare(scores, mos, scenes)
    for name in ("srcc", "plcc", "plcc_logistic"):
        ends = [(row[f"{name}_low"], row[f"{name}_high"]) for row in (plain, by_scene)]
        assert ends[0] != ends[1] and plain[name] == by_scene[name]


def test_a_fit_does_not_hide_scores_that_run_against_the_mos() -> None:
    mos = np.linspace(1, 5, 40)
    row = metrics.compare(6 - mos + 0.1 * np.sin(mos * 9), mos)
    assert row["srcc"] is not None and row["srcc"] < -0.9
    assert row["plcc_logistic"] is not None and row["plcc_logistic"] > 0.9
    assert row["plcc_logistic_low"] is not None and row["plcc_logistic_low"] <= row["plcc_logistic"]
    flat = metrics.compare(np.ones(40), mos)
    assert flat["photos"] == 40 and {flat[name] for name in ("srcc", "plcc", "plcc_low", "krcc")} == {None}
    json.dumps(flat, allow_nan=False)


def test_what_needs_no_model_is_measured(tmp_path: Path, rng: np.random.Generator) -> None:
    sharp = rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)
    for name, picture in (("sharp", sharp), ("blurred", cv2.GaussianBlur(sharp, (0, 0), 3))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    (tmp_path / "text.png").write_text("no picture")
    clear, blurred, none = baselines.measure_all([tmp_path / f"{name}.png" for name in ("sharp", "blurred", "text")])
    assert clear.pixels == blurred.pixels == 2400
    assert clear.bytes == (tmp_path / "sharp.png").stat().st_size > blurred.bytes
    assert clear.sharpness > 100 * blurred.sharpness > 0
    assert np.isnan([none.bytes, none.pixels, none.sharpness]).all()
    found = baselines.subset_means(["a", "b", "a", "b"], np.array([1.0, 4.0, 2.0, 5.0]))
    assert found.tolist() == [1.5, 4.5, 1.5, 4.5]


def test_a_hash_stands_for_photos_and_mos_wherever_they_lie(tmp_path: Path) -> None:
    mos = np.float32([1, 2])

    def photos(folder: str, content: bytes = b"12345") -> list[Path]:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "a.jpg").write_bytes(content)
        (tmp_path / folder / "b.jpg").write_bytes(b"1")
        return [tmp_path / folder / "a.jpg", tmp_path / folder / "b.jpg"]

    first = hash_photos(photos("one"), mos)
    assert hash_photos(photos("two")[::-1], mos[::-1]) == first
    assert hash_photos(photos("two"), mos[::-1]) != first
    assert hash_photos(photos("two", b"1234"), mos) != first
    assert hash_photos(photos("two")[:1], mos[:1]) != first


# ---- the command ----


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    made_up.csiq(tmp_path / "sets" / "csiq", 30)
    made_up.biq2021(tmp_path / "sets" / "biq2021", 30)
    return tmp_path / "sets"


def truth(sets: Path) -> dict[str, float]:
    """Of each photo its MOS on the common scale."""
    return {
        str(dataset.photos.images.folder / photo): float(mos)
        for name, places in find_releases(sets).releases.items()
        for dataset in [datasets.read(name, places[0], partial=True)]
        for photo, mos in zip(dataset.photos.names, dataset.on_common_scale().mos, strict=True)
    }


@pytest.fixture
def outside(tmp_path: Path, sets: Path) -> Callable[[str], str]:
    """Makes a command of code that sees `paths` and their right scores, `truth`; it notes how many it was given."""
    (tmp_path / "truth.json").write_text(json.dumps(truth(sets)))

    def make(code: str) -> str:
        known = f"import json\ntruth = json.load(open({str(tmp_path / 'truth.json')!r}))\n"
        asked = f"open({str(tmp_path / 'asked')!r}, 'a').write(f'{{len(paths)}} ')\n"
        return python(f"{known}{asked}{code}")

    return make


RIGHT = "for path in sorted(paths): print(path, truth[path], sep='\\t')"


def test_a_command_that_is_right_is_right_on_every_set(
    sets: Path, outside: Callable[[str], str], tmp_path: Path, command: Command
) -> None:
    """Also on one whose lower scores are better, and in an order that is not the table's."""
    before = sorted(sets.rglob("*"))
    given = ("bench", sets, "--partial", "--out", tmp_path / "new" / "bench.json")
    status, said, error = command(program.main, *given, "--command", outside(RIGHT))
    assert status == 0, error
    content = json.loads((tmp_path / "new" / "bench.json").read_text())
    rows = content["datasets"]
    assert list(rows) == ["biq2021", "csiq"]
    assert [rows[name]["photos"] for name in rows] == [5, 30]
    assert [rows[name]["part"] for name in rows] == ["official test", "all"]
    assert [rows[name]["complete"] for name in rows] == [False, False]
    assert all(row["srcc"] == pytest.approx(1) and row["rmse"] is None for row in rows.values())
    assert all(row["failed"] == 0 and not row["trained_on"] and len(row["sha256"]) == 64 for row in rows.values())
    assert all(-1 <= rows["csiq"]["baselines"][name] <= 1 for name in ("subset", "bytes", "sharpness"))
    assert rows["csiq"]["baselines"]["pixels"] is None, "all have the same"
    assert content["scored_by"]["command"].startswith(sys.executable)
    assert str(sets) not in json.dumps(rows), "where they lie is nobody's business"
    assert "csiq" in said and "1.000" in said and "official test" in said
    assert sorted(sets.rglob("*")) == before, "nothing is written beside the photos"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["bench.json"]


def test_lower_scores_that_are_better_are_told_and_turned_round(
    sets: Path, outside: Callable[[str], str], tmp_path: Path, command: Command
) -> None:
    given = (
        "bench",
        sets,
        "--partial",
        "--out",
        tmp_path / "bench.json",
        "--command",
        outside(RIGHT.replace("truth[", "-truth[")),
    )
    status, _, error = command(program.main, *given)
    assert status == 0
    assert "the scores fall where people's scores rise: if lower scores are better, add --lower-is-better" in error
    status, _, error = command(program.main, *given, "--lower-is-better")
    assert (status, error) == (0, "")
    rows = json.loads((tmp_path / "bench.json").read_text())["datasets"]
    assert all(row["srcc"] == pytest.approx(1) for row in rows.values())


def test_a_command_that_crashed_goes_on_where_it_was(
    sets: Path, outside: Callable[[str], str], tmp_path: Path, command: Command
) -> None:
    once = f"from pathlib import Path\nmark = Path({str(tmp_path / 'once')!r})\n"
    crash = f"{once}last = None if mark.exists() else 9\nmark.touch()\n"
    code = f"{crash}for path in paths[:last]: print(path, truth[path])\nif last: sys.exit(5)"
    given = ("bench", sets, "--partial", "--out", tmp_path / "bench.json", "--command", outside(code))
    status, _, error = command(program.main, *given)
    assert status == 2
    assert "ended with status 5 after 9 of 35 photos" in error
    assert not (tmp_path / "bench.json").exists()
    status, _, error = command(program.main, *given, "--lower-is-better")
    assert status == 0, error
    assert (tmp_path / "asked").read_text() == "35 26 "
    rows = json.loads((tmp_path / "bench.json").read_text())["datasets"]
    assert [rows[name]["photos"] for name in rows] == [5, 30]
    assert all(row["srcc"] == pytest.approx(-1) for row in rows.values())
    assert not list(tmp_path.glob("bench.json.part*"))


def test_photos_without_a_score_are_left_out_and_told(
    sets: Path, outside: Callable[[str], str], tmp_path: Path, command: Command
) -> None:
    code = "for n, path in enumerate(sorted(paths)): print(path, 'nan' if n in (1, 20) else truth[path])"
    status, _, error = command(
        program.main, "bench", sets, "--partial", "--out", tmp_path / "bench.json", "--command", outside(code)
    )
    assert status == 1
    assert error.count("the command printed nan") == 2
    rows = json.loads((tmp_path / "bench.json").read_text())["datasets"]
    assert [(row["photos"], row["failed"]) for row in rows.values()] == [(4, 1), (29, 1)]


def test_one_bad_set_stops_no_other(
    sets: Path, outside: Callable[[str], str], tmp_path: Path, command: Command
) -> None:
    made_up.spaq(sets / "spaq", 6)
    for path in (sets / "spaq" / "TestImage").iterdir():
        path.rename(path.with_suffix(".png"))
    given = ("bench", sets, "--partial", "--out", tmp_path / "bench.json", "--trained-on", "csiq")
    status, _, error = command(program.main, *given, "--command", outside(RIGHT))
    assert status == 1
    assert [line.split(":")[0] for line in error.splitlines()] == ["left out", "left out"]
    assert "shrunken copies" in error and "CSIQ: the model was trained on photos of this set" in error
    assert list(json.loads((tmp_path / "bench.json").read_text())["datasets"]) == ["biq2021"]


def test_a_models_scores_are_compared_by_the_metrics(
    sets: Path, model: Path, tmp_path: Path, command: Command, config: ModelConfig, weights: Params
) -> None:
    """Trained on BIQ2021 by its official split: marked, and its training photos are not scored."""
    provenance = {"trained": {"data": "BIQ2021", "protocol": "official", "split sha256": "0"}}
    checkpoint.save(tmp_path / "model", Checkpoint(config, weights, LabelScale("test", 1.0, 5.0, False), provenance))
    given = ("bench", sets, "--partial", "--out", tmp_path / "bench.json", "--checkpoint", tmp_path / "model")
    status, said, error = command(program.main, *given)
    assert status == 0, error
    content = json.loads((tmp_path / "bench.json").read_text())
    assert content["scored_by"]["trained_on"] == ["BIQ2021"] and len(content["scored_by"]["fingerprint"]) == 16
    assert [row["trained_on"] for row in content["datasets"].values()] == [True, False]
    assert "official test *" in said and "* other photos of this set trained the model" in said
    dataset = read_found("csiq", find_releases(sets), partial=True)
    scores = Scorer.load(tmp_path / "model").score([dataset.photos.images.path(name) for name in dataset.photos.names])
    expected = metrics.correlations(-scores, 5 - 4 * dataset.photos.mos)
    row = content["datasets"]["csiq"]
    assert (row["srcc"], row["krcc"]) == (pytest.approx(expected.srcc), pytest.approx(expected.krcc))
    assert row["rmse"] is None, "of a scale on which lower is better"


def test_the_table_shows_marks_and_what_does_not_exist() -> None:
    row = metrics.compare(np.array([1.0, 2.0, 3.0, 5.0]), np.array([1.0, 3.0, 2.0, 5.0]))
    row |= {"part": "all", "may_have_seen": False, "trained_on": False}
    row |= {"baselines": dict.fromkeys(baselines.BASELINES) | {"bytes": -0.25}}
    lines = format_table({"spaq": row, "livew": row | {"may_have_seen": True, "trained_on": True}}).splitlines()
    assert lines[0].split() == ["photos", "part", "SRCC", "PLCC", "KRCC", "subset", "bytes", "pixels", "sharpness"]
    assert lines[1].split()[:4] == ["spaq", "4", "all", ".800"]
    assert lines[1].split()[-4:] == ["-", "-.250", "-", "-"]
    assert "all !" in lines[2] and lines[-1].startswith("* other photos")
    assert not format_table({"spaq": row}).splitlines()[-1].startswith("*")


def test_known_facts_are_of_the_readers() -> None:
    marks = [mark for reader in datasets.READERS.values() for mark in reader.INFO.marks]
    assert len(marks) == len({Path(mark).name.casefold() for mark in marks}), "each mark is of one set"
    assert all(reader.INFO.marks for reader in datasets.READERS.values())
    assert [name for name, reader in datasets.READERS.items() if reader.INFO.slope < 0] == ["csiq"]
    assert dataclasses.is_dataclass(datasets.READERS["csiq"].INFO)
