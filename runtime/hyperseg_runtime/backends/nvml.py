"""Clocks, power and temperature of a GPU, from NVIDIA's management library (libnvidia-ml, through ctypes).

The library is part of the driver, except on Jetsons that have none. Names and numbers are those of nvml.h (NVML API
Reference Guide, "Device Queries"); a value that a GPU does not report (NVML_ERROR_NOT_SUPPORTED) is None.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hyperseg_runtime.backends import cuda

_LIBRARY = "libnvidia-ml.so.1"

_CLOCK_GRAPHICS, _CLOCK_MEM = 0, 2  # nvmlClockType_t
_TEMPERATURE_GPU = 0  # nvmlTemperatureSensors_t
_BUS_ID_LENGTH = 32  # NVML_DEVICE_PCI_BUS_ID_BUFFER_SIZE
_VERSION_LENGTH = 80  # NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE
# nvmlClocksThrottleReasons, without those of an idle GPU (0x1) and of clocks that somebody set (0x2, 0x100)
_REASONS = {
    0x4: "power limit",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "temperature",
    0x40: "temperature (hardware)",
    0x80: "power brake",
}


@dataclass(frozen=True)
class GpuState:
    """The state of a GPU at one moment."""

    graphics_mhz: int | None
    memory_mhz: int | None
    watts: float | None
    celsius: int | None
    reasons: tuple[str, ...] | None
    """Why the clocks are lower than they could be; empty if they are not."""


class Gpu:
    """A GPU's readings. Get one from `open_gpu`."""

    def __init__(self, library: Any, handle: ctypes.c_void_p) -> None:
        self._library = library
        self._handle = handle

    @property
    def largest_graphics_mhz(self) -> int | None:
        return self._number("nvmlDeviceGetMaxClockInfo", _CLOCK_GRAPHICS)

    @property
    def watts_limit(self) -> float | None:
        return _thousandth(self._number("nvmlDeviceGetEnforcedPowerLimit"))

    def state(self) -> GpuState:
        # Drivers since 535 call it nvmlDeviceGetCurrentClocksEventReasons, and keep this name.
        bits = self._number("nvmlDeviceGetCurrentClocksThrottleReasons", kind=ctypes.c_ulonglong)
        return GpuState(
            self._number("nvmlDeviceGetClockInfo", _CLOCK_GRAPHICS),
            self._number("nvmlDeviceGetClockInfo", _CLOCK_MEM),
            _thousandth(self._number("nvmlDeviceGetPowerUsage")),
            self._number("nvmlDeviceGetTemperature", _TEMPERATURE_GPU),
            None if bits is None else tuple(text for bit, text in _REASONS.items() if bits & bit),
        )

    def _number(self, function: str, *arguments: int, kind: Any = ctypes.c_uint) -> int | None:
        value = kind(0)
        try:
            status = getattr(self._library, function)(self._handle, *arguments, ctypes.byref(value))
        except AttributeError:  # an older driver
            return None
        return int(value.value) if status == 0 else None


@contextmanager
def open_gpu(index: int = 0) -> Iterator[Gpu | None]:
    """The GPU that CUDA calls `index` in this process; None where the library or the GPU is missing."""
    bus_id = _bus_id(index)
    try:
        library: Any = ctypes.CDLL(_LIBRARY)
        ready = bus_id is not None and library.nvmlInit_v2() == 0
    except (OSError, AttributeError):
        ready = False
    if not ready:
        yield None
        return
    try:
        handle = ctypes.c_void_p()
        found = library.nvmlDeviceGetHandleByPciBusId_v2(bus_id, ctypes.byref(handle)) == 0
        yield Gpu(library, handle) if found else None
    finally:
        library.nvmlShutdown()


def driver_release() -> str | None:
    """Release of the NVIDIA driver, for example 580.65.06; None where the library is missing."""
    text = ctypes.create_string_buffer(_VERSION_LENGTH)
    try:
        library: Any = ctypes.CDLL(_LIBRARY)
        if library.nvmlInit_v2() != 0:
            return None
        known = library.nvmlSystemGetDriverVersion(text, _VERSION_LENGTH) == 0
        library.nvmlShutdown()
    except (OSError, AttributeError):
        return None
    return text.value.decode(errors="replace") if known else None


def _bus_id(index: int) -> bytes | None:
    """CUDA and NVML number the GPUs differently (CUDA_VISIBLE_DEVICES, CUDA_DEVICE_ORDER); the bus tells them apart."""
    with contextlib.suppress(OSError, AttributeError):
        driver = cuda.load_driver()
        device, text = ctypes.c_int(0), ctypes.create_string_buffer(_BUS_ID_LENGTH)
        if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), index):
            return None
        if driver.cuDeviceGetPCIBusId(text, _BUS_ID_LENGTH, device) == 0:
            return text.value
    return None


def _thousandth(value: int | None) -> float | None:
    return None if value is None else value / 1e3
