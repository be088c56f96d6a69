"""Backbones as people have them: nothing is assumed in silence, and no file ends in a traceback."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import standin
from vtiqa_jax.commands import convert as commands
from vtiqa_jax.convert import architecture, files, timm_vit, vit_file
from vtiqa_jax.convert.timm_vit import ViTSizes
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint

WIDTH = 192
Kind = Literal["npz", "safetensors", "pt"]


def vit(depth: int = 1, **changes: np.ndarray) -> standin.Arrays:
    """A ViT of timm's names without a head."""
    weights = standin.deit(width=WIDTH, depth=depth)
    return {key: array for key, array in weights.items() if not key.startswith("head.")} | changes


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def write(path: Path, arrays: standin.Arrays) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".safetensors":
        safetensors.numpy.save_file(arrays, path)
    else:
        import torch

        torch.save({key: as_tensor(array) for key, array in arrays.items()}, path)
    return path


def as_tensor(array: np.ndarray) -> Any:
    import torch

    views = {"bfloat16": np.int16, "float8_e4m3fn": np.int8, "float8_e5m2": np.int8}
    if array.dtype.name not in views:
        return torch.from_numpy(array.copy())
    return torch.from_numpy(array.view(views[array.dtype.name])).view(getattr(torch, array.dtype.name))


def convert(source: Path, **options: Any) -> Checkpoint:
    """What `vtiqa convert backbone` would save."""
    made: list[Checkpoint] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save", lambda path, model, force: made.append(model))
        commands.backbone(source, source.with_name("out"), **options)
    return made[0]


def refusal(function: Callable[..., object], *arguments: Any, **options: Any) -> str:
    """The one line with which it refuses."""
    with pytest.raises(UserError) as refused:
        function(*arguments, **options)
    said = str(refused.value)
    assert "\n" not in said
    assert len(said) < 1500
    return said


# ---- how many heads ----


def sizes(embed_dim: int = WIDTH, patch_size: int = 16, grid: int = 14, **changes: Any) -> ViTSizes:
    defaults = {"depth": 12, "mlp_dim": 4 * embed_dim, "has_cls_position": True, "has_fixed_positions": False}
    return ViTSizes(embed_dim=embed_dim, patch_size=patch_size, grid=grid, **(defaults | changes))


def describe(folder: Path, found: ViTSizes, described: Any = None, heads: int | None = None, prefix: str = "") -> Any:
    if described is not None:
        (folder / "config.json").write_text(json.dumps(described))
    return architecture.describe(folder / "w.npz", found, heads, prefix)


@pytest.mark.parametrize(("width", "heads"), [(192, 3), (384, 6), (768, 12), (1024, 16), (1280, 16)])
def test_the_heads_of_published_vits_are_assumed_and_told(width: int, heads: int, tmp_path: Path) -> None:
    config, told = describe(tmp_path, sizes(width))
    assert config.num_heads == heads
    assert re.search(rf"{heads} attention heads, assumed: .*--heads N tells another", told[0])
    config, told = describe(tmp_path, sizes(width), heads=heads * 2)
    assert config.num_heads == heads * 2
    assert told[0] == f"{heads * 2} attention heads, by --heads"


@pytest.mark.parametrize(
    "found",
    [
        pytest.param((sizes(1408), ""), id="ViT-g has 16, of 88 channels"),
        pytest.param((sizes(64), ""), id="nobody's width"),
        pytest.param((sizes(384), "module.base_encoder."), id="MoCo v3 by its names"),
        pytest.param((sizes(384), "module.momentum_encoder."), id="MoCo v3's other half"),
        pytest.param((sizes(384, has_fixed_positions=True), ""), id="MoCo v3 by its positions"),
    ],
)
def test_heads_are_asked_for(found: tuple[ViTSizes, str], tmp_path: Path) -> None:
    said = refusal(describe, tmp_path, found[0], prefix=found[1])
    assert "how many attention heads" in said
    assert "--heads N" in said
    assert ("MoCo v3 has 12" in said) == (found[0].embed_dim == 384)
    assert describe(tmp_path, found[0], heads=8, prefix=found[1])[0].num_heads == 8


