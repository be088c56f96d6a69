"""Reading and writing weights files. They are untrusted: nothing in them is ever executed."""

import errno
import operator
import pickle
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from vtiqa_jax import atomic
from vtiqa_jax.errors import UserError

Arrays = dict[str, np.ndarray]
"""Arrays by the key they have in a weights file."""

WRAPPERS = ("model", "state_dict")
"""Keys under which training scripts put the state dict (DeiT: `model`)."""
LONGEST_KEY = 200

TORCH_ENDINGS = (".pt", ".pth", ".bin", ".pth.tar", ".ckpt")
TORCH_DTYPES = {"float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"}
SAFETENSORS_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": jnp.dtype("bfloat16"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}

NEEDS = (
    'needs the extra "convert": pip install "vtiqa-jax[convert]" (PyTorch with CUDA takes gigabytes; docs/convert.md'
    " installs its build for CPUs)"
)
NEEDS_SAFETENSORS = "needs the package safetensors: pip install safetensors"


def _raise_if_of_the_disk(error: Exception) -> None:
    """Raises an error of the disk again; a damaged file's wrong offsets are errors of seeking, EINVAL."""
    if isinstance(error, OSError) and error.errno != errno.EINVAL:
        raise error


def _check_key(path: Path, key: str) -> None:
    """Refuses what would not be one line in a message.

    Raises:
        UserError: the key is too long, or has line breaks, say.
    """
    if not key.isprintable() or len(key) > LONGEST_KEY:
        raise UserError(f"{path}: an array has an unusable name: {ascii(key)[:LONGEST_KEY]}")


def _read_torch(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise UserError(f"reading {path} {NEEDS}") from error
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch names what the file tries to call, e.g. "Unsupported global: GLOBAL posix.system".
        called = re.search(r"GLOBAL (\S+)", str(error))
        if called:
            reason = f"it carries code ({called[1].rstrip('.')}), which is never run"
        else:
            reason = "it is not a PyTorch checkpoint"
        raise UserError(f"{path} is refused: {reason}; ask its author for a plain state_dict") from error
    except Exception as error:  # a damaged file raises whatever its first wrong byte leads to
        _raise_if_of_the_disk(error)
        if "TorchScript" in str(error):
            raise UserError(f"{path} is refused: it is a TorchScript program, which is never run") from error
        raise UserError(f"{path} is truncated or not a PyTorch checkpoint; fetch it again") from error


def _read_safetensors(path: Path) -> Arrays:
    try:
        import safetensors
    except ImportError as error:
        raise UserError(f"reading {path} {NEEDS_SAFETENSORS}") from error
    # Not `load_file`: which types it knows besides NumPy's own differs between versions of safetensors.
    try:
        tensors = sorted(safetensors.deserialize(path.read_bytes()), key=operator.itemgetter(0))
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} is truncated or not a safetensors file; fetch it again") from error
    arrays: Arrays = {}
    for key, tensor in tensors:
        _check_key(path, key)
        dtype = SAFETENSORS_DTYPES.get(tensor["dtype"])
        if dtype is None:
            raise UserError(f"{path}: {key} is stored as {tensor['dtype']}; save it as float32")
        arrays[key] = np.frombuffer(tensor["data"], dtype).reshape(tensor["shape"])
    return arrays


def _read_npz(path: Path) -> Arrays:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
            if not all(isinstance(array, np.ndarray) for array in arrays.values()):
                raise ValueError("not arrays")
            return arrays
    except (
        ValueError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        AttributeError,
        KeyError,
        TypeError,
        OSError,
    ) as error:
        _raise_if_of_the_disk(error)
        if "dtype descriptor" in str(error):
            raise UserError(f"{path} holds numbers that NumPy does not know ({error}); save them as float32") from error
        raise UserError(f"{path} is truncated, not an .npz archive, or holds objects instead of numbers") from error
    except (NotImplementedError, RuntimeError, MemoryError, OverflowError) as error:
        raise UserError(f"{path} is packed in a way that is not read ({error}); save it with numpy.savez") from error


