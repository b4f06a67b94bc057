"""Queries the GPU through libcuda: a Jetson has that library and may have no nvidia-smi.

Separate from hyperseg_runtime's query, since setup.sh runs it with a plain Python before anything is installed.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import sys
from dataclasses import dataclass
from typing import Any

from gpu_check.processes import run_limited

# CUdevice_attribute of cuda.h.
_MULTIPROCESSORS, _L2_BYTES, _MAJOR, _MINOR = 16, 38, 75, 76
_SMALLEST_CAPABILITY = (7, 5)
_SECONDS_TO_ANSWER = 20.0


class NoGpuError(Exception):
    """This machine has no GPU that can run the kernels; the message is one line with the remedy."""


@dataclass(frozen=True)
class Gpu:
    """The first GPU that CUDA_VISIBLE_DEVICES allows."""

    name: str
    capability: tuple[int, int]
    driver_cuda: tuple[int, int]
    """The newest CUDA that the driver supports."""
    multiprocessors: int
    l2_bytes: int
    pci_bus_id: str

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
    try:
        return _first_gpu(cuda)
    except AttributeError as error:
        raise NoGpuError(f"libcuda.so.1 is not NVIDIA's: {error}; rehearse with --host") from None


def _first_gpu(cuda: ctypes.CDLL) -> Gpu:
    _check(cuda, cuda.cuInit(0), "the driver does not start")
    version, count, device = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    _check(cuda, cuda.cuDriverGetVersion(ctypes.byref(version)), "the driver does not report its version")
    _check(cuda, cuda.cuDeviceGetCount(ctypes.byref(count)), "the driver does not report its GPUs")
    if count.value == 0:
        raise NoGpuError("the driver finds no GPU; is CUDA_VISIBLE_DEVICES empty? --host rehearses without one")
    _check(cuda, cuda.cuDeviceGet(ctypes.byref(device), 0), "the GPU cannot be opened")
    name, bus = (ctypes.create_string_buffer(256) for _ in range(2))
    _check(cuda, cuda.cuDeviceGetName(name, len(name), device), "the GPU does not report its name")
    _check(cuda, cuda.cuDeviceGetPCIBusId(bus, len(bus), device), "the GPU does not report its PCI address")

    def attribute(which: int) -> int:
        value = ctypes.c_int()
        _check(cuda, cuda.cuDeviceGetAttribute(ctypes.byref(value), which, device), f"no device attribute {which}")
        return value.value

    gpu = Gpu(
        name.value.decode(errors="replace"),
        (attribute(_MAJOR), attribute(_MINOR)),
        (version.value // 1000, version.value % 1000 // 10),
        attribute(_MULTIPROCESSORS),
        attribute(_L2_BYTES),
        bus.value.decode(errors="replace"),
    )
    if gpu.capability < _SMALLEST_CAPABILITY:
        raise NoGpuError(f"{gpu.name} has compute capability {dotted(gpu.capability)}; the kernels need 7.5 or newer")
    return gpu


def check_compiler(gpu: Gpu, nvcc: str) -> str:
    """nvcc's release. Raises NoGpuError if its code would not run with the driver or on the GPU."""
    said = _output(nvcc, "--version")
    found = re.search(r"release (\d+)\.(\d+)", said)
    if found is None:
        raise NoGpuError(f"{nvcc} --version does not print a release; is the CUDA toolkit complete?")
    release = f"{found[1]}.{found[2]}"
    # Code for one architecture needs no newer driver than the toolkit's major release does (CUDA compatibility guide,
    # "minor version compatibility").
    if gpu.driver_cuda[0] < int(found[1]):
        raise NoGpuError(
            f"the driver supports CUDA up to {dotted(gpu.driver_cuda)}, nvcc is {release}: install a newer driver, or "
            f"put the nvcc of CUDA {gpu.driver_cuda[0]}.x on PATH"
        )
    known = _output(nvcc, "--list-gpu-arch").split()
    if known and f"compute_{gpu.capability[0]}{gpu.capability[1]}" not in known:
        raise NoGpuError(
            f"nvcc {release} does not compile for compute capability {dotted(gpu.capability)} ({gpu.name}), only for "
            f"{', '.join(known)}: use another CUDA toolkit"
        )
    return release


def require_nvcc() -> str:
    """The path of nvcc: CUDACXX, or the one on PATH, or that of /usr/local/cuda. Raises NoGpuError."""
    if chosen := os.environ.get("CUDACXX"):
        if found := shutil.which(chosen):
            return found
        raise NoGpuError(f"CUDACXX is {chosen}, which is not a program; set it to the path of nvcc alone")
    found = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
    if found is None:
        raise NoGpuError("nvcc was not found: put the CUDA toolkit's bin folder on PATH, or set CUDACXX")
    return found


def state(gpu: Gpu) -> dict[str, str]:
    """Current clocks, temperature and power; empty without nvidia-smi."""
    fields = "driver_version,clocks.sm,clocks.mem,temperature.gpu,power.draw,clocks_throttle_reasons.active"
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader", f"--id={gpu.pci_bus_id}"]
    try:
        code, said = run_limited(command, _SECONDS_TO_ANSWER)
    except OSError:
        return {}
    values = [value.strip() for value in said.strip().split(",")]
    names = fields.split(",")
    return dict(zip(names, values, strict=True)) if code == 0 and len(values) == len(names) else {}


def _output(nvcc: str, option: str) -> str:
    try:
        code, said = run_limited([nvcc, option], _SECONDS_TO_ANSWER)
    except OSError as error:
        raise NoGpuError(f"{nvcc} does not run ({error.strerror}); put a complete CUDA toolkit on PATH") from None
    if code is None:
        raise NoGpuError(f"{nvcc} {option} did not answer; put a complete CUDA toolkit on PATH")
    return said


def _check(cuda: ctypes.CDLL, result: int, what: str) -> None:
    if result == 0:
        return
    text = ctypes.c_char_p()
    cuda.cuGetErrorString(result, ctypes.byref(text))
    reason = text.value.decode(errors="replace") if text.value else f"error {result}"
    raise NoGpuError(f"{what}: {reason} ({result}); see nvidia-smi, or rehearse with --host")


def dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


if __name__ == "__main__":
    try:
        found = find_gpu()
    except NoGpuError as error:
        sys.exit(str(error))
    print(dotted(found.capability), found.name)
