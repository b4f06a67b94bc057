"""Limits of this process's control groups (Linux): CPU quota and memory, of versions 1 and 2, parents included.

A limit of any group from the process's own up to the root of the mount holds. Files and names are those of the kernel's
documentation (admin-guide/cgroup-v2.rst, admin-guide/cgroup-v1/memory.rst, scheduler/sched-bwc.rst).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/")
_UNIFIED = ""
"""The controllers field of version 2 in /proc/self/cgroup."""


def cpu_quota(root: Path = _ROOT) -> float | None:
    """CPUs that the groups allow, for example 1.5; None without a limit. `root` replaces the file system's in tests."""
    quotas = [_quota(*_numbers(folder / "cpu.max")) for folder in _folders(root, _UNIFIED)]
    quotas += [
        _quota(*_numbers(folder / "cpu.cfs_quota_us"), *_numbers(folder / "cpu.cfs_period_us"))
        for folder in _folders(root, "cpu")
    ]
    return min((quota for quota in quotas if quota is not None), default=None)


def memory_limit(root: Path = _ROOT) -> int | None:
    """Bytes of memory that the groups allow; None without a limit (version 1 writes that as a number near 2^63)."""
    files = [folder / "memory.max" for folder in _folders(root, _UNIFIED)]
    files += [folder / "memory.limit_in_bytes" for folder in _folders(root, "memory")]
    return min((limit for file in files for limit in _numbers(file) if 0 <= limit < 1 << 62), default=None)


def stopped_seconds(root: Path = _ROOT) -> float | None:
    """Time for which the CPU quota of a group has stopped its processes so far, the largest of the groups; None without
    quotas. The kernel adds up the CPUs (unthrottle_cfs_rq in kernel/sched/fair.c): it may exceed the time elapsed."""
    found = [1e-6 * value for folder in _folders(root, _UNIFIED) for value in _stat(folder, "throttled_usec")]
    found += [1e-9 * value for folder in _folders(root, "cpu") for value in _stat(folder, "throttled_time")]
    return max(found, default=None)


def _stat(folder: Path, name: str) -> list[int]:
    """A number of the group's cpu.stat, which has a name and a number on each line."""
    pairs = (line.split(" ") for line in _lines(folder / "cpu.stat"))
    return [int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == name and pair[1].isdigit()]


def _quota(limit: int = -1, period: int = 0) -> float | None:
    return limit / period if limit > 0 and period > 0 else None


def _numbers(file: Path) -> list[int]:
    """The numbers in a file; none if it says "max" or cannot be read."""
    try:
        return [int(word) for word in file.read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        return []


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """The process's group in the hierarchy of `controller`, then its parents up to the mount."""
    group = _group(root, controller)
    if group is None:
        return
    for mounted, mount in _mounts(root, controller):
        # A container may see the host's path of its group, of which only the part below the mounted group is there.
        below = mounted.rstrip("/")
        inner = group.removeprefix(below) if f"{group}/".startswith(f"{below}/") else ""
        folder = mount / inner.strip("/")
        while True:
            yield folder
            if folder == mount:
                break
            folder = folder.parent


def _group(root: Path, controller: str) -> str | None:
    """The process's group, from /proc/self/cgroup: lines such as "4:cpu,cpuacct:/a/b" or "0::/a/b"."""
    for line in _lines(root / "proc/self/cgroup"):
        _, names, group = [*line.split(":", 2), "", ""][:3]
        if controller in names.split(",") and ".." not in group.split("/"):
            return group
    return None


def _mounts(root: Path, controller: str) -> Iterator[tuple[str, Path]]:
    """The mounted group and the mount point of a hierarchy, from /proc/self/mountinfo (proc_pid_mountinfo(5))."""
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, (kind, *options) = before.split(" "), after.split(" ") or [""]
        if len(fields) < 5 or not kind:
            continue
        names = options[-1].split(",") if options else []
        if kind == "cgroup2" if controller == _UNIFIED else kind == "cgroup" and controller in names:
            yield _unescaped(fields[3]), root / _unescaped(fields[4]).lstrip("/")


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []


def _unescaped(text: str) -> str:
    """The path that mountinfo writes with octal escapes, for example a space as \\040."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
