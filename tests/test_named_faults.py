"""Why a photo is bad: what is computed, from which strength a fault is named, and what is said of it where."""

import csv
import dataclasses
import inspect
import json
import pickle
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vtiqa_jax
from tests.conftest import Command
from tests.reasoned import CONFIG, SCALE, draw_weights
from vtiqa_jax import Fault, Scorer, UserError, __main__
from vtiqa_jax.commands.compare import say_worse
from vtiqa_jax.commands.display import Display
from vtiqa_jax.models import checkpoint, quantized
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, tiny_config
from vtiqa_jax.models.false_alarms import DEFAULT_RATE, choose_thresholds
from vtiqa_jax.models.faults import FALSE_ALARMS, FAULTS, SCREEN_FAULTS
from vtiqa_jax.models.params import Params, abstract_model, init_params, merge_params
from vtiqa_jax.models.vtiqa import VTIQA
from vtiqa_jax.photos.resize import Rgb
from vtiqa_jax.results import score_cache
from vtiqa_jax.results.columns import bulk_columns, score_columns
from vtiqa_jax.results.lines import lacks_reason, say_faults, say_plain_reasons, say_why
from vtiqa_jax.results.reasons import ALIASES, LEVELS, WORDS, find_fault, name_faults, say_reading
from vtiqa_jax.results.results import ScoreResult
from vtiqa_jax.results.score_table import ScoreTable
from vtiqa_jax.scoring.mosaic_sampling import MosaicSampling

CHANCE = [f"p_{name}" for name in FAULTS]


@pytest.fixture(scope="module")
def drawn_weights() -> Params:
    return draw_weights()


@pytest.fixture(scope="module")
def scorer(drawn_weights: Params) -> Scorer:
    return Scorer(CONFIG, drawn_weights, SCALE, devices=jax.devices()[:1])