HUGGING_FACE = {
    "model_type": "vit",
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "intermediate_size": 1536,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 16,
    "num_channels": 3,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
}
TIMM = {"architecture": "vit_small_patch16_224", "num_features": 384, "pretrained_cfg": {"input_size": [3, 224, 224]}}


@pytest.mark.parametrize(
    ("described", "found", "heads"),
    [
        (HUGGING_FACE, sizes(384), 12),
        ({"num_attention_heads": 12}, sizes(384), 12),
        ({"encoder": HUGGING_FACE, "decoder": {"num_attention_heads": 1}}, sizes(384), 12),
        ({"vision_config": HUGGING_FACE}, sizes(384), 12),
        ({"backbone_config": HUGGING_FACE}, sizes(384), 12),
        (HUGGING_FACE | {"image_size": [518, 518], "patch_size": [14, 14]}, sizes(384, 14, 37), 12),
        (HUGGING_FACE | {"mlp_ratio": 4.0, "intermediate_size": None}, sizes(384), 12),
        (TIMM, sizes(384), 6),
        (TIMM | {"model_args": {"num_heads": 12, "img_size": 224}}, sizes(384), 12),
        (TIMM | {"architecture": "vit_giant_patch14_dinov2", "num_features": 1536}, sizes(1536, 14, 37), 24),
        (TIMM | {"architecture": "vit_giant_patch14_224", "num_features": 1408}, sizes(1408, 14, 16), 16),
        (TIMM | {"architecture": "deit3_medium_patch16_224.fb_in1k", "num_features": 512}, sizes(512), 8),
    ],
)
def test_heads_are_read_from_what_lies_beside(described: Any, found: ViTSizes, heads: int, tmp_path: Path) -> None:
    config, told = describe(tmp_path, found, described)
    assert config.num_heads == heads
    assert told[0] == f"{heads} attention heads, by config.json"
    assert describe(tmp_path, found, described, heads=heads)[0].num_heads == heads
    assert f"--heads 4 contradicts {tmp_path / 'config.json'}" in refusal(describe, tmp_path, found, described, heads=4)


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ({"hidden_size": 384}, "how many attention heads"),  # transformers would take 12
        ({}, "how many attention heads"),
        (TIMM | {"architecture": "vit_unheard_of"}, "how many attention heads"),
        ({"num_attention_heads": 7}, "do not divide into 7 attention heads, by config.json"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
        ({"num_attention_heads": -6}, "num_attention_heads is -6"),
        ({"num_attention_heads": True}, "num_attention_heads is true"),
        ({"num_attention_heads": "6"}, 'num_attention_heads is "6"'),
        ({"num_attention_heads": 6.5}, "num_attention_heads is 6.5"),
        ({"num_attention_heads": [6, 6]}, "num_attention_heads is [6, 6]"),
        ({"num_attention_heads": 10**4000}, "num_attention_heads is 1000"),
        ({"num_attention_heads": {"a": "x" * 999}}, "num_attention_heads is "),
        (HUGGING_FACE | {"hidden_size": 768}, "hidden_size is 768 there, but 384 in the weights"),
        (HUGGING_FACE | {"num_hidden_layers": 24}, "num_hidden_layers is 24"),
        (HUGGING_FACE | {"intermediate_size": 384}, "intermediate_size is 384"),
        (HUGGING_FACE | {"mlp_ratio": float("nan")}, "mlp_ratio is NaN"),
        (HUGGING_FACE | {"patch_size": 14}, "patch_size is 14"),
        (HUGGING_FACE | {"patch_size": [16, 8]}, "patch_size is [16, 8]"),
        (HUGGING_FACE | {"image_size": [112, 448]}, "image_size is [112, 448]"),
        (HUGGING_FACE | {"image_size": 384}, "pictures of 384 px have 24 patches"),
        (HUGGING_FACE | {"num_channels": 1}, "num_channels is 1"),
        (TIMM | {"num_features": 768}, "hidden_size is 768"),
        (HUGGING_FACE | {"hidden_act": "gelu_new"}, 'hidden_act is "gelu_new"'),
        (HUGGING_FACE | {"hidden_act": "quick_gelu"}, 'hidden_act is "quick_gelu"'),
        (HUGGING_FACE | {"hidden_act": ["gelu"]}, 'hidden_act is ["gelu"]'),
        (TIMM | {"model_args": {"act_layer": "gelu_tanh"}}, 'hidden_act is "gelu_tanh"'),
        (TIMM | {"architecture": "vit_small_patch16_clip_quickgelu_224"}, 'hidden_act is "quick_gelu"'),
        (TIMM | {"architecture": "vit_small_patch16_rope_ape_224"}, "rotary or relative"),
        (TIMM | {"architecture": "vit_small_rope\n" + "x" * 9999}, "rotary or relative"),
        (TIMM | {"architecture": ["vit_small_patch16_224"]}, "how many attention heads"),
        (TIMM | {"model_args": [], "architecture": 3}, "how many attention heads"),
        (HUGGING_FACE | {"layer_norm_eps": 1e-3}, "layer_norm_eps is 0.001"),
        (HUGGING_FACE | {"layer_norm_eps": float("inf")}, "layer_norm_eps is Infinity"),
        (HUGGING_FACE | {"layer_norm_eps": "1e-6"}, 'layer_norm_eps is "1e-6"'),
    ],
)
def test_what_contradicts_itself_or_the_weights_is_refused(described: Any, said: str, tmp_path: Path) -> None:
    assert said in refusal(describe, tmp_path, sizes(384), described)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[1]", b"null", b"\xff\xfe{", b'{"a": ' * 99_999, b'{"a": ' + b"9" * 5000 + b"}", b" " * (2 << 20)],
    ids=["empty", "cut", "list", "null", "bytes", "deep", "digits", "long"],
)  # fmt: skip
def test_a_broken_config_is_one_line(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(text)
    assert "cannot be read" in refusal(describe, tmp_path, sizes(384), heads=6)


def test_a_config_that_is_no_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.json").symlink_to("nowhere")
    assert "assumed" in describe(tmp_path, sizes(384))[1][0]
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").mkdir()
    assert "assumed" in describe(tmp_path, sizes(384))[1][0]


def test_activation_and_epsilon_are_told(tmp_path: Path) -> None:
    assert describe(tmp_path, sizes(384))[1][1] == (
        "assumed, as in timm's ViTs: the exact GELU, 1e-06 as epsilon of the LayerNorms"
    )
    assert len(describe(tmp_path, sizes(384), HUGGING_FACE)[1]) == 1
    (line,) = describe(tmp_path, sizes(384), HUGGING_FACE | {"layer_norm_eps": 1e-12})[1][1:]
    assert line == "the LayerNorms' epsilon is 1e-12 in config.json and 1e-06 here"


def test_heads_beside_a_file_reach_the_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "w.npz", vit())
    assert convert(source).config.num_heads == 3
    (tmp_path / "config.json").write_text('{"num_attention_heads": 6}')
    made = convert(source)
    assert made.config.num_heads == 6
    assert made.provenance["read"][0] == "6 attention heads, by config.json"
    assert "6 attention heads, by config.json" in capsys.readouterr().out


