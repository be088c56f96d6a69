"""`python -m convert`: published PyTorch weights to an Orbax checkpoint, and back."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from convert import adapt, files, translate
from convert.check import compare, table_of
from convert.table import tables
from vtiqa_jax import atomic, checkpoint, config, packed, params
from vtiqa_jax.command import run
from vtiqa_jax.config import LabelScale, ModelConfig
from vtiqa_jax.errors import UserError
from vtiqa_jax.model import head_count

Labels = Literal["koniq10k", "spaq", "livew", "rbid", "cid2013"]
PUBLISHED = {"koniq": "koniq10k", "spaq": "spaq", "livew": "livew", "rbid": "rbid", "cid2013": "cid2013"}
"""The data set by the ending of a published file's name, VTIQA_<ending>.pt."""

Force = Annotated[bool, arg(help="replace OUT if it exists")]
Expect = Annotated[
    Path | None, arg(help="an .npz of views and what the source model returned for them; differences are refused")
]


def _convert(
    config: ModelConfig,
    sources: dict[Path, adapt.Arrays],
    out: Path,
    scale: LabelScale | None,
    expect: Path | None,
    force: bool,
    adapted: Sequence[str] = (),
) -> None:
    shapes = {key: leaf.shape for key, leaf in params.abstract(config)[1].items()}
    arrays: params.Params = {}
    for (path, read), table in zip(sources.items(), tables(config).values(), strict=True):
        arrays |= translate.to_jax(str(path), read, table, shapes)
    source: dict[str, Any] = {"converted": [{"file": path.name, "sha256": checkpoint.sha256(path)} for path in sources]}
    if expect:
        differences = compare(config, arrays, expect)
        print(table_of(differences))
        wrong = [difference for difference in differences if not difference.within]
        if wrong:
            named = ", ".join(difference.what for difference in wrong)
            raise UserError(
                f"{next(iter(sources))} computes something else than {expect}: {named}; nothing was written"
            )
        source["checked"] = {"file": expect.name, "sha256": checkpoint.sha256(expect)}
    if adapted:
        source["adapted"] = list(adapted)
        print("\n".join(adapted))
    checkpoint.save(out, checkpoint.Checkpoint(config, arrays, scale, source), force=force)
    print(f"{out}: {sum(array.size for array in arrays.values()):,} parameters, {scale or 'a backbone without a head'}")


def _read(*paths: Path) -> dict[Path, adapt.Arrays]:
    return {path: files.read(path) for path in paths}


def _scale(labels: Labels | None, source: Path) -> LabelScale:
    ending = source.stem.rpartition("_")[2]
    # All published models were trained on labels brought to the range 1 to 5 (release, training scripts).
    return LabelScale(labels or PUBLISHED.get(ending, "unknown"), 1.0, 5.0)


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
    checkpoint.check_free(out, force=force)
    _convert(config.deit_small(), _read(source), out, _scale(labels, source), expect, force)


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
    scale = _scale(labels, backbone)
    checkpoint.check_free(out, force=force)
    _convert(config.deit_small(kind="original"), _read(backbone, fusion, selector), out, scale, expect, force)


def _backbone_config(source: Path, arrays: adapt.Arrays) -> ModelConfig:
    """Sizes of a ViT, read off its arrays. Errors: UserError when they are not those of a ViT at 224 px."""
    blocks = {int(match[1]) for key in arrays if (match := re.match(r"blocks\.(\d+)\.", key))}
    try:
        width = arrays["cls_token"].shape[-1]
        return ModelConfig(
            kind="backbone",
            width=width,
            depth=max(blocks) + 1,
            heads=head_count(width),
            mlp_ratio=arrays["blocks.0.mlp.fc1.weight"].shape[0] // width,
            patch_size=arrays["patch_embed.proj.weight"].shape[-1],
        )
    except (KeyError, ValueError, IndexError) as error:
        raise UserError(f"{source} does not look like a timm ViT at 224 px: {error}") from error


def backbone(source: Positional[Path], out: Positional[Path], force: Force = False) -> None:
    """A DeiT, DINO or other timm ViT to a starting point for training; its classifier is left out.

    LayerScale is folded in, patches of 14 px and positions of other sizes are resampled; the error of each is printed.

    Args:
        source: .pth, .pt, .bin, .safetensors or .npz, with timm's names.
        out: the checkpoint's folder, made by this command.
    """
    checkpoint.check_free(out, force=force)
    arrays, notes = adapt.to_deit(str(source), files.read(source))
    _convert(_backbone_config(source, arrays), {source: arrays}, out, None, None, force, notes)


def export(source: Positional[Path], out: Positional[Path], force: Force = False) -> None:
    """A checkpoint back to the published names.

    Args:
        source: the checkpoint's folder.
        out: a .pt file; for the paper's model a folder, which gets its three files.
    """
    loaded = checkpoint.load(source)
    if loaded.config.readout or loaded.config.grid != 7:
        raise UserError(f"{source} has no published counterpart: its head reads several blocks, or its views differ")
    found = tables(loaded.config)
    targets = {name: out / f"{name}.pt" if name else out for name in found}
    taken = [path for path in targets.values() if path.exists()]
    if taken and not force:
        raise UserError(f"{taken[0]} exists already; choose another name, or overwrite it with --force")
    if out.is_dir() and "" in found:
        raise UserError(f"{out} is a folder; this model is exported to one .pt file")
    for name, table in found.items():
        atomic.make_folder(targets[name].parent)
        files.write_torch(targets[name], translate.to_torch(loaded.params, table))
        print(f"{targets[name]}: sha256 {checkpoint.sha256(targets[name])}")


def pack(source: Positional[Path], out: Positional[Path], force: Force = False) -> None:
    """A checkpoint to one small file, with the backbone's matrices in 8 bits; every --checkpoint takes it too.

    Args:
        source: the checkpoint's folder.
        out: the .npz file.
    """
    if out.suffix != ".npz":
        raise UserError(f"{out}: a packed model's name ends in .npz")
    if out.exists() and not force:
        raise UserError(f"{out} exists already; choose another name, or overwrite it with --force")
    packed.save(out, checkpoint.load(source))
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    """Entry point."""
    commands = {"vtiqa": vtiqa, "original": original, "backbone": backbone, "export": export, "pack": pack}
    run(commands, "python -m convert", __doc__)


if __name__ == "__main__":
    main()
