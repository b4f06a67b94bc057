"""Description of this machine: processors, GPUs, and the versions of the installed packages."""

from __future__ import annotations

import contextlib
import math
import os
import platform
from importlib import metadata
from pathlib import Path

from hyperseg_runtime import cgroup
from hyperseg_runtime.backends import cuda

PACKAGES = (
    "hyperseg",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-ep-openvino",
    "opencv-python-headless",
    "opencv-python",
    "av",
    "tensorrt",
    "tensorrt-rtx-cu13",
    "pycuda",
)
CPU_FEATURES = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_bf16",
    "asimd",
    "sve",
)


def available_cpus() -> int:
    """The number of CPUs that this process may use: its affinity, limited by the container's quota."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:
        count = os.cpu_count() or 1
    quota = _container_quota()
    return max(1, min(count, math.floor(quota))) if quota is not None else count


def threads_text(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def inference_threads() -> int:
    """The number of threads for one inference: one for each physical core, whose threads share the vector units."""
    try:
        cpus = os.sched_getaffinity(0)
        cores = {_siblings(cpu) for cpu in cpus}
    except (AttributeError, OSError):
        return available_cpus()
    return min(len(cores), available_cpus())


def _siblings(cpu: int) -> str:
    """The logical CPUs of a core, as Linux writes them ("0,64")."""
    return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text(encoding="ascii").strip()


def _container_quota() -> float | None:
    return cgroup.cpu_quota()


def memory_bytes() -> int | None:
    """The memory that this process may use: the machine's, limited by the container's; None if unknown."""
    try:
        installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return cgroup.memory_limit()
    limit = cgroup.memory_limit()
    return installed if limit is None else min(installed, limit)


def cpu_governor(root: Path = Path("/")) -> str | None:
    """The frequency governor of this process's CPUs, for example "performance"; several are joined by commas.

    None where Linux does not control the frequency, as in most virtual machines. `root` replaces the file system's.
    """
    try:
        cpus = os.sched_getaffinity(0)
    except AttributeError:
        return None
    found = set()
    for cpu in cpus:
        file = root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"
        with contextlib.suppress(OSError, ValueError):
            found.add(file.read_text(encoding="ascii").strip())
    return ", ".join(sorted(found)) or None


def _cpu_info() -> dict[str, str]:
    """The first processor's entry in /proc/cpuinfo, empty elsewhere than on Linux."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in text.split("\n\n", 1)[0].splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def cpu_name() -> str:
    return _cpu_info().get("model name") or platform.processor() or platform.machine()


def cpu_features() -> tuple[str, ...]:
    """The relevant vector extensions of this processor."""
    info = _cpu_info()
    flags = set((info.get("flags") or info.get("Features") or "").split())
    return tuple(feature for feature in CPU_FEATURES if feature in flags)


def gpus() -> tuple[str, ...]:
    """One line for each NVIDIA GPU: name, compute capability, memory, newest CUDA of the driver. Empty without one."""
    driver = cuda.find_gpus()
    return tuple(
        f"{gpu.name}, compute capability {gpu.compute_capability}, {gpu.memory_bytes / 2**30:.1f} GiB, "
        f"driver for CUDA {driver.cuda_version}"
        for gpu in driver.gpus
    )


def version(package: str) -> str | None:
    """The installed version of a distribution, without importing it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """The versions of Python and of the installed packages that affect results."""
    installed = {package: found for package in PACKAGES if (found := version(package)) is not None}
    return {"python": platform.python_version(), **installed}


def describe() -> dict[str, object]:
    """The machine's entry in a benchmark's record."""
    return {
        "cpu": cpu_name(),
        "cpus": available_cpus(),
        "cpu_features": list(cpu_features()),
        "gpus": list(gpus()),
        "system": platform.platform(),
        "versions": versions(),
    }
