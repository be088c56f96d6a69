"""The number of CPUs that this process may use."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path("/proc/self/cgroup")
"""The control groups of this process, a line "number:controllers:path" for each hierarchy (Linux)."""
HIERARCHIES = Path("/sys/fs/cgroup")
"""Where these hierarchies are mounted: version 2 here itself, those of version 1 in folders by their controllers."""


def available_cpus(groups: Path = GROUPS, hierarchies: Path = HIERARCHIES) -> int:
    """Counts the CPUs that the system and a container grant this process, at least 1; a machine may have more."""
    granted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([granted, *map(math.ceil, _shares(groups, hierarchies))]))


def _shares(groups: Path, hierarchies: Path) -> Iterator[float]:
    """Yields the limits on this process's time, in CPUs: those of its control groups and of all groups above them."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = hierarchies / controllers
        # A container sees its own group as the root, whatever path the file names.
        for folder in (root / path.strip("/"), *(root / path.strip("/")).parents):
            if not folder.is_relative_to(root):
                break
            share = _read_share(folder)
            if share is not None:
                yield share


def _read_share(folder: Path) -> float | None:
    """Returns the limit of one group, version 2 or 1; None for none."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        share = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or "max"
        return None
    return share if share > 0 else None  # version 1 says -1 for no limit
