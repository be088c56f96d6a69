"""ViTs of other kinds brought to DeiT's layout, and other view sizes: compared by what they compute."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convert import __main__ as convert
from tests.conftest import Command
from vtiqa_jax.convert import timm_vit
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.adapt import resize_pos_embed, view_size_config, with_readout, with_view_size
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig, tiny_config
from vtiqa_jax.models.params import Params, init_params, param_shapes
from vtiqa_jax.training.options import TrainOptions
from vtiqa_jax.training.start import shape_start

WIDTH, DEPTH = 64, 2


def dinov2(patch: int = 14, side: int = 37, *, seed: int = 0) -> dict[str, np.ndarray]:
    """A small ViT in the layout of timm's vit_small_patch14_dinov2."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return (0.1 * rng.standard_normal(shape)).astype(np.float32)

    # Smooth positions, as trained ones are.
    rows, cols = np.mgrid[:side, :side] / side
    waves = [np.sin(2 * np.pi * (k * rows + (k % 3) * cols)) for k in rng.uniform(0, 2, WIDTH)]
    grid = np.stack(waves, -1).reshape(1, -1, WIDTH)
    arrays = {
        "cls_token": normal(1, 1, WIDTH),
        "mask_token": normal(1, WIDTH),  # left out before `to_deit` sees it
        "pos_embed": np.concatenate([normal(1, 1, WIDTH), grid], 1).astype(np.float32),
        "patch_embed.proj.weight": normal(WIDTH, 3, patch, patch),
        "patch_embed.proj.bias": normal(WIDTH),
        "norm.weight": 1 + normal(WIDTH),
        "norm.bias": normal(WIDTH),
    }
    for block in range(DEPTH):
        for norm in ("norm1", "norm2"):
            arrays |= {f"blocks.{block}.{norm}.weight": 1 + normal(WIDTH), f"blocks.{block}.{norm}.bias": normal(WIDTH)}
        for name, (outputs, inputs) in {
            "attn.qkv": (3 * WIDTH, WIDTH),
            "attn.proj": (WIDTH, WIDTH),
            "mlp.fc1": (4 * WIDTH, WIDTH),
            "mlp.fc2": (WIDTH, 4 * WIDTH),
        }.items():
            arrays |= {
                f"blocks.{block}.{name}.weight": normal(outputs, inputs),
                f"blocks.{block}.{name}.bias": normal(outputs),
            }
        arrays |= {f"blocks.{block}.ls{which}.gamma": 1 + 3 * normal(WIDTH) for which in (1, 2)}
    return arrays


def test_layer_scale_is_folded_into_what_it_scales() -> None:
    before = dinov2(16, 14)
    after, notes = timm_vit.to_deit("it", before)
    assert len(notes) == 1
    assert "LayerScale of 4 branches folded" in notes[0]
    assert not [key for key in after if re.search(r"\.ls\d", key)]
    rng = np.random.default_rng(1)
    for layer, gamma, inputs in (("attn.proj", "ls1", WIDTH), ("mlp.fc2", "ls2", 4 * WIDTH)):
        x = rng.standard_normal((5, inputs)).astype(np.float32)
        name = f"blocks.1.{layer}"
        expected = (x @ before[f"{name}.weight"].T + before[f"{name}.bias"]) * before[f"blocks.1.{gamma}.gamma"]
        result = x @ after[f"{name}.weight"].T + after[f"{name}.bias"]
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
        other = before[f"blocks.1.{'ls2' if gamma == 'ls1' else 'ls1'}.gamma"]
        assert np.abs(expected / before[f"blocks.1.{gamma}.gamma"] * other - result).max() > 0.01
    untouched = set(after) - {
        f"blocks.{b}.{n}.{w}" for b in (0, 1) for n in ("attn.proj", "mlp.fc2") for w in ("weight", "bias")
    }
    assert all(after[key] is before[key] for key in untouched)


def test_a_resampled_patch_keeps_its_token() -> None:
    before = dinov2()
    after, notes = timm_vit.to_deit("it", before)
    assert after["patch_embed.proj.weight"].shape == (WIDTH, 3, 16, 16)
    rng = np.random.default_rng(2)
    patches = rng.standard_normal((10, 14, 14, 3)).astype(np.float32)
    larger = np.asarray(jax.image.resize(patches, (10, 16, 16, 3), "cubic", antialias=False))
    expected = np.einsum("pyxc,ocyx->po", patches, before["patch_embed.proj.weight"])
    result = np.einsum("pyxc,ocyx->po", larger, after["patch_embed.proj.weight"])
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)
    # Resizing the kernel as if it were a picture would not do.
    naive = np.asarray(jax.image.resize(before["patch_embed.proj.weight"], (WIDTH, 3, 16, 16), "cubic"))
    assert np.abs(np.einsum("pyxc,ocyx->po", larger, naive) - expected).max() > 0.1
    assert any("from 14 to 16 px" in note for note in notes)


