"""The type that the transformer multiplies in: by what the hardware has, and kept by a run."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import Command
from vtiqa_jax import __main__ as program
from vtiqa_jax.models import compute_dtype
from vtiqa_jax.models.compute_dtype import fastest_dtype, multiplies_bfloat16, resolve_dtype, slow_dtype_note
from vtiqa_jax.training.run_state import begun_as

AVX2 = "processor\t: 0\nflags\t\t: fpu sse4_2 avx avx2 fma f16c\nbugs\t\t: bfloat16 bf16\n\n"
AVX512 = AVX2.replace("fma", "fma avx512f avx512_vnni")
BFLOAT16 = AVX512.replace("fma", "fma avx512_bf16")
AMX = AVX512.replace("fma", "fma amx_tile amx_bf16")
ARM = "processor\t: 0\nFeatures\t: fp asimd i8mm {}\nCPU part\t: 0xd40\n\n"


@pytest.mark.parametrize(
    ("told", "has"),
    [
        (AVX2, False),
        (AVX512, False),
        (BFLOAT16, True),
        (AMX, True),
        (ARM.format("bf16"), True),
        (ARM.format("svebf16x"), False),
        (BFLOAT16 + AVX2, False),
        (AMX + BFLOAT16, True),
        ("", False),
        ("cpu : POWER9\n", False),
    ],
)
def test_what_linux_says_of_a_cpu(told: str, has: bool) -> None:
    """All its cores must be able to; what is said of bugs does not count."""
    assert multiplies_bfloat16(told) is has


@pytest.mark.parametrize(("told", "fast"), [(AVX2, "float32"), (BFLOAT16, "bfloat16")])
def test_the_choice_is_the_devices(told: str, fast: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute_dtype, "_cpuinfo", lambda: told)
    assert resolve_dtype("auto", "cpu") == fastest_dtype("cpu") == fast
    assert fastest_dtype("gpu") == fastest_dtype("tpu") == "bfloat16"
    for chosen in ("float32", "bfloat16"):
        assert resolve_dtype(chosen, "cpu") == resolve_dtype(chosen, "gpu") == chosen  # type: ignore[arg-type]
    assert bool(slow_dtype_note("bfloat16", "cpu")) is (fast == "float32")
    assert not slow_dtype_note("bfloat16", "gpu") and not slow_dtype_note("auto", "cpu")
    assert not slow_dtype_note("float32", "cpu")


def test_only_a_type_left_open_is_the_earlier_runs() -> None:
    before = {"recipe.compute_dtype": "bfloat16", "recipe.seed": 0}
    assert begun_as({"recipe.compute_dtype": "auto", "recipe.seed": 0}, before) == before
    assert begun_as({"recipe.compute_dtype": "float32", "recipe.seed": 0}, before)["recipe.compute_dtype"] == "float32"
    assert begun_as({"recipe.compute_dtype": "auto", "recipe.seed": 1}, before) != before
    assert begun_as({"recipe.compute_dtype": "auto"}, {}) != {}


def test_score_says_that_a_type_is_slow_and_takes_it(
    model: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((40, 40, 3), 99, np.uint8))
    monkeypatch.setattr(compute_dtype, "_cpuinfo", lambda: AVX2)
    said = [
        command(program.main, "score", tmp_path / "a.png", "--checkpoint", model, "--compute-dtype", dtype)
        for dtype in ("float32", "bfloat16")
    ]
    assert [status for status, _, _ in said] == [0, 0]
    assert [error.count("bfloat16 is slower than float32 on this CPU") for _, _, error in said] == [0, 1]
    assert said[0][1] != said[1][1]
