"""The type that the transformer multiplies in, by what the hardware multiplies fast."""

import functools
import re
from pathlib import Path
from typing import Literal

ComputeDtype = Literal["float32", "bfloat16"]
"""Type that the transformer multiplies in."""
DtypeChoice = Literal["auto", "float32", "bfloat16"]
"""A type, or the fastest one of the device."""
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Linux's names of products of bfloat16, on x86 and on ARM. Without them a step takes half as long again in it."""


def multiplies_bfloat16(cpuinfo: str) -> bool:
    """Tells whether every core has products of bfloat16, by what Linux says of them in /proc/cpuinfo."""
    cores = re.findall(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    return bool(cores) and all(BFLOAT16_FLAGS & set(core.split()) for core in cores)


@functools.cache
def _cpuinfo() -> str:
    """Reads /proc/cpuinfo; empty on systems that have no such file."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def fastest_dtype(platform: str) -> ComputeDtype:
    """Returns bfloat16 on GPUs, TPUs and the CPUs that multiply it; float32 on all other CPUs."""
    return "bfloat16" if platform != "cpu" or multiplies_bfloat16(_cpuinfo()) else "float32"


def resolve_dtype(choice: DtypeChoice, platform: str) -> ComputeDtype:
    """Returns the type that is meant on devices of a platform, as JAX calls it."""
    return fastest_dtype(platform) if choice == "auto" else choice


def slow_dtype_note(choice: DtypeChoice, platform: str) -> str:
    """Returns a line for people who chose a type that is slow on their device; empty for all others."""
    if choice == "bfloat16" and fastest_dtype(platform) == "float32":
        return "bfloat16 is slower than float32 on this CPU, which has no products of it"
    return ""
