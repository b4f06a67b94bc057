"""The CUDA kernels, compiled for the CPU, as a Python function; and their requests as files."""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vectors import Case, Placement, UpsampleArgmaxCase

_OPERATORS = ("DPWConv", "DPWInvertedResidual", "UpsampleArgmax")
_ACTIVATIONS = ("none", "relu", "relu6")
_DTYPES = ("float32", "float16")
_INPUTS = 6
_FIELDS = 11
AS_THE_CONTRACT_HAS_IT = Placement()


class _Tensor(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("rank", ctypes.c_int64), ("extents", ctypes.c_int64 * 5))


class _Request(ctypes.Structure):
    """HyperSegRequest of trt_plugins/c_api/request.h."""

    _fields_ = (
        ("fields", ctypes.c_int32 * _FIELDS),
        ("inputs", _Tensor * _INPUTS),
        ("output", ctypes.c_void_p),
    )


_COUNTERS = ("loaded_bytes", "stored_bytes", "multiply_adds", "tensor_multiply_adds", "barriers", "load_phases")


class _Counters(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in _COUNTERS)


@dataclass(frozen=True)
class Counters:
    """What kernels did: bytes of global memory, multiply-adds on ordinary and on tensor cores (padding included); of
    all blocks together, barriers and the stretches between them that load from global memory."""

    loaded_bytes: int
    stored_bytes: int
    multiply_adds: int
    tensor_multiply_adds: int
    barriers: int
    load_phases: int


class _Launch(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("blocks", ctypes.c_int64),
        ("threads", ctypes.c_int64),
        ("shared_bytes", ctypes.c_int64),
    )


@dataclass(frozen=True)
class Launch:
    """How a kernel was started; `symbol` is its mangled name, empty where only its own file knows it."""

    symbol: str
    blocks: int
    threads: int
    shared_bytes: int


def _fields(case: Case, placement: Placement) -> list[int]:
    attributes: dict[str, Any] = dict(case.attributes)
    kernel = attributes.get("kernel_shape", [1])[0]
    return [
        _OPERATORS.index(case.operator),
        _DTYPES.index(case.dtype),
        kernel,
        attributes.get("group", 1),
        _ACTIVATIONS.index(attributes.get("activation", "none")),
        attributes.get("offset", 0),
        attributes.get("coordinates", 0),
        attributes.get("scale", 1),
        placement.x_layout,
        placement.before,
        placement.piece_length(case),
    ]


def _inputs(case: Case, placement: Placement) -> list[NDArray[Any] | None]:
    inputs = placement.of(case)
    return inputs + [None] * (_INPUTS - len(inputs))


def _output_dtype(case: Case) -> np.dtype[Any]:
    return np.dtype(np.int32 if isinstance(case, UpsampleArgmaxCase) else case.dtype)


def _unwritten(case: Case) -> NDArray[Any]:
    """An output in which a pixel that no thread writes shows: NaN, or label -1."""
    output = np.empty(case.output_shape, _output_dtype(case))
    output.view(np.uint8).fill(0xFF)
    return output


def _shapes(case: Case, inputs: list[NDArray[Any] | None]) -> list[tuple[int, ...]]:
    """The extents that the contract knows: X is [N, C, H, W] however it lies in memory."""
    x = case.inputs()["X"]
    assert x is not None
    return [x.shape, *(() if value is None else value.shape for value in inputs[1:])]


def _request(case: Case, placement: Placement, inputs: list[NDArray[Any] | None], output: NDArray[Any]) -> _Request:
    """Points into `inputs` and `output`, which have to outlive it."""
    request = _Request(fields=(ctypes.c_int32 * _FIELDS)(*_fields(case, placement)), output=output.ctypes.data)
    for slot, value, shape in zip(request.inputs, inputs, _shapes(case, inputs), strict=True):
        if value is not None:
            slot.data, slot.rank = value.ctypes.data, len(shape)
            slot.extents[: len(shape)] = shape
    return request


class Kernels:
    """The shared library that build.compile_for_cpu made of library.cpp."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.hyperseg_shared_bytes.restype = ctypes.c_size_t

    def run(self, case: Case, placement: Placement = AS_THE_CONTRACT_HAS_IT) -> NDArray[Any]:
        inputs = _inputs(case, placement)
        output = _unwritten(case)
        request = _request(case, placement, inputs, output)
        message = ctypes.create_string_buffer(1024)
        if self._library.hyperseg_launch(ctypes.byref(request), None, message, ctypes.c_size_t(len(message))):
            raise RuntimeError(f"{case.name}: {message.value.decode()}")
        return output

    def shared_bytes(self, case: Case) -> int:
        """Shared memory of one thread block of the kernel that the case would start."""
        inputs = _inputs(case, AS_THE_CONTRACT_HAS_IT)
        request = _request(case, AS_THE_CONTRACT_HAS_IT, inputs, _unwritten(case))
        return int(self._library.hyperseg_shared_bytes(ctypes.byref(request)))

    def take_counters(self) -> Counters:
        counters = _Counters()
        self._library.hyperseg_take_counters(ctypes.byref(counters))
        return Counters(*(getattr(counters, name) for name in _COUNTERS))

    def last_launch(self) -> Launch:
        launch = _Launch()
        self._library.hyperseg_last_launch(ctypes.byref(launch))
        return Launch((launch.name or b"").decode(), launch.blocks, launch.threads, launch.shared_bytes)


def write_request(case: Case, path: Path, placement: Placement = AS_THE_CONTRACT_HAS_IT) -> None:
    """The file that run_requests.cpp reads."""
    inputs = _inputs(case, placement)
    with path.open("wb") as file:
        file.write(struct.pack(f"={_FIELDS}i", *_fields(case, placement)))
        for value, shape in zip(inputs, _shapes(case, inputs), strict=True):
            if value is None:
                file.write(struct.pack("=q", 0))
                continue
            file.write(struct.pack(f"={len(shape) + 2}q", len(shape), *shape, value.nbytes))
            file.write(value.tobytes())
        file.write(struct.pack("=q", _unwritten(case).nbytes))


def read_output(case: Case, path: Path) -> NDArray[Any]:
    """What run_requests made of `path`."""
    data = np.fromfile(path.with_name(path.name + ".output"), _output_dtype(case))
    return data.reshape(case.output_shape)