# ---- positions, and arrays of other shapes ----


def test_a_class_token_without_a_position_gets_one_of_zeros() -> None:
    """DeiT III; what the patches get is the same to the bit."""
    positions = draw(1, 196, WIDTH)
    after, notes = timm_vit.to_deit("it", vit(pos_embed=positions))
    assert after["pos_embed"].shape == (1, 197, WIDTH)
    assert not after["pos_embed"][:, 0].any()
    np.testing.assert_array_equal(after["pos_embed"][:, 1:], positions)
    assert notes == ["the class token, which has no position, gets one of zeros (exact)"]


def test_larger_positions_without_the_class_tokens_are_resampled_like_those_with_it() -> None:
    positions = draw(1, 576, WIDTH)
    alone, notes = timm_vit.to_deit("it", vit(pos_embed=positions))
    both, _ = timm_vit.to_deit("it", vit(pos_embed=np.concatenate([positions[:, :1] * 0, positions], axis=1)))
    np.testing.assert_array_equal(alone["pos_embed"], both["pos_embed"])
    assert "from 24 x 24 to 14 x 14" in notes[1]


def test_positions_of_two_dimensions_are_the_same_positions() -> None:
    positions = draw(1, 197, WIDTH)
    after, notes = timm_vit.to_deit("it", vit(pos_embed=positions[0]))
    np.testing.assert_array_equal(after["pos_embed"], positions)
    assert not notes


