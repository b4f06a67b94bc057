"""Labels at the sizes of frames with ONNX Runtime's CUDA provider: computed on the GPU from logits that are left there.

    image ─► ONNX Runtime ─► logits, bound to the device ─► our kernel ─► labels on the device ─► host

ONNX Runtime computes on a non-blocking stream of its own, which `synchronize_outputs` waits for. Our kernel is on the
default stream. `OrtValue.numpy` copies with cudaMemcpy on the default stream (cudaMemcpy_DeviceToHost in
onnxruntime/core/providers/cuda/cuda_provider_factory.cc, release 1.23), so that the copy follows the kernel, and it
returns once the copy is complete (CUDA Runtime API, "API synchronization behavior"). That holds whether a library's
default stream is the legacy one or the thread's: these two wait for each other ("Stream synchronization behavior").
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperseg_runtime.backends.device_labels import DeviceLogits, no_memory
from hyperseg_runtime.backends.frame_labels import check_low_logits
from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.native_labels import CudaLabels
from hyperseg_runtime.upsampling import Placement, check_placement

if TYPE_CHECKING:
    from hyperseg_runtime.backends.protocol import Images
    from hyperseg_runtime.preprocess import Labels

_DEFAULT_STREAM = 0
_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
}


class RefusedError(Exception):
    """The kernels are not for this GPU; the message is the reason. Nothing was computed."""


class BoundLabels:
    """Computes the labels of a session's images. Calls from several threads are serialised."""

    def __init__(self, kernels: CudaLabels, driver: Any, device: int, place: str = "cuda") -> None:
        """driver: libcuda. device: the GPU's index. place: ONNX Runtime's name of where the memory is."""
        self._kernels = kernels
        self._driver = driver
        self._device = device
        self._place = place
        self._lock = threading.Lock()
        self._memory: Any = None
        """Labels on the device, an OrtValue; kept while sizes stay the same."""

    def compute(
        self, session: Any, low_logits: str, images: Images, placements: Sequence[Placement], classes: int
    ) -> list[Labels]:
        """session: onnxruntime.InferenceSession. low_logits: the name of its output.

        Raises InputError where a placement is impossible or the GPU has no memory for the labels, ModelError where the
        output has not `classes` channels, and RefusedError.
        """
        binding = session.io_binding()
        binding.bind_cpu_input("image", np.ascontiguousarray(images))
        binding.bind_output(low_logits, self._place, self._device)
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        (value,) = binding.get_outputs()
        shape = tuple(value.shape())
        check_low_logits(shape, classes)
        for placement in placements:
            check_placement(placement, shape[-2:])
        logits = DeviceLogits(value.data_ptr(), _DTYPES[value.data_type()], shape)
        offsets = list(accumulate((prod(placement.size) for placement in placements), initial=0))
        with self._lock:
            labels = self._labels(offsets[-1])
            with _primary_context(self._driver, self._device):
                for index, placement in enumerate(placements):
                    request = logits.request(index, labels.data_ptr() + offsets[index], placement)
                    if (reason := self._kernels.launch(request, _DEFAULT_STREAM)) is not None:
                        raise RefusedError(reason)
            host = labels.numpy()
        sizes = (placement.size for placement in placements)
        return [host[at : at + prod(size)].reshape(size) for at, size in zip(offsets, sizes, strict=False)]

    def _labels(self, size: int) -> Any:
        if self._memory is None or self._memory.shape() != [size]:
            import onnxruntime

            self._memory = None  # freed before the next is allocated
            try:
                self._memory = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
                    [size], np.uint8, self._place, self._device
                )
            except Exception as error:  # ONNX Runtime's own classes have no common base
                raise no_memory(size, error) from None
        return self._memory


@contextmanager
def _primary_context(driver: Any, index: int) -> Iterator[None]:
    """The GPU's primary context, which ONNX Runtime uses, as this thread's. Raises ModelError."""
    device, context = ctypes.c_int(0), ctypes.c_void_p()
    _check(driver.cuDeviceGet(ctypes.byref(device), ctypes.c_int(index)))
    _check(driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
    try:
        _check(driver.cuCtxPushCurrent_v2(context))
        try:
            yield
        finally:
            driver.cuCtxPopCurrent_v2(ctypes.byref(context))
    finally:
        driver.cuDevicePrimaryCtxRelease_v2(device)


def _check(status: int) -> None:
    if status:
        raise ModelError(
            f"the NVIDIA driver fails (CUDA error {status}) where labels are computed; restart the process"
        )
