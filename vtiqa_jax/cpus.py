"""How many CPUs this process may use."""

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""A container's share of time, "quota period" in microseconds (Linux, control groups version 2)."""


def available_cpus() -> int:
    """Counts the CPUs that the system and a container grant this process, at least 1; a machine may have more."""
    granted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
        granted = min(granted, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no such file, or "max"
        pass
    return max(1, granted)
