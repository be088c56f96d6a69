"""`vtiqa export`: a model as one file for other runtimes."""

import json
from pathlib import Path

from tyro.conf import Positional

from vtiqa_jax import atomic
from vtiqa_jax.commands.convert import Force
from vtiqa_jax.convert import onnx_vtiqa, stablehlo
from vtiqa_jax.convert.card import make_card
from vtiqa_jax.convert.onnx_vtiqa import Storage
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import catalog


def export(model: Positional[str], out: Positional[Path], dtype: Storage = "float32", force: Force = False) -> None:
    """A model to one file for other programs: OUT.onnx scores photos of any size, OUT.stablehlo runs in JAX alone.

    Args:
        model: a checkpoint's folder, a quantized file, or "default" for the model that comes with the package.
        out: the file; its ending says which. A .stablehlo has its metadata beside it, in OUT.stablehlo.json.
        dtype: what an .onnx file's parameters are stored as; everything is computed in float32.
    """
    if out.suffix not in (".onnx", ".stablehlo"):
        raise UserError(f"{out}: an exported model's name ends in .onnx or .stablehlo")
    if out.suffix == ".stablehlo" and dtype != "float32":
        raise UserError(f"--dtype {dtype} is for .onnx files; a .stablehlo file holds float32")
    card_file = out.with_name(f"{out.name}.json")
    for path in (out, card_file) if out.suffix == ".stablehlo" else (out,):
        if path.is_dir():
            raise UserError(f"{path} is a folder")
        if path.exists() and not force:
            raise UserError(f"{path} exists already; choose another name, or overwrite it with --force")
    loaded = catalog.load(model)
    config, scale = loaded.config, loaded.scale
    if scale is None:
        raise UserError(f"{model} is a backbone without a head; it has no score to export")
    if out.suffix == ".onnx":
        card = make_card(model, loaded, scale, "photos: uint8 RGB [batch, height, width, 3]")
        data = onnx_vtiqa.build(config, loaded.params, dtype, card).SerializeToString()
    else:
        sides = f"[batch, {config.global_resize}, ...] and local_images [batch, {config.local_resize}, ...]"
        card = make_card(model, loaded, scale, f"global_images {sides}: uint8 RGB, resized by OpenCV's INTER_CUBIC")
        data = stablehlo.build(config, loaded.params)
    atomic.make_folder(out.absolute().parent)
    if out.suffix == ".stablehlo":
        atomic.write_text(card_file, json.dumps(card, indent=1) + "\n")
    with atomic.atomic_replace(out) as temporary:
        temporary.write_bytes(data)
    print(f"{out}: {len(data) / 1e6:.1f} MB, {scale}")
