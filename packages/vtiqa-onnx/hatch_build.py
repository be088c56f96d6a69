"""Makes the package `vtiqa_onnx` out of this folder, of parts of `vtiqa_jax`, and of the packaged model as ONNX.

The modules here import from `vtiqa_jax`, so that they run in a clone as they are. A wheel or an sdist has copies of
these modules, and of all modules of `vtiqa_jax` that they import, in which that name is `vtiqa_onnx`. An sdist has them
and the model ready: a wheel made from it needs neither the repository nor JAX.
"""

import ast
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME, SHARED = "vtiqa_onnx", "vtiqa_jax"
LEFT_OUT = {Path("photos/opencv.py")}
"""Parts that the shared code does without where they are missing."""
MODEL = "model.onnx"


def list_imports(source: str) -> Iterator[str]:
    """Yields what a module imports when it is imported itself, as the dotted names of modules or of what is in them.

    What a function imports is left out: of `vtiqa_jax` it is what `vtiqa_onnx` never calls.
    """
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef):
            waiting += ast.iter_child_nodes(node)


def find_shared(own: Path, shared: Path) -> set[Path]:
    """Finds the files of the package `shared` that the modules in the folder `own` need, relative to it."""
    found: set[Path] = set()
    waiting = list(own.rglob("*.py"))
    while waiting:
        for name in list_imports(waiting.pop().read_text(encoding="utf-8")):
            first, *parts = name.split(".")
            if first != SHARED:
                continue
            whole = Path(*parts)  # the last part may be a module, or something in the one before
            folders = [parent for parent in whole.parents if parent.name]
            for place in (
                *(path.with_suffix(".py") for path in (whole, *folders)),
                *(f / "__init__.py" for f in folders),
            ):
                if place not in found | LEFT_OUT and (shared / place).is_file():
                    found.add(place)
                    waiting.append(shared / place)
    return found


def collect(own: Path, shared: Path, target: Path) -> None:
    """Writes the package, without the model."""
    files = {path.relative_to(own): path for path in own.rglob("*.py")}
    files |= {place: shared / place for place in find_shared(own, shared)}
    for place, source in files.items():
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        text = re.sub(rf"\b{SHARED}\b", NAME, source.read_text(encoding="utf-8"))
        (target / place).write_text(text, encoding="utf-8", newline="\n")
    (target / "py.typed").touch()


def export_model(path: Path) -> None:
    """Writes the packaged model: `vtiqa export default model.onnx --inputs prepared --storage int8`."""
    try:
        from vtiqa_jax.commands.export import export
    except ImportError as error:
        sys.exit(f'vtiqa-onnx is built where vtiqa-jax is installed: pip install -e ".[export]" ({error})')
    export("default", path, storage="int8", inputs="prepared", force=True)


class PackageHook(BuildHookInterface):
    """Adds the package to what is built."""

    def dependencies(self) -> list[str]:
        """Asks for vtiqa-jax where the model has to be made."""
        repository = Path(self.root).parents[1]
        return [f"vtiqa-jax[export] @ {repository.as_uri()}"] if self._is_clone else []

    @property
    def _is_clone(self) -> bool:
        return not Path(self.root, "PKG-INFO").exists()

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Makes the package, in a clone; of an sdist the files are ready."""
        if version == "editable":
            return
        own = Path(self.root, NAME)
        if self._is_clone:
            made = Path(self.root, "build", NAME)
            shutil.rmtree(made, ignore_errors=True)
            collect(own, Path(self.root).parents[1] / SHARED, made)
            export_model(made / MODEL)
            own = made
        build_data["force_include"] = {str(own): NAME}
