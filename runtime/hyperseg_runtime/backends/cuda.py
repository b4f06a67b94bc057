"""The NVIDIA driver and the GPUs of this machine.

The driver itself is asked (libcuda, through ctypes): it is on every machine that can run CUDA, Jetsons included, and
needs neither the toolkit nor nvidia-smi.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

_LIBRARY = "libcuda.so.1"
OLDEST_CUDA = (11, 4)
"""The first CUDA whose driver has every function that is called here (cuGraphInstantiateWithFlags)."""

# Of cuda.h
_NAME_LENGTH = 256
_ATTRIBUTE_CAPABILITY_MAJOR, _ATTRIBUTE_CAPABILITY_MINOR = 75, 76
_ERROR_STUB_LIBRARY, _ERROR_NO_DEVICE, _ERROR_DRIVER_MISMATCH = 34, 100, 803

_NO_GPU = "the NVIDIA driver finds no GPU; check CUDA_VISIBLE_DEVICES, and in a container that it was given the GPU"
_REMEDIES = {
    _ERROR_STUB_LIBRARY: "libcuda.so.1 is the CUDA toolkit's stub; take its folder out of LD_LIBRARY_PATH",
    _ERROR_NO_DEVICE: _NO_GPU,
    _ERROR_DRIVER_MISMATCH: "the NVIDIA driver and its libcuda.so.1 differ in version; restart the machine",
}


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU."""

    name: str
    compute_capability: str
    """For example 8.6."""
    memory_bytes: int = 0
    """In total; 0 if unknown."""


@dataclass(frozen=True)
class Driver:
    """The NVIDIA driver: its GPUs, or why there are none."""

    gpus: tuple[Gpu, ...]
    """Those that CUDA_VISIBLE_DEVICES lets through, in CUDA's order."""
    problem: str | None = None
    """One line with the remedy; None where there is a GPU that can be used."""
    cuda_version: str | None = None
    """The newest CUDA that the driver supports, for example 12.8; None if unknown."""


def load_driver() -> Any:
    """The NVIDIA driver's library. Raises OSError."""
    return ctypes.CDLL(_LIBRARY)


def find_gpus() -> Driver:
    """Asks the driver for its GPUs. Never raises: many machines have none."""
    try:
        driver = load_driver()
    except OSError:
        return Driver((), f"no NVIDIA driver on this machine ({_LIBRARY} is missing); install NVIDIA's driver")
    try:
        return _query(driver)
    except _DriverError as error:
        return Driver((), str(error))
    except AttributeError as error:
        return Driver((), f"{_LIBRARY} is not NVIDIA's ({error}); install NVIDIA's driver")


class _DriverError(Exception):
    """A call of libcuda failed; the message is one line with the remedy."""


def _query(driver: Any) -> Driver:
    _check(driver, driver.cuInit(0))
    number, count = ctypes.c_int(0), ctypes.c_int(0)
    _check(driver, driver.cuDriverGetVersion(ctypes.byref(number)))
    version = number.value // 1000, number.value % 1000 // 10
    text = "{}.{}".format(*version)
    if version < OLDEST_CUDA:
        needed = "{}.{}".format(*OLDEST_CUDA)
        return Driver((), f"the NVIDIA driver supports CUDA {text}, not {needed}; install a newer driver", text)
    _check(driver, driver.cuDeviceGetCount(ctypes.byref(count)))
    if count.value == 0:
        return Driver((), _NO_GPU, text)
    return Driver(tuple(_describe(driver, index) for index in range(count.value)), None, text)


def _describe(driver: Any, index: int) -> Gpu:
    device, memory = ctypes.c_int(0), ctypes.c_size_t(0)
    name = ctypes.create_string_buffer(_NAME_LENGTH)
    _check(driver, driver.cuDeviceGet(ctypes.byref(device), index))
    _check(driver, driver.cuDeviceGetName(name, _NAME_LENGTH, device))
    _check(driver, driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device))
    capability = []
    for attribute in (_ATTRIBUTE_CAPABILITY_MAJOR, _ATTRIBUTE_CAPABILITY_MINOR):
        value = ctypes.c_int(0)
        _check(driver, driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device))
        capability.append(str(value.value))
    return Gpu(name.value.decode(errors="replace"), ".".join(capability), memory.value)


def _check(driver: Any, status: int) -> None:
    if status == 0:
        return
    if status in _REMEDIES:
        raise _DriverError(_REMEDIES[status])
    text = ctypes.c_char_p()
    driver.cuGetErrorString(status, ctypes.byref(text))
    reason = text.value.decode(errors="replace") if text.value else "unknown"
    raise _DriverError(f"the NVIDIA driver fails (CUDA error {status}, {reason}); restart the machine, or reinstall it")
