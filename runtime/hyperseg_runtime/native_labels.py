"""ctypes bindings of our kernels that make labels of any size: in the host's memory, and in a GPU's.

Both libraries take the same structure (trt_plugins/c_api/labels.h). ctypes lets other Python threads run meanwhile.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hyperseg_runtime.errors import InputError, LibraryMissingError
from hyperseg_runtime.names import shown

if TYPE_CHECKING:
    from hyperseg_runtime.preprocess import Labels
    from hyperseg_runtime.upsampling import LowLogits, Placement

INTERFACE = 1
"""HYPERSEG_LABELS_INTERFACE of trt_plugins/c_api/labels.h."""
_DATA_TYPES = {np.dtype(np.float32): 0, np.dtype(np.float16): 1}
_MESSAGE_BYTES = 1024


class Request(ctypes.Structure):
    """HyperSegLabels: what to compute, where from and where to."""

    _fields_ = (
        ("logits", ctypes.c_void_p),
        ("labels", ctypes.c_void_p),
        *((name, ctypes.c_int32) for name in ("data_type", "channels", "height", "width", "out_height", "out_width")),
        *((name, ctypes.c_double) for name in ("top", "left", "window_height", "window_width")),
    )

    @classmethod
    def of(
        cls, logits: int, labels: int, shape: tuple[int, int, int], dtype: np.dtype[np.generic], placement: Placement
    ) -> Request:
        """Contiguous logits of `shape` [C, h, w] and their labels by address; both have to outlive the work."""
        channels, height, width = shape
        window = placement.window
        part = (0.0, 0.0, height, width) if window is None else (window.top, window.left, window.height, window.width)
        return cls(logits, labels, _DATA_TYPES[np.dtype(dtype)], channels, height, width, *placement.size, *part)


class _Library:
    def __init__(self, path: Path, function: str) -> None:
        try:
            handle = ctypes.CDLL(str(path))
            found = handle.hyperseg_labels_interface()
            self._function = getattr(handle, function)
        except (OSError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise LibraryMissingError(
                f"{shown(path)} does not load: {reason}; build it again (pip install .)"
            ) from None
        if found != INTERFACE:
            raise LibraryMissingError(
                f"{shown(path)} has interface {found} for labels, this package needs {INTERFACE}; build it again "
                "(pip install .)"
            )

    def _call(self, request: Request, argument: ctypes.c_int32 | ctypes.c_void_p) -> str | None:
        """The reason of a failure."""
        message = ctypes.create_string_buffer(_MESSAGE_BYTES)
        failed = self._function(ctypes.byref(request), argument, message, ctypes.c_size_t(_MESSAGE_BYTES))
        return message.value.decode() if failed else None


class CpuLabels(_Library):
    """libhyperseg_cpu.so. Raises LibraryMissingError where the file does not load or has another interface."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "hyperseg_labels")

    def at(self, logits: LowLogits, placement: Placement, threads: int) -> Labels:
        """As `upsampling.labels_at`. Raises InputError with the library's reason where it refuses the request."""
        source = np.ascontiguousarray(logits)
        labels = np.empty(placement.size, np.uint8)
        channels, height, width = source.shape
        shape = (channels, height, width)
        request = Request.of(source.ctypes.data, labels.ctypes.data, shape, source.dtype, placement)
        if (reason := self._call(request, ctypes.c_int32(threads))) is not None:
            raise InputError(reason)
        return labels


class CudaLabels(_Library):
    """libhyperseg_cuda.so. Raises LibraryMissingError where the file does not load or has another interface."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "hyperseg_launch_labels")

    def launch(self, request: Request, stream: int) -> str | None:
        """Enqueues the kernel on a stream (cudaStream_t) of the current device. Addresses are the device's, the logits'
        aligned as their type. Nothing is allocated or waited for. Returns the reason where it was not launched."""
        return self._call(request, ctypes.c_void_p(stream))
