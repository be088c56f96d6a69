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

Force = Annotated[bool, Parameter(help="Replace OUT if it exists.")]
Expect = Annotated[
    Path | None,
    Parameter(help="File, .npz, of views and of what the source model returned for them. Differences are refused."),
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
        count = len(differences)
        print(
            "the score is within its tolerance" if count == 1 else f"all {count} quantities are within their tolerance"
        )
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
    """Converts the released model, VTIQA_<data set>.pt, to a checkpoint.

    Example: vtiqa convert vtiqa VTIQA_koniq.pt koniq

    Args:
        source: Published file.
        out: Folder of the new checkpoint.
        labels: Data set that trained the model. Taken from the name of a published file when not given.
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
    """Converts the paper's model, three files, to a checkpoint.

    Example: vtiqa convert original VTIQA_org_backbone.pt VTIQA_org_safusion.pt VTIQA_org_slection.pt original

    Args:
        backbone: VTIQA_org_backbone.pt.
        fusion: VTIQA_org_safusion.pt.
        selector: VTIQA_org_slection.pt (the release's spelling).
        out: Folder of the new checkpoint.
        labels: Data set that trained the model.
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
    """Converts a DeiT, DINO or other ViT to a checkpoint to train from, without its heads and other parts.

    Example: vtiqa convert backbone deit_small.pth deit

    LayerScale is folded in. Patches of 14 px and positions of other sizes are resampled. The error of each is printed.

    Args:
        source: File of weights: .pth, .pt, .bin, .safetensors or .npz, with the names of timm or of Hugging Face's
            transformers.
        out: Folder of the new checkpoint.
        heads: Number of attention heads, which no weights file holds. When not given, it is read from a config.json
            beside the file, or else taken from published ViTs of the same width; the output says which.
        prefix: Prefix of the names of this ViT's arrays, in a file that holds several ViTs: teacher.backbone.
    """
    checkpoint.check_overwrite(out, force=force)
    vit = vit_file.find_vit(str(source), files.read(source), prefix)
    sizes = timm_vit.read_sizes(str(source), vit.arrays)
    config, described = architecture.describe(source, sizes, heads, vit.prefix)
    arrays, adaptations = timm_vit.to_deit(str(source), vit.arrays)
    _convert(config, {source: arrays}, out, None, None, force, [*vit.notes, *described], adaptations)


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
    """Converts a model back to the published PyTorch names.

    Example: vtiqa convert export default vtiqa.pt

    Args:
        source: Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model.
        out: File to write, .pt or .safetensors. For the paper's model, a folder for its three files.
        format: Format of the paper's three files, pt when not given. Writing safetensors needs no torch.
    """
    loaded = catalog.load(source)
    config = loaded.config
    if config.kind != "backbone":
        _check_published(source, config)
    by_name = tables(config)
    if "" in by_name and format and out.suffix != f".{format}":
        raise UserError(f"{out}: with --format {format} the name must end in .{format}")
    targets = {name: out / f"{name}.{format or 'pt'}" if name else out for name in by_name}
    existing = [path for path in targets.values() if path.exists()]
    if existing and not force:
        raise UserError(f"{existing[0]} exists already; choose another name, or overwrite it with --force")
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
    """Converts a model to one small .npz file, with the backbone's matrices in 8 bits. Every --checkpoint takes it.

    Example: vtiqa convert quantize runs/train/checkpoint model.npz

    Args:
        source: Model: the folder of a checkpoint, or an .npz file.
        out: File to write, .npz.
    """
    if out.suffix != ".npz":
        raise UserError(f"{out}: the name of a quantized model must end in .npz")
    if out.exists() and not force:
        raise UserError(f"{out} exists already; choose another name, or overwrite it with --force")
    quantized.save(out, catalog.load(source))
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
