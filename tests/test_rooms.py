"""The order of the rooms: each imports only from rooms below it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vtiqa_jax"
OTHERS = tuple(PACKAGE.parent / name for name in ("benchmarks", "experiments", "convert"))
FLOORS = (
    {"distribution", "errors"},
    {"atomic", "compile_cache", "cpus", "exits", "own_code", "sharding", "terminal"},
    {"photos"},
    {"models"},
    {"data", "results"},
    {"evaluation", "xmp"},
    {"scoring"},
    {"choosing"},
    {"gallery"},
    {"training"},
    {"train", "heads", "convert", "export", "bulk"},
    {"tuning"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
"""From the ground up. The package's own `__init__` is for its users and, of its rooms, for the commands."""
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def imports(file: Path) -> set[str]:
    """The rooms that a module imports from, also within its functions."""
    rooms = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "vtiqa_jax":
            parts = node.module.split(".")
            rooms |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            rooms |= {name[1] for name in names if name[0] == "vtiqa_jax" and len(name) > 1}
    return rooms


MODULES = sorted(file for file in PACKAGE.rglob("*.py") if file != PACKAGE / "__init__.py")


def test_every_module_is_in_a_room() -> None:
    assert {file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in MODULES} == FLOOR.keys()
    assert len(MODULES) > 40


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_room_imports_only_from_rooms_below(file: Path) -> None:
    room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    above = {other for other in imports(file) - {room} if FLOOR[other] >= FLOOR[room]}
    assert not above


def test_it_sees_an_import_that_runs_upwards(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("def f():\n    from vtiqa_jax.training import recipe\n    import vtiqa_jax.train\n")
    assert imports(tmp_path / "x.py") == {"training", "train"}


@pytest.mark.parametrize("room", ["photos", "results"])
def test_photos_are_read_and_results_written_without_jax(room: str) -> None:
    """By a fresh process: what does not compute shall not wait for JAX, nor need it."""
    modules = [f"vtiqa_jax.{room}.{file.stem}" for file in (PACKAGE / room).glob("*.py") if file.stem != "__init__"]
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert set(modules) <= set(loaded)
    assert not {"jax", "jaxlib", "flax", "matplotlib"} & set(loaded)


@pytest.mark.parametrize("name", ["imdecode", "rawpy", "pi_heif"])
def test_one_file_knows_each_decoder(name: str) -> None:
    places = [path for room in (PACKAGE, *OTHERS) for path in room.rglob("*.py") if name in path.read_text()]
    assert len(places) == 1, places
