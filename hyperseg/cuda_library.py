"""ctypes binding of libhyperseg_cuda.so, our CUDA kernels with a C interface (trt_plugins/c_api/request.h).

Needs no PyTorch: a tensor is an address and its extents.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from importlib.util import find_spec
from pathlib import Path

FILE_NAME = "libhyperseg_cuda.so"
ENVIRONMENT_VARIABLE = "HYPERSEG_LIBRARY_DIR"
INTERFACE = 2
"""HYPERSEG_CUDA_INTERFACE of trt_plugins/c_api/request.h."""

ACTIVATIONS = ("none", "relu", "relu6")
_INPUTS = 6
_MESSAGE_BYTES = 1024
_REFUSED = 2
"""HyperSegResult kRefused."""


class Operator(IntEnum):
    """HyperSegOperator of trt_plugins/c_api/request.h."""

    DPW_CONV = 0
    DPW_INVERTED_RESIDUAL = 1
    UPSAMPLE_ARGMAX = 2


class DataType(IntEnum):
    """hyperseg::cuda::DataType of trt_plugins/cuda/launch.h."""

    FLOAT32 = 0
    FLOAT16 = 1


class MapLayout(IntEnum):
    """hyperseg::cuda::MapLayout: NCHW, NHWC, and NHWC with pixels padded to a multiple of 8 channels."""

    NCHW = 0
    NHWC = 1
    NHWC8 = 2


@dataclass(frozen=True)
class TensorArgument:
    """Tensor in device memory, at a multiple of 16 bytes. X keeps the extents [N, C, H, W] in every layout."""

    address: int
    extents: tuple[int, ...]


class LabelType(IntEnum):
    """hyperseg::cuda::LabelType; UINT8 for at most 256 channels."""

    INT32 = 0
    UINT8 = 1


@dataclass(frozen=True)
class Target:
    """Labels of any size, of a window of X in its pixels (hyperseg::UpsampleArgmaxTarget)."""

    out_height: int
    out_width: int
    top: float
    left: float
    height: float
    width: float


@dataclass(frozen=True)
class Attributes:
    """Attributes of any operator; those that it lacks keep their defaults."""

    kernel: int = 1
    group: int = 1
    activation: str = "none"
    offset: int = 0
    coordinates: bool = False
    scale: int = 1
    """Of labels, without a target."""
    target: Target | None = None
    label_type: LabelType = LabelType.INT32


class _Tensor(ctypes.Structure):
    """HyperSegTensor."""

    _fields_ = (("data", ctypes.c_void_p), ("rank", ctypes.c_int64), ("extents", ctypes.c_int64 * 5))


FIELDS = (
    "operation",
    "data_type",
    "kernel",
    "group",
    "activation",
    "offset",
    "coordinates",
    "scale",
    "x_layout",
    "piece_begin",
    "piece_length",
    "label_type",
    "out_height",
    "out_width",
)


class Request(ctypes.Structure):
    """HyperSegRequest: the arguments of one launch."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in FIELDS),
        ("inputs", _Tensor * _INPUTS),
        ("output", ctypes.c_void_p),
        ("window", ctypes.c_double * 4),
    )

    @classmethod
    def of(
        cls,
        operation: Operator,
        data_type: DataType,
        inputs: Sequence[TensorArgument | None],
        output: int,
        attributes: Attributes,
        x_layout: MapLayout = MapLayout.NCHW,
        piece_begin: int = 0,
        piece_length: int = 0,
    ) -> Request:
        """Create a request; inputs in the order of the contract, None for an absent optional one; `output` is an
        address. The memory has to outlive the launch."""
        target = attributes.target
        request = cls(
            operation,
            data_type,
            attributes.kernel,
            attributes.group,
            ACTIVATIONS.index(attributes.activation),
            attributes.offset,
            int(attributes.coordinates),
            attributes.scale if target is None else 0,
            x_layout,
            piece_begin,
            piece_length,
            attributes.label_type,
        )
        request.output = output
        if target is not None:
            request.out_height, request.out_width = target.out_height, target.out_width
            request.window[:] = target.top, target.left, target.height, target.width
        for slot, value in zip(request.inputs, inputs, strict=False):
            if value is not None:
                slot.data, slot.rank = value.address, len(value.extents)
                slot.extents[: len(value.extents)] = value.extents
        return request


class CudaLibraryError(RuntimeError):
    """The library is missing or of another version, or a kernel could not be launched."""


class RefusedError(CudaLibraryError):
    """The kernels do not support the shapes, the channel counts or the device; nothing was launched."""


class CudaLibrary:
    """The loaded library. Raises CudaLibraryError if the file does not load or has another interface."""

    def __init__(self, path: Path) -> None:
        try:
            self.handle = ctypes.CDLL(str(path))
            found = self.handle.hyperseg_cuda_interface()
            self._launch = self.handle.hyperseg_launch
        except (OSError, AttributeError) as error:
            raise CudaLibraryError(f"{path} does not load: {' '.join(str(error).split())}; build it again") from None
        if found != INTERFACE:
            raise CudaLibraryError(f"{path} has interface {found}, this package needs {INTERFACE}; build it again")
        self.path = path

    def launch(self, request: Request, stream: int = 0) -> None:
        """Enqueues the kernel on a stream (cudaStream_t) of the current device. Raises RefusedError where the
        kernels are not for this request or this device, and CudaLibraryError where the launch failed."""
        message = ctypes.create_string_buffer(_MESSAGE_BYTES)
        result = self._launch(ctypes.byref(request), ctypes.c_void_p(stream), message, ctypes.c_size_t(_MESSAGE_BYTES))
        if result:
            raise (RefusedError if result == _REFUSED else CudaLibraryError)(message.value.decode())


def search_path() -> tuple[Path, ...]:
    """Folders to search, in order: HYPERSEG_LIBRARY_DIR if set, then the one in which the distribution installs its
    native libraries. Never the working folder: raises CudaLibraryError where the variable is not an absolute path."""
    folders = []
    if chosen := os.environ.get(ENVIRONMENT_VARIABLE):
        if not Path(chosen).is_absolute():
            raise CudaLibraryError(
                f"{ENVIRONMENT_VARIABLE} is {chosen!r}, not an absolute path; set it to the libraries' folder, or "
                "unset it"
            )
        folders.append(Path(chosen))
    runtime = find_spec("hyperseg_runtime")
    if runtime is not None and runtime.origin is not None:  # without an origin: any folder of that name
        folders.append(Path(runtime.origin).resolve().parent / "lib")
    return tuple(folders)


def open_library() -> CudaLibrary:
    """Load the first library on the search path. Raises CudaLibraryError with the searched folders and the remedy."""
    folders = search_path()
    for folder in folders:
        if (folder / FILE_NAME).is_file():
            return CudaLibrary((folder / FILE_NAME).resolve())
    searched = ", ".join(map(str, folders)) or "no folder"
    raise CudaLibraryError(
        f"{FILE_NAME} was not found in {searched}; build it (pip install . with nvcc on PATH), or set "
        f"{ENVIRONMENT_VARIABLE} to its folder"
    )
