"""Exported models find the faults that the package finds, and the page says them in the same words."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnx
import pytest
from jax import export

from tests.conftest import Command
from tests.reasoned import SCALE, draw_weights
from tests.test_export import leave_out, nothing, photo, set_attribute
from tests.test_export_detail import blurred, flat, open_session
from vtiqa_jax import Scorer, __main__
from vtiqa_jax.export import onnx_reasons, onnx_vtiqa, stablehlo, web_page
from vtiqa_jax.export.card import describe_reasons
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import tiny_config
from vtiqa_jax.models.false_alarms import DEFAULT_RATE, choose_thresholds
from vtiqa_jax.models.faults import FALSE_ALARMS, FAULTS
from vtiqa_jax.models.params import Params
from vtiqa_jax.models.reasons import RANGES
from vtiqa_jax.photos.resize import Rgb, prepare
from vtiqa_jax.results.reasons import Fault, name_faults, say_reasons
from vtiqa_jax.results.results import ScoreResult

CONFIG = tiny_config(
    depth=3,
    readout_blocks=(2, 3),
    eval_mosaics=2,
    native_factors=(1, 2, 4),
    native_mosaics=(4, 1, 1),
    native_blocks=(1, 2),
    reasons=True,
)
NAMES = ["strengths", "probabilities"]
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def params() -> Params:
    return draw_weights(CONFIG)


@pytest.fixture(scope="module")
def scorer(params: Params) -> Scorer:
    return Scorer(CONFIG, params, SCALE, devices=jax.devices()[:1])


def coloured(height: int, width: int, seed: int) -> Rgb:
    """Dark and yellow, with clipped pixels, alike in no channel."""
    noise = photo(height, width, seed).astype(int)
    return np.clip(noise * [2, 1, 0.3] - [60, 20, 0], 0, 255).astype(np.uint8)


def numbers(scorer: Scorer, photos: list[Rgb]) -> np.ndarray:
    """Strengths and probabilities by the package: [2, photos, faults]; NaN where it tells none."""
    found = [{fault.name: fault for fault in result.faults} for result in scorer.stream(photos)]
    unknown = Fault("", np.nan, np.nan)
    return np.array(
        [
            [[getattr(one.get(name, unknown), kind) for name in FAULTS] for one in found]
            for kind in ("strength", "probability")
        ]
    )


def distance(session: Any, scorer: Scorer, photos: list[Rgb]) -> float:
    said = np.stack(session.run(NAMES, {"photos": np.stack(photos)}))
    return float(np.nanmax(np.abs(said - numbers(scorer, photos))))


@pytest.mark.parametrize(
    ("change", "constant", "is_right"),
    [
        (nothing, None, True),
        (set_attribute("Gelu", approximate="tanh"), None, False),
        (leave_out("Abs"), None, False),
        (nothing, ("FULL", 128), False),
        (nothing, ("RANGES", RANGES[::-1]), False),
        (nothing, ("LUMA", onnx_reasons.LUMA[::-1]), False),
    ],
    ids=["right", "GELU by tanh", "signed colours", "half bright is clipped", "the darkest last", "blue for red"],
)
def test_an_onnx_graph_finds_the_same_faults(
    change: Callable[[Any], object],
    constant: tuple[str, object] | None,
    is_right: bool,
    params: Params,
    scorer: Scorer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        if constant:
            patch.setattr(onnx_reasons, *constant)
        model = onnx_vtiqa.build(CONFIG, params)
    change(model)
    session = open_session(model)
    pairs = [
        [make(*size, seed) for seed in (0, 1)]
        for size in ((3, 90), (14, 15), (300, 450))  # at 14 px two of three scales have no view
        for make in (blurred, flat, coloured)
    ]
    assert (max(distance(session, scorer, pair) for pair in pairs) < TOLERANCE) == is_right


def test_strengths_span_more_than_their_tolerance(scorer: Scorer) -> None:
    strengths, _ = numbers(scorer, [coloured(300, 450, 0), blurred(300, 450, 1), flat(300, 450, 0)])
    assert (np.nanmax(strengths, axis=0) - np.nanmin(strengths, axis=0) > 1000 * TOLERANCE).all()


def test_the_graph_of_a_page_names_faults_once(params: Params, scorer: Scorer) -> None:
    session, pixels = open_session(onnx_vtiqa.build(CONFIG, params, inputs="regions")), coloured(300, 450, 1)
    none, two = np.zeros((0, 2), np.int32), np.array([(0, 0), (9, 60)], np.int32)
    whole = np.stack(session.run(NAMES, {"photos": pixels[None], "corners": none}))
    np.testing.assert_allclose(whole, numbers(scorer, [pixels]), atol=TOLERANCE)
    again = session.run(NAMES, {"photos": pixels[None], "corners": two})
    assert [values.shape for values in again] == [(0, len(FAULTS))] * 2


def test_stored_photos_have_no_reasons(params: Params) -> None:
    model = onnx_vtiqa.build(CONFIG, params, inputs="stored")
    assert [output.name for output in model.graph.output] == ["score"]


def test_a_stablehlo_program_finds_them_too(params: Params, scorer: Scorer) -> None:
    photos = [coloured(99, 99, 0), flat(99, 99, 0), blurred(99, 99, 2)]
    assert CONFIG.native
    stored = [prepare(pixels, None, CONFIG.stored_cuts) for pixels in photos]
    native = [CONFIG.native.make(pixels, pixels) for pixels in photos]
    arrays = [np.stack(same) for same in zip(*((*a, *b) for a, b in zip(stored, native, strict=True)), strict=True)]
    said = export.deserialize(bytearray(stablehlo.build(CONFIG, params))).call(*arrays)
    assert sorted(said) == sorted(["score", "detail", "holds", *NAMES])
    found = np.stack([said[name] for name in NAMES])
    expected = numbers(scorer, photos)
    np.testing.assert_allclose(np.where(np.isnan(expected), np.nan, found), expected, atol=TOLERANCE)
    scores = [result.score for result in scorer.stream(photos)]
    np.testing.assert_allclose(said["score"], scores, atol=TOLERANCE)  # type: ignore[arg-type]


def test_files_say_what_is_named_and_from_where(params: Params, tmp_path: Path, command: Command) -> None:
    checkpoint.save(tmp_path / "saved", Checkpoint(CONFIG, params, SCALE, {}))
    assert command(__main__.main, "export", tmp_path / "saved", tmp_path / "m.onnx")[0] == 0
    model = onnx.load(tmp_path / "m.onnx")
    assert [output.name for output in model.graph.output] == ["score", "detail", "holds", *NAMES]
    card = {entry.key: entry.value for entry in model.metadata_props}
    assert all(f"{name}: float32 [batch, faults]" in card["output"] for name in NAMES)
    reasons = json.loads(card["reasons"])
    assert reasons["faults"] == list(FAULTS)
    for rate in FALSE_ALARMS:
        expected = choose_thresholds(params["reasons.thresholds"], rate)
        assert reasons["thresholds"][f"{rate:g}"] == pytest.approx(list(expected.values()))


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_the_page_names_faults_in_the_same_words(params: Params, tmp_path: Path) -> None:
    strengths = np.random.default_rng(0).uniform(-1, 4, (50, len(FAULTS)))
    strengths[0], strengths[1] = 1.5, [1.0, 2.5, *[0.0] * (len(FAULTS) - 2)]
    spread = np.linspace(0.2, 2, len(FAULTS), dtype=np.float32)
    described = describe_reasons({"reasons.thresholds": params["reasons.thresholds"] + spread})
    shutil.copy(web_page.TEMPLATES / "words.js", tmp_path / "words.mjs")
    (tmp_path / "say.mjs").write_text(
        'import { sayReasons } from "./words.mjs";\n'
        f"const said = {json.dumps(strengths.tolist())}.map((one) => sayReasons(one, {json.dumps(described)}));\n"
        "console.log(JSON.stringify(said));\n"
    )
    said = subprocess.run(["node", tmp_path / "say.mjs"], check=True, capture_output=True, text=True).stdout
    thresholds = choose_thresholds(params["reasons.thresholds"] + spread, DEFAULT_RATE)

    def words(row: list[float]) -> str:
        faults = [Fault(name, strength, 0.5) for name, strength in zip(FAULTS, row, strict=True)]
        return say_reasons(ScoreResult("", 3.0, faults=name_faults(faults, thresholds)).reasons)

    assert json.loads(said) == [words(row) for row in strengths.tolist()]
