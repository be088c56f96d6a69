"""A model in one small file: matrices as 8-bit integers with a scale for each group of inputs of an output channel.

For models that travel inside a wheel. Everything else uses `checkpoint.py`.
"""

import json
import zipfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float16, Int8

from vtiqa_jax import atomic
from vtiqa_jax.errors import UserError
from vtiqa_jax.models.checkpoint import Checkpoint, from_metadata, to_metadata
from vtiqa_jax.models.params import is_matmul_weight, param_group

GROUP_SIZE = 32
"""Inputs that share a scale. Smaller groups are more exact and cost 2 bytes each."""
METADATA_FILE = "card.json"


def quantize(
    kernel: Float[np.ndarray, "inputs outputs"],
) -> tuple[Int8[np.ndarray, "groups group outputs"], Float16[np.ndarray, "groups outputs"]]:
    """Rounds a matrix to 8 bits. One that was rounded before keeps its values.

    Returns:
        Integers in -127..127, and the scales they are multiplied with.

    Raises:
        ValueError: GROUP_SIZE does not divide the number of inputs.
    """
    grouped = kernel.reshape(-1, GROUP_SIZE, kernel.shape[1])
    # Rounded up to float16, so that no quotient exceeds 127; a group of zeros keeps the scale 1.
    greatest = np.abs(grouped).max(1)
    scales = (greatest / 127).astype(np.float16)
    scales = np.where(127 * scales.astype(np.float32) < greatest, np.nextafter(scales, np.float16(np.inf)), scales)
    # Tiny scales are far apart. That of a matrix rounded before may be the next one: its greatest integer is below 127.
    following = np.nextafter(scales, np.float16(np.inf))
    was_next = ~_is_whole(grouped, scales) & _is_whole(grouped, following)
    scales = np.where(greatest > 0, np.where(was_next, following, scales), np.float16(1))
    return np.rint(grouped / scales[:, None].astype(np.float32)).astype(np.int8), scales


def _is_whole(
    grouped: Float[np.ndarray, "groups group outputs"], scales: Float16[np.ndarray, "groups outputs"]
) -> Bool[np.ndarray, "groups outputs"]:
    """Returns whether all numbers of a group are whole multiples of its scale."""
    multiples = grouped / np.maximum(scales, np.finfo(np.float16).smallest_subnormal)[:, None].astype(np.float32)
    return (multiples == np.rint(multiples)).all(1)


def dequantize(
    integers: Int8[np.ndarray, "groups group outputs"], scales: Float16[np.ndarray, "groups outputs"]
) -> Float[np.ndarray, "inputs outputs"]:
    """Returns the matrix that `quantize` rounded, float32."""
    return (integers.astype(np.float32) * scales[:, None].astype(np.float32)).reshape(-1, integers.shape[2])


def is_quantized(name: str, depth: int) -> bool:
    """Tells whether a parameter is rounded: a matrix, but for those whose rounding moves scores the most.

    Those are the patch embedding and, in the first half of the blocks, attention's projection (docs/default-model.md).
    """
    group, block = param_group(name)
    early_projection = group == "block" and block < depth // 2 and name.endswith("attn.proj.kernel")
    return is_matmul_weight(name) and group != "embed" and not early_projection


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Writes most of the backbone's matrices as 8-bit integers and all else as float16; complete or not at all."""
    arrays: dict[str, np.ndarray] = {}
    for name, array in checkpoint.params.items():
        if is_quantized(name, checkpoint.config.depth):
            arrays[f"{name}.int8"], arrays[f"{name}.scale"] = quantize(np.asarray(array, np.float32))
        else:
            arrays[name] = np.asarray(array, np.float16)
    arrays[METADATA_FILE] = np.frombuffer(json.dumps(to_metadata(checkpoint)).encode(), np.uint8)
    with atomic.atomic_replace(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def load(path: Path) -> Checkpoint:
    """Reads the model back, float32.

    Raises:
        UserError: the file is missing, damaged or something else.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        metadata = json.loads(arrays.pop(METADATA_FILE).tobytes())
        params = {}
        for name, array in arrays.items():
            if name.endswith(".int8"):
                matrix = name.removesuffix(".int8")
                params[matrix] = dequantize(array, arrays[f"{matrix}.scale"])
            elif not name.endswith(".kernel.scale"):
                params[name] = array.astype(np.float32)
        return from_metadata(metadata, params)
    # What NumPy raises for a file that is no .npz, is cut off, or holds other arrays.
    except (OSError, ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        # NumPy's own words say how to unpickle code; those of the system are of use.
        reason = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else "; fetch or make it again"
        raise UserError(f"{path} is damaged, or not a quantized model of this project{reason}") from error
