"""Strictness for every test, and the small model they share."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

from vtiqa_jax.models import checkpoint
from vtiqa_jax.models.checkpoint import Checkpoint
from vtiqa_jax.models.config import LabelScale, ModelConfig, tiny_config
from vtiqa_jax.models.params import Params, init_params

# Silent promotion and broadcasting are errors; eight devices, so that sharding is exercised on any machine.
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 8)


UNOPTIMIZED = "--xla_backend_optimization_level=0"
"""Compiles faster, with both flags in a third of the time. Programs, kernels and sums are the same, only not tuned."""
if jax.__version_info__ < (0, 11):  # jaxlib 0.12.0.1 crashes with it when it compiles a training step
    UNOPTIMIZED += " --xla_cpu_use_fusion_emitters=false"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--optimized", action="store_true", help="compile as people's programs are: slower, for numerics")


def pytest_configure(config: pytest.Config) -> None:
    """How all workers, and the processes they start, compile, and one folder of what is compiled, kept for later runs.

    It runs before the workers start, which inherit the environment, and before XLA reads its flags.
    """
    if not config.getoption("optimized"):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {UNOPTIMIZED}"
    # An entry that another worker is still writing, or that a killed run left, is compiled again.
    config.addinivalue_line("filterwarnings", "ignore:Error (reading|writing) persistent compilation cache:UserWarning")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(config.rootpath / ".pytest_cache" / "jax"))
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    # JAX, imported above, has read its environment already.
    jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def usual_promotion() -> Iterator[None]:
    """For training and for JAX's attention in bfloat16: Optax and JAX mix types themselves."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="session")
def config() -> ModelConfig:
    return tiny_config()


@pytest.fixture(scope="session")
def weights(config: ModelConfig) -> Params:
    """Large ones, so that photos get visibly different scores."""
    initial = init_params(config, seed=0)
    gain = {name: np.float32(3 if name.endswith("kernel") else 1) for name in initial}
    return {name: np.asarray(array) * gain[name] for name, array in initial.items()}


@pytest.fixture(scope="session")
def scale() -> LabelScale:
    return LabelScale("test", 1.0, 5.0)


@pytest.fixture(scope="module")
def model(config: ModelConfig, weights: Params, scale: LabelScale, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model as a checkpoint."""
    path = tmp_path_factory.mktemp("models") / "small"
    checkpoint.save(path, Checkpoint(config, weights, scale, {}))
    return path


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


@pytest.fixture
def as_people_run() -> Iterator[None]:
    """For fitting: Optax mixes types, and the loss ranks."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