@pytest.fixture(scope="module")
def reasoning(drawn_weights: Params, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as a checkpoint."""
    path = tmp_path_factory.mktemp("models") / "reasoning"
    checkpoint.save(path, Checkpoint(CONFIG, drawn_weights, SCALE, {}))
    return path


@pytest.fixture(scope="module")
def photos() -> list[Rgb]:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, bright, (60 + 9 * bright // 64, 80, 3), np.uint8) for bright in (256, 64, 128)]
    return [*noise, cv2.GaussianBlur(noise[0], (0, 0), 3)]


@pytest.fixture(scope="module")
def found(scorer: Scorer, photos: list[Rgb]) -> list[ScoreResult]:
    return list(scorer.stream(photos))


def faulty(*strengths: float, threshold: float = 1.0, image: str = "a.jpg") -> ScoreResult:
    """A photo with these faults, in their order."""
    faults = [Fault(name, strength, 0.5) for name, strength in zip(FAULTS, strengths, strict=False)]
    return ScoreResult(Path(image), 3.0, faults=name_faults(faults, dict.fromkeys(FAULTS, threshold)))


# ---- what is computed ----


def test_strengths_are_the_head_s(
    scorer: Scorer, drawn_weights: Params, photos: list[Rgb], found: list[ScoreResult]
) -> None:
    """By the model itself, of the global view and the native ones of each photo."""
    model = merge_params(abstract_model(CONFIG)[0], jax.tree.map(jnp.asarray, drawn_weights))
    assert isinstance(model, VTIQA)
    for photo, result in zip(photos, found, strict=True):
        *images, native, structure = (jnp.asarray(array[None]) for array in CONFIG.preparation.make(photo))
        summaries = model.read_native(native, structure, None).summaries
        strengths, probabilities = model.judge_reasons(summaries, model.encode_views(images)[0], images[0])
        assert [fault.name for fault in result.faults] == list(FAULTS)
        np.testing.assert_allclose([fault.strength for fault in result.faults], strengths[0], atol=1e-4)
        np.testing.assert_allclose([fault.probability for fault in result.faults], probabilities[0], atol=1e-5)
    spans = np.ptp([[fault.strength for fault in result.faults] for result in found], axis=0)
    assert (spans > 0.1).all(), "photos differ in every fault"


def test_drawn_mosaics_change_no_reason(scorer: Scorer, photos: list[Rgb], found: list[ScoreResult]) -> None:
    """Their step takes stored photos, of which the global view is a part."""
    for drawn, plain in zip(scorer.stream(photos, sampling=MosaicSampling(2)), found, strict=True):
        np.testing.assert_allclose(
            [fault.strength for fault in drawn.faults], [fault.strength for fault in plain.faults], atol=1e-4
        )


def test_what_is_no_photograph_has_no_faults(drawn_weights: Params, photos: list[Rgb]) -> None:
    config = CONFIG.replace(novelty=True)
    fresh = {name: array for name, array in init_params(config, 0).items() if name.startswith("novelty.")}
    everything = drawn_weights | fresh | {"novelty.threshold": np.float32(-1)}
    (result,) = Scorer(config, everything, SCALE).stream(photos[0])
    assert result.warning and result.faults == result.reasons == ()


def test_of_a_photo_without_structure_only_light_and_colour_are_told(scorer: Scorer, photos: list[Rgb]) -> None:
    plain, full = scorer.stream([np.full_like(photos[0], 90), photos[0]])
    assert plain.detail is None and tuple(fault.name for fault in plain.faults) == SCREEN_FAULTS
    assert tuple(fault.name for fault in full.faults) == FAULTS


def test_a_model_without_reasons_says_nothing_of_them(photos: list[Rgb]) -> None:
    config = CONFIG.replace(reasons=False)
    plain = Scorer(config, init_params(config, 0), SCALE)
    (result,) = plain.stream(photos[0])
    assert result.faults == () and {"reasons", "faults"} <= plain.unknown
    for column in score_columns(mosaics=True, reasons=True):
        if column.read:
            assert column.value(result) is None


def test_a_quantized_model_keeps_its_head(tmp_path: Path) -> None:
    """Whose widths are no multiples of a group's: they are stored as they are."""
    config = tiny_config(embed_dim=32, native_factors=(1, 2), native_blocks=(1,), reasons=True)
    weights = draw_weights(config)
    quantized.save(tmp_path / "m.npz", Checkpoint(config, weights, SCALE, {}))
    loaded = quantized.load(tmp_path / "m.npz")
    for name in weights:
        if name.startswith("reasons."):
            np.testing.assert_allclose(loaded.params[name], weights[name], rtol=1e-3, atol=1e-6)


# ---- from which strength a fault is named ----


def test_thresholds_are_those_of_the_rate() -> None:
    """Between known rates linear in the logarithm: half way between .02 and .05 is .0316."""
    strengths = np.random.default_rng(0).normal(size=(len(FALSE_ALARMS), len(FAULTS)))
    for rate, expected in zip(FALSE_ALARMS, strengths, strict=True):
        assert choose_thresholds(strengths, rate) == pytest.approx(dict(zip(FAULTS, expected, strict=True)))
    between = choose_thresholds(strengths, (0.02 * 0.05) ** 0.5)
    np.testing.assert_allclose(list(between.values()), (strengths[2] + strengths[3]) / 2)


@pytest.mark.parametrize("rate", [0.004, 0.11, 0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_not_known_is_refused(drawn_weights: Params, rate: float) -> None:
    with pytest.raises(UserError, match=re.escape("choose one from 0.005 to 0.1")):
        Scorer(CONFIG, drawn_weights, SCALE, false_alarms=rate)


def test_fewer_false_alarms_are_fewer_reasons(drawn_weights: Params, photos: list[Rgb]) -> None:
    strict, loose = (
        [result.reasons for result in Scorer(CONFIG, drawn_weights, SCALE, false_alarms=rate).stream(photos)]
        for rate in (FALSE_ALARMS[0], FALSE_ALARMS[-1])
    )
    names = [[{fault.name for fault in reasons} for reasons in some] for some in (strict, loose)]
    assert all(few <= many for few, many in zip(*names, strict=True))
    assert sum(map(len, names[0])) < sum(map(len, names[1]))


def test_both_ways_to_a_model_name_as_much() -> None:
    for load in (vtiqa_jax.load, Scorer.load, Scorer):
        assert inspect.signature(load).parameters["false_alarms"].default == DEFAULT_RATE


def test_another_rate_computes_nothing_again(drawn_weights: Params, photos: list[Rgb], tmp_path: Path) -> None:
    """The cache has strengths; which faults are named is told when it is read."""
    photo = tmp_path / "a.png"
    cv2.imwrite(str(photo), photos[0])
    thresholds = np.full((len(FALSE_ALARMS), len(FAULTS)), 1e3, np.float32)
    thresholds[FALSE_ALARMS.index(0.1)] = -1e3  # names all, where the others name nothing
    weights = drawn_weights | {"reasons.thresholds": thresholds}
    loose, strict = (Scorer(CONFIG, weights, SCALE, false_alarms=rate) for rate in (0.1, 0.005))
    assert loose.settings() == strict.settings()
    with score_cache.open_cache(tmp_path / "c", loose.settings()) as cache:
        assert cache.get(photo) is None
        (first,) = loose.stream([photo])
        cache.add(first)
    with score_cache.open_cache(tmp_path / "c", strict.settings()) as cache:
        (again,) = strict.stream([photo], cached=cache.get)
    (fresh,) = strict.stream([photo])
    assert again.faults == fresh.faults
    assert again.reasons != first.reasons


def test_another_process_names_as_much(drawn_weights: Params) -> None:
    scorer = Scorer(CONFIG, drawn_weights, SCALE, false_alarms=0.05)
    assert pickle.loads(pickle.dumps(scorer)).false_alarms == 0.05


# ---- words ----


def test_words_are_of_the_model_s_faults_in_their_order() -> None:
    assert tuple(WORDS) == FAULTS
    assert len({words for levels in WORDS.values() for words in levels}) == len(LEVELS) * len(FAULTS)


@pytest.mark.parametrize(
    ("strength", "level", "words"),
    [
        (0.7, "slight", "slight motion blur"),
        (1.49, "slight", "slight motion blur"),
        (1.5, "plain", "motion blur"),
        (2.49, "plain", "motion blur"),
        (2.5, "severe", "severe motion blur"),
        (9.0, "severe", "severe motion blur"),
    ],
)
def test_a_fault_is_of_the_nearest_level(strength: float, level: str, words: str) -> None:
    fault = Fault("motion", strength, 0.5)
    assert (fault.level, str(fault)) == (level, words)


def test_reasons_are_what_is_named_the_strongest_first() -> None:
    result = faulty(1.2, 3.0, 0.9, 2.0)
    assert [fault.name for fault in result.reasons] == ["motion", "chroma_noise", "defocus"]
    assert [fault.is_named for fault in result.faults] == [True, True, False, True]
    assert faulty(1.0).reasons, "from the threshold on"


@given(st.sampled_from([*WORDS, *ALIASES, *(plain for _, plain, _ in WORDS.values())]))
def test_a_fault_is_found_by_what_people_call_it(text: str) -> None:
    name = find_fault(text)
    assert name in FAULTS
    for said in (text.upper(), f" {text.replace('_', '-')} ", text.replace("_", " ")):
        assert find_fault(said) == name


def test_noise_and_blur_are_the_common_ones() -> None:
    assert [find_fault(text) for text in ("noise", "blur")] == ["luminance_noise", "defocus"]
    with pytest.raises(UserError, match="'ugly' is not a fault; choose from defocus, motion, "):
        find_fault("ugly")


# ---- outputs ----


def test_probabilities_are_columns_when_they_are_asked_for() -> None:
    for columns, asked in (
        (score_columns(mosaics=False), score_columns(mosaics=False, reasons=True)),
        (bulk_columns(), bulk_columns(reasons=True)),
    ):
        names, more = ([column.name for column in some] for some in (columns, asked))
        assert "reasons" in names and not set(CHANCE) & set(names)
        assert [name for name in more if name not in names] == CHANCE


def values(result: ScoreResult) -> dict[str, object]:
    return {column.name: column.value(result) for column in score_columns(mosaics=False, reasons=True)}


def test_nothing_named_is_not_nothing_known() -> None:
    assert values(faulty(*[0.0] * 10))["reasons"] == ""
    assert values(ScoreResult(Path("a.jpg"), 3.0))["reasons"] is None
    assert values(ScoreResult(Path("a.jpg"), None, "broken"))["p_motion"] is None


def test_the_terminal_is_told_what_is_plain(scorer: Scorer) -> None:
    display = Display(scorer, None, silent=True)
    lines = {
        display.line(faulty(1.2, 2.0, 3.0)): "a.jpg: severe luminance noise; motion blur",
        display.line(faulty(1.2)): "a.jpg",
        display.line(dataclasses.replace(faulty(2.0), warning="cut off")): "a.jpg: out of focus; cut off",
    }
    for line, end in lines.items():
        assert line.endswith(f"  {end}")


def test_a_notebook_shows_all_reasons() -> None:
    shown = ScoreTable((faulty(1.2, 2.0), ScoreResult(Path("b.jpg"), None, "<b>")), SCALE)._repr_html_()
    assert "<th>reasons</th><th>remarks</th>" in shown
    assert "<td>motion blur; slightly out of focus</td><td></td>" in shown
    assert "<td></td><td>&lt;b&gt;</td>" in shown
    assert "reasons" not in ScoreTable((ScoreResult(Path("b.jpg"), 3.0),), SCALE)._repr_html_()


@pytest.mark.parametrize(
    ("a", "b", "lines"),
    [
        ((3.0, 0.0), (0.0, 2.0), ["Worse in a.jpg: badly out of focus.", "Worse in b.jpg: motion blur."]),
        ((2.0, 2.0), (2.4, 1.6), []),
        ((0.9, 0.0), (0.0, 0.0), []),
        ((2.0, 1.6), (2.5, 2.6), ["Worse in b.jpg: severe motion blur; badly out of focus."]),
        ((2.0,), (), []),
    ],
    ids=["each in another", "too little apart", "not named", "both in one", "of one nothing is known"],
)
def test_what_is_worse_in_which(a: Sequence[float], b: Sequence[float], lines: list[str]) -> None:
    assert say_worse(faulty(*a), faulty(*b, image="b.jpg")) == lines


# ---- commands ----


@pytest.fixture
def folder(tmp_path: Path, photos: list[Rgb]) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, pixels in enumerate(photos):
        cv2.imwrite(str(folder / f"{number}.png"), pixels[:, :, ::-1])
    return folder


def test_score_writes_reasons(
    folder: Path, reasoning: Path, found: list[ScoreResult], tmp_path: Path, command: Command
) -> None:
    arguments = ("score", folder, "--checkpoint", reasoning, "--reasons", "--out")
    assert command(__main__.main, *arguments, tmp_path / "s.csv")[0] == 0
    assert command(__main__.main, *arguments, tmp_path / "s.json")[0] == 0
    with (tmp_path / "s.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    rows = json.loads((tmp_path / "s.json").read_text())["scores"]
    for line, row, result in zip(lines, rows, found, strict=True):
        assert line["reasons"] == row["reasons"] == "; ".join(map(str, result.reasons))
        chance = [fault.probability for fault in result.faults]
        assert [row[name] for name in CHANCE] == pytest.approx(chance, abs=1.01e-4)
        assert all(re.fullmatch(r"[01]\.\d{4}", line[name]) for name in CHANCE)
    assert any(line["reasons"] for line in lines)


def test_explain_says_them_as_score_does(folder: Path, reasoning: Path, tmp_path: Path, command: Command) -> None:
    """As of a photo that is scored alone."""
    explained = command(__main__.main, "explain", folder, "--out", tmp_path / "maps", "--checkpoint", reasoning)[1]
    words = [line.partition(".png")[2].split("; detail")[0] for line in explained.splitlines()[1:]]
    alone = [command(__main__.main, "score", photo, "--checkpoint", reasoning)[1] for photo in sorted(folder.iterdir())]
    assert words == [said.splitlines()[1].partition(".png")[2] for said in alone]
    assert all(words)


def test_a_photo_that_is_looked_at_alone_gets_an_answer() -> None:
    """In a list of many photos, slight faults and those that are not named would fill the terminal."""
    slight = faulty(1.2)
    assert (say_plain_reasons(slight), say_why(slight)) == ("", "slightly out of focus")
    faults = Fault("too_dark", 0.9, 0.004), Fault("motion", 0.4, 0.084), Fault("defocus", 0.1, 0.07)
    unnamed = dataclasses.replace(slight, faults=faults)
    assert say_plain_reasons(unnamed) == ""
    assert say_why(unnamed) == "no fault is named; most probable: motion blur, 8 %"
    clean = dataclasses.replace(slight, faults=faults[:1])
    assert say_why(clean) == "no fault is named; most probable: too dark, less than 1 %"
    assert say_why(dataclasses.replace(slight, faults=())) == "", "of a model without reasons"


def test_all_faults_of_a_photo_are_said_the_most_probable_first() -> None:
    faults = Fault("too_dark", 2.0, 0.004, is_named=True), Fault("motion", 0.4, 0.084), Fault("defocus", 0.1, 0.07)
    result = ScoreResult(Path("a.jpg"), 3.0, faults=faults)
    assert say_faults(result) == ["motion blur, 8 %", "out of focus, 7 %", "too dark, less than 1 %"]


@pytest.mark.parametrize(
    ("score", "strength", "higher_is_better", "expected"),
    [
        (2.9, 0.2, True, True),
        (3.1, 0.2, True, False),
        (3.1, 0.2, False, True),
        (2.9, 0.2, False, False),
        (2.9, 1.2, True, False),
        (None, 0.2, True, False),
    ],
)
def test_a_bad_photo_without_a_reason_is_known(
    score: float | None, strength: float, higher_is_better: bool, expected: bool
) -> None:
    scale = LabelScale("test", 1.0, 5.0, higher_is_better)
    assert lacks_reason(dataclasses.replace(faulty(strength), score=score), scale) is expected
    assert not lacks_reason(ScoreResult(Path("a.jpg"), score), scale), "of a model that names no faults"


def test_score_prints_all_faults_of_few_photos(
    folder: Path, reasoning: Path, found: list[ScoreResult], command: Command
) -> None:
    for photo, result in zip(sorted(folder.iterdir()), found, strict=True):
        status, said, _ = command(__main__.main, "score", photo, "--checkpoint", reasoning, "--reasons")
        assert status == 0
        assert said.splitlines()[2:] == [f"    {fault}" for fault in say_faults(result)]


def test_who_asks_about_a_bad_photo_is_told_what_to_do_next(
    drawn_weights: Params, folder: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal, if no fault is named."""
    monkeypatch.setattr("_pytest.capture.CaptureIO.isatty", lambda _: True)
    monkeypatch.setattr("tqdm.std.tqdm.display", lambda *_, **__: None)
    weights = drawn_weights | {"reasons.thresholds": np.full_like(drawn_weights["reasons.thresholds"], 1e9)}
    for high, is_bad in ((1e6, True), (-1e5, False)):
        scale = dataclasses.replace(SCALE, low=-1e6, high=high)
        checkpoint.save(tmp_path / "model", Checkpoint(CONFIG, weights, scale, {}), force=True)
        arguments = (folder / "0.png", "--checkpoint", tmp_path / "model")
        for said in (
            command(__main__.main, "score", *arguments)[1],
            command(__main__.main, "explain", *arguments, "--out", tmp_path / "maps")[1],
        ):
            assert said.splitlines()[-1].endswith("vtiqa compare") is is_bad, said


def test_a_common_name_of_a_fault_says_how_it_is_read() -> None:
    """Blur might be motion blur."""
    assert say_reading("Blur").startswith("Blur is read as out of focus; the faults are defocus, motion, ")
    assert [say_reading(text) for text in ("motion", "motion blur", "Out-of-focus", "no fault")] == [""] * 4


def test_compare_says_what_is_worse(folder: Path, reasoning: Path, command: Command) -> None:
    said = command(__main__.main, "compare", folder / "0.png", folder / "1.png", "--checkpoint", reasoning)[1]
    assert re.search(r"^Worse in \S+[01]\.png: ", said, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--reasons",), "name the file with --out FILE"),
        (("--false-alarms", 0.5), "choose one from 0.005 to 0.1"),
        (("--false-alarms", "nan"), "choose one from 0.005 to 0.1"),
    ],
)
def test_mistakes_are_told(
    arguments: Sequence[object], told: str, folder: Path, reasoning: Path, command: Command
) -> None:
    status, out, error = command(__main__.main, "score", folder, "--checkpoint", reasoning, *arguments)
    assert (status, out) == (2, "") and told in error and error.count("\n") == 1


def test_a_model_without_reasons_has_no_columns_of_them(
    folder: Path, model: Path, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "s.csv"
    status, _, error = command(__main__.main, "score", folder, "--checkpoint", model, "--reasons", "--out", out)
    assert status == 2 and f"--reasons: {model} cannot name faults" in error
    assert not out.exists()


def test_info_says_which_models_have_reasons(reasoning: Path, model: Path, command: Command) -> None:
    for path, said in ((reasoning, "score, detail, reasons"), (model, "score")):
        assert re.search(f"^says +{said}$", command(__main__.main, "info", path)[1], re.MULTILINE)
