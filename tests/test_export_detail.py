"""Exported models judge photos at their own pixels as the package does."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import jax
import numpy as np
import onnx
import onnxruntime
import pytest
from jax import export

from tests.conftest import Command
from tests.test_export import leave_out, nothing, photo, set_attribute
from vtiqa_jax import __main__ as program
from vtiqa_jax.errors import UserError
from vtiqa_jax.export import onnx_detail, onnx_native, onnx_vtiqa, stablehlo
from vtiqa_jax.export.onnx_graph import Graph
from vtiqa_jax.models import checkpoint, quantized
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig, tiny_config
from vtiqa_jax.models.detail import CAUSES, SOFTNESS
from vtiqa_jax.models.params import Params, init_params
from vtiqa_jax.photos import native
from vtiqa_jax.photos.native import NativeViews
from vtiqa_jax.photos.resize import Rgb, prepare, shrink
from vtiqa_jax.scoring.scorer import Scorer

CONFIG = tiny_config(
    depth=3,
    readout_blocks=(1, 2, 3),
    eval_mosaics=2,
    native_factors=(1, 2, 4, 8),
    native_mosaics=(4, 4, 1, 1),
    native_blocks=(1, 2),
)
NAMES = ["score", "detail", "holds"]
TOLERANCE = 1e-4


def large_params(config: ModelConfig) -> Params:
    """Parameters by which photos get visibly different numbers."""
    initial = init_params(config, seed=0)
    large = {name: np.asarray(a) * np.float32(3 if name.endswith("kernel") else 1) for name, a in initial.items()}
    return large | {"detail.curve": np.array([1, 5, -1, -0.2], np.float32)}


@pytest.fixture(scope="module")
def params() -> Params:
    return large_params(CONFIG)


def open_session(model: Any) -> Any:
    """An onnxruntime session; its types allow outputs that are no arrays."""
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def flat(height: int, width: int, seed: int) -> Rgb:
    return np.full((height, width, 3), 100 + seed, np.uint8)


def tiled(height: int, width: int, seed: int) -> Rgb:
    """The same few pixels again and again: in each cell many places have as much structure as the best."""
    tile = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), np.uint8)
    return np.tile(tile, (height // 6 + 1, width // 5 + 1, 1))[:height, :width]


def blurred(height: int, width: int, seed: int) -> Rgb:
    """Photos that hold to different degrees."""
    return cv2.GaussianBlur(photo(height, width, seed), (0, 0), 0.5 + seed)


# ---- native views ----


def native_session(seen: NativeViews, change: Callable[[Any], object] = nothing) -> Any:
    op = Graph()
    inputs = {
        "photos": (np.uint8, ("photos", "height", "width", 3)),
        "screen": (np.uint8, ("photos", "rows", "columns", 3)),
        "count": (np.int64, (1,)),
    }
    views, structure = onnx_native.make_views(op, seen, "photos", "screen", "count")
    size = seen.grid * seen.patch
    outputs = {"views": (views, ("n", size, size, 3)), "structure": (structure, ("n", seen.grid**2))}
    model = op.model(inputs, outputs, "", {})
    change(model)
    return open_session(model)


def are_equal(session: Any, seen: NativeViews, photos: list[Rgb], screen_side: int) -> bool:
    """Whether the graph's views and structure are the package's, bit for bit."""
    screens = [shrink(pixels, screen_side) for pixels in photos]
    count = np.array([len(photos)])
    found = session.run(None, {"photos": np.stack(photos), "screen": np.stack(screens), "count": count})
    ours = [seen.make(*pair) for pair in zip(photos, screens, strict=True)]
    return all(
        np.array_equal(one.reshape(stacked.shape), stacked)
        for one, stacked in zip(found, (np.stack(same, axis=1) for same in zip(*ours, strict=True)), strict=True)
    )


def with_constant(name: str, value: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(onnx_native, name, value)


@pytest.mark.parametrize(
    ("change", "patch", "is_right"),
    [
        (nothing, None, True),
        (set_attribute("ArgMax", select_last_index=1), None, False),
        (leave_out("Round"), None, False),
        (nothing, with_constant("WINDOW", 3), False),
        (nothing, with_constant("LUMA", np.array([29, 150, 77], np.int32)), False),
        (nothing, with_constant("parts_of_cells", lambda *sizes: native.parts_of_cells(*sizes)[:, ::-1]), False),
    ],
    ids=["right", "the last of equal places", "corners cut off", "smaller windows", "blue for red", "last parts first"],
)
def test_native_views(
    change: Callable[[Any], object],
    patch: Callable[[pytest.MonkeyPatch], None] | None,
    is_right: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = NativeViews((1, 2, 3, 8), (4, 1, 4, 1), 7, 4)
    with monkeypatch.context() as context:
        if patch:
            patch(context)
        session = native_session(seen, change)
    sizes = ((1, 40), (2, 3), (4, 4), (7, 5), (20, 30), (31, 31), (32, 32), (100, 300), (333, 248), (5, 2000))
    found = [
        are_equal(session, seen, [make(*size, seed) for seed in (0, 1)], 64)
        for size in sizes
        for make in (photo, tiled, flat)
    ]
    assert all(found) == is_right


def test_native_views_of_a_large_photo() -> None:
    """In the sizes of the packaged model."""
    seen = NativeViews((1, 2, 4, 8), (4, 4, 1, 1), 7, 32)
    assert are_equal(native_session(seen), seen, [photo(2000, 3000)], 512)


# ---- detail and holds ----


def judge(session: Any, photos: list[Rgb]) -> np.ndarray:
    return np.stack(session.run(NAMES, {"photos": np.stack(photos)}), axis=1)


def expected(config: ModelConfig, params: Params, photos: list[Rgb]) -> np.ndarray:
    """By the package; NaN for what there is not."""
    scorer = Scorer(config, params, LabelScale("test", 1.0, 5.0), devices=jax.devices()[:1])
    return np.array([[getattr(result, name) for name in NAMES] for result in scorer.stream(photos)], float)


def errors(numbers: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """Differences, of `holds`, an exponential, as a share of it; infinite where only one of the two is there."""
    differences = np.abs(numbers - ours) / np.where(np.array(NAMES) == "holds", ours, 1)
    return np.where(np.isnan(numbers) == np.isnan(ours), np.nan_to_num(differences), np.inf)


def near(numbers: np.ndarray, ours: np.ndarray) -> bool:
    """Whether numbers differ by rounding errors alone."""
    return bool(errors(numbers, ours).max() < TOLERANCE)


SIZES = ((2, 3), (3, 90), (5, 5), (20, 30), (31, 31), (32, 32), (100, 300), (300, 450))


@pytest.mark.parametrize(
    ("change", "constant", "is_right"),
    [
        (nothing, None, True),
        (set_attribute("Gelu", approximate="tanh"), None, False),
        (set_attribute("Softmax", axis=0), None, False),
        (nothing, ("NO_STRUCTURE", -1.0), False),
        (nothing, ("OCTAVES_THAT_HOLD", 0.499), False),
        (nothing, ("CAUSE_WEIGHTS", (1.0, 1.0, 2.0)), False),
        (nothing, ("COARSE_NOISE", 0.0), False),
        (nothing, ("HARM_WEIGHTS", (1.0, 1.5)), False),
        (nothing, ("ERROR_GROWTH", 0.0), False),
    ],
    ids=[
        "right",
        "GELU by tanh",
        "weights over photos",
        "flat places count",
        "a thousandth of an octave less holds",
        "artefacts taken for noise",
        "noise is read at the first scale alone",
        "artefacts count as noise where a photo holds",
        "all scales are as exact",
    ],
)
def test_an_onnx_graph_says_what_photos_show_at_their_own_pixels(
    change: Callable[[Any], object],
    constant: tuple[str, object] | None,
    is_right: bool,
    params: Params,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # All photos are blurred: all scales count.
    is_blur = np.isin(np.arange(SOFTNESS + 1), (CAUSES.index("blur"), SOFTNESS)).astype(np.float32)
    params = params | {"detail.octaves.bias": params["detail.octaves.bias"] + 9 * is_blur}
    with monkeypatch.context() as patch:
        if constant:
            patch.setattr(onnx_detail, *constant)
        model = onnx_vtiqa.build(CONFIG, params)
    change(model)
    session = open_session(model)
    photos = [[make(*size, seed) for seed in (0, 1)] for size in SIZES for make in (blurred, flat)]
    found = [near(judge(session, pair), expected(CONFIG, params, pair)) for pair in photos]
    assert all(found) == is_right


@pytest.mark.parametrize("size", [(100, 300), (900, 600), (3000, 2000)])
def test_of_a_shrunk_photo_the_same_places_are_seen(size: tuple[int, int], params: Params) -> None:
    """The score may differ by more: onnxruntime rounds a pixel of thousands otherwise."""
    config = CONFIG.replace(screen_side=64)
    pair = [blurred(*size, seed) for seed in (0, 1)]
    ours = expected(config, params, pair)
    limits = [0.01, TOLERANCE, TOLERANCE]
    for tried, is_right in ((config, True), (CONFIG, False)):
        wrong = errors(judge(open_session(onnx_vtiqa.build(tried, params)), pair), ours)
        assert ((wrong < limits) == is_right).all()


def test_numbers_span_more_than_their_tolerance(params: Params) -> None:
    photos = [blurred(300, 450, seed) for seed in range(4)]
    numbers = expected(CONFIG, params, photos)
    assert (np.ptp(numbers, axis=0) > (1, 1, 15)).all()
    assert not np.isfinite(expected(CONFIG, params, [flat(300, 450, 0)])[0, 1:]).any()


def test_the_graph_of_a_page_judges_a_photo_once(params: Params) -> None:
    """With regions there is no second answer, and no time is lost on it."""
    session, pixels = open_session(onnx_vtiqa.build(CONFIG, params, inputs="regions")), blurred(300, 450, 1)
    ours = expected(CONFIG, params, [pixels])[0]
    none, two = np.zeros((0, 2), np.int32), np.array([(0, 0), (9, 60)], np.int32)
    whole = session.run(NAMES, {"photos": pixels[None], "corners": none})
    assert near(np.stack(whole, axis=1), ours[None])
    score, *others = session.run(NAMES, {"photos": pixels[None], "corners": two})
    assert score.shape == (3,) and abs(score[0] - ours[0]) < TOLERANCE
    assert [other.shape for other in others] == [(0,), (0,)]


def test_stored_photos_have_no_pixels_of_their_own(params: Params) -> None:
    model = onnx_vtiqa.build(CONFIG, params, inputs="stored")
    assert [output.name for output in model.graph.output] == ["score"]
    pixels = photo(300, 450)
    pair = [image[None] for image in prepare(pixels, None, CONFIG.stored_cuts)]
    (score,) = open_session(model).run(None, dict(zip(("global_images", "local_images"), pair, strict=True)))[0]
    assert abs(score - expected(CONFIG, params, [pixels])[0, 0]) < TOLERANCE


@pytest.mark.parametrize("inputs", ["photos", "regions"])
def test_a_detail_head_of_another_make_is_refused(inputs: onnx_vtiqa.Inputs, params: Params) -> None:
    with pytest.raises(UserError, match=r"no place for detail\.fc2\.bias"):
        onnx_vtiqa.build(CONFIG, params | {"detail.fc2.bias": np.ones(3, np.float32)}, inputs=inputs)


def test_a_stablehlo_program_says_it_too(params: Params) -> None:
    call = export.deserialize(bytearray(stablehlo.build(CONFIG, params))).call
    for photos in ([blurred(300, 450, 1)], [blurred(31, 31, 0), flat(31, 31, 0), blurred(31, 31, 2)]):
        stored = [prepare(pixels, None, CONFIG.stored_cuts) for pixels in photos]
        native = [CONFIG.native.make(pixels, pixels) for pixels in photos]  # type: ignore[union-attr]
        arrays = [np.stack(same) for same in zip(*((*a, *b) for a, b in zip(stored, native, strict=True)), strict=True)]
        said = call(*arrays)
        assert sorted(said) == sorted(NAMES)
        assert near(np.stack([said[name] for name in NAMES], axis=1), expected(CONFIG, params, photos))


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_a_rounded_file_is_of_rounded_parameters(storage: onnx_vtiqa.Storage) -> None:
    """The detail head is among those that int8 leaves alone."""
    config = tiny_config(embed_dim=64, native_factors=(1, 2), native_blocks=(1,))
    before = large_params(config)
    after = {name: array.astype(np.float16).astype(np.float32) for name, array in before.items()}
    for name, array in before.items():
        if storage == "int8" and name.startswith("backbone") and quantized.is_quantized(name, config.depth):
            after[name] = quantized.dequantize(*quantized.quantize(array))

    photos = [blurred(300, 450, seed) for seed in (0, 1)]
    found = judge(open_session(onnx_vtiqa.build(config, before, storage)), photos)
    assert near(found, expected(config, after, photos))
    assert not near(found, expected(config, before, photos))


# ---- the command ----


def test_files_say_what_they_return(params: Params, scale: LabelScale, tmp_path: Path, command: Command) -> None:
    checkpoint.save(tmp_path / "saved", Checkpoint(CONFIG, params, scale, {}))
    for name in ("m.onnx", "m.stablehlo"):
        assert command(program.main, "export", tmp_path / "saved", tmp_path / name)[0] == 0
    model = onnx.load(tmp_path / "m.onnx")
    assert [output.name for output in model.graph.output] == NAMES
    card = {entry.key: entry.value for entry in model.metadata_props}
    assert all(f"{name}: float32" in card["output"] for name in NAMES)
    beside = (tmp_path / "m.stablehlo.json").read_text()
    assert card["output"] in beside
    assert "native views [batch, 10, 28, 28, 3], uint8, and structure [batch, 10, 49], float32" in beside
    assert math.isnan(judge(open_session(model), [flat(99, 99, 0)])[0, 1])
