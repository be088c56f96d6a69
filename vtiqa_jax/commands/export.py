"""`vtiqa export`: a model for other runtimes."""

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vtiqa_jax import atomic, sharding
from vtiqa_jax.commands.convert import Force
from vtiqa_jax.errors import UserError
from vtiqa_jax.export import onnx_vtiqa, stablehlo, web_page
from vtiqa_jax.export.card import make_card
from vtiqa_jax.export.onnx_vtiqa import Storage
from vtiqa_jax.models import catalog
from vtiqa_jax.models.config import ModelConfig

PHOTOS = "photos: uint8 RGB [batch, height, width, 3]"
PREPARED = "views, native: uint8 RGB; structure: float32; as vtiqa-onnx makes them of photos"
ONE_PHOTO = "photos: uint8 RGB [1, height, width, 3]"


def export(
    source: str,
    out: Path,
    /,
    *,
    storage: Storage | None = None,
    inputs: Literal["photos", "prepared"] = "photos",
    web: Annotated[Path | None, Parameter(metavar="ONNXRUNTIME_WEB")] = None,
    force: Force = False,
) -> None:
    """Exports a model for other programs: OUT.onnx scores photos of any size, OUT.stablehlo runs in JAX alone.

    Example: vtiqa export default vtiqa.onnx

    All of them also give `detail` and `holds`, what the photo shows at 100 %, and its faults, if the model does.

    Args:
        source: Model: the folder of a checkpoint, an .npz file, or "default" for the packaged model.
        out: File to write; its ending selects the format. A .stablehlo has its metadata in OUT.stablehlo.json.
        storage: Type in which the parameters are stored: float32 in an .onnx file and int8 in a page when not given.
            Everything is computed in float32.
        inputs: Inputs of an .onnx file: whole photos, or what vtiqa-onnx prepares of them.
        web: Folder of the npm package onnxruntime-web. OUT becomes the folder of a page that scores photos in a
            browser, with these files in it.
    """
    if inputs != "photos" and (web or out.suffix != ".onnx"):
        raise UserError(f"--inputs {inputs} is for .onnx files")
    if web:
        web_page.check_runtime(web)
        web_page.check_overwrite(out, force=force)
    else:
        _check_file(out, storage, force=force)
    loaded = catalog.load(source)
    config, scale = loaded.config, loaded.scale
    if scale is None:
        raise UserError(f"{source} is a backbone without a head and has no score to export; train a head first")
    if web:
        card = make_card(source, loaded, scale, f"{ONE_PHOTO}; corners: int32 [regions, 2], in pixels of `side`")
        card["regions"] = json.dumps(web_page.describe_regions(config))
        data = onnx_vtiqa.build(config, loaded.params, storage or "int8", card, inputs="regions").SerializeToString()
    elif out.suffix == ".onnx":
        card = make_card(source, loaded, scale, PHOTOS if inputs == "photos" else PREPARED)
        model = onnx_vtiqa.build(config, loaded.params, storage or "float32", card, inputs=inputs)
        data = model.SerializeToString()
    else:
        card = make_card(source, loaded, scale, _describe_arrays(config))
        sharding.require_devices()  # which JAX wants of whoever traces a program
        data = stablehlo.build(config, loaded.params)
    atomic.make_folder(out.absolute().parent)
    size = len(data)
    if web:
        size = web_page.write(out, web, data, card)
    else:
        if out.suffix == ".stablehlo":
            atomic.write_text(_card_file(out), json.dumps(card, indent=1) + "\n")
        with atomic.atomic_replace(out) as temporary:
            temporary.write_bytes(data)
    print(f"{out}: {size / 1e6:.1f} MB, {scale}")
    if web:
        print(f"see it with: python -m http.server --directory {out}")


def _describe_arrays(config: ModelConfig) -> str:
    """Says what a .stablehlo file takes."""
    sides = f"[batch, {config.global_resize}, ...] and local_images [batch, {config.local_resize}, ...]"
    stored = f"global_images {sides}: uint8 RGB, as `vtiqa_jax.photos.resize.prepare` makes them"
    if not config.native:
        return stored
    views, structure = (", ".join(map(str, ("batch", *shape))) for shape in config.native.shapes)
    made = "as `vtiqa_jax.photos.native.NativeViews.make` makes them"
    return f"{stored}; native views [{views}], uint8, and structure [{structure}], float32, {made}"


def _card_file(out: Path) -> Path:
    return out.with_name(f"{out.name}.json")


def _check_file(out: Path, storage: Storage | None, *, force: bool) -> None:
    if out.suffix not in (".onnx", ".stablehlo"):
        raise UserError(f"{out}: the name of an exported model must end in .onnx or .stablehlo")
    if out.suffix == ".stablehlo" and storage not in (None, "float32"):
        raise UserError(f"--storage {storage} is for .onnx files; a .stablehlo file holds float32")
    for path in (out, _card_file(out)) if out.suffix == ".stablehlo" else (out,):
        if path.is_dir():
            raise UserError(f"{path} is a folder; name a file")
        if path.exists() and not force:
            raise UserError(f"{path} exists already; choose another name, or overwrite it with --force")
