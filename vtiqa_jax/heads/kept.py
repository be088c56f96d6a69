"""Features of photos, kept in a file: a build that is stopped continues where it was."""

import dataclasses
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vtiqa_jax import atomic
from vtiqa_jax.models.config import ModelConfig

Arrays = TypeVar("Arrays")


def without_heads(config: ModelConfig) -> ModelConfig:
    """Returns a config without what comes after the backbone and its native views: what these see stays the same.

    Heads learn from one view at each factor. More of them show a photo more surely, and teach nothing else.
    """
    heads = ("subject", "soft_ends", "novelty", "reasons", "intervals", "opinions", "taste")
    return config.replace(native_mosaics=(), **dict.fromkeys(heads, False))


def read_kept(file: Path, kind: type[Arrays]) -> Arrays | None:
    """Reads arrays that were kept.

    Args:
        file: an .npz.
        kind: a dataclass of arrays.

    Returns:
        None where the file is not there, or damaged.
    """
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            return kind(**{name: stored[name] for name in names})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def keep(file: Path, made: Any) -> None:
    """Keeps a dataclass of arrays in a file, whose folder is made.

    Raises:
        OSError: the disk takes no more.
    """
    atomic.make_folder(file.parent)
    with atomic.atomic_replace(file) as temporary, temporary.open("wb") as out:
        np.savez(out, allow_pickle=False, **vars(made))


def read_or_make(file: Path, kind: type[Arrays], make: Callable[[], Arrays]) -> Arrays:
    """Reads arrays that were made before, or makes and keeps them.

    Args:
        file: an .npz; one that is damaged is made anew.
        kind: a dataclass of arrays.
        make: makes them.

    Raises:
        OSError: the disk takes no more.
    """
    found = read_kept(file, kind)
    if found is None:
        found = make()
        keep(file, found)
    return found
