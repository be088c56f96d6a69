"""Published PyTorch weights to an Orbax checkpoint, and back."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from vtiqa_jax import atomic
from vtiqa_jax.convert import files, hugging_face, timm_vit, translate
from vtiqa_jax.convert.check import compare, markdown_table
from vtiqa_jax.convert.table import tables
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import checkpoint, quantized
from vtiqa_jax.models.checkpoint import Checkpoint, LabelScale
from vtiqa_jax.models.params import Params, param_shapes
from vtiqa_jax.models.vtiqa import ModelConfig, deit_small

Labels = Literal["koniq10k", "spaq", "livew", "rbid", "cid2013"]
PUBLISHED_LABELS = {"koniq": "koniq10k", "spaq": "spaq", "livew": "livew", "rbid": "rbid", "cid2013": "cid2013"}
"""The data set by the ending of a published file's name, VTIQA_<ending>.pt."""
HEAD_CHANNELS = 64
"""Channels of an attention head in every DeiT and ViT of timm."""

Force = Annotated[bool, arg(help="replace OUT if it exists")]
Expect = Annotated[
    Path | None, arg(help="an .npz of views and what the source model returned for them; differences are refused")
]


def _convert(
    config: ModelConfig,
    sources: dict[Path, files.Arrays],
    out: Path,
    scale: LabelScale | None,
    expect: Path | None,
    force: bool,
    adaptations: Sequence[str] = (),
) -> None:
    shapes = param_shapes(config)
    params: Params = {}
    for (path, arrays), table in zip(sources.items(), tables(config).values(), strict=True):
        params |= translate.to_jax(str(path), arrays, table, shapes)
    provenance: dict[str, Any] = {
        "converted": [{"file": path.name, "sha256": checkpoint.sha256(path)} for path in sources]
    }
    if expect:
        differences = compare(config, params, expect)
        print(markdown_table(differences))
        wrong = ", ".join(difference.quantity for difference in differences if not difference.within)
        if wrong:
            raise UserError(
                f"{next(iter(sources))} computes something else than {expect}: {wrong}; nothing was written"
            )
        provenance["checked"] = {"file": expect.name, "sha256": checkpoint.sha256(expect)}
    if adaptations:
        provenance["adapted"] = list(adaptations)
        print("\n".join(adaptations))
    checkpoint.save(out, Checkpoint(config, params, scale, provenance), force=force)
    size = sum(array.size for array in params.values())
    print(f"{out}: {size:,} parameters, {scale or 'a backbone without a head'}")


def _read(*paths: Path) -> dict[Path, files.Arrays]:
    return {path: files.read(path) for path in paths}


def _scale(labels: Labels | None, source: Path) -> LabelScale:
    ending = source.stem.rpartition("_")[2]
    # All published models were trained on labels brought to the range 1 to 5 (release, training scripts).
    return LabelScale(labels or PUBLISHED_LABELS.get(ending, "unknown"), 1.0, 5.0)


def vtiqa(
    source: Positional[Path],
    out: Positional[Path],
    labels: Labels | None = None,
    expect: Expect = None,
    force: Force = False,
) -> None:
    """The released model, VTIQA_<data set>.pt, to a checkpoint.

    Args:
        source: the published file.
        out: the checkpoint's folder, made by this command.
        labels: the data set it was trained on; taken from a published file's name when not given.
    """
    checkpoint.check_overwrite(out, force=force)
    _convert(deit_small(), _read(source), out, _scale(labels, source), expect, force)


def original(
    backbone: Positional[Path],
    fusion: Positional[Path],
    selector: Positional[Path],
    out: Positional[Path],
    labels: Labels | None = None,
    expect: Expect = None,
    force: Force = False,
) -> None:
    """The paper's model, three files, to a checkpoint.

    Args:
        backbone: VTIQA_org_backbone.pt
        fusion: VTIQA_org_safusion.pt
        selector: VTIQA_org_slection.pt (the release's spelling)
        out: the checkpoint's folder, made by this command.
        labels: the data set it was trained on.
    """
    checkpoint.check_overwrite(out, force=force)
    sources = _read(backbone, fusion, selector)
    _convert(deit_small(kind="original"), sources, out, _scale(labels, backbone), expect, force)


