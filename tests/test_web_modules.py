"""The pages' JavaScript: modules that import what they use, put together into one script."""

import graphlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from vtiqa_jax.export.web_page import TEMPLATES
from vtiqa_jax.gallery.page import SCRIPT
from vtiqa_jax.web.modules import imports, join_modules, name_beside, read_modules

MODULES = sorted({file for main in (SCRIPT, TEMPLATES / "page.js") for file in read_modules(main)})
GLOBALS = set(
    re.findall(
        r"\w+",
        """Array Blob Boolean Infinity JSON Map Math NaN Number Object Promise ResizeObserver Set String URL Worker
    atob clearTimeout document fetch getComputedStyle localStorage matchMedia navigator parseInt
    requestAnimationFrame setTimeout undefined window""",
    )
)
"""What browsers have, of that which the pages use."""
KEYWORDS = set(
    re.findall(
        r"\w+",
        """async await break case catch class const constructor continue default delete do else export extends false
    finally for from function if import in instanceof let new null of return static switch this throw true try
    typeof while""",
    )
)
NO_CODE = re.compile(
    r"""(?P<gap>//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<=[(=,!&|?:;\s])/(?![/*\s])(?:\\.|\[(?:\\.|[^\]])*\]|[^/\\\n\[])+/\w*)"""
    r"""|`(?P<template>(?:\\.|\$\{(?:[^{}`]|\{[^{}]*\}|`[^`]*`)*\}|[^`\\])*)`""",
    re.DOTALL,
)
"""Comments, strings, regular expressions; templates, which have code within."""


def code(source: str) -> str:
    """A module without its imports, comments and texts."""

    def keep(match: re.Match[str]) -> str:
        parts = re.findall(r"\$\{((?:[^{}`]|\{[^{}]*\}|`[^`]*`)*)\}", match["template"] or "", re.DOTALL)
        return f" {' ; '.join(map(code, parts))} "

    return NO_CODE.sub(keep, re.sub(r"^import .*$", "", source, flags=re.MULTILINE))


def used(source: str) -> set[str]:
    """Names that a module reads: neither behind a dot nor before a colon."""
    return set(re.findall(r"(?<![\w.#])([A-Za-z_]\w*)(?!\w|:)", code(source).replace("...", " ")))


def declared(source: str) -> set[str]:
    """Names that a module declares, at its top or within."""
    text = code(source)
    places = re.findall(r"\b(?:const|let|function|class)\s+(\w+)", text)
    places += re.findall(r"\b(?:const|let)\s+([\[{].*?[\]}])\s*(?:=|of)", text, re.DOTALL)
    places += re.findall(r"\((?=((?:[^()]|\([^()]*\))*)\)\s*=>)", text)
    places += re.findall(r"(\w+)\s*=>", text)
    places += re.findall(r"\bfunction \w+\(([^)]*)\)", text)
    places += re.findall(r"^  #?(\w+\([^)]*\)) \{$", text, re.MULTILINE)  # a method and what it is given
    return {name for place in places for name in re.findall(r"\w+", place)}


def undeclared(source: str) -> set[str]:
    return used(source) - declared(source) - KEYWORDS - GLOBALS - {here for _, here, _ in imports(source)}


@pytest.mark.parametrize("file", MODULES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_module_imports_what_it_uses_and_no_more(file: Path) -> None:
    source = file.read_text()
    assert undeclared(source) == set()
    assert {here for _, here, _ in imports(source)} <= used(source) - declared(source)


def test_every_script_belongs_to_a_page() -> None:
    there = {file for folder in (SCRIPT.parent, TEMPLATES, SCRIPT.parents[2] / "web") for file in folder.glob("*.js")}
    assert there - set(MODULES) == {TEMPLATES / "worker.js"}  # which is started, not imported


def test_it_sees_a_name_that_is_not_imported() -> None:
    source = 'import { a } from "./a.js";\nconst b = (c) => `${d(c, "e")} f ${`${a.g}`}`; // h\n'
    assert undeclared(source) == {"d"}


def write(folder: Path, **modules: str) -> Path:
    for name, source in modules.items():
        (folder / f"{name}.js").write_text(source)
    return folder / "main.js"


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_one_script_does_what_its_modules_do(tmp_path: Path) -> None:
    """Also with names that several modules have, renamed imports, and a module that two others need."""
    main = write(
        tmp_path,
        main='import { count as counted, next } from "./b.js";\nimport { next as other } from "./c.js";\n'
        "const own = 1;\nconsole.log(next(), other(), counted(), own);\n",
        b='import { next as step } from "./a.js";\nconst own = 2;\nexport const next = () => step();\n'
        "export function count() {\n  return step() + own;\n}\n",
        c='import { next as step } from "./a.js";\nconst own = 100;\nexport const next = () => own + step();\n',
        a="let own = 0;\nexport const next = () => (own += 1);\n",
    )
    (tmp_path / "package.json").write_text('{"type": "module"}')
    joined = tmp_path / "joined.js"
    joined.write_text(join_modules(main))
    said = [
        subprocess.run(["node", file], check=True, capture_output=True, text=True).stdout for file in (main, joined)
    ]
    assert said == ["1 102 5 1\n"] * 2


@pytest.mark.parametrize(
    ("other", "error", "said"),
    [
        ("export const b = 1;\n", ValueError, "does not export a"),
        ("export const ab = 1;\n", ValueError, "does not export a"),
        ('import { main } from "./main.js";\nexport const a = main;\n', graphlib.CycleError, "cycle"),
        ('import { b } from "./none.js";\nexport const a = b;\n', FileNotFoundError, "none.js"),
        ("export let a = 1;\n", ValueError, "one script: export let a"),
        ("export default 1;\nexport const a = 1;\n", ValueError, "one script: export default"),
        ('import * as b from "./b.js";\nexport const a = b;\n', ValueError, "one script: import \\*"),
        ('import {b} from "./b.js";\nexport const a = b;\n', ValueError, "one script: import"),
    ],
)
def test_what_would_not_run_is_refused(tmp_path: Path, other: str, error: type[Exception], said: str) -> None:
    main = write(tmp_path, main='import { a } from "./other.js";\nexport const main = a;\n', other=other, b="")
    with pytest.raises(error, match=said):
        join_modules(main)


def test_a_name_that_is_declared_twice_is_no_script() -> None:
    """Within a module; in two modules it may be."""
    joined = join_modules(SCRIPT)
    assert joined == join_modules(SCRIPT), "the same bytes each time"
    for file in MODULES:
        top = re.findall(r"^(?:export )?(?:const|let|class|(?:async )?function) (\w+)", file.read_text(), re.MULTILINE)
        names = [*top, *(here for _, here, _ in imports(file.read_text()))]
        assert len(names) == len(set(names)), file


def test_modules_of_several_folders_are_found_in_one() -> None:
    assert name_beside('import { a, b as c } from "../../web/a.js";\n') == 'import { a, b as c } from "./a.js";\n'
    names = [file.name for file in read_modules(TEMPLATES / "page.js")]
    assert len(set(names)) == len(names)
