"""Memory on the device, and page-locked memory on the host. Made and freed while their context is current."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg_runtime.backends.stream import Stream

Shape = tuple[int, ...]


class DeviceMemory:
    """Bytes on the device. The address is a multiple of 256, as `setTensorAddress` and `setDeviceMemoryV2` require:
    cuMemAlloc's are."""

    def __init__(self, cuda: Any, size: int) -> None:
        """`cuda` is pycuda.driver."""
        self.size = size
        self._memory: Any = cuda.mem_alloc(size)

    @property
    def address(self) -> int:
        return int(self._memory)

    def upload(self, cuda: Any, host: NDArray[Any], stream: Stream) -> None:
        """Enqueues the copy of page-locked memory."""
        cuda.memcpy_htod_async(self._memory, host, stream.handle_object)

    def download(self, cuda: Any, host: NDArray[Any], stream: Stream) -> None:
        """Enqueues the copy to page-locked memory."""
        cuda.memcpy_dtoh_async(host, self._memory, stream.handle_object)

    def free(self) -> None:
        self._memory.free()


class Buffer:
    """Memory of one tensor on host and device, allocated once for its largest shape.

    The host memory is page-locked, which asynchronous copies need.
    """

    def __init__(self, cuda: Any, dtype: np.dtype[Any], largest: Shape) -> None:
        """`cuda` is pycuda.driver."""
        self._cuda = cuda
        self.dtype = dtype
        size = prod(largest) * dtype.itemsize
        self._host: NDArray[np.uint8] | None = cuda.pagelocked_empty((size,), "uint8")
        try:
            self._device = DeviceMemory(cuda, size)
        except BaseException:
            self._free_host()
            raise

    @property
    def address(self) -> int:
        """Of the device memory."""
        return self._device.address

    def host(self, shape: Shape) -> NDArray[Any]:
        """The host memory as a tensor of this shape."""
        assert self._host is not None
        return self._host[: prod(shape) * self.dtype.itemsize].view(self.dtype).reshape(shape)

    def upload(self, shape: Shape, stream: Stream) -> None:
        """Enqueues the copy to the device."""
        self._device.upload(self._cuda, self.host(shape), stream)

    def download(self, shape: Shape, stream: Stream) -> None:
        """Enqueues the copy to the host."""
        self._device.download(self._cuda, self.host(shape), stream)

    def free(self) -> None:
        try:
            self._device.free()
        finally:
            self._free_host()

    def _free_host(self) -> None:
        assert self._host is not None
        base: Any = self._host.base
        self._host = None
        base.free()
