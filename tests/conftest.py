"""Strictness for every test, and the small model they share."""

import os
import sys
from collections.abc import Callable, Iterator

import jax
import numpy as np
import pytest

from vtiqa_jax import params
from vtiqa_jax.config import LabelScale, ModelConfig, small

# Silent promotion and broadcasting are errors; eight devices, so that sharding is exercised on any machine.
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 8)


@pytest.fixture(autouse=True, scope="session")
def compilation_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Programs compile once for the whole run, also in other processes, and nothing is left in the user's folders."""
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def usual_promotion() -> Iterator[None]:
    """For training: Optax mixes types itself, its step counters are integers."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="session")
def config() -> ModelConfig:
    return small()


@pytest.fixture(scope="session")
def weights(config: ModelConfig) -> params.Params:
    """Drawn large, so that photos get visibly different scores."""
    drawn = params.drawn(config, seed=0)
    return {key: np.asarray(array) * np.float32(3 if key.endswith("kernel") else 1) for key, array in drawn.items()}


@pytest.fixture(scope="session")
def scale() -> LabelScale:
    return LabelScale("test", 1.0, 5.0)


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a program's `main` with arguments; its exit status, standard output and standard error."""

    def call(main: Callable[[], None], *arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
        # As a person's console: no colours, no line breaks within a path.
        monkeypatch.setenv("COLUMNS", "1000")
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call
