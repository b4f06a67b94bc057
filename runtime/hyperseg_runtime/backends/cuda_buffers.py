"""Memory of one tensor on both sides, allocated once for its largest shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]


class Buffer:
    """Page-locked host memory, which copies run from without the processor, and as much on the device."""

    def __init__(self, cuda: Any, dtype: np.dtype[Any], largest: Shape) -> None:
        self._cuda = cuda
        self._dtype = dtype
        size = int(np.prod(largest)) * dtype.itemsize
        self._host: NDArray[np.uint8] = cuda.pagelocked_empty((size,), np.uint8)
        try:
            self._device = cuda.mem_alloc(size)
        except BaseException:
            self._free_host()
            raise

    @property
    def address(self) -> int:
        return int(self._device)

    def host(self, shape: Shape) -> NDArray[Any]:
        """The host memory as a tensor of this shape."""
        size = int(np.prod(shape)) * self._dtype.itemsize
        return self._host[:size].view(self._dtype).reshape(shape)

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
        base: Any = self._host.base
        self._host = np.empty(0, np.uint8)
        base.free()