def test_positions_keep_their_place() -> None:
    """A ramp over the picture stays one, inside and out; the class token's position is not touched."""
    side = 14
    ramp = np.linspace(0, 1, side)
    rows, cols = np.meshgrid(ramp, ramp, indexing="ij")
    grid = np.stack([rows, cols], -1).reshape(1, -1, 2)
    embedding = np.concatenate([np.full((1, 1, 2), 9.0), grid], 1).astype(np.float32)
    for new in (7, 16, 24):
        result = resize_pos_embed(embedding, new)
        assert result.shape == (1, new * new + 1, 2)
        assert (result[0, 0] == 9).all()
        square = result[0, 1:].reshape(new, new, 2)
        np.testing.assert_allclose(square[:, :, 0], square.transpose(1, 0, 2)[:, :, 1], atol=1e-6)
        steps = np.diff(square[2:-2, 0, 0])
        np.testing.assert_allclose(steps, side / (side - 1) / new, rtol=0.05)
    np.testing.assert_allclose(resize_pos_embed(embedding, side), embedding, atol=1e-6)


def test_a_dinov2_becomes_a_starting_point(tmp_path: Path, command: Command) -> None:
    np.savez(tmp_path / "dino.npz", **dinov2())
    status, said, error = command(convert.main, "backbone", tmp_path / "dino.npz", tmp_path / "out", "--heads", 1)
    assert status == 0, error
    for change in (
        "LayerScale of 4",
        "patch kernel resampled from 14 to 16 px",
        "positions resampled from 37 x 37 to 14 x 14",
    ):
        assert change in said
    made = checkpoint.load(tmp_path / "out")
    assert (made.config.patch_size, made.config.num_tokens, made.config.depth) == (16, 197, 2)
    assert len(made.provenance["adapted"]) == 3


def test_vits_without_a_place_for_their_parts_are_refused(tmp_path: Path) -> None:
    for key in (
        "reg_token",
        "register_tokens",
        "blocks.0.mlp.w12.weight",
        "norm_pre.weight",
        "blocks.0.attn.q_norm.weight",
    ):
        with pytest.raises(UserError, match=f"a ViT of another kind: it has {key}"):
            timm_vit.to_deit("it", dinov2() | {key: np.zeros(3, np.float32)})
    with pytest.raises(UserError, match="has no cls_token"):
        timm_vit.to_deit("it", {"weight": np.zeros(3)})


def test_views_of_another_size(config: ModelConfig, weights: Params) -> None:
    start = with_readout(Checkpoint(config, weights, None, {}), (1, 2))
    larger = with_view_size(start, 56)
    assert (larger.config.mosaic_grid, larger.config.mosaic_patch, larger.config.view_size) == (14, 4, 56)
    assert larger.config.global_resize == 68
    assert larger.params["backbone.pos_embed"].shape == (1, 197, config.embed_dim)
    params = init_params(larger.config, 0) | larger.params
    assert {name: array.shape for name, array in params.items()} == param_shapes(larger.config)
    model = Checkpoint(larger.config, params, None, {}).model()
    scores = jax.jit(model.score)(  # type: ignore[union-attr]
        jnp.zeros((2, 68, 68, 3), jnp.uint8), jnp.zeros((2, 96, 96, 3), jnp.uint8)
    )
    assert scores.shape == (2,)
    for size, said in ((30, "not a multiple"), (0, "not a multiple"), (112, "larger than the stored photos")):
        with pytest.raises(UserError, match=said):
            with_view_size(start, size)
    assert view_size_config(ModelConfig(), 256).mosaic_grid == 8
    odd = view_size_config(ModelConfig(), 240)
    assert (odd.mosaic_grid, odd.mosaic_patch) == (15, 16)


@pytest.mark.parametrize("said", ["intervals", "taste"])
@pytest.mark.parametrize("keep_head", [False, True])
def test_a_training_leaves_the_detail_of_its_start_out(keep_head: bool, said: str, scale: LabelScale) -> None:
    """It was learnt on the features of a backbone that is about to change."""
    config = tiny_config(
        depth=3,
        native_factors=(1, 2),
        native_mosaics=(4, 1),
        native_blocks=(2,),
        subject=True,
        soft_ends=True,
        novelty=True,
        **{said: True},
    )
    whole = Checkpoint(config, init_params(config, 0), scale, {})
    assert {"detail", "subject", "novelty", "ends", said} <= {name.split(".")[0] for name in whole.params}
    start = shape_start(whole, TrainOptions(keep_head=keep_head, eval_mosaics=1))
    assert start.config == tiny_config(depth=3)
    assert param_shapes(start.config).keys() - start.params.keys() == (
        set() if keep_head else {name for name in whole.params if name.startswith("head.")}
    )
    assert start.params.keys() <= param_shapes(start.config).keys()
    if not keep_head:  # the blocks that the detail was read from are dropped
        assert shape_start(whole, TrainOptions(readout_blocks=(1,))).config.depth == 1