def _head_count(embed_dim: int) -> int:
    """Attention heads of a ViT; no weights file says how many.

    Raises:
        ValueError: `embed_dim` is no multiple of 64.
    """
    if embed_dim % HEAD_CHANNELS:
        raise ValueError(f"a width of {embed_dim} is not a multiple of {HEAD_CHANNELS} channels a head")
    return embed_dim // HEAD_CHANNELS


def _backbone_config(source: Path, arrays: files.Arrays) -> ModelConfig:
    """Sizes of a ViT, read off its arrays.

    Raises:
        UserError: they are not those of a ViT at 224 px.
    """
    blocks = {int(match[1]) for key in arrays if (match := re.match(r"blocks\.(\d+)\.", key))}
    try:
        embed_dim = arrays["cls_token"].shape[-1]
        return ModelConfig(
            kind="backbone",
            embed_dim=embed_dim,
            depth=max(blocks) + 1,
            num_heads=_head_count(embed_dim),
            mlp_ratio=arrays["blocks.0.mlp.fc1.weight"].shape[0] // embed_dim,
            patch_size=arrays["patch_embed.proj.weight"].shape[-1],
        )
    except (KeyError, ValueError, IndexError) as error:
        raise UserError(f"{source} does not look like a timm ViT at 224 px: {error}") from error


def backbone(source: Positional[Path], out: Positional[Path], force: Force = False) -> None:
    """A DeiT, DINO or other ViT to a starting point for training; its classifier is left out.

    LayerScale is folded in, patches of 14 px and positions of other sizes are resampled; the error of each is printed.

    Args:
        source: .pth, .pt, .bin, .safetensors or .npz, with the names of timm or of Hugging Face's transformers.
        out: the checkpoint's folder, made by this command.
    """
    checkpoint.check_overwrite(out, force=force)
    arrays, notes = timm_vit.to_deit(str(source), hugging_face.to_timm(files.read(source)))
    _convert(_backbone_config(source, arrays), {source: arrays}, out, None, None, force, notes)


def export(
    source: Positional[Path],
    out: Positional[Path],
    format: Literal["pt", "safetensors"] | None = None,
    force: Force = False,
) -> None:
    """A checkpoint back to the published names.

    Args:
        source: the checkpoint's folder.
        out: a .pt or .safetensors file; for the paper's model a folder, which gets its three files.
        format: of these three; without it .pt. Writing .safetensors needs no torch.
    """
    loaded = checkpoint.load(source)
    if loaded.config.readout_blocks or loaded.config.mosaic_grid != 7:
        raise UserError(f"{source} has no published counterpart: its head reads several blocks, or its views differ")
    by_name = tables(loaded.config)
    if "" in by_name and format and out.suffix != f".{format}":
        raise UserError(f"{out}: a file of --format {format} ends in .{format}")
    targets = {name: out / f"{name}.{format or 'pt'}" if name else out for name in by_name}
    taken = [path for path in targets.values() if path.exists()]
    if taken and not force:
        raise UserError(f"{taken[0]} exists already; choose another name, or overwrite it with --force")
    if out.is_dir() and "" in by_name:
        raise UserError(f"{out} is a folder; this model is exported to one file")
    for name, table in by_name.items():
        atomic.make_folder(targets[name].parent)
        files.write(targets[name], translate.to_torch(loaded.params, table))
        if not atomic.is_stream(targets[name]):
            print(f"{targets[name]}: sha256 {checkpoint.sha256(targets[name])}")


def quantize(source: Positional[Path], out: Positional[Path], force: Force = False) -> None:
    """A checkpoint to one small file, with the backbone's matrices in 8 bits; every --checkpoint takes it too.

    Args:
        source: the checkpoint's folder.
        out: the .npz file.
    """
    if out.suffix != ".npz":
        raise UserError(f"{out}: a quantized model's name ends in .npz")
    if out.exists() and not force:
        raise UserError(f"{out} exists already; choose another name, or overwrite it with --force")
    quantized.save(out, checkpoint.load(source))
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
