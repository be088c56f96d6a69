"""A page of static files that scores photos in a browser: a model as ONNX, its runtime, the templates in `page/`."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vtiqa_jax import atomic
from vtiqa_jax.errors import UserError
from vtiqa_jax.models import views
from vtiqa_jax.models.config import ModelConfig
from vtiqa_jax.scoring.colours import write_ramp
from vtiqa_jax.scoring.quality_map import REGIONS
from vtiqa_jax.web.modules import name_beside, read_modules

TEMPLATES = Path(__file__).with_name("page")
SCRIPTS = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs")
"""Files of the npm package onnxruntime-web that the page needs; the second is loaded by the first."""
WASM = "ort-wasm-simd-threaded.wasm"
CARD = "card.json"
STYLE = "style.css"


def describe_regions(config: ModelConfig) -> dict[str, Any]:
    """Describes the regions of the page's maps, squares of `size` pixels of the photo at `side` x `side` pixels."""
    side, half = config.local_resize, config.view_size // 2
    return {"offsets": views.region_offsets(side, half, REGIONS), "size": half, "side": side}


def check_runtime(package: Path) -> None:
    """Checks that a folder is the npm package onnxruntime-web.

    Raises:
        UserError: it is not, or a version of it with other files.
    """
    missing = [name for name in (*SCRIPTS, WASM) if not (package / "dist" / name).is_file()]
    if missing:
        raise UserError(
            f"{package} is not the npm package onnxruntime-web: it has no dist/{missing[0]}; get it with"
            " `npm install onnxruntime-web` and give node_modules/onnxruntime-web"
        )


def check_overwrite(out: Path, *, force: bool) -> None:
    """Checks that a page may be written to a folder.

    Raises:
        UserError: there is something else, or a page that is not to be replaced.
    """
    if not out.is_file() and not atomic.entries(out):
        return
    if not force:
        raise UserError(f"{out} exists already; choose another name, or overwrite it with --force")
    if not (out / CARD).is_file():
        raise UserError(f"{out} is not a page of this command, so --force does not replace it; remove it yourself")


def write(out: Path, package: Path, model: bytes, card: Mapping[str, str]) -> int:
    """Writes the page, complete or not at all.

    Model and runtime are compressed, which plain web servers do not do; the page unpacks them.

    Args:
        out: its folder.
        package: the folder of the npm package onnxruntime-web.
        model: an .onnx file.
        card: of the model.

    Returns:
        Bytes of all files together.
    """
    files = {path.name: path.read_bytes() for path in TEMPLATES.iterdir()}
    # All in one folder: also the modules that other pages have, too.
    files |= {path.name: name_beside(source).encode() for path, source in read_modules(TEMPLATES / "page.js").items()}
    files[STYLE] = write_ramp().encode() + files[STYLE]
    files |= {name: (package / "dist" / name).read_bytes() for name in SCRIPTS}
    files[CARD] = json.dumps(dict(card), indent=1).encode()
    # Not .gz: some servers say of such a file that the browser is to unpack it.
    files["runtime.wasm.gzip"] = gzip.compress((package / "dist" / WASM).read_bytes(), mtime=0)
    files["model.onnx.gzip"] = gzip.compress(model, mtime=0)
    with atomic.atomic_replace(out) as temporary:
        temporary.mkdir()
        for name, data in files.items():
            (temporary / name).write_bytes(data)
    return sum(map(len, files.values()))
