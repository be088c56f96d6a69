"""What rooms know: which need no JAX, and which files know a decoder. `lint-imports` holds the order of the rooms."""

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vtiqa_jax"
OTHERS = tuple(PACKAGE.parent / name for name in ("benchmarks", "experiments", "convert"))


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
