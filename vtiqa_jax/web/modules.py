"""JavaScript modules as one script: a page that is opened from disk cannot load them by their addresses.

Each module becomes a function that is called once, after those that it imports from, and returns what it exports. What
a module does not export stays its own, as in a browser. Of JavaScript's ways to import and export, the modules use
those that `_IMPORT` and `_EXPORT` know; what is exported is never assigned again.
"""

import graphlib
import os
import re
from pathlib import Path

_IMPORT = re.compile(r'^import \{ ([\w, ]+) \} from "(\.[\w./-]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:const|class|(?:async )?function) (\w+))", re.MULTILINE)
_OTHERS = re.compile(r"^\s*(?:import|export)\b.*", re.MULTILINE)


def imports(source: str) -> list[tuple[str, str, str]]:
    """Returns what a module imports: each name there, the name here, and the file as it is written."""
    found = []
    for names, file in _IMPORT.findall(source):
        for name in names.split(", "):
            there, _, here = name.partition(" as ")
            found.append((there, here or there, file))
    return found


def exports(source: str) -> list[str]:
    """Returns the names that a module exports."""
    return _EXPORT.findall(source)


def read_modules(main: Path) -> dict[Path, str]:
    """Reads a module and all that it needs.

    Returns:
        The text of each, after those of the modules that it imports from.

    Raises:
        OSError: a module is not there.
        graphlib.CycleError: modules import from one another in a circle.
        ValueError: a name is imported that is not exported, or a module imports or exports in a way that is not known.
    """
    sources: dict[Path, str] = {}
    needed: dict[Path, list[Path]] = {}
    waiting = [main.resolve()]
    while waiting:
        file = waiting.pop()
        if file in sources:
            continue
        sources[file] = file.read_text(encoding="utf-8")
        if unknown := _OTHERS.search(_EXPORT.sub("", _IMPORT.sub("", sources[file]))):
            raise ValueError(f"{file}: cannot be put into one script: {unknown[0].strip()}")
        needed[file] = [(file.parent / other).resolve() for _, _, other in imports(sources[file])]
        waiting.extend(needed[file])
    for file, source in sources.items():
        for name, _, other in imports(source):
            if name not in exports(sources[(file.parent / other).resolve()]):
                raise ValueError(f"{file}: {other} does not export {name}")
    return {file: sources[file] for file in graphlib.TopologicalSorter(needed).static_order()}


def name_beside(source: str) -> str:
    """Returns a module that imports from modules in its own folder, whatever theirs was."""
    return _IMPORT.sub(lambda match: f'import {{ {match[1]} }} from "./{Path(match[2]).name}";', source)


def join_modules(main: Path) -> str:
    """Returns a module and all that it needs as one script.

    Raises:
        OSError, graphlib.CycleError, ValueError: see `read_modules`.
    """

    def name(file: Path) -> str:
        return Path(os.path.relpath(file, main.resolve().parent)).as_posix()

    parts = ['"use strict";\n{\nconst modules = {};\n']
    for file, source in read_modules(main).items():
        values = ", ".join(exports(source))

        def destructure(match: re.Match[str], file: Path = file) -> str:
            return (
                f'const {{ {match[1].replace(" as ", ": ")} }} = modules["{name((file.parent / match[2]).resolve())}"];'
            )

        body = _EXPORT.sub("", _IMPORT.sub(destructure, source))
        parts.append(f'modules["{name(file)}"] = (() => {{\n{body}return {{ {values} }};\n}})();\n')
    return "".join((*parts, "}\n"))
