"""The converter: nothing but a whole, fitting, harmless file gets through, and what got through comes back."""

import dataclasses
import json
import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from convert import __main__ as program
from tests import standin
from tests.conftest import Command
from vtiqa_jax.commands import convert as commands
from vtiqa_jax.convert import check, files, translate
from vtiqa_jax.convert.table import tables
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import catalog, checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig, deit_base, deit_small, tiny_config
from vtiqa_jax.models.params import Params, init_params, param_shapes

GOLDEN = Path(__file__).parent / "golden" / "expected.npz"


@pytest.mark.parametrize("kind", ["vtiqa", "backbone", "original"])
def test_the_table_names_every_parameter_once(kind: str) -> None:
    for config in (deit_small(kind=kind), deit_base(kind=kind, depth=3)):
        rows = [row for table in tables(config).values() for row in table.expanded()]
        targets = [target for _, target, _ in rows]
        assert len(targets) == len(set(targets))
        assert set(targets) == set(param_shapes(config))
        for table in tables(config).values():
            sources = [source for source, _, _ in table.expanded()]
            assert len(sources) == len(set(sources))
            assert not set(sources) & set(table.extras)


def test_translating_there_and_back_is_the_identity(weights: Params, config: ModelConfig) -> None:
    table = tables(config)[""]
    shapes = {key: array.shape for key, array in weights.items()}
    there = translate.to_torch(weights, table)
    assert all(key.startswith("module.") for key in there)
    back = translate.to_jax("file", there, table, shapes)
    assert back.keys() == weights.keys()
    assert all(np.array_equal(back[key], weights[key]) for key in back)


def test_all_problems_are_collected(weights: Params, config: ModelConfig) -> None:
    table = tables(config)[""]
    shapes = {key: array.shape for key, array in weights.items()}
    damaged = translate.to_torch(weights, table)
    damaged["cls_token"] = damaged["module.cls_token"]
    damaged["module.extra"] = np.zeros(3, np.float32)
    del damaged["module.norm.bias"]
    damaged["module.head.1.bias"] = np.zeros(63, np.float32)
    damaged["module.head.3.bias"] = np.full(8, np.nan, np.float32)
    damaged["module.head.5.bias"] = np.zeros(1, np.int64)
    with pytest.raises(UserError) as refused:
        translate.to_jax("w.pt", damaged, table, shapes)
    said = str(refused.value)
    assert "w.pt does not fit the model, 6 problem(s)" in said
    for part in (
        "cls_token occurs twice",
        "unknown key extra",
        "missing key norm.bias",
        "head.1.bias has shape (63,), the model expects (64,)",
        "head.3.bias holds values that are not finite",
        "head.5.bias is stored as int64",
    ):
        assert part in said
    assert "\n" not in said


def assert_refused(command: Command, out: Path, *arguments: object, said: str) -> None:
    """One line that says it, exit status 2, and nothing written."""
    status, _, error = command(program.main, *arguments)
    assert status == 2
    assert said in error
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    assert not out.exists()
    assert not list(out.parent.glob(f".{out.name}*"))


# ---- files that need no torch: .npz and .safetensors ----


ONE_HEAD = ("--heads", 1)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "checkpoint"


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_a_backbone_is_read_without_torch(kind: str, tmp_path: Path, out: Path, command: Command) -> None:
    weights = standin.deit(width=128, depth=3)
    source = tmp_path / f"vit.{kind}"
    if kind == "npz":
        np.savez(source, **{key: array.astype(np.float16) for key, array in weights.items()})
    else:
        safetensors.numpy.save_file(weights, source)
    assert command(program.main, "backbone", source, out, "--heads", 2)[0] == 0
    loaded = checkpoint.load(out)
    assert loaded.config == deit_small(kind="backbone", embed_dim=128, num_heads=2, depth=3)
    assert loaded.scale is None
    expected = weights["blocks.2.attn.proj.weight"].T
    if kind == "npz":
        expected = expected.astype(np.float16)
    np.testing.assert_array_equal(loaded.params["blocks.2.attn.proj.kernel"], expected)
    assert loaded.provenance["converted"] == [{"file": source.name, "sha256": checkpoint.sha256(source)}]


