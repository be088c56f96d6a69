"""The type that the transformer multiplies in, by what the hardware multiplies fast."""

import functools
import re
from pathlib import Path
from typing import Literal

import jax

from vtiqa_jax.models.vtiqa import ComputeDtype

DtypeChoice = Literal["auto", "float32", "bfloat16"]
"""A type, or the fastest one of the device."""
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""What Linux calls products of bfloat16, on x86 and on ARM. Without them a step takes half as long again in it."""


@functools.cache
def _cpu_flags() -> frozenset[str]:
    """What all cores of this machine can do, as Linux says it; nothing on other systems."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    cores = [frozenset(line.split()) for line in re.findall(r"^(?:flags|Features)\s*:(.*)$", told, re.MULTILINE)]
    return frozenset.intersection(*cores) if cores else frozenset()


def fastest_dtype(device: jax.Device) -> ComputeDtype:
    """bfloat16 on GPUs, TPUs and the CPUs that multiply it; float32 on all other CPUs."""
    return "bfloat16" if device.platform != "cpu" or BFLOAT16_FLAGS & _cpu_flags() else "float32"


def resolve_dtype(choice: DtypeChoice, device: jax.Device) -> ComputeDtype:
    """The type that is meant on a device."""
    return fastest_dtype(device) if choice == "auto" else choice


def slow_dtype_note(choice: DtypeChoice, device: jax.Device) -> str:
    """A line for people who chose a type that is slow on their device; empty for all others."""
    if choice == "bfloat16" and fastest_dtype(device) == "float32":
        return "bfloat16 is slower than float32 on this CPU, which has no products of it"
    return ""
