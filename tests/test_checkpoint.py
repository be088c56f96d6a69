"""Models on disk: round trips, damage, replacing, and the quantized form."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from vtiqa_jax.errors import UserError
from vtiqa_jax.models import checkpoint, quantized
from vtiqa_jax.models.adapt import with_readout
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig, tiny_config
from vtiqa_jax.models.params import Params, init_params, param_shapes


@pytest.fixture
def model(config: ModelConfig, weights: Params, scale: LabelScale) -> Checkpoint:
    return Checkpoint(config, weights, scale, {"made": "by a test"})


def assert_same(loaded: Checkpoint, expected: Checkpoint) -> None:
    assert replace(loaded, params={}) == replace(expected, params={})
    assert loaded.params.keys() == expected.params.keys()
    for key, array in expected.params.items():
        np.testing.assert_array_equal(loaded.params[key], array)


def test_a_checkpoint_comes_back_bit_for_bit(model: Checkpoint, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "deep" / "c", model)
    assert_same(checkpoint.load(tmp_path / "deep" / "c"), model)
    metadata = checkpoint.to_metadata(model)
    assert {"jax", "flax", "orbax-checkpoint", "vtiqa-jax"} <= metadata["versions"].keys()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["c"], "nothing is left beside it"


def test_a_checkpoint_is_replaced_only_when_asked_and_only_by_a_whole_one(
    model: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c"
    checkpoint.save(path, model)
    other = replace(model, provenance={"made": "later"})
    with pytest.raises(UserError, match="exists already"):
        checkpoint.save(path, other)

    def fails(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(ocp, "save", fails)
        with pytest.raises(OSError, match="No space"):
            checkpoint.save(path, other, force=True)
    assert_same(checkpoint.load(path), model)
    checkpoint.save(path, other, force=True)
    assert_same(checkpoint.load(path), other)
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_force_does_not_replace_what_is_no_checkpoint(model: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").touch()
    with pytest.raises(UserError, match="not a checkpoint, so --force does not replace it"):
        checkpoint.save(tmp_path / "photos", model, force=True)
    assert (tmp_path / "photos" / "holiday.jpg").exists()


def test_what_is_no_whole_checkpoint_is_refused(model: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a checkpoint"):
        checkpoint.load(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is not a checkpoint"):
        checkpoint.load(tmp_path / "empty")
    checkpoint.save(tmp_path / "c", model)
    shutil.copytree(tmp_path / "c", tmp_path / "cut")
    files = [file for file in (tmp_path / "cut").rglob("*") if file.is_file()]
    for file in files:
        whole = file.read_bytes()
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes(byte ^ 255 for byte in whole[middle : middle + 1]) + whole[middle + 1 :]
        for damage in (None, whole[:middle], flipped):
            if damage == whole:  # an empty marker file cannot be cut
                continue
            file.unlink() if damage is None else file.write_bytes(damage)
            with pytest.raises(UserError, match=r"cut is (damaged|not a checkpoint)"):
                checkpoint.load(tmp_path / "cut")
            file.write_bytes(whole)
    assert len(files) > 4
    assert_same(checkpoint.load(tmp_path / "cut"), model)
    checkpoint.save(tmp_path / "other", replace(model, config=tiny_config(depth=1)))
    with pytest.raises(UserError, match="other is damaged or not a checkpoint of this project"):
        checkpoint.load(tmp_path / "other")


def test_metadata_of_something_else_is_refused(model: Checkpoint) -> None:
    metadata = checkpoint.to_metadata(model)
    assert_same(checkpoint.from_metadata(metadata, model.params), model)
    for wrong in ({"format": "vtiqa-jax 3"}, {"config": {"breadth": 3}}, {"scale": 3}):
        with pytest.raises(ValueError, match=r"its (format|metadata) is"):
            checkpoint.from_metadata(metadata | wrong, model.params)


def test_the_first_blocks_can_be_kept_and_read_out(model: Checkpoint, config: ModelConfig) -> None:
    short, whole = with_readout(model, (1,)), with_readout(model, (1, 2))
    # A model that was itself trained so is a starting point as well.
    trained = replace(whole, config=whole.config.replace(eval_mosaics=3))
    assert with_readout(trained, (1,)).config == short.config
    assert (short.config.depth, short.config.readout_blocks, whole.config.readout_blocks) == (1, (), (1, 2))
    for start in (short, whole):
        names = param_shapes(start.config)
        assert start.params.keys() == {name for name in names if name.startswith("backbone.")}
        for name, array in start.params.items():
            np.testing.assert_array_equal(array, model.params[name])
    assert param_shapes(whole.config)["head.fc1.kernel"] == (4 * config.embed_dim, 64)
    for blocks in ((), (0, 1), (3,), (2, 1), (1, 1)):
        with pytest.raises(UserError, match="--readout-blocks takes rising numbers of the checkpoint's 2 blocks"):
            with_readout(model, blocks)


def test_a_quantized_model_is_near_and_small(scale: LabelScale, tmp_path: Path) -> None:
    config = tiny_config(embed_dim=64, patch_size=16, mosaic_patch=16, global_resize=128, local_resize=224, depth=6)
    config = config.replace(native_factors=(1, 2), native_blocks=(3,))
    model = Checkpoint(config, init_params(config, 0), scale, {"a": 1})
    quantized.save(tmp_path / "m.npz", model)
    loaded = quantized.load(tmp_path / "m.npz")
    assert replace(loaded, params={}) == replace(model, params={})
    size = sum(array.size for array in model.params.values())
    assert (tmp_path / "m.npz").stat().st_size < 1.4 * size
    assert loaded.params.keys() == model.params.keys()
    rounded = 0
    for key, array in model.params.items():
        error = np.linalg.norm(loaded.params[key] - np.asarray(array))
        assert error <= 0.01 * np.linalg.norm(array), key
        rounded += error > 0.001 * np.linalg.norm(array)
    assert rounded == 4 * 6 - 3, "all of the blocks' matrices but half of attention's projections"


def test_quantizing_survives_zeros_and_keeps_the_greatest(rng: np.random.Generator) -> None:
    kernel = rng.standard_normal((128, 5)).astype(np.float32)
    kernel[:64, 2] = 0
    integers, scales = quantized.quantize(kernel)
    assert np.abs(integers).max() == 127
    restored = quantized.dequantize(integers, scales)
    assert not restored[:64, 2].any()
    assert np.abs(restored - kernel).max() <= np.abs(kernel).max() / 127 * 0.51
    np.testing.assert_array_equal(quantized.dequantize(*quantized.quantize(restored)), restored)


def test_a_damaged_quantized_model_is_refused(model: Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "m.npz").write_bytes(b"PK no archive")
    with pytest.raises(UserError, match="not a quantized model"):
        quantized.load(tmp_path / "m.npz")
    np.savez(tmp_path / "n.npz", a=np.zeros(3))
    with pytest.raises(UserError, match="not a quantized model"):
        quantized.load(tmp_path / "n.npz")
    (tmp_path / "o.npz").write_bytes(b"no archive at all")  # in which NumPy looks for a pickle
    with pytest.raises(UserError, match=r"this project; fetch or make it again$"):
        quantized.load(tmp_path / "o.npz")