def test_layer_scale_by_deit_iiis_names(tmp_path: Path) -> None:
    scales = {f"blocks.0.ls{i}.gamma": draw(WIDTH) for i in (1, 2)}
    (tmp_path / "a").mkdir()
    expected = convert(write(tmp_path / "w.npz", vit(**scales)))
    made = convert(
        write(tmp_path / "a" / "w.npz", vit(**{k.replace("ls", "gamma_")[:16]: a for k, a in scales.items()}))
    )
    for name, array in expected.params.items():
        np.testing.assert_array_equal(made.params[name], array, name)


@pytest.mark.parametrize(
    ("key", "array", "said"),
    [
        ("pos_embed", draw(1, 1 + 14 * 28, WIDTH), "pos_embed has 393 positions, which do not fill a square"),
        ("pos_embed", draw(1, 200, WIDTH), "pos_embed has 200 positions"),
        ("pos_embed", draw(1, 1, WIDTH), "pos_embed has shape (1, 1, 192)"),
        ("pos_embed", draw(2, 197, WIDTH), "pos_embed has shape (2, 197, 192)"),
        ("pos_embed", draw(1, 197, 64), "pos_embed has shape (1, 197, 64)"),
        ("pos_embed", draw(1, WIDTH, 14, 14), "pos_embed has shape (1, 192, 14, 14)"),
        ("pos_embed", draw(WIDTH), "pos_embed has shape (192,)"),
        ("pos_embed", np.float32(1), "pos_embed has shape ()"),
        ("pos_embed", None, "has no pos_embed: ViTs whose positions are rotary or relative"),
        ("cls_token", None, "has no cls_token: the quality is read from the class token"),
        ("cls_token", draw(WIDTH), "cls_token has shape (192,)"),
        ("cls_token", draw(1, 1, 0), "cls_token has shape (1, 1, 0)"),
        ("cls_token", draw(1, 2, WIDTH), "cls_token has shape (1, 2, 192)"),
        ("patch_embed.proj.weight", draw(WIDTH, 1, 16, 16), "has shape (192, 1, 16, 16)"),
        ("patch_embed.proj.weight", draw(WIDTH, 4, 16, 16), "has shape (192, 4, 16, 16)"),
        ("patch_embed.proj.weight", draw(WIDTH, 3, 16, 8), "has shape (192, 3, 16, 8)"),
        ("patch_embed.proj.weight", draw(WIDTH, 3, 2, 16, 16), "has shape (192, 3, 2, 16, 16)"),
        ("patch_embed.proj.weight", draw(WIDTH, 768), "has shape (192, 768)"),
        ("patch_embed.proj.weight", draw(WIDTH, 3, 0, 0), "has shape (192, 3, 0, 0)"),
        ("patch_embed.proj.weight", draw(WIDTH, 3, 65, 65), "of 1 to 64 px"),
        ("blocks.0.mlp.fc1.weight", draw(800, WIDTH), "blocks.0.mlp.fc1.weight has shape (800, 192)"),
        ("blocks.0.mlp.fc1.weight", draw(4 * WIDTH), "blocks.0.mlp.fc1.weight has shape (768,)"),
        ("blocks.0.norm1.weight", draw(WIDTH, 1), "blocks.0.norm1.weight has shape (192, 1)"),
        ("blocks.0.attn.qkv.bias", None, "missing key blocks.0.attn.qkv.bias"),
        ("blocks.0.attn.qkv.bias", np.zeros((), np.float32), "blocks.0.attn.qkv.bias has shape ()"),
        ("blocks.2.norm1.weight", draw(WIDTH), "has 2 blocks, but no block 1"),
        ("blocks.99999999.norm1.weight", draw(WIDTH), "has 2 blocks, but no block 1"),
        ("blocks.0.ls1.gamma", draw(WIDTH), "has no blocks.0.ls2.gamma: other blocks have a LayerScale"),
        ("blocks.0.attn.relative_position_index", np.zeros(3, np.int64), "unknown key blocks.0.attn.relative_position"),
        ("reg_token", draw(1, 4, WIDTH), "it has reg_token"),
        ("dist_token", draw(1, 1, WIDTH), "it has dist_token"),
    ],
)  # fmt: skip
def test_arrays_of_other_shapes_are_one_line(key: str, array: Any, said: str, tmp_path: Path) -> None:
    weights = vit() | {key: array}
    weights = {key: np.asarray(array) for key, array in weights.items() if array is not None}
    assert said in refusal(convert, write(tmp_path / "w.npz", weights))


