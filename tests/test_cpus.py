"""How many CPUs a process takes for its own, on made-up control groups."""

import os
from pathlib import Path

import pytest

from vtiqa_jax.cpus import available_cpus


@pytest.fixture(autouse=True)
def sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose system grants 16 CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)


GROUPS = {
    "version 2, no limit": ("0::/\n", {"cpu.max": "max 100000\n"}, 16),
    "version 2": ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
    "a part of a CPU counts as one": ("0::/\n", {"cpu.max": "250000 100000\n"}, 3),
    "less than a CPU": ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
    "more than there are": ("0::/\n", {"cpu.max": "6400000 100000\n"}, 16),
    "a group of a service": ("0::/a.slice/b.service\n", {"a.slice/b.service/cpu.max": "300000 100000"}, 3),
    "the group above it": (
        "0::/a.slice/b.service\n",
        {"a.slice/b.service/cpu.max": "max 100000", "a.slice/cpu.max": "500000 100000", "cpu.max": "900000 100000"},
        5,
    ),
    "a group that is not seen from within": ("0::/docker/1f\n", {"cpu.max": "400000 100000"}, 4),
    "another group": ("0::/mine\n", {"mine/cpu.max": "max 100000", "other/cpu.max": "100000 100000"}, 16),
    "version 1": (
        "5:memory:/\n4:cpu,cpuacct:/\n",
        {"cpu,cpuacct/cpu.cfs_quota_us": "600000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
        6,
    ),
    "version 1, no limit": (
        "4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 16,
    ),
    "version 1, seen from without": (
        "4:cpu:/kubepods/pod7\n3:cpuset:/\n",
        {"cpu/kubepods/pod7/cpu.cfs_quota_us": "200000", "cpu/kubepods/pod7/cpu.cfs_period_us": "50000"},
        4,
    ),
    "both versions": (
        "1:cpu:/\n0::/\n",
        {"cpu/cpu.cfs_quota_us": "700000", "cpu/cpu.cfs_period_us": "100000", "unified/cpu.max": "100000 100000"},
        7,
    ),
    "nonsense": ("0::/\n", {"cpu.max": "many of them\n"}, 16),
    "a period of nothing": ("0::/\n", {"cpu.max": "100000 0\n"}, 16),
    "no files": ("0::/\n4:cpu:/\n", {}, 16),
    "no control groups": ("", {}, 16),
}  # fmt: skip


@pytest.mark.parametrize(("groups", "files", "count"), GROUPS.values(), ids=GROUPS)
def test_a_container_may_grant_fewer(tmp_path: Path, groups: str, files: dict[str, str], count: int) -> None:
    (tmp_path / "groups").write_text(groups)
    for name, text in files.items():
        (tmp_path / "mounted" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mounted" / name).write_text(text)
    assert available_cpus(tmp_path / "groups", tmp_path / "mounted") == count


def test_the_affinity_counts_where_it_is_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {5}, raising=False)
    (tmp_path / "groups").write_text("0::/\n")
    (tmp_path / "cpu.max").write_text("400000 100000")
    assert available_cpus(tmp_path / "groups", tmp_path) == 1


def test_a_system_without_affinities_or_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    for told, count in ((6, 6), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda told=told: told)
        assert available_cpus(tmp_path / "none", tmp_path / "none") == count
