"""CUDA on the host's side: the GPUs of this machine, the primary context, buffers and graphs.

GPUs and graphs are asked of the driver itself (libcuda, through ctypes): it is on every machine that can run CUDA,
Jetsons included, and needs neither the toolkit nor nvidia-smi. Contexts, streams and memory are pycuda's.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # hyperseg-doctor needs this module where NumPy is missing
    import numpy as np
    from numpy.typing import NDArray

_LIBRARY = "libcuda.so.1"
OLDEST_CUDA = (11, 4)
"""The first CUDA whose driver has every function that is called here (cuGraphInstantiateWithFlags)."""

# Of cuda.h
_NAME_LENGTH = 256
_ATTRIBUTE_CAPABILITY_MAJOR, _ATTRIBUTE_CAPABILITY_MINOR = 75, 76
_ERROR_STUB_LIBRARY, _ERROR_NO_DEVICE, _ERROR_DRIVER_MISMATCH = 34, 100, 803
_CAPTURE_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads' CUDA calls stay legal meanwhile

_NO_GPU = "the NVIDIA driver finds no GPU; check CUDA_VISIBLE_DEVICES, and in a container that it was given the GPU"
_REMEDIES = {
    _ERROR_STUB_LIBRARY: "libcuda.so.1 is the CUDA toolkit's stub; take its folder out of LD_LIBRARY_PATH",
    _ERROR_NO_DEVICE: _NO_GPU,
    _ERROR_DRIVER_MISMATCH: "the NVIDIA driver and its libcuda.so.1 differ in version; restart the machine",
}

Shape = tuple[int, ...]


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


class PrimaryContext:
    """The device's primary context, which torch, CuPy and every library on the CUDA runtime share.

    Retained from construction to `release`. It is current only within a `current` block, in the thread that entered it,
    so that other CUDA code in the process finds its own context unchanged.
    """

    def __init__(self, cuda: Any, index: int) -> None:
        """`cuda` is pycuda.driver."""
        cuda.init()
        self._cuda = cuda
        self._context = cuda.Device(index).retain_primary_context()

    @contextmanager
    def current(self) -> Iterator[None]:
        self._context.push()
        try:
            yield
        finally:
            self._cuda.Context.pop()

    def release(self) -> None:
        self._context.detach()


class Buffer:
    """Memory of one tensor on host and device, allocated once for its largest shape.

    The host memory is page-locked, which asynchronous copies need.
    """

    def __init__(self, cuda: Any, dtype: np.dtype[Any], largest: Shape) -> None:
        """`cuda` is pycuda.driver."""
        self._cuda = cuda
        self._dtype = dtype
        size = prod(largest) * dtype.itemsize
        self._host: NDArray[np.uint8] | None = cuda.pagelocked_empty((size,), "uint8")
        try:
            self._device = cuda.mem_alloc(size)
        except BaseException:
            self._free_host()
            raise

    @property
    def address(self) -> int:
        """Of the device memory."""
        return int(self._device)

    def host(self, shape: Shape) -> NDArray[Any]:
        """The host memory as a tensor of this shape."""
        assert self._host is not None
        return self._host[: prod(shape) * self._dtype.itemsize].view(self._dtype).reshape(shape)

    def upload(self, shape: Shape, stream: Any) -> None:
        """Enqueues the copy to the device."""
        self._cuda.memcpy_htod_async(self._device, self.host(shape), stream)

    def download(self, shape: Shape, stream: Any) -> None:
        """Enqueues the copy to the host."""
        self._cuda.memcpy_dtoh_async(self.host(shape), self._device, stream)

    def free(self) -> None:
        self._device.free()
        self._free_host()

    def _free_host(self) -> None:
        assert self._host is not None
        base: Any = self._host.base
        self._host = None
        base.free()


class CudaGraph:
    """An executable CUDA graph, captured from a stream; pycuda has none, so libcuda is called directly.

    The context that it was captured in must be current for `launch` and `destroy`.
    """

    def __init__(self, driver: Any, graph: ctypes.c_void_p, executable: ctypes.c_void_p) -> None:
        self._driver = driver
        self._graph = graph
        self._executable = executable

    @staticmethod
    def record(stream: int, enqueue: Callable[[], bool], driver: Any = None) -> CudaGraph | None:
        """Captures the work that `enqueue` puts on the stream (by its handle). None if it cannot be captured: then
        nothing has run and the stream is as before."""
        driver = driver or load_driver()
        handle = ctypes.c_void_p(stream)
        if driver.cuStreamBeginCapture_v2(handle, _CAPTURE_THREAD_LOCAL) != 0:
            return None
        graph, executable = ctypes.c_void_p(), ctypes.c_void_p()
        enqueued = False
        try:
            enqueued = enqueue()
        finally:
            ended = driver.cuStreamEndCapture(handle, ctypes.byref(graph)) == 0
        if not ended or not graph:
            return None
        flags = ctypes.c_ulonglong(0)
        if not enqueued or driver.cuGraphInstantiateWithFlags(ctypes.byref(executable), graph, flags) != 0:
            driver.cuGraphDestroy(graph)
            return None
        return CudaGraph(driver, graph, executable)

    def launch(self, stream: int) -> bool:
        """Enqueues the recorded work. False if the driver refuses."""
        return bool(self._driver.cuGraphLaunch(self._executable, ctypes.c_void_p(stream)) == 0)

    def destroy(self) -> None:
        self._driver.cuGraphExecDestroy(self._executable)
        self._driver.cuGraphDestroy(self._graph)
