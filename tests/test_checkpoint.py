"""Models on disk: round trips, damage, replacing, and the packed form."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from vtiqa_jax import checkpoint, packed, params
from vtiqa_jax.config import LabelScale, ModelConfig, small
from vtiqa_jax.errors import UserError


@pytest.fixture
def model(config: ModelConfig, weights: params.Params, scale: LabelScale) -> checkpoint.Checkpoint:
    return checkpoint.Checkpoint(config, weights, scale, {"made": "by a test"})


def assert_same(found: checkpoint.Checkpoint, expected: checkpoint.Checkpoint) -> None:
    assert replace(found, params={}) == replace(expected, params={})
    assert found.params.keys() == expected.params.keys()
    for key, array in expected.params.items():
        np.testing.assert_array_equal(found.params[key], array)


def test_a_checkpoint_comes_back_bit_for_bit(model: checkpoint.Checkpoint, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "deep" / "c", model)
    assert_same(checkpoint.load(tmp_path / "deep" / "c"), model)
    told = checkpoint.card(model)
    assert {"jax", "flax", "orbax-checkpoint", "vtiqa-jax"} <= told["versions"].keys()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["c"], "nothing is left beside it"


def test_a_checkpoint_is_replaced_only_when_told_and_only_by_a_whole_one(
    model: checkpoint.Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c"
    checkpoint.save(path, model)
    other = replace(model, source={"made": "later"})
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
    assert [found.name for found in tmp_path.iterdir()] == ["c"]


def test_force_does_not_replace_what_is_no_checkpoint(model: checkpoint.Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").touch()
    with pytest.raises(UserError, match="not a checkpoint, so --force does not replace it"):
        checkpoint.save(tmp_path / "photos", model, force=True)
    assert (tmp_path / "photos" / "holiday.jpg").exists()


def test_what_is_no_whole_checkpoint_is_refused(model: checkpoint.Checkpoint, tmp_path: Path) -> None:
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
    checkpoint.save(tmp_path / "other", replace(model, config=small(depth=1)))
    with pytest.raises(UserError, match="other is damaged or not a checkpoint of this project"):
        checkpoint.load(tmp_path / "other")


def test_the_first_blocks_can_be_kept_and_read_out(model: checkpoint.Checkpoint, config: ModelConfig) -> None:
    short, whole = checkpoint.read_out(model, (1,)), checkpoint.read_out(model, (1, 2))
    # A model that was itself trained so is a starting point as well.
    trained = replace(whole, config=whole.config.replace(mosaics=3))
    assert checkpoint.read_out(trained, (1,)).config == short.config
    assert (short.config.depth, short.config.readout, whole.config.readout) == (1, (), (1, 2))
    for found in (short, whole):
        wanted = params.abstract(found.config)[1]
        assert found.params.keys() == {key for key in wanted if key.startswith("backbone.")}
        for key, array in found.params.items():
            np.testing.assert_array_equal(array, model.params[key])
    assert params.abstract(whole.config)[1]["head.fc1.kernel"].shape == (4 * config.width, 64)
    for blocks in ((), (0, 1), (3,), (2, 1), (1, 1)):
        with pytest.raises(UserError, match="--readout takes rising numbers of the checkpoint's 2 blocks"):
            checkpoint.read_out(model, blocks)


def test_a_packed_model_is_near_and_small(scale: LabelScale, tmp_path: Path) -> None:
    config = small(width=64, patch_size=16, cell=16, global_size=128, local_size=224, depth=6)
    model = checkpoint.Checkpoint(config, params.drawn(config, 0), scale, {"a": 1})
    packed.save(tmp_path / "m.npz", model)
    found = packed.load(tmp_path / "m.npz")
    assert replace(found, params={}) == replace(model, params={})
    size = sum(array.size for array in model.params.values())
    assert (tmp_path / "m.npz").stat().st_size < 1.4 * size
    assert found.params.keys() == model.params.keys()
    for key, array in model.params.items():
        error = np.linalg.norm(found.params[key] - np.asarray(array))
        assert error <= 0.01 * np.linalg.norm(array), key


def test_quantising_survives_zeros_and_keeps_the_greatest(rng: np.random.Generator) -> None:
    kernel = rng.standard_normal((128, 5)).astype(np.float32)
    kernel[:64, 2] = 0
    integers, scales = packed.quantise(kernel)
    assert np.abs(integers).max() == 127
    restored = packed.restore(integers, scales)
    assert not restored[:64, 2].any()
    assert np.abs(restored - kernel).max() <= np.abs(kernel).max() / 127 * 0.51


def test_a_damaged_packed_model_is_refused(model: checkpoint.Checkpoint, tmp_path: Path) -> None:
    (tmp_path / "m.npz").write_bytes(b"PK no archive")
    with pytest.raises(UserError, match="not a packed model"):
        packed.load(tmp_path / "m.npz")
    np.savez(tmp_path / "n.npz", a=np.zeros(3))
    with pytest.raises(UserError, match="not a packed model"):
        packed.load(tmp_path / "n.npz")
