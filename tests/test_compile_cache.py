"""The folder of compiled programs: where there is none, how it stays small, and what a damaged one costs."""

import os
import pwd
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from vtiqa_jax import compile_cache

CONFIGURED = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No folder named by the environment, and JAX's settings as before afterwards."""
    for name in ("JAX_COMPILATION_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    before = {name: getattr(jax.config, name) for name in CONFIGURED}
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def unknown(uid: int) -> None:
    raise KeyError(f"getpwuid(): uid not found: {uid}")


@pytest.mark.parametrize("home", [None, "", "/", "relative", "/proc", "/dev/null"], ids=repr)
def test_without_a_home_there_is_none(home: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    before = jax.config.jax_compilation_cache_dir
    compile_cache.keep_compiled()
    assert jax.config.jax_compilation_cache_dir == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("named", ["", "relative"])
def test_a_relative_name_of_it_does_not_count(named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", named)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert compile_cache.make_cache_folder() == tmp_path / ".cache" / "vtiqa-jax"


@pytest.mark.parametrize("named", ["/proc", "/dev/null"])
def test_one_that_cannot_be_made_is_not_sought_elsewhere(
    named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", named)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert compile_cache.make_cache_folder() is None
    assert not list(tmp_path.iterdir())


def test_it_is_left_to_jax_where_jax_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")
    before = jax.config.jax_compilation_cache_dir
    compile_cache.keep_compiled()
    assert jax.config.jax_compilation_cache_dir == before
    assert not list(tmp_path.iterdir())


def fill(folder: Path, sizes: dict[str, int]) -> None:
    """Files that were used one after the other."""
    for age, (name, size) in enumerate(reversed(sizes.items())):
        (folder / name).write_bytes(bytes(size))
        os.utime(folder / name, (1e9 - age, 1e9 - 2 * age))


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 400, "b": 300, "c": 200, "d": 100})
    (tmp_path / "folder").mkdir()
    for most, left in ((1000, "abcd"), (999, "bcd"), (600, "bcd"), (599, "cd"), (300, "cd"), (1, ""), (0, "")):
        compile_cache.trim(tmp_path, most)
        assert "".join(sorted(file.name for file in tmp_path.iterdir() if file.is_file())) == left
    assert (tmp_path / "folder").is_dir()


def test_reading_counts_as_use(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 10, "b": 10})
    os.utime(tmp_path / "a", (1e9 + 5, 1e9 - 9))
    compile_cache.trim(tmp_path, 10)
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "mine").write_bytes(bytes(100))
    (tmp_path / "cache" / "link").symlink_to(tmp_path / "mine")
    (tmp_path / "cache" / "broken").symlink_to(tmp_path / "none")
    compile_cache.trim(tmp_path / "cache", 0)
    assert (tmp_path / "mine").stat().st_size == 100


def test_it_is_trimmed_when_a_command_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compile_cache, "MAX_BYTES", 100)
    (tmp_path / "vtiqa-jax").mkdir()
    fill(tmp_path / "vtiqa-jax", {"old": 90, "new": 90})
    compile_cache.keep_compiled()
    assert [file.name for file in (tmp_path / "vtiqa-jax").iterdir()] == ["new"]


def compile_anew(number: float) -> None:
    """Compiles a program that JAX has not seen in this process, with its folder opened anew."""
    compilation_cache.reset_cache()
    assert float(jax.jit(lambda x: x * number + 1)(np.float32(2))) == 2 * number + 1


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that JAX uses."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compile_cache.keep_compiled()
    return tmp_path / "vtiqa-jax"


@pytest.mark.parametrize("damage", [b"", b"no program", None], ids=["empty", "nonsense", "cut off"])
def test_a_damaged_file_costs_no_result_and_no_word(kept: Path, damage: bytes | None) -> None:
    compile_anew(3)
    files = list(kept.glob("*-cache"))
    assert files
    for file in files:
        file.write_bytes(file.read_bytes()[:-20] if damage is None else damage)
    compile_anew(3)  # a warning would be an error here


def test_a_folder_that_went_away_or_became_a_file_costs_no_result_and_no_word(kept: Path) -> None:
    shutil.rmtree(kept)
    kept.write_bytes(b"")
    compile_anew(4)


def test_nothing_is_added_on_a_disk_that_is_nearly_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def free(room: int) -> Any:
        return lambda folder: namedtuple("Usage", "total used free")(1 << 40, 0, room)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", free(compile_cache.MIN_FREE - 1))
    compile_cache.keep_compiled()
    compile_anew(5)
    assert not list((tmp_path / "vtiqa-jax").iterdir())
    monkeypatch.setattr(shutil, "disk_usage", free(compile_cache.MIN_FREE))
    compile_cache.keep_compiled()
    compile_anew(5)
    assert list((tmp_path / "vtiqa-jax").iterdir())
