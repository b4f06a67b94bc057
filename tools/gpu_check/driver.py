"""The GPU, as libcuda tells it: a Jetson has that library and may have no nvidia-smi."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

# CUdevice_attribute of cuda.h.
_MULTIPROCESSORS, _L2_BYTES, _MAJOR, _MINOR = 16, 38, 75, 76
_SMALLEST_CAPABILITY = (7, 5)


class NoGpuError(Exception):
    """There is no GPU here that the kernels run on; the message is one line with the remedy."""


@dataclass(frozen=True)
class Gpu:
    """The first GPU that CUDA_VISIBLE_DEVICES lets through."""

    name: str
    capability: tuple[int, int]
    driver_cuda: tuple[int, int]
    """The newest CUDA that the driver supports."""
    multiprocessors: int
    l2_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """For the report."""
        return {
            "gpu": self.name,
            "compute capability": dotted(self.capability),
            "multiprocessors": self.multiprocessors,
            "L2, MiB": self.l2_bytes / 2**20,
            "driver's CUDA": dotted(self.driver_cuda),
        }


def find_gpu() -> Gpu:
    """Raises NoGpuError."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise NoGpuError("no NVIDIA driver was found (libcuda.so.1); install one, or rehearse with --host") from None
    _check(cuda, cuda.cuInit(0), "the driver does not start")
    version, count, device = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    _check(cuda, cuda.cuDriverGetVersion(ctypes.byref(version)), "the driver does not tell its version")
    _check(cuda, cuda.cuDeviceGetCount(ctypes.byref(count)), "the driver does not count its GPUs")
    if count.value == 0:
        raise NoGpuError("the driver finds no GPU; is CUDA_VISIBLE_DEVICES empty? --host rehearses without one")
    _check(cuda, cuda.cuDeviceGet(ctypes.byref(device), 0), "the GPU cannot be opened")
    name = ctypes.create_string_buffer(256)
    _check(cuda, cuda.cuDeviceGetName(name, len(name), device), "the GPU does not tell its name")

    def attribute(which: int) -> int:
        value = ctypes.c_int()
        _check(cuda, cuda.cuDeviceGetAttribute(ctypes.byref(value), which, device), f"no device attribute {which}")
        return value.value

    gpu = Gpu(
        name.value.decode(),
        (attribute(_MAJOR), attribute(_MINOR)),
        (version.value // 1000, version.value % 1000 // 10),
        attribute(_MULTIPROCESSORS),
        attribute(_L2_BYTES),
    )
    if gpu.capability < _SMALLEST_CAPABILITY:
        raise NoGpuError(f"{gpu.name} has compute capability {dotted(gpu.capability)}; the kernels need 7.5 or newer")
    return gpu


def check_compiler(gpu: Gpu, nvcc: str) -> str:
    """nvcc's release. Raises NoGpuError where this nvcc cannot make code that the driver and the GPU run."""
    said = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=False).stdout
    release = said.partition("release ")[2].partition(",")[0]
    if not release:
        raise NoGpuError(f"{nvcc} --version does not tell a release; is the CUDA toolkit whole?")
    # Code for one architecture needs no newer driver than the toolkit's major release does (CUDA compatibility guide,
    # "minor version compatibility").
    if gpu.driver_cuda[0] < int(release.partition(".")[0]):
        raise NoGpuError(
            f"the driver supports CUDA up to {dotted(gpu.driver_cuda)}, nvcc is {release}: install a newer driver, or "
            f"put the nvcc of CUDA {gpu.driver_cuda[0]}.x on PATH"
        )
    known = subprocess.run([nvcc, "--list-gpu-arch"], capture_output=True, text=True, check=False).stdout.split()
    if known and f"compute_{gpu.capability[0]}{gpu.capability[1]}" not in known:
        raise NoGpuError(
            f"nvcc {release} does not compile for compute capability {dotted(gpu.capability)} ({gpu.name}), only for "
            f"{', '.join(known)}: use another CUDA toolkit"
        )
    return release


def require_nvcc() -> str:
    """The path of nvcc, from CUDACXX or PATH. Raises NoGpuError."""
    chosen = os.environ.get("CUDACXX") or "nvcc"
    found = shutil.which(chosen) or shutil.which("/usr/local/cuda/bin/nvcc")
    if found is None:
        raise NoGpuError(f"{chosen} was not found: put the CUDA toolkit's bin folder on PATH, or set CUDACXX")
    return found


def state() -> dict[str, str]:
    """Clocks, temperature and power at this moment; empty where there is no nvidia-smi."""
    fields = "driver_version,clocks.sm,clocks.mem,temperature.gpu,power.draw,clocks_throttle_reasons.active"
    if shutil.which("nvidia-smi") is None:
        return {}
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader", "--id=0"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except subprocess.TimeoutExpired:
        return {}
    values = [value.strip() for value in said.stdout.strip().split(",")]
    names = fields.split(",")
    return dict(zip(names, values, strict=True)) if len(values) == len(names) else {}


def _check(cuda: ctypes.CDLL, result: int, what: str) -> None:
    if result == 0:
        return
    text = ctypes.c_char_p()
    cuda.cuGetErrorString(result, ctypes.byref(text))
    reason = text.value.decode() if text.value else f"error {result}"
    raise NoGpuError(f"{what}: {reason} ({result}); see what nvidia-smi says, or rehearse with --host")


def dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


if __name__ == "__main__":
    try:
        found = find_gpu()
    except NoGpuError as error:
        sys.exit(str(error))
    print(dotted(found.capability), found.name)
