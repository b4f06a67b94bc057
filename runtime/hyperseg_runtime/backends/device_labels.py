"""Labels at the sizes of frames, computed on the GPU from logits that are there: labels alone are downloaded.

    logits [N, C, h, w] on the device ─► our kernel, once an image ─► labels, one behind the other ─► page-locked memory

The kernels are libhyperseg_cuda.so's, in whichever context is current, on a stream of the caller's. They cannot be part
of a captured graph, since sizes change from frame to frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperseg_runtime.backends.device_memory import Buffer, Shape
from hyperseg_runtime.backends.stream import Stream
from hyperseg_runtime.errors import InputError, LibraryMissingError
from hyperseg_runtime.libraries import Library, find
from hyperseg_runtime.native_labels import CudaLabels, Request
from hyperseg_runtime.upsampling import Placement

if TYPE_CHECKING:
    from hyperseg_runtime.preprocess import Labels

_ALIGNMENT = 256
"""Of each image's labels, as of the device's allocations."""


@dataclass(frozen=True)
class DeviceLogits:
    """Logits in the device's memory, contiguous."""

    address: int
    dtype: np.dtype[Any]
    shape: Shape
    """[N, C, h, w]"""

    def request(self, index: int, labels: int, placement: Placement) -> Request:
        """One image's labels, to be written to the address `labels`."""
        _, channels, height, width = self.shape
        image = self.address + index * channels * height * width * self.dtype.itemsize
        return Request.of(image, labels, (channels, height, width), self.dtype, placement)


def find_kernels() -> CudaLabels | str:
    """The kernels, or why there are none: one line with the remedy. Raises LibraryMissingError as `libraries.find`."""
    path = find(Library.PYTORCH)
    if path is None:
        return f"{Library.PYTORCH.value} was not built: pip install . where nvcc is"
    try:
        return CudaLabels(path)
    except LibraryMissingError as error:
        return str(error)


def on_the_cpu(model: object, reason: str) -> str:
    """The sentence on a model whose frames' labels are not computed on its GPU. reason: with the remedy, if any."""
    return f"{model}: labels of frames are computed on the CPU, from logits that are downloaded: {reason}"


def no_memory(size: int, error: Exception) -> InputError:
    """The error of a run whose labels, `size` bytes, the GPU has no memory for."""
    reason = " ".join(str(error).split())
    return InputError(
        f"there is no memory for {size / 1e6:.0f} MB of labels ({reason:.400}); segment fewer images at once, or "
        "smaller ones"
    )


class DeviceLabels:
    """Memory for the labels of a run's images, and the kernels that compute them.

    The memory grows to the largest run so far, and is kept: nothing is allocated while sizes stay the same. Use it
    while its context is current, one run after the other, each synchronised before the next.
    """

    def __init__(self, cuda: Any, kernels: CudaLabels) -> None:
        """`cuda` is pycuda.driver."""
        self._cuda = cuda
        self._kernels = kernels
        self._buffer: Buffer | None = None
        self._capacity = 0

    def reserve(self, placements: Sequence[Placement]) -> None:
        """Makes room for a run, whose stream must be idle. Raises InputError where the GPU has none; what it had is
        freed then."""
        size = _offsets(placements)[-1]
        if size <= self._capacity:
            return
        self.free()
        try:
            self._buffer = Buffer(self._cuda, np.dtype(np.uint8), (size,))
        except self._cuda.Error as error:
            raise no_memory(size, error) from None
        self._capacity = size

    def enqueue(self, logits: DeviceLogits, placements: Sequence[Placement], stream: Stream) -> str | None:
        """Enqueues the kernels and the download. Returns why, where a kernel was not launched: then nothing is
        downloaded."""
        assert self._buffer is not None
        offsets = _offsets(placements)
        for index, placement in enumerate(placements):
            request = logits.request(index, self._buffer.address + offsets[index], placement)
            if (reason := self._kernels.launch(request, stream.handle)) is not None:
                return reason
        self._buffer.download((offsets[-1],), stream)
        return None

    def results(self, placements: Sequence[Placement]) -> list[Labels]:
        """Copies of the labels, once the stream is synchronised."""
        assert self._buffer is not None
        offsets = _offsets(placements)
        host = self._buffer.host((offsets[-1],))
        sizes = (placement.size for placement in placements)
        return [host[at : at + prod(size)].reshape(size).copy() for at, size in zip(offsets, sizes, strict=False)]

    def free(self) -> None:
        """Frees the memory; the next run makes it anew."""
        buffer, self._buffer, self._capacity = self._buffer, None, 0
        if buffer is not None:
            buffer.free()


def _offsets(placements: Sequence[Placement]) -> list[int]:
    """Where each image's labels begin, and the size of all."""
    padded = (-(-prod(placement.size) // _ALIGNMENT) * _ALIGNMENT for placement in placements)
    return list(accumulate(padded, initial=0))