# ---- numbers ----


@pytest.mark.parametrize("kind", ["npz", "safetensors", "pt"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_narrow_numbers_become_float32_exactly(kind: Kind, dtype: str, tmp_path: Path) -> None:
    if kind == "pt":
        pytest.importorskip("torch")
    weights = {key: array.astype(ml_dtypes.bfloat16).astype(np.float32) for key, array in vit().items()}
    if dtype == "float16":
        weights = {key: array.astype(np.float16).astype(np.float32) for key, array in vit().items()}
    stored = {key: array.astype(dtype) for key, array in weights.items()}
    source = write(tmp_path / f"w.{kind}", stored)
    if (kind, dtype) == ("npz", "bfloat16"):
        said = refusal(convert, source)
        assert "is stored as |V2 (as NumPy writes bfloat16)" in said
        assert "not finite" not in said
        return
    made = convert(source)
    np.testing.assert_array_equal(made.params["pos_embed"], weights["pos_embed"])
    np.testing.assert_array_equal(made.params["blocks.0.mlp.fc1.kernel"], weights["blocks.0.mlp.fc1.weight"].T)
    assert {array.dtype for array in made.params.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("kind", ["npz", "safetensors", "pt"])
@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.full(WIDTH, 1, ml_dtypes.float8_e4m3fn), r"F8_E4M3|float8_e4m3fn|\|V1"),
        (np.full(WIDTH, 1, ml_dtypes.float8_e5m2), r"F8_E5M2|float8_e5m2|<f1"),
        (np.full(WIDTH, 1, np.int64), "is stored as int64"),
        (np.full(WIDTH, 1, np.uint8), "is stored as uint8"),
        (np.full(WIDTH, True), "is stored as bool"),
        (np.full(WIDTH, 1, np.complex64), "is stored as (complex64|C64)"),
        (np.full(WIDTH, np.nan, np.float32), "norm1.weight holds values that are not finite"),
        (np.full(WIDTH, -np.inf, np.float16), "norm1.weight holds values that are not finite"),
        (np.full(WIDTH, np.inf, ml_dtypes.bfloat16), r"norm1.weight (holds values that are not finite|.*\|V2)"),
        (np.full(WIDTH, 1e300), "holds numbers that are too large for float32"),
    ],
    ids=["float8", "the other float8", "int64", "uint8", "bool", "complex", "nan", "inf", "bfloat16 inf", "1e300"],
)
def test_numbers_that_are_no_weights_are_called_what_they_are(
    kind: Kind, array: np.ndarray, said: str, tmp_path: Path
) -> None:
    if kind == "pt":
        pytest.importorskip("torch")
    refused = refusal(convert, write(tmp_path / f"w.{kind}", vit(**{"blocks.0.norm1.weight": array})))
    assert re.search(said, refused)
    assert ("not finite" in refused) == ("not finite" in said and "V2" not in refused)


