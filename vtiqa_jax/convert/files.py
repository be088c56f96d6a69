"""Reading and writing weights files. They are untrusted: nothing in them is ever executed."""

import pickle
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from vtiqa_jax import atomic
from vtiqa_jax.errors import UserError

Arrays = dict[str, np.ndarray]
"""Arrays by the key they have in a weights file."""

WRAPPERS = ("model", "state_dict")
"""Keys under which training scripts put the state dict (DeiT: `model`)."""

NEEDS = 'needs the extra "convert": pip install "vtiqa-jax[convert]"'
NEEDS_SAFETENSORS = "needs the package safetensors: pip install safetensors"


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
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise UserError(f"{path} is truncated or not a PyTorch checkpoint; fetch it again") from error


def _read_safetensors(path: Path) -> Arrays:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise UserError(f"reading {path} {NEEDS_SAFETENSORS}") from error
    try:
        return safetensors.numpy.load_file(path)
    except TypeError as error:  # NumPy has no bfloat16 (nor float8)
        raise UserError(f"{path} holds numbers that NumPy does not know ({error}); save it as float32") from error
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} is truncated or not a safetensors file; fetch it again") from error


def _read_npz(path: Path) -> Arrays:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
            if not all(isinstance(array, np.ndarray) for array in arrays.values()):
                raise ValueError("not arrays")
            return arrays
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, AttributeError, KeyError) as error:
        raise UserError(f"{path} is truncated, not an .npz archive, or holds objects instead of numbers") from error


def _as_arrays(path: Path, state: Any) -> Arrays:
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not state:
        raise UserError(f"{path} holds no state_dict (a mapping of names to arrays)")
    arrays: Arrays = {}
    for key, value in state.items():
        if isinstance(value, np.ndarray):
            arrays[str(key)] = value
        elif hasattr(value, "detach"):
            tensor = value.detach()
            # NumPy has no bfloat16, and every weight becomes float32 in any case.
            arrays[str(key)] = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        else:
            raise UserError(f"{path}: {key} is not an array but {type(value).__name__}; is this a state_dict?")
    return arrays


def read(path: Path) -> Arrays:
    """The arrays of a weights file by key, taken out of DeiT's `model` wrapper: .pt .pth .bin .safetensors .npz.

    Raises:
        UserError: the file is missing, truncated, of no known kind, or carries code.
    """
    if not path.is_file():
        raise UserError(f"{path} is not a file")
    if path.suffix == ".npz":
        state: Any = _read_npz(path)
    elif path.suffix == ".safetensors":
        state = _read_safetensors(path)
    elif path.suffix in (".pt", ".pth", ".bin"):
        state = _read_torch(path)
    else:
        raise UserError(f"{path}: a weights file ends in .pt, .pth, .bin, .safetensors or .npz")
    return _as_arrays(path, state)


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
