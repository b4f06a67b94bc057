"""The NVIDIA GPUs of this machine, asked of the driver itself: no CUDA toolkit, no context, nothing to install."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

_LIBRARY = "libcuda.so.1"
_NAME_LENGTH = 256
# CUdevice_attribute
_COMPUTE_CAPABILITY_MAJOR = 75
_COMPUTE_CAPABILITY_MINOR = 76


@dataclass(frozen=True)
class Gpu:
    """One GPU."""

    name: str
    compute_capability: str
    """For example 8.6."""


@dataclass(frozen=True)
class Driver:
    """What the driver says: its GPUs, or why there are none (one line with the remedy)."""

    gpus: tuple[Gpu, ...]
    problem: str | None = None


def find_gpus() -> Driver:
    """Asks libcuda. Never raises: a machine without GPU or driver is a normal one."""
    try:
        cuda = ctypes.CDLL(_LIBRARY)
    except OSError:
        return Driver((), "no NVIDIA driver on this machine (libcuda.so.1 is missing); install NVIDIA's driver")
    status = cuda.cuInit(0)
    count = ctypes.c_int(0)
    if status == 0:
        status = cuda.cuDeviceGetCount(ctypes.byref(count))
    if status != 0:
        return Driver((), f"the NVIDIA driver does not start (CUDA error {status}); see what nvidia-smi says")
    if count.value == 0:
        return Driver((), "the NVIDIA driver finds no GPU; see what nvidia-smi says")
    return Driver(tuple(_describe(cuda, index) for index in range(count.value)))


def _describe(cuda: ctypes.CDLL, index: int) -> Gpu:
    device = ctypes.c_int(0)
    cuda.cuDeviceGet(ctypes.byref(device), index)
    name = ctypes.create_string_buffer(_NAME_LENGTH)
    cuda.cuDeviceGetName(name, _NAME_LENGTH, device)
    parts = []
    for attribute in (_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR):
        value = ctypes.c_int(0)
        cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        parts.append(str(value.value))
    return Gpu(name.value.decode(errors="replace"), ".".join(parts))