def test_refusals_without_torch(tmp_path: Path, out: Path, command: Command) -> None:
    weights = standin.deit()
    np.savez(tmp_path / "whole.npz", **weights)
    safetensors.numpy.save_file(weights, tmp_path / "whole.safetensors")
    for kind, said in (("npz", "truncated, not an .npz archive"), ("safetensors", "truncated or not a safetensors")):
        whole = (tmp_path / f"whole.{kind}").read_bytes()
        (tmp_path / f"cut.{kind}").write_bytes(whole[: len(whole) // 2])
        assert_refused(command, out, "backbone", tmp_path / f"cut.{kind}", out, said=said)
    np.savez(tmp_path / "objects.npz", a=np.array([{"code": 1}], dtype=object))
    assert_refused(command, out, "backbone", tmp_path / "objects.npz", out, said="holds objects instead of numbers")
    assert_refused(command, out, "backbone", tmp_path / "missing.npz", out, said="missing.npz is not a file")
    (tmp_path / "weights.h5").touch()
    assert_refused(command, out, "backbone", tmp_path / "weights.h5", out, said="ends in .pt, .pth, .bin")
    np.savez(tmp_path / "other.npz", conv1=np.zeros(3))
    assert_refused(
        command,
        out,
        "backbone",
        tmp_path / "other.npz",
        out,
        said="holds no ViT with the names of timm or Hugging Face",
    )
    gap = {key: array for key, array in weights.items() if not key.startswith("blocks.0.attn")}
    np.savez(tmp_path / "gap.npz", **gap)
    assert_refused(
        command, out, "backbone", tmp_path / "gap.npz", out, *ONE_HEAD, said="missing key blocks.0.attn.qkv.weight"
    )


def test_an_existing_checkpoint_is_kept_without_force(tmp_path: Path, out: Path, command: Command) -> None:
    np.savez(tmp_path / "a.npz", **standin.deit(seed=1))
    np.savez(tmp_path / "b.npz", **standin.deit(seed=2))
    assert command(program.main, "backbone", tmp_path / "a.npz", out, *ONE_HEAD)[0] == 0
    status, _, error = command(program.main, "backbone", tmp_path / "b.npz", out, *ONE_HEAD)
    assert status == 2
    assert "exists already; choose another name, or overwrite it with --force" in error
    assert checkpoint.load(out).provenance["converted"][0]["file"] == "a.npz"
    assert command(program.main, "backbone", tmp_path / "b.npz", out, *ONE_HEAD, "--force")[0] == 0
    assert checkpoint.load(out).provenance["converted"][0]["file"] == "b.npz"


def test_bad_arguments_end_with_status_2(command: Command) -> None:
    for arguments in (["vtiqa"], ["nothing"], ["vtiqa", "a.pt", "b", "--labels", "imagenet"]):
        assert command(program.main, *arguments)[0] == 2


def test_a_packed_bomb_is_not_unpacked_as_code(tmp_path: Path, out: Path, command: Command) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", b"cos\nsystem\n(S'echo run'\ntR.")
    assert_refused(command, out, "backbone", tmp_path / "a.npz", out, said="truncated, not an .npz archive")


@pytest.mark.parametrize("kind", ["vit", "dinov2"])
def test_hugging_faces_names_are_read(kind: str, tmp_path: Path, command: Command) -> None:
    weights = standin.deit(width=128, depth=11)  # blocks 1 and 10
    weights = {key: array for key, array in weights.items() if not key.startswith("head.")}
    if kind == "dinov2":
        rng = np.random.default_rng(0)
        weights |= {f"blocks.{b}.ls{n}.gamma": rng.random(128, np.float32) for b in range(11) for n in (1, 2)}
    theirs = standin.hugging_face(weights, kind)
    if kind == "vit":  # a classifier
        theirs = {f"vit.{key}": array for key, array in theirs.items()}
        theirs |= {"classifier.weight": np.ones((9, 128), np.float32), "classifier.bias": np.ones(9, np.float32)}
    else:
        theirs["embeddings.mask_token"] = np.ones((1, 128), np.float32)
    safetensors.numpy.save_file(theirs, tmp_path / "theirs.safetensors")
    safetensors.numpy.save_file(weights, tmp_path / "timms.safetensors")
    loaded = []
    for name in ("theirs", "timms"):
        source = tmp_path / f"{name}.safetensors"
        status, said, error = command(program.main, "backbone", source, tmp_path / name, "--heads", 2)
        assert status == 0, error
        assert ("LayerScale of 22 branches" in said) == (kind == "dinov2")
        loaded.append(checkpoint.load(tmp_path / name))
    assert loaded[0].config == loaded[1].config
    for name, array in loaded[1].params.items():
        np.testing.assert_array_equal(loaded[0].params[name], array, name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("encoder.layer.0.attention.attention.key.weight"), "unknown key blocks.0.attn.query.weight"),
        (lambda w: w.update({"embeddings.register_tokens": np.ones((1, 4, 64), np.float32)}), "it has register_tokens"),
        (lambda w: w.update({"embeddings.distillation_token": np.ones((1, 1, 64), np.float32)}), "distillation_token"),
    ],
    ids=["no key", "registers", "distilled"],
)
def test_hugging_faces_files_of_other_kinds_are_refused(
    change: Callable[[standin.Arrays], object], said: str, tmp_path: Path, out: Path, command: Command
) -> None:
    weights = {key: array for key, array in standin.deit(width=64, depth=1).items() if not key.startswith("head.")}
    theirs = standin.hugging_face(weights, "vit")
    change(theirs)
    safetensors.numpy.save_file(theirs, tmp_path / "vit.safetensors")
    assert_refused(command, out, "backbone", tmp_path / "vit.safetensors", out, *ONE_HEAD, said=said)


@pytest.mark.parametrize("kind", ["vtiqa", "original"])
def test_published_names_are_written_without_torch(
    kind: str, scale: LabelScale, out: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    sizes = tiny_config()
    if kind == "original":  # views in which regions can be selected
        sizes = tiny_config(kind=kind, patch_size=32, mosaic_patch=32, global_resize=244, local_resize=768)
    monkeypatch.setattr(commands, "deit_small", lambda kind: sizes)  # the published sizes, made small
    params = {name: np.asarray(array) for name, array in init_params(sizes, 0).items()}
    checkpoint.save(out, Checkpoint(sizes, params, scale, {}))
    target = tmp_path / ("m.safetensors" if kind == "vtiqa" else "folder")
    options = () if kind == "vtiqa" else ("--format", "safetensors")
    assert command(program.main, "export", out, target, *options)[0] == 0
    for name, table in tables(sizes).items():
        written = files.read(target / f"{name}.safetensors" if name else target)
        back = translate.to_jax("file", written, table, param_shapes(sizes))
        assert back.keys() == {row[1] for row in table.expanded()}
        for key, array in back.items():
            np.testing.assert_array_equal(array, params[key], key)
    if kind == "vtiqa":
        wrong, said = ("export", out, tmp_path / "m.pt"), "with --format safetensors the name must end in .safetensors"
        assert_refused(command, tmp_path / "m.pt", *wrong, "--format", "safetensors", said=said)
        assert_refused(command, tmp_path / "m.pt", *wrong, said="a .safetensors file does without")


# ---- the published files: torch ----


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the released file and the paper's three, in the published layout."""
    pytest.importorskip("torch", reason="writing .pt files needs torch (the extra `convert`)")
    folder = tmp_path_factory.mktemp("published")
    standin.save_pt(folder / "VTIQA_koniq.pt", standin.prefixed(standin.released()))
    names = ("VTIQA_org_backbone", "VTIQA_org_safusion", "VTIQA_org_slection")
    for name, weights in zip(names, standin.original(), strict=True):
        standin.save_pt(folder / f"{name}.pt", standin.prefixed(weights))
    return folder


def test_the_released_file_goes_there_and_back(published: Path, out: Path, tmp_path: Path, command: Command) -> None:
    source = published / "VTIQA_koniq.pt"
    status, said, _ = command(program.main, "vtiqa", source, out)
    assert status == 0
    assert "koniq10k scale, 1 to 5, higher is better" in said
    loaded = checkpoint.load(out)
    assert loaded.config == deit_small()
    assert loaded.provenance == {"converted": [{"file": "VTIQA_koniq.pt", "sha256": checkpoint.sha256(source)}]}
    assert command(program.main, "export", out, tmp_path / "back.pt")[0] == 0
    assert_same_file(tmp_path / "back.pt", source)
    status, _, error = command(program.main, "export", out, tmp_path / "back.pt")
    assert (status, "exists already" in error) == (2, True)


def assert_same_file(path: Path, expected: Path, without: tuple[str, ...] = ()) -> None:
    """The same keys and, bit for bit, the same arrays."""
    ours, theirs = files.read(path), files.read(expected)
    assert set(ours) == set(theirs) - {f"module.{key}" for key in without}
    for key, array in ours.items():
        assert array.dtype == theirs[key].dtype
        assert array.tobytes() == theirs[key].tobytes(), key


def test_the_papers_files_go_there_and_back(published: Path, out: Path, tmp_path: Path, command: Command) -> None:
    names = {
        "VTIQA_org_backbone.pt": ("head.weight", "head.bias"),
        "VTIQA_org_safusion.pt": ("pos_embed",),
        "VTIQA_org_slection.pt": (),
    }
    status, _, error = command(program.main, "original", *[published / name for name in names], out)
    assert status == 0, error
    assert command(program.main, "export", out, tmp_path / "back")[0] == 0
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == sorted(names)
    for name, unused in names.items():
        assert_same_file(tmp_path / "back" / name, published / name, unused)


def test_deits_wrapper_is_opened(published: Path, out: Path, tmp_path: Path, command: Command) -> None:
    standin.save_pt(tmp_path / "deit_small_patch16_224.pth", standin.deit(), wrap="model")
    assert command(program.main, "backbone", tmp_path / "deit_small_patch16_224.pth", out, *ONE_HEAD)[0] == 0
    assert checkpoint.load(out).config.kind == "backbone"


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16])
def test_a_model_in_16_bits_becomes_float32_exactly(
    dtype: Any,
    weights: Params,
    config: ModelConfig,
    tmp_path: Path,
    out: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also when a training script has wrapped it."""
    monkeypatch.setattr(commands, "deit_small", lambda: config)
    stored = {key: array.astype(dtype) for key, array in translate.to_torch(weights, tables(config)[""]).items()}
    wrapped = {f"state_dict.{key}": array for key, array in stored.items()}
    for name, arrays in (("plain", stored), ("wrapped", wrapped)):
        safetensors.numpy.save_file(arrays, tmp_path / f"{name}.safetensors")
        assert command(program.main, "vtiqa", tmp_path / f"{name}.safetensors", out, "--force")[0] == 0
        for key, array in checkpoint.load(out).params.items():
            np.testing.assert_array_equal(array, weights[key].astype(dtype).astype(np.float32), key)
    stored["module.norm.bias"] = stored["module.norm.bias"].astype(ml_dtypes.float8_e4m3fn)
    safetensors.numpy.save_file(stored, tmp_path / "w.safetensors")
    shutil.rmtree(out)
    said = "module.norm.bias is stored as F8_E4M3"
    assert_refused(command, out, "vtiqa", tmp_path / "w.safetensors", out, said=said)


@pytest.mark.parametrize(
    ("key", "array", "said"),
    [
        ("score", np.zeros((2, 1), np.float32), "`score` is float32 of shape (2, 1), the model returns"),
        ("score", np.zeros(2, "U3"), "`score` is <U3 of shape (2,)"),
        ("block0", np.zeros((2, 3), np.float32), "`block0` is float32 of shape (2, 3)"),
        ("block0", np.zeros((2, 999, 24), np.float32), "`block0` is float32 of shape (2, 999, 24)"),
        ("features_mosaic", np.zeros((2, 8), np.float32), "`features_mosaic` is float32 of shape (2, 8)"),
        ("mosaic", np.zeros((1, 3, 28, 28), np.uint8), "must be of the same photos"),
        ("mosaic", np.zeros((), np.uint8), "`mosaic` must be uint8 [n, 3, 28, 28]"),
        ("global_view", np.zeros((2, 28, 28, 3), np.uint8), "`global_view` must be uint8 [n, 3, 28, 28]"),
    ],
)
def test_expected_values_of_other_shapes_are_one_line(
    key: str, array: np.ndarray, said: str, weights: Params, config: ModelConfig, tmp_path: Path
) -> None:
    views = np.zeros((2, 3, 28, 28), np.uint8)
    expected = {"global_view": views, "mosaic": views, "score": np.zeros(2, np.float32)}
    np.savez(tmp_path / "expected.npz", **expected)
    assert [difference.quantity for difference in check.compare(config, weights, tmp_path / "expected.npz")] == [
        "score"
    ]
    np.savez(tmp_path / "expected.npz", **expected | {key: array})
    with pytest.raises(UserError, match=re.escape(said)):
        check.compare(config, weights, tmp_path / "expected.npz")


def changed(change: Callable[[standin.Arrays], object]) -> standin.Arrays:
    weights = standin.prefixed(standin.released())
    change(weights)
    return weights


EXTRA = "module.blocks.12.norm1.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("module.cls_token"), "missing key cls_token"),
        (lambda w: w.update({EXTRA: np.ones(384, np.float32)}), "unknown key blocks.12.norm1.weight"),
        (lambda w: [w.pop(key) for key in list(w) if ".blocks.11." in key], "missing key blocks.11.norm1.weight"),
        (lambda w: w.update({"module.head.1.weight": w["module.head.1.weight"].T.copy()}), "has shape (768, 64)"),
        (lambda w: w.update({"cls_token": w["module.cls_token"]}), "cls_token occurs twice"),
        (lambda w: w.clear(), "holds no state_dict"),
    ],
    ids=["missing", "extra", "wrong depth", "wrong shape", "twice", "empty"],
)
def test_files_that_do_not_fit_are_refused(
    published: Path, tmp_path: Path, out: Path, command: Command, change: Callable[[standin.Arrays], object], said: str
) -> None:
    source = standin.save_pt(tmp_path / "w.pt", changed(change))
    assert_refused(command, out, "vtiqa", source, out, said=said)


def test_truncated_files_and_files_of_another_kind_are_refused(
    published: Path, tmp_path: Path, out: Path, command: Command
) -> None:
    whole = (published / "VTIQA_koniq.pt").read_bytes()
    for name, data in (
        ("cut", whole[: len(whole) // 2]),
        ("text", b"not weights"),
        ("none", b""),
        ("start", whole[:40]),
    ):
        source = tmp_path / f"{name}.pt"
        source.write_bytes(data)
        assert_refused(command, out, "vtiqa", source, out, said=f"{name}.pt is")


def test_code_in_a_file_is_refused_by_name_and_not_run(
    published: Path, tmp_path: Path, out: Path, command: Command
) -> None:
    import torch

    class Harm:
        def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
            return Path.touch, (tmp_path / "harmed",)  # type: ignore[return-value]

    for name, harm in (("zip", False), ("legacy", True)):
        source = tmp_path / f"{name}.pt"
        torch.save({"module.cls_token": Harm()}, source, _use_new_zipfile_serialization=not harm)
        assert_refused(command, out, "vtiqa", source, out, said=f"{source} is refused: it carries code (")
        assert not (tmp_path / "harmed").exists()


@pytest.mark.slow
def test_a_transposed_square_matrix_is_noticed_by_computing(
    published: Path, tmp_path: Path, out: Path, command: Command
) -> None:
    """Its shape fits; only what it computes is wrong."""

    def transpose(weights: standin.Arrays) -> None:
        key = "module.blocks.7.attn.proj.weight"
        weights[key] = weights[key].T.copy()

    right = published / "VTIQA_koniq.pt"
    status, said, error = command(program.main, "vtiqa", right, out, "--expect", GOLDEN)
    assert status == 0, error
    assert "| features_mosaic | relative norm of the difference |" in said
    rows = [line for line in said.splitlines() if line.startswith("| ")][1:]
    assert f"all {len(rows)} quantities are within their tolerance" in said
    assert json.loads(json.dumps(checkpoint.load(out).provenance["checked"]))["file"] == GOLDEN.name
    shutil.rmtree(out)
    wrong = standin.save_pt(tmp_path / "t.pt", changed(transpose))
    assert_refused(command, out, "vtiqa", wrong, out, "--expect", GOLDEN, said="does not reproduce")
    np.savez(tmp_path / "poor.npz", score=np.zeros(3))
    assert_refused(
        command, out, "vtiqa", right, out, "--expect", tmp_path / "poor.npz", said="`global_view` must be uint8"
    )


def test_a_backbone_is_not_the_released_model(published: Path, tmp_path: Path, out: Path, command: Command) -> None:
    source = standin.save_pt(tmp_path / "deit.pth", standin.deit(depth=12, width=384), wrap="model")
    assert_refused(command, out, "vtiqa", source, out, said="missing key head.1.weight")


def test_a_checkpoint_is_quantized(scale: LabelScale, out: Path, tmp_path: Path, command: Command) -> None:
    sizes = tiny_config(embed_dim=64)
    shapes = param_shapes(sizes)
    checkpoint.save(out, Checkpoint(sizes, {name: np.ones(shape) for name, shape in shapes.items()}, scale, {}))
    target = tmp_path / "quantized.npz"
    assert command(program.main, "quantize", out, target)[0] == 0
    assert catalog.load(target).config == sizes
    status, _, error = command(program.main, "quantize", out, target)
    assert (status, "exists already" in error) == (2, True)
    assert command(program.main, "quantize", out, target, "--force")[0] == 0
    assert_refused(command, tmp_path / "model.pt", "quantize", out, tmp_path / "model.pt", said="must end in .npz")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"eval_mosaics": 3}, "eval_mosaics 3 (published: 1)"),
        ({"readout_blocks": (1, 12)}, "readout_blocks (1, 12) (published: ())"),
        ({"mosaic_grid": 14, "mosaic_patch": 16}, "mosaic_grid 14 (published: 7), mosaic_patch 16 (published: 32)"),
        ({"global_resize": 256}, "global_resize 256 (published: 244)"),
        ({"local_resize": 512}, "local_resize 512 (published: 768)"),
        ({"num_heads": 12}, "num_heads 12 (published: 6)"),
        ({"native_factors": (1, 2), "native_blocks": (4,)}, "no place for native_factors (1, 2) (published: ())"),
        ({"kind": "original", "num_heads": 12}, "num_heads 12 (published: 6)"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_models_without_a_published_counterpart_are_not_exported(
    changes: dict[str, Any],
    said: str,
    scale: LabelScale,
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their weights fit the published file, and its program computes something else with them."""
    loaded = Checkpoint(deit_small(**changes), {}, scale, {})
    monkeypatch.setattr(catalog, "load", lambda name: loaded)
    assert_refused(command, tmp_path / "m.safetensors", "export", "mine", tmp_path / "m.safetensors", said=said)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(ModelConfig) if field.name != "kind"])
def test_every_field_of_a_config_is_compared(field: str) -> None:
    config = deit_small()
    commands._check_published("it", config)
    object.__setattr__(config, field, "another")  # whatever its values may be
    with pytest.raises(UserError, match=f"{field} another"):
        commands._check_published("it", config)


def test_a_backbone_of_any_width_is_exported(tmp_path: Path, out: Path, command: Command) -> None:
    """timm builds a ViT of any size; that the file does not say the number of heads is told."""
    weights = standin.deit(width=64, depth=1)
    safetensors.numpy.save_file(weights, tmp_path / "vit.safetensors")
    assert command(program.main, "backbone", tmp_path / "vit.safetensors", out, "--heads", 4)[0] == 0
    status, said, error = command(program.main, "export", out, tmp_path / "back.safetensors")
    assert status == 0, error
    assert "does not say that its ViT has 4 attention heads" in said
    back = files.read(tmp_path / "back.safetensors")
    assert set(weights) - set(back) == {"head.weight", "head.bias"}
    for key, array in back.items():
        np.testing.assert_array_equal(array, weights[key], key)