def test_numbers_too_large_to_be_scaled_are_one_line() -> None:
    large = np.full(WIDTH, 3e38, np.float32)
    scales = {f"blocks.0.ls{i}.gamma": large for i in (1, 2)}
    weights = vit(**scales, **{"blocks.0.attn.proj.bias": large})
    assert "too large to be scaled" in refusal(timm_vit.to_deit, "it", weights)
    assert "too large" in refusal(timm_vit.to_deit, "it", vit(pos_embed=np.sign(draw(1, 257, WIDTH)) * large))


# ---- where in the file ----


def below(prefix: str, weights: standin.Arrays) -> standin.Arrays:
    return {prefix + key: array for key, array in weights.items()}


PREFIXES = ("backbone.", "teacher.", "teacher.backbone.", "module.base_encoder.", "module.", "encoder.", "model.",
            "visual.trunk.", "state_dict.", "target_encoder.module.")  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_vit_is_found_below_a_prefix(prefix: str) -> None:
    weights = vit()
    others = {"head.mlp.0.weight": draw(2), "head.mlp.0.bias": draw(2), "optimizer.step": np.int64(7)}
    found = vit_file.find_vit("it", below(prefix, weights) | others)
    assert found.arrays.keys() == weights.keys()
    assert all(found.arrays[key] is weights[key] for key in weights)
    assert found.notes[0] == f"taken: the ViT below {prefix[:-1]}"
    assert re.fullmatch(r"left out: head \(2 arrays\), optimizer", found.notes[1])


def test_of_several_vits_one_must_be_named(tmp_path: Path) -> None:
    teacher, student = vit(), {key: array + 1 for key, array in vit().items()}
    heads = {"teacher.head.weight": draw(2), "student.head.weight": draw(2)}
    arrays = below("teacher.backbone.", teacher) | below("student.backbone.", student) | heads
    source = write(tmp_path / "w.npz", arrays)
    said = refusal(convert, source)
    assert said.endswith("holds several ViTs; say which with --prefix: 'student.backbone' or 'teacher.backbone'")
    for prefix, weights in (("teacher.backbone", teacher), ("student.backbone.", student)):
        made = convert(source, prefix=prefix)
        np.testing.assert_array_equal(made.params["pos_embed"], weights["pos_embed"])
        other = {"t": "student", "s": "teacher"}[prefix[0]]
        assert made.provenance["read"][1] == f"left out: {other} (19 arrays), {prefix[:7]}.head"
    assert "no ViT below --prefix 'teacher'" in refusal(convert, source, prefix="teacher")
    plain = write(tmp_path / "p.npz", vit() | below("ema.", student))
    assert "with --prefix: '' or 'ema'" in refusal(convert, plain)
    np.testing.assert_array_equal(convert(plain, prefix="").params["cls_token"], vit()["cls_token"])


def test_what_is_no_whole_vit_is_not_offered() -> None:
    """A tokenizer's patch kernel, say."""
    found = vit_file.find_vit("it", vit() | {"tokenizer.patch_embed.proj.weight": draw(8, 3, 4, 4)})
    assert found.prefix == ""
    assert found.notes == ["left out: tokenizer"]


