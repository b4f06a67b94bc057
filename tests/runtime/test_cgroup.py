"""Limits of control groups, on copies of what Linux shows under /proc and /sys."""

from __future__ import annotations

from pathlib import Path

import pytest
from hyperseg_runtime import machine
from hyperseg_runtime.cgroup import cpu_quota, memory_limit

V2 = "35 30 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = (
    "33 30 0:30 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "34 30 0:31 {root} /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory"
)
UNLIMITED_V1 = str((1 << 63) - 4096)


def system(root: Path, groups: str, mounts: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="ascii")
    return root


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "quota"),
    [
        ("0::/", V2, {"sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
        ("0::/", V2, {"sys/fs/cgroup/cpu.max": "max 100000"}, None),
        ("0::/", V2, {}, None),
        ("0::/a/b", V2, {"sys/fs/cgroup/a/b/cpu.max": "200000 100000"}, 2.0),
        ("0::/a/b", V2, {"sys/fs/cgroup/a/cpu.max": "50000 100000", "sys/fs/cgroup/a/b/cpu.max": "max 100000"}, 0.5),
        (
            "0::/a/b",
            V2,
            {"sys/fs/cgroup/a/cpu.max": "300000 100000", "sys/fs/cgroup/a/b/cpu.max": "400000 100000"},
            3.0,
        ),
        ("0::/../x", V2, {"sys/fs/cgroup/cpu.max": "100000 100000"}, None),
        (
            "4:cpu,cpuacct:/docker/1f",
            V1.format(root="/docker/1f"),
            {
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "250000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            2.5,
        ),
        (
            "4:cpu,cpuacct:/s/job",
            V1.format(root="/"),
            {
                "sys/fs/cgroup/cpu,cpuacct/s/cpu.cfs_quota_us": "100000",
                "sys/fs/cgroup/cpu,cpuacct/s/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/cpu,cpuacct/s/job/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu,cpuacct/s/job/cpu.cfs_period_us": "100000",
            },
            1.0,
        ),
        (
            "4:cpu,cpuacct:/\n0::/",
            V1.format(root="/") + "\n" + V2.replace("/cgroup rw", "/cgroup/unified rw"),
            {
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "100000",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "0",
            },
            None,
        ),
        (
            "0::/a",
            V2.replace("/sys/fs/cgroup", "/sys/my\\040group"),
            {"sys/my group/a/cpu.max": "100000 100000"},
            1.0,
        ),
        ("damaged", "damaged\n - \n", {}, None),
    ],
    ids=[
        "container", "no limit", "no file", "nested", "parent", "smaller parent", "outside of the namespace",
        "v1 in a container", "v1 parent", "both versions", "escaped mount", "damaged",
    ],
)  # fmt: skip
def test_the_smallest_quota_up_to_the_mount(
    tmp_path: Path, groups: str, mounts: str, files: dict[str, str], quota: float | None
) -> None:
    assert cpu_quota(system(tmp_path, groups, mounts, files)) == quota


def test_no_proc(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None
    assert memory_limit(tmp_path) is None


@pytest.mark.parametrize(
    ("groups", "mounts", "files", "limit"),
    [
        (
            "0::/a/b",
            V2,
            {"sys/fs/cgroup/a/memory.max": "1073741824", "sys/fs/cgroup/a/b/memory.max": "max"},
            1 << 30,
        ),
        ("5:memory:/", V1.format(root="/"), {"sys/fs/cgroup/memory/memory.limit_in_bytes": "4096"}, 4096),
        ("5:memory:/", V1.format(root="/"), {"sys/fs/cgroup/memory/memory.limit_in_bytes": UNLIMITED_V1}, None),
    ],
    ids=["v2 parent", "v1", "v1 without a limit"],
)
def test_memory(tmp_path: Path, groups: str, mounts: str, files: dict[str, str], limit: int | None) -> None:
    assert memory_limit(system(tmp_path, groups, mounts, files)) == limit


def test_memory_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = machine.memory_bytes()
    assert installed is not None and installed > 0
    monkeypatch.setattr(machine.cgroup, "memory_limit", lambda: 1 << 20)
    assert machine.memory_bytes() == 1 << 20


def test_governors_of_the_cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: {0, 2})
    assert machine.cpu_governor(tmp_path) is None
    for cpu, governor in {0: "powersave", 1: "userspace", 2: "performance"}.items():
        system(tmp_path, "", "", {f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor": governor})
    assert machine.cpu_governor(tmp_path) == "performance, powersave"
