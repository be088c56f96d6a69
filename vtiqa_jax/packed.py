"""A model in one small file: matrices as 8-bit integers with a scale for each group of inputs of an output channel.

For models that travel inside a wheel. Everything else uses `vtiqa_jax.checkpoint`.
"""

import json
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float16, Int8

from vtiqa_jax.checkpoint import Checkpoint, card, from_card
from vtiqa_jax.errors import UserError

GROUP = 32
"""Inputs that share a scale. Smaller groups are more exact and cost 2 bytes each."""
EXACT = re.compile(r".*(patch_embed\.proj|blocks\.[0-3]\.attn\.proj)\.kernel")
"""Matrices kept as float16. Rounding these few moves the packaged model's scores the most (docs/default-model.md)."""
CARD = "card.json"


def quantise(
    kernel: Float[np.ndarray, "inputs outputs"],
) -> tuple[Int8[np.ndarray, "groups group outputs"], Float16[np.ndarray, "groups outputs"]]:
    """-127..127 and the scales they are multiplied with. Errors: ValueError when GROUP does not divide the inputs."""
    grouped = kernel.reshape(-1, GROUP, kernel.shape[1])
    # Rounded up to float16, so that no quotient exceeds 127; a group of zeros keeps the scale 1.
    greatest = np.abs(grouped).max(1)
    scales = np.nextafter((greatest / 127).astype(np.float16), np.float16(np.inf))
    scales = np.where(greatest > 0, scales, np.float16(1))
    return np.rint(grouped / scales[:, None].astype(np.float32)).astype(np.int8), scales


def restore(
    integers: Int8[np.ndarray, "groups group outputs"], scales: Float16[np.ndarray, "groups outputs"]
) -> Float[np.ndarray, "inputs outputs"]:
    """The matrix that `quantise` rounded, float32."""
    return (integers.astype(np.float32) * scales[:, None].astype(np.float32)).reshape(-1, integers.shape[2])


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Writes the backbone's matrices, but those of `EXACT`, as 8-bit integers and all else as float16; complete or not
    at all."""
    arrays: dict[str, np.ndarray] = {}
    for name, array in checkpoint.params.items():
        if name.startswith("backbone.") and array.ndim == 2 and not EXACT.fullmatch(name):
            arrays[f"{name}.int8"], arrays[f"{name}.scale"] = quantise(np.asarray(array, np.float32))
        else:
            arrays[name] = np.asarray(array, np.float16)
    arrays[CARD] = np.frombuffer(json.dumps(card(checkpoint)).encode(), np.uint8)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    part.replace(path)


def load(path: Path) -> Checkpoint:
    """Reads the model back, float32. Errors: UserError when the file is missing, damaged or something else."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        told = json.loads(arrays.pop(CARD).tobytes())
        params = {}
        for name, array in arrays.items():
            if name.endswith(".int8"):
                matrix = name.removesuffix(".int8")
                params[matrix] = restore(array, arrays[f"{matrix}.scale"])
            elif not name.endswith(".kernel.scale"):
                params[name] = array.astype(np.float32)
        return from_card(told, params)
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        EOFError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise UserError(f"{path} is not a packed model of this project, or damaged: {error}") from error