def _from_torch(path: Path, key: str, tensor: Any) -> np.ndarray:
    """Returns a tensor as an array; NumPy has no bfloat16, which float32 holds exactly."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in TORCH_DTYPES:
        raise UserError(f"{path}: {key} is stored as {dtype}; save it as float32")
    if str(tensor.layout) != "torch.strided" or tensor.device.type != "cpu":
        raise UserError(f"{path}: {key} holds no plain numbers ({tensor.layout}, {tensor.device}); save it as float32")
    tensor = tensor.detach()
    return (tensor.float() if dtype == "bfloat16" else tensor).numpy()


def _flatten(path: Path, state: Any) -> Arrays:
    """Returns the arrays of nested mappings by dotted key, without a training run's numbers, texts and lists."""
    arrays: Arrays = {}
    waiting, seen = [("", state)], {id(state)}
    while waiting:
        prefix, mapping = waiting.pop(0)
        for name, value in mapping.items():
            key = f"{prefix}{name}"
            if isinstance(value, Mapping):
                if id(value) not in seen:  # a pickled mapping may hold itself
                    seen.add(id(value))
                    waiting.append((f"{key}.", value))
                continue
            if not isinstance(value, np.ndarray) and not hasattr(value, "detach"):
                continue
            _check_key(path, key)
            if key in arrays:
                raise UserError(f"{path}: {key} occurs twice")
            array = value if isinstance(value, np.ndarray) else _from_torch(path, key, value)
            arrays[key] = array.astype(np.float32) if array.dtype == jnp.bfloat16 else array
    return arrays


def read(path: Path) -> Arrays:
    """Returns the arrays of a weights file by key: .pt .pth .bin .pth.tar .ckpt .safetensors .npz.

    Mappings in mappings become dotted keys: `teacher.blocks.0.norm1.weight`. bfloat16 becomes float32.

    Raises:
        UserError: the file is missing, truncated, of no known kind, of numbers that NumPy does not know, one of several
            parts, or carries code.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; name the weights file in it")
    if not path.is_file():
        raise UserError(f"{path} is not a file")
    if re.search(r"-\d{5}-of-(?!00001)\d{5}\.", path.name):
        raise UserError(f"{path} is one of several parts of a model; save the whole model as one file")
    if path.suffix == ".npz":
        state: Any = _read_npz(path)
    elif path.suffix == ".safetensors":
        state = _read_safetensors(path)
    elif path.name.endswith(TORCH_ENDINGS):
        state = _read_torch(path)
    else:
        raise UserError(f"{path}: a weights file ends in {', '.join(TORCH_ENDINGS)}, .safetensors or .npz")
    arrays = _flatten(path, state) if isinstance(state, Mapping) else {}
    if not arrays:
        raise UserError(f"{path} holds no state_dict (a mapping of names to arrays)")
    return arrays


def unwrap(arrays: Arrays) -> Arrays:
    """Returns the state dict that a script has put under `model` or `state_dict`; of other files all arrays."""
    for wrapper in WRAPPERS:
        prefix = f"{wrapper}."
        inside = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
        arrays = inside or arrays
    return arrays


def _write_torch(path: Path, arrays: Arrays) -> None:
    try:
        import torch
    except ImportError as error:
        raise UserError(f"writing PyTorch's own format {NEEDS}; a .safetensors file does without") from error
    torch.save({key: torch.from_numpy(array.copy()) for key, array in arrays.items()}, path)


def _write_safetensors(path: Path, arrays: Arrays) -> None:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise UserError(f"writing .safetensors {NEEDS_SAFETENSORS}") from error
    # Marked as timm and transformers mark arrays in PyTorch's layout. Not by `save_file`: only the owner may read what
    # that makes, whatever the umask.
    path.write_bytes(safetensors.numpy.save(arrays, metadata={"format": "pt"}))


def write(path: Path, arrays: Arrays) -> None:
    """Writes a state dict, complete or not at all: .safetensors, or with any other ending as `torch.save` does.

    Raises:
        UserError: safetensors, or torch, is not installed.
    """
    with atomic.atomic_replace(path) as temporary:
        (_write_safetensors if path.suffix == ".safetensors" else _write_torch)(temporary, arrays)
