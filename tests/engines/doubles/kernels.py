"""Test double of libhyperseg_cuda.so's labels (`native_labels.CudaLabels`), on the memory of the device's double.

It keeps the rules of trt_plugins/c_api/labels.h: addresses are the device's, those of logits aligned as their type; the
kernel runs on a stream of the current context, after what is on it already, and nothing waits for it.
"""

from __future__ import annotations

import numpy as np
from hyperseg_runtime.native_labels import Request
from hyperseg_runtime.upsampling import Placement, Window, labels_at

from .device import Device

_SPACING = 1 << 24
"""Of the device's allocations."""
_DTYPES = (np.dtype(np.float32), np.dtype(np.float16))


class FakeKernels:
    """Computes with `labels_at`."""

    def __init__(self, device: Device, refusal: str | None = None) -> None:
        """refusal: the reason for which nothing is launched, as of a GPU that the kernels were not compiled for."""
        self._device = device
        self._refusal = refusal
        self.sizes: list[tuple[int, int]] = []
        """Of the labels that were asked for."""

    def launch(self, request: Request, stream: int) -> str | None:
        self._device.require_context()
        assert request.logits % _DTYPES[request.data_type].itemsize == 0, "logits are not aligned"
        if self._refusal is not None:
            return self._refusal
        size = request.out_height, request.out_width
        self.sizes.append(size)
        dtype = _DTYPES[request.data_type]
        shape = request.channels, request.height, request.width
        window = Window(request.top, request.left, request.window_height, request.window_width)
        logits = self._bytes(request.logits, int(np.prod(shape)) * dtype.itemsize).view(dtype).reshape(shape)
        labels = self._bytes(request.labels, size[0] * size[1]).reshape(size)

        def compute() -> None:
            labels[:] = labels_at(logits, Placement(size, window))

        self._device.streams[stream].put(compute)
        return None

    def _bytes(self, address: int, size: int) -> np.ndarray:
        base = address - address % _SPACING
        found = self._device.bytes_at(base)[address - base : address - base + size]
        assert found.size == size, "beyond the allocation"
        return found