def test_what_stands_in_the_vits_own_module_is_left_out_by_name() -> None:
    """MAE's decoder, MoCo v3's projector, classifiers."""
    beside = ("decoder_embed.weight", "decoder_blocks.0.norm1.weight", "mask_token", "head.0.weight", "fc.bias",
              "pre_logits.fc.weight")  # fmt: skip
    found = vit_file.find_vit("it", vit() | {key: draw(2) for key in beside})
    assert found.arrays.keys() == vit().keys()
    assert all(key.split(".")[0] in found.notes[0] for key in beside)
    kept = vit_file.find_vit("it", vit() | {"fc_norm.weight": draw(2), "adapter.weight": draw(2)}).arrays
    assert kept.keys() - vit().keys() == {"fc_norm.weight", "adapter.weight"}  # refused later: they change the features


@pytest.mark.parametrize("counted_through", [True, False])
def test_blocks_in_chunks_become_one_row(counted_through: bool) -> None:
    weights = vit(depth=12)
    chunked = {}
    for key, array in weights.items():
        if match := re.match(r"blocks\.(\d+)\.(.*)", key):
            block = int(match[1])
            key = f"blocks.{block // 5}.{block if counted_through else block % 5}.{match[2]}"
        chunked[key] = array
    found = vit_file.find_vit("it", chunked)
    assert found.arrays.keys() == weights.keys()
    assert all(found.arrays[key] is weights[key] for key in weights)


def test_a_gap_among_chunks_is_noticed() -> None:
    weights = {re.sub(r"^blocks\.(\d)", r"blocks.0.\1", key): array for key, array in vit(depth=4).items()}
    weights = {key: array for key, array in weights.items() if not key.startswith("blocks.0.2.")}
    found = vit_file.find_vit("it", weights)
    assert "has 3 blocks, but no block 2" in refusal(timm_vit.read_sizes, "it", found.arrays)


def test_what_is_no_vit_says_what_it_holds() -> None:
    said = refusal(vit_file.find_vit, "it", {"conv1.weight": draw(2), "layer1.0.weight": draw(2)})
    assert "holds no ViT with the names of timm or Hugging Face" in said
    assert "conv1.weight, layer1.0.weight" in said


# ---- files of training runs ----


