"""A person's own Python, named on the command line: FILE.py or a module, and a class in it.

It is run, as `python FILE.py` would run it. Nothing that comes with a model's weights gets here.
"""

import contextlib
import dataclasses
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from vtiqa_jax.errors import UserError

Class = TypeVar("Class")


@contextlib.contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Lets modules be imported from a folder."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def load_module(name: str) -> ModuleType:
    """Imports a file that ends in .py, or a module by its dotted name, from the present folder, too.

    Raises:
        UserError: there is none, or it cannot be run; says why.
    """
    file = Path(name)
    is_file = file.suffix == ".py"
    if is_file and not file.is_file():
        raise UserError(f"{name}: no such file")
    try:
        if not is_file:
            with _importing_from(Path.cwd()):
                return importlib.import_module(name)
        spec = importlib.util.spec_from_file_location(f"own_{file.stem}", file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where dataclasses look for the module of a class
        with _importing_from(file.resolve().parent):
            spec.loader.exec_module(module)
        return module
    except (Exception, SystemExit) as error:  # whatever a person's code may raise
        said = " ".join(str(error).split())
        raise UserError(f"{name} cannot be imported: {type(error).__name__}: {said}") from error


def load_class(where: str, base: type[Class]) -> type[Class]:
    """Loads a frozen dataclass, whose fields become options, by FILE.py:CLASS or MODULE:CLASS.

    Args:
        where: its place.
        base: what it must be a subclass of.

    Raises:
        UserError: there is none; says what there is.
    """
    name, _, wanted = where.rpartition(":")
    if not name or not wanted:
        raise UserError(f"{where}: name a class as FILE.py:CLASS or MODULE:CLASS")
    module = load_module(name)
    own = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, base)]
    found = getattr(module, wanted, None)
    if found is None:
        here = [key for key in own if vars(module)[key].__module__ == module.__name__]
        hint = f"it has {', '.join(here)}" if here else f"it has no subclass of {base.__name__} either"
        raise UserError(f"{name} has no {wanted}; {hint}")
    if wanted not in own:
        raise UserError(f"{wanted} in {name} is not a subclass of {base.__module__}.{base.__name__}")
    if inspect.isabstract(found):
        raise UserError(f"{wanted} in {name} lacks {', '.join(sorted(found.__abstractmethods__))}")
    made: Any = found
    if not dataclasses.is_dataclass(made) or made.__hash__ is None:
        raise UserError(
            f"{wanted} in {name} is not a frozen dataclass; put @dataclasses.dataclass(frozen=True) above it"
        )
    for field in dataclasses.fields(made):
        if field.init and field.default is field.default_factory is dataclasses.MISSING:
            raise UserError(f"{wanted} in {name}: {field.name} needs a default")
    return found


def source_hash(found: type) -> str:
    """Returns the SHA-256 of the file that a class is in; empty for one that was typed in."""
    try:
        return hashlib.sha256(Path(inspect.getfile(found)).read_bytes()).hexdigest()
    except (OSError, TypeError):
        return ""
