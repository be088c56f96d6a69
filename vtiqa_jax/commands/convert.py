"""Published PyTorch weights to an Orbax checkpoint, and back."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from vtiqa_jax import atomic
from vtiqa_jax.convert import architecture, files, timm_vit, translate, vit_file
from vtiqa_jax.convert.check import compare, markdown_table
from vtiqa_jax.convert.table import tables
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import catalog, checkpoint, quantized
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig, deit_small
from vtiqa_jax.models.params import Params, param_shapes

Labels = Literal["koniq10k", "spaq", "livew", "rbid", "cid2013"]
PUBLISHED_LABELS = {"koniq": "koniq10k", "spaq": "spaq", "livew": "livew", "rbid": "rbid", "cid2013": "cid2013"}
"""The data set by the ending of a published file's name, VTIQA_<ending>.pt."""

Force = Annotated[bool, Parameter(help="replace OUT if it exists")]
Expect = Annotated[
    Path | None, Parameter(help="an .npz of views and what the source model returned for them; differences are refused")
]


def _convert(
    config: ModelConfig,
    sources: dict[Path, files.Arrays],
    out: Path,
    scale: LabelScale | None,
    expect: Path | None,
    force: bool,
    told: Sequence[str] = (),
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
            raise UserError(f"{next(iter(sources))} does not reproduce {expect}: {wrong} differ; nothing was written")
        provenance["checked"] = {"file": expect.name, "sha256": checkpoint.sha256(expect)}
    for key, lines in (("read", told), ("adapted", adaptations)):
        if lines:
            provenance[key] = list(lines)
            print("\n".join(lines))
    checkpoint.save(out, Checkpoint(config, params, scale, provenance), force=force)
    size = sum(array.size for array in params.values())
    print(f"{out}: {size:,} parameters, {scale or 'a backbone without a head'}")


def _read(*paths: Path) -> dict[Path, files.Arrays]:
    return {path: files.unwrap(files.read(path)) for path in paths}


def _scale(labels: Labels | None, source: Path) -> LabelScale:
    ending = source.stem.rpartition("_")[2]
    # All published models were trained on labels brought to the range 1 to 5 (release, training scripts).
    return LabelScale(labels or PUBLISHED_LABELS.get(ending, "unknown"), 1.0, 5.0)


def vtiqa(
    source: Path,
    out: Path,
    /,
    *,
    labels: Labels | None = None,
    expect: Expect = None,
    force: Force = False,
) -> None:
    """The released model, VTIQA_<data set>.pt, to a checkpoint.

    Example: vtiqa convert vtiqa VTIQA_koniq.pt koniq

    Args:
        source: the published file.
        out: the checkpoint's folder, made by this command.
        labels: the data set it was trained on; taken from a published file's name when not given.
    """
    checkpoint.check_overwrite(out, force=force)
    _convert(deit_small(), _read(source), out, _scale(labels, source), expect, force)


def original(
    backbone: Path,
    fusion: Path,
    selector: Path,
    out: Path,
    /,
    *,
    labels: Labels | None = None,
    expect: Expect = None,
    force: Force = False,
) -> None:
    """The paper's model, three files, to a checkpoint.

    Example: vtiqa convert original VTIQA_org_backbone.pt VTIQA_org_safusion.pt VTIQA_org_slection.pt original

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


def backbone(
    source: Path,
    out: Path,
    /,
    *,
    heads: int | None = None,
    prefix: str | None = None,
    force: Force = False,
) -> None:
    """A DeiT, DINO or other ViT to a starting point for training; heads and what else stands beside it are left out.

    Example: vtiqa convert backbone deit_small.pth deit

    LayerScale is folded in, patches of 14 px and positions of other sizes are resampled; the error of each is printed.

    Args:
        source: .pth, .pt, .bin, .safetensors or .npz, with the names of timm or of Hugging Face's transformers.
        out: the checkpoint's folder, made by this command.
        heads: its attention heads, which no weights file tells; when not given, read from a config.json beside it, else
            taken from published ViTs of the same width, which is said.
        prefix: of a file that holds several ViTs, what the names of this one's arrays begin with: teacher.backbone.
    """
    checkpoint.check_overwrite(out, force=force)
    found = vit_file.find_vit(str(source), files.read(source), prefix)
    sizes = timm_vit.read_sizes(str(source), found.arrays)
    config, described = architecture.describe(source, sizes, heads, found.prefix)
    arrays, adaptations = timm_vit.to_deit(str(source), found.arrays)
    _convert(config, {source: arrays}, out, None, None, force, [*found.notes, *described], adaptations)


def _check_published(source: str, config: ModelConfig) -> None:
    """Checks that the published format, whose files hold the weights of one architecture, can hold a model.

    Raises:
        UserError: names every field in which they differ.
    """
    published = dataclasses.asdict(deit_small(kind=config.kind))
    differing = [
        f"{name} {value} (published: {published[name]})"
        for name, value in dataclasses.asdict(config).items()
        if value != published[name]
    ]
    if differing:
        raise UserError(
            f"{source} cannot be written in the published format, which has no place for {', '.join(differing)};"
            " `vtiqa export` writes any model"
        )


def export(
    source: str,
    out: Path,
    /,
    *,
    format: Literal["pt", "safetensors"] | None = None,
    force: Force = False,
) -> None:
    """A model back to the published names.

    Example: vtiqa convert export default vtiqa.pt

    Args:
        source: a checkpoint's folder, a quantized file, or "default" for the model that comes with the package.
        out: a .pt or .safetensors file; for the paper's model a folder, which gets its three files.
        format: of these three; without it .pt. Writing .safetensors needs no torch.
    """
    loaded = catalog.load(source)
    config = loaded.config
    if config.kind != "backbone":
        _check_published(source, config)
    by_name = tables(config)
    if "" in by_name and format and out.suffix != f".{format}":
        raise UserError(f"{out}: with --format {format} the name must end in .{format}")
    targets = {name: out / f"{name}.{format or 'pt'}" if name else out for name in by_name}
    taken = [path for path in targets.values() if path.exists()]
    if taken and not force:
        raise UserError(f"{taken[0]} exists already; choose another name, or overwrite it with --force")
    if out.is_dir() and "" in by_name:
        raise UserError(f"{out} is a folder; name a file, as this model is exported to one")
    for name, table in by_name.items():
        atomic.make_folder(targets[name].parent)
        files.write(targets[name], translate.to_torch(loaded.params, table))
        if not atomic.is_stream(targets[name]):
            print(f"{targets[name]}: sha256 {checkpoint.sha256(targets[name])}")
    if config.kind == "backbone":
        print(f"the file does not say that its ViT has {config.num_heads} attention heads")


def quantize(source: str, out: Path, /, *, force: Force = False) -> None:
    """A model to one small file, with the backbone's matrices in 8 bits; every --checkpoint takes it too.

    Example: vtiqa convert quantize runs/train/checkpoint model.npz

    Args:
        source: a checkpoint's folder, or a quantized file.
        out: the .npz file.
    """
    if out.suffix != ".npz":
        raise UserError(f"{out}: the name of a quantized model must end in .npz")
    if out.exists() and not force:
        raise UserError(f"{out} exists already; choose another name, or overwrite it with --force")
    quantized.save(out, catalog.load(source))
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