def test_a_training_state_is_searched_for_its_vits(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    weights = {key: torch.from_numpy(array) for key, array in vit().items()}
    state: dict[str, Any] = {
        "epoch": 300,
        "arch": "vit_tiny",
        "state_dict": {f"module.base_encoder.{key}": tensor for key, tensor in weights.items()},
        "optimizer": {"state": {0: {"step": 1, "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]},
    }
    state["state_dict"]["module.predictor.0.weight"] = torch.ones(2)
    state["itself"] = state
    torch.save(state, tmp_path / "vit-t-300ep.pth.tar")
    made = convert(tmp_path / "vit-t-300ep.pth.tar")
    np.testing.assert_array_equal(made.params["pos_embed"], vit()["pos_embed"])
    assert made.provenance["read"][0] == "taken: the ViT below state_dict.module.base_encoder"
    assert made.provenance["read"][1] == "left out: state_dict.module.predictor, optimizer"


def test_tensors_without_plain_numbers_are_one_line(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    for name, tensor in (
        ("sparse", torch.ones(WIDTH, 2).to_sparse()),
        ("meta", torch.ones(WIDTH, device="meta")),
        ("float8", torch.ones(WIDTH).to(torch.float8_e4m3fn)),
    ):
        torch.save(
            {key: torch.from_numpy(array) for key, array in vit().items()} | {"norm.bias": tensor}, tmp_path / "w.pt"
        )
        said = refusal(convert, tmp_path / "w.pt")
        assert f"norm.bias {'is stored as' if name == 'float8' else 'holds no plain numbers'}" in said
        assert name in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("folder.pt", "is a folder; name the weights file in it"),
        ("model-00001-of-00002.safetensors", "is one of several parts"),
        ("array.npz", "truncated, not an .npz archive"),
        ("names.npz", "an array has an unusable name: 'a\\nb'"),
        ("names.safetensors", "an array has an unusable name: 'a\\nb'"),
    ],
)
def test_files_of_other_kinds_are_one_line(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "folder.pt").mkdir()
    (tmp_path / "model-00001-of-00002.safetensors").touch()
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, draw(3))
    for kind in ("npz", "safetensors"):
        write(tmp_path / f"names.{kind}", {"a\nb": draw(3).astype(ml_dtypes.float8_e4m3fn)})
    assert said in refusal(files.read, tmp_path / name)


# ---- whatever else ----

SHAPES = st.lists(st.integers(0, 20), max_size=5).map(tuple)
DTYPES = st.sampled_from(["int64", "bool", "float16", "float64", "complex64", "<U3", "V2", "S4", "datetime64[s]"])


@st.composite
def mangled(draw_: st.DrawFn) -> standin.Arrays:
    """A ViT with a few things changed that nobody thought of."""
    weights = vit(depth=2, **{f"blocks.{b}.ls{i}.gamma": draw(WIDTH) for b in (0, 1) for i in (1, 2)})
    if draw_(st.booleans()):
        weights = {key: array for key, array in weights.items() if "gamma" not in key}
    if draw_(st.booleans()):
        weights = standin.hugging_face(weights, "dinov2")
    for _ in range(draw_(st.integers(1, 3))):
        key = draw_(st.sampled_from(sorted(weights)))
        array = weights[key]
        match draw_(st.sampled_from(["drop", "shape", "cut", "axis", "dtype", "value", "rename", "copy"])):
            case "drop":
                weights = {other: array for other, array in weights.items() if other != key} or weights
            case "shape":
                weights[key] = np.ones(draw_(SHAPES), np.float32)
            case "cut":
                weights[key] = array[: draw_(st.integers(0, 3))] if array.ndim else array
            case "axis":
                weights[key] = draw_(st.sampled_from([array[None], array.T, array.ravel(), array[..., None]]))
            case "dtype":
                weights[key] = np.ones(array.shape, draw_(DTYPES))
            case "value":
                weights[key] = np.full(array.shape, draw_(st.sampled_from([0, 3e38, -1e-45, np.nan, np.inf, 1e300])))
            case "rename":
                number, prefix = draw_(st.integers(0, 3)), draw_(st.sampled_from(["", "module.", "a.", "blocks.0."]))
                weights[prefix + re.sub(r"\d", str(number), key)] = array
            case "copy":
                weights = weights | below(draw_(st.sampled_from(["teacher.", "module."])), weights)
    return weights


@given(weights=mangled(), described=st.sampled_from([None, HUGGING_FACE, {"num_attention_heads": 3}]))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_mangled_file_converts_or_is_one_line(weights: standin.Arrays, described: Any, tmp_path: Path) -> None:
    """And what converts is whole."""
    source = write(tmp_path / "w.npz", weights)
    (tmp_path / "config.json").unlink(missing_ok=True)
    if described:
        (tmp_path / "config.json").write_text(json.dumps(described))
    try:
        made = convert(source)
    except UserError as error:
        assert "\n" not in str(error)
        return
    assert made.params["pos_embed"].shape == (1, 197, WIDTH)
    assert all(np.isfinite(array).all() and array.dtype == np.float32 for array in made.params.values())


@pytest.mark.parametrize("kind", ["npz", "safetensors", "pt"])
def test_damaged_bytes_are_read_or_are_one_line(kind: Kind, tmp_path: Path) -> None:
    if kind == "pt":
        pytest.importorskip("torch")
    whole = write(tmp_path / f"whole.{kind}", {"cls_token": draw(1, 1, 4), "norm.weight": draw(4)}).read_bytes()
    rng, damaged = np.random.default_rng(0), tmp_path / f"damaged.{kind}"
    for _ in range(150):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 2):
            data[place] = rng.integers(256)
        start = rng.integers(len(data))
        del data[start : start + rng.integers(3)]
        damaged.write_bytes(data)
        try:
            assert files.read(damaged)
        except UserError as error:
            assert "\n" not in str(error)
