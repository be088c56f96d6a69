"""Exported models compute what the package computes, on other runtimes, and say what they are."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from jax import export

import vtiqa_jax
from tests.conftest import Command
from vtiqa_jax import __main__ as program
from vtiqa_jax.data import demo
from vtiqa_jax.errors import UserError
from vtiqa_jax.export import onnx_vtiqa, stablehlo
from vtiqa_jax.export.card import make_card
from vtiqa_jax.export.onnx_graph import OPSET, Graph
from vtiqa_jax.models import catalog, checkpoint, quantized, views
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig, tiny_config
from vtiqa_jax.models.params import Params, hash_params, init_params
from vtiqa_jax.photos.resize import prepare

Change = Callable[[Any], object]
"""Changes an ONNX model in place."""

CONFIG = tiny_config(readout_blocks=(1, 2), eval_mosaics=2)
SCORE_TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def params() -> Params:
    """Large ones, so that photos get visibly different scores."""
    initial = init_params(CONFIG, seed=0)
    return {name: np.asarray(a) * np.float32(3 if name.endswith("kernel") else 1) for name, a in initial.items()}


def stored(config: ModelConfig, count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (count, s, s, 3), np.uint8) for s in (config.global_resize, config.local_resize)]


def expected(config: ModelConfig, params: Params, pair: list[np.ndarray]) -> np.ndarray:
    model = Checkpoint(config, params, None, {}).model()
    return np.asarray(jax.jit(model.score)(*map(jnp.asarray, pair)))  # type: ignore[union-attr]


def run(model: Any, **inputs: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


# ---- StableHLO ----


@pytest.mark.parametrize("kind", ["vtiqa", "original"])
def test_a_stablehlo_program_returns_the_same_bits(kind: str, params: Params) -> None:
    config = CONFIG
    if kind == "original":  # views of 224 px, in which regions can be selected
        config = tiny_config(kind=kind, patch_size=32, mosaic_patch=32, global_resize=244, local_resize=768)
        params = init_params(config, seed=0)
    program = export.deserialize(bytearray(stablehlo.build(config, params)))
    assert program.platforms == ("cpu", "cuda", "tpu")
    for count in (1, 3):
        pair = stored(config, count)
        scores = np.asarray(program.call(*pair))
        assert scores.dtype == np.float32
        np.testing.assert_array_equal(scores, expected(config, params, pair))


# ---- ONNX, from photos in their stored sizes ----


def nothing(_: Any) -> None:
    pass


def set_attribute(operator: str, **attribute: Any) -> Change:
    def change(model: Any) -> None:
        for node in model.graph.node:
            if node.op_type == operator:
                kept = [a for a in node.attribute if a.name not in attribute]
                del node.attribute[:]
                node.attribute.extend([*kept, *[onnx.helper.make_attribute(*pair) for pair in attribute.items()]])

    return change


def leave_out(operator: str) -> Change:
    def change(model: Any) -> None:
        for node in model.graph.node:
            if node.op_type == operator:
                node.op_type = "Identity"
                del node.input[1:]

    return change


def set_constants(old: float, new: float) -> Change:
    """Replaces scalars among the constants."""

    def change(model: Any) -> None:
        for array in model.graph.initializer:
            values = onnx.numpy_helper.to_array(array)
            if values.ndim == 0 and values == values.dtype.type(old):
                array.CopyFrom(onnx.numpy_helper.from_array(values.dtype.type(new), array.name))

    return change


@pytest.mark.parametrize(
    ("change", "is_right"),
    [
        (nothing, True),
        (set_attribute("Gelu", approximate="tanh"), False),
        (set_attribute("LayerNormalization", epsilon=1e-5), False),
        (set_constants(255, 256), False),
        (set_constants((CONFIG.embed_dim // CONFIG.num_heads) ** -0.5, 1), False),
    ],
    ids=["right", "GELU by tanh", "epsilon 1e-5", "pixels over 256", "logits not scaled"],
)
def test_an_onnx_graph_scores_stored_photos(change: Change, is_right: bool, params: Params) -> None:
    model = onnx_vtiqa.build(CONFIG, params, inputs="stored")
    change(model)
    for count in (1, 3):
        pair = stored(CONFIG, count)
        scores = run(model, global_images=pair[0], local_images=pair[1])
        assert scores.dtype == np.float32
        difference = np.abs(scores - expected(CONFIG, params, pair)).max()
        assert (difference < SCORE_TOLERANCE) == is_right


# ---- ONNX, from photos of any size ----


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Blobs with grain and hard edges, which overshoot."""
    rng = np.random.default_rng(seed)
    blobs = cv2.resize(rng.integers(0, 256, (5, 5, 3)).astype(np.float32), (width, height))
    grain = 30 * rng.standard_normal((height, width, 3))
    return np.where(blobs > 170, 255, np.clip(blobs + grain, 0, 255)).astype(np.uint8)


def views_of(photos: list[np.ndarray], config: ModelConfig) -> np.ndarray:
    """What the package cuts, one view after the other."""
    prepared = [prepare(photo, config.screen_side, config.eval_cuts) for photo in photos]
    return np.concatenate([np.stack(view) for view in zip(*prepared, strict=True)]).astype(np.float32)


def asymmetric(model: Any) -> None:
    """Pixels counted at their corners."""
    for array in model.graph.initializer:
        values = onnx.numpy_helper.to_array(array)
        if values.dtype == np.float64 and (values.ndim or values == 0.5):
            array.CopyFrom(onnx.numpy_helper.from_array(np.asarray(values - 0.5), array.name))


@pytest.mark.parametrize("screen_side", [None, 64])
@pytest.mark.parametrize(
    ("change", "a", "is_right"),
    [
        (nothing, -0.75, True),
        (nothing, -0.5, False),
        (asymmetric, -0.75, False),
        (leave_out("Round"), -0.75, False),
        (leave_out("Clip"), -0.75, False),
    ],
    ids=["right", "a = -0.5, as Pillow", "asymmetric", "not rounded", "not clipped"],
)
def test_views_of_photos_of_any_size(
    change: Change, a: float, is_right: bool, screen_side: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, but where onnxruntime rounds a pixel of a shrunk photo otherwise than Pillow."""
    config = CONFIG.replace(screen_side=screen_side)
    with monkeypatch.context() as patch:
        patch.setattr(onnx_vtiqa, "CUBIC_A", a)
        model = views_model(config)
    change(model)
    found = []
    for height, width in ((3, 5), (64, 64), (96, 96), (34, 200), (480, 333)):
        photos = [photo(height, width, seed) for seed in range(2)]
        cut, ours = run(model, photos=np.stack(photos)), views_of(photos, config)
        assert cut.shape == ours.shape
        share = 0.01 if max(height, width) > (screen_side or 1000) else 0
        found.append((cut == np.round(cut)).all() and np.abs(cut - ours).max() <= 1 and (cut != ours).mean() <= share)
    assert all(found) == is_right


def views_model(config: ModelConfig) -> Any:
    op = Graph()
    inputs = {"photos": (np.uint8, ("batch", "height", "width", 3))}
    side = config.view_size
    cut = onnx_vtiqa._views_of_photos(op, config, onnx_vtiqa._shrink(op, config))
    return op.model(inputs, {"views": (cut, ("n", side, side, 3))}, "", {})


def test_the_screen_size_is_part_of_the_graph() -> None:
    pixels = [photo(480, 333)]
    without = run(views_model(CONFIG), photos=np.stack(pixels))
    assert np.abs(without - views_of(pixels, CONFIG.replace(screen_side=64))).mean() > 5


FROM_PIXELS = 1e-4
"""Tolerance of scores that span 14, from the same pixels."""


def test_scores_of_regions(params: Params) -> None:
    model, pixels = onnx_vtiqa.build(CONFIG, params, inputs="regions"), photo(333, 480)
    pair = [np.asarray(one)[None] for one in prepare(pixels, CONFIG.screen_side, CONFIG.stored_cuts)]
    explain = jax.jit(Checkpoint(CONFIG, params, None, {}).model().explain, static_argnums=2)  # type: ignore[union-attr]
    offsets = views.region_offsets(CONFIG.local_resize, CONFIG.view_size // 2, 3)
    corners = np.array([(top, left) for top in offsets for left in offsets], np.int32)
    score, *regions = run(model, photos=pixels[None], corners=corners)
    assert abs(score - expected(CONFIG, params, pair)[0]) < FROM_PIXELS
    ours = np.asarray(explain(*map(jnp.asarray, pair), 3))[0]
    assert np.ptp(ours) > 100 * FROM_PIXELS
    assert np.abs(np.reshape(regions, (3, 3)) - ours).max() < FROM_PIXELS
    assert np.abs(np.reshape(regions, (3, 3)) - ours.T).max() > FROM_PIXELS  # rows for columns
    alone = run(model, photos=pixels[None], corners=np.zeros((0, 2), np.int32))
    np.testing.assert_allclose(alone, [score], atol=1e-5)


PACKAGED = 0.002 * (5 - 1)
"""0.2 % of the scale's range."""


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_the_packaged_model_from_photos(dtype: onnx_vtiqa.Storage) -> None:
    made, scorer = catalog.load(), vtiqa_jax.load()
    model = onnx_vtiqa.build(made.config, made.params, dtype)
    photographs = demo.originals()
    for name in ("astronaut.png", "coffee.png"):
        pixels = photographs[name]
        ((score,), (ours,)) = run(model, photos=pixels[None]), scorer.score([pixels])
        assert abs(score - ours) < PACKAGED
        (mirrored,) = run(model, photos=np.ascontiguousarray(pixels[None, :, :, ::-1]))  # BGR
        assert abs(mirrored - ours) > PACKAGED


def test_the_packaged_model_from_stored_photos() -> None:
    made = catalog.load()
    pair = stored(made.config, 2)
    scores = run(
        onnx_vtiqa.build(made.config, made.params, inputs="stored"), global_images=pair[0], local_images=pair[1]
    )
    assert np.abs(scores - expected(made.config, made.params, pair)).max() < SCORE_TOLERANCE


def test_rounding_to_int8_is_what_a_quantized_file_does(params: Params) -> None:
    config = tiny_config(embed_dim=64)
    before = {name: np.asarray(array) for name, array in init_params(config, 0).items()}
    pair = stored(config, 2)
    named = {"global_images": pair[0], "local_images": pair[1]}
    rounded = {
        name: quantized.dequantize(*quantized.quantize(array))
        if quantized.is_quantized(name, config.depth)
        else array.astype(np.float16).astype(np.float32)
        for name, array in before.items()
    }
    scores = run(onnx_vtiqa.build(config, before, "int8", inputs="stored"), **named)
    assert np.abs(scores - expected(config, rounded, pair)).max() < 1e-6
    assert np.abs(scores - expected(config, before, pair)).max() > 1e-6
    sizes = [onnx_vtiqa.build(config, before, kind).ByteSize() for kind in ("int8", "float16", "float32")]  # type: ignore[arg-type]
    assert sizes == sorted(sizes)


# ---- the command ----


@pytest.fixture
def saved(tmp_path: Path, params: Params, scale: LabelScale) -> Path:
    checkpoint.save(tmp_path / "saved", Checkpoint(CONFIG, params, scale, {"from": "random numbers"}))
    return tmp_path / "saved"


def test_a_file_says_what_it_is(saved: Path, params: Params, tmp_path: Path, command: Command) -> None:
    onnx_file, hlo_file = tmp_path / "a" / "m.onnx", tmp_path / "m.stablehlo"
    for out in (onnx_file, hlo_file):
        status, said, error = command(program.main, "export", saved, out)
        assert status == 0, error
        assert "test scale, 1 to 5, higher is better" in said
    model = onnx.load(onnx_file)
    onnx.checker.check_model(model, full_check=True)
    assert [opset.version for opset in model.opset_import] == [OPSET]
    (photos,), (score,) = model.graph.input, model.graph.output
    assert [axis.dim_param or axis.dim_value for axis in photos.type.tensor_type.shape.dim] == [
        "batch", "height", "width", 3,
    ]  # fmt: skip
    assert (score.name, [axis.dim_param for axis in score.type.tensor_type.shape.dim]) == ("score", ["batch"])
    cards = [
        {entry.key: entry.value for entry in model.metadata_props},
        json.loads((tmp_path / "m.stablehlo.json").read_text()),
    ]
    for card in cards:
        assert [card[key] for key in ("scale", "low", "high", "higher_is_better")] == ["test", "1", "5", "true"]
        assert card["params_sha256"] == hash_params(params)
        assert json.loads(card["metadata"])["source"] == {"from": "random numbers"}
        assert "license" not in card  # not ours to say
    made = catalog.load()
    assert made.scale
    assert {"license", "attribution"} <= make_card("default", made, made.scale, "").keys()
    pair = stored(CONFIG, 2)
    np.testing.assert_array_equal(
        export.deserialize(bytearray(hlo_file.read_bytes())).call(*pair), expected(CONFIG, params, pair)
    )


def test_refusals(saved: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(said: str, *arguments: object) -> None:
        before = sorted(tmp_path.iterdir())
        status, _, error = command(program.main, "export", *arguments)
        assert (status, error.count("\n")) == (2, 1), error
        assert said in error
        assert sorted(tmp_path.iterdir()) == before

    refused("must end in .onnx or .stablehlo", saved, tmp_path / "m.pb")
    refused("for .onnx files", saved, tmp_path / "m.stablehlo", "--storage", "float16")
    refused("multiple of 32, not 24", saved, tmp_path / "m.onnx", "--storage", "int8")
    refused("is not a checkpoint", tmp_path / "none", tmp_path / "m.onnx")
    (tmp_path / "folder.onnx").mkdir()
    refused("is a folder", saved, tmp_path / "folder.onnx")
    (tmp_path / "there.onnx").write_text("mine")
    refused("exists already", saved, tmp_path / "there.onnx")
    (tmp_path / "m.stablehlo.json").write_text("mine")
    refused("m.stablehlo.json exists already", saved, tmp_path / "m.stablehlo")
    backbone = tiny_config(kind="backbone")
    checkpoint.save(tmp_path / "backbone", Checkpoint(backbone, init_params(backbone, 0), None, {}))
    refused("a backbone without a head", tmp_path / "backbone", tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    refused('pip install "vtiqa-jax[export]"', saved, tmp_path / "m.onnx")
    monkeypatch.undo()
    assert command(program.main, "export", saved, tmp_path / "there.onnx", "--force")[0] == 0
    onnx.load(tmp_path / "there.onnx")


def test_the_papers_model_has_no_onnx_graph() -> None:
    config = tiny_config(kind="original", patch_size=32, mosaic_patch=32, global_resize=244, local_resize=768)
    with pytest.raises(UserError, match="selects regions by a gradient"):
        onnx_vtiqa.build(config, init_params(config, 0))


@pytest.mark.parametrize("inputs", ["photos", "stored", "regions"])
@pytest.mark.parametrize("extra", ["backbone.patch_embed.reg_token", "head.fc4.bias", "backbone.blocks.2.norm1.bias"])
def test_an_onnx_graph_uses_every_parameter(inputs: onnx_vtiqa.Inputs, extra: str, params: Params) -> None:
    """A model that was changed in Python alone has others."""
    larger = params | {extra: np.ones(3, np.float32)}
    with pytest.raises(UserError, match=f"no place for {extra}"):
        onnx_vtiqa.build(CONFIG, larger, inputs=inputs)


def test_a_stablehlo_program_is_of_the_models_own_parameters(params: Params) -> None:
    """It is traced from the model, and Flax takes no others."""
    with pytest.raises(ValueError, match="Incorrect number of leaves"):
        stablehlo.build(CONFIG, params | {"backbone.patch_embed.reg_token": np.ones(3, np.float32)})
