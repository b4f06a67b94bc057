"""Calls the CUDA kernels, compiled for the CPU, on test vectors through ctypes; and writes their requests to files."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vectors import Case, Placement, UpsampleArgmaxCase

from hyperseg.cuda_library import (
    FIELDS,
    Attributes,
    CudaLibrary,
    DataType,
    LabelType,
    MapLayout,
    Operator,
    Request,
    Target,
    TensorArgument,
)

_OPERATORS = {
    "DPWConv": Operator.DPW_CONV,
    "DPWInvertedResidual": Operator.DPW_INVERTED_RESIDUAL,
    "UpsampleArgmax": Operator.UPSAMPLE_ARGMAX,
}
_DTYPES = {"float32": DataType.FLOAT32, "float16": DataType.FLOAT16}
_INPUTS = 6
DEFAULT_PLACEMENT = Placement()
THREAD_ORDERS = ("forward", "reverse", "shuffled")
"""Orders in which the threads of a block run between two barriers (`CUDA_ON_CPU_ORDER`)."""

_COUNTERS = ("loaded_bytes", "stored_bytes", "multiply_adds", "tensor_multiply_adds", "barriers", "load_phases")


class _Counters(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in _COUNTERS)


@dataclass(frozen=True)
class Counters:
    """Counts over all blocks: bytes of global memory, multiply-adds on CUDA cores and on tensor cores (with padding),
    barriers, and load phases, the stretches between barriers that load from global memory."""

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
    """Launch configuration of a kernel; `symbol` is its mangled name."""

    symbol: str
    blocks: int
    threads: int
    shared_bytes: int


def _inputs(case: Case, placement: Placement) -> list[NDArray[Any] | None]:
    inputs = placement.of(case)
    return inputs + [None] * (_INPUTS - len(inputs))


def _output_dtype(case: Case) -> np.dtype[Any]:
    return np.dtype(case.label_dtype if isinstance(case, UpsampleArgmaxCase) else case.dtype)


def _unwritten(case: Case) -> NDArray[Any]:
    """An output filled with 0xFF (NaN, or label -1), so that unwritten pixels are detected."""
    output = np.empty(case.output_shape, _output_dtype(case))
    output.view(np.uint8).fill(0xFF)
    return output


def _shapes(placement: Placement, case: Case, inputs: list[NDArray[Any] | None]) -> list[tuple[int, ...]]:
    """The inputs' shapes in the operator's contract: X is [N, C, H, W] in every memory layout."""
    x, *others = inputs
    assert x is not None
    extents = x.shape
    if placement.x_layout is not MapLayout.NCHW:
        assert not isinstance(case, UpsampleArgmaxCase)
        extents = (x.shape[0], case.x_channels, *x.shape[1:3])
    return [extents, *(() if value is None else value.shape for value in others)]


def _target(case: Case) -> tuple[Target | None, LabelType]:
    if not isinstance(case, UpsampleArgmaxCase):
        return None, LabelType.INT32
    target = Target(*case.size, *case.whole_window) if case.scale == 0 else None
    return target, LabelType.UINT8 if case.label_dtype == "uint8" else LabelType.INT32


def _request(case: Case, placement: Placement, inputs: list[NDArray[Any] | None], output: int) -> Request:
    """Points into `inputs` and to `output`, which have to outlive it."""
    attributes: dict[str, Any] = dict(case.attributes)
    return Request.of(
        _OPERATORS[case.operator],
        _DTYPES[case.dtype],
        [
            None if value is None else TensorArgument(value.ctypes.data, shape)
            for value, shape in zip(inputs, _shapes(placement, case, inputs), strict=True)
        ],
        output,
        Attributes(
            attributes.get("kernel_shape", [1])[0],
            attributes.get("group", 1),
            attributes.get("activation", "none"),
            attributes.get("offset", 0),
            bool(attributes.get("coordinates", 0)),
            attributes.get("scale", 1),
            *_target(case),
        ),
        x_layout=placement.x_layout,
        piece_begin=placement.before,
        piece_length=placement.piece_length(case),
    )


class Kernels:
    """The shared library built by `build.compile_for_cpu` from library.cpp."""

    def __init__(self, library: Path) -> None:
        self._library = CudaLibrary(library)

    def run(self, case: Case, placement: Placement = DEFAULT_PLACEMENT) -> NDArray[Any]:
        inputs = _inputs(case, placement)
        output = _unwritten(case)
        self._library.launch(_request(case, placement, inputs, output.ctypes.data))
        return output

    def take_counters(self) -> Counters:
        counters = _Counters()
        self._library.handle.hyperseg_take_counters(ctypes.byref(counters))
        return Counters(*(getattr(counters, name) for name in _COUNTERS))

    def last_launch(self) -> Launch:
        launch = _Launch()
        self._library.handle.hyperseg_last_launch(ctypes.byref(launch))
        assert launch.name is not None, "the kernel has no symbol"
        return Launch(launch.name.decode(), launch.blocks, launch.threads, launch.shared_bytes)


@contextmanager
def thread_order(order: str) -> Iterator[None]:
    """Sets the order of a block's threads, one of `THREAD_ORDERS`, for the launches within the context."""
    before = os.environ.get("CUDA_ON_CPU_ORDER")
    os.environ["CUDA_ON_CPU_ORDER"] = order
    try:
        yield
    finally:
        del os.environ["CUDA_ON_CPU_ORDER"]
        if before is not None:
            os.environ["CUDA_ON_CPU_ORDER"] = before


def write_request(case: Case, path: Path, placement: Placement = DEFAULT_PLACEMENT) -> None:
    """Writes a request file for run_requests.cpp."""
    inputs = _inputs(case, placement)
    request = _request(case, placement, inputs, 0)
    with path.open("wb") as file:
        file.write(struct.pack(f"={len(FIELDS)}i4d", *(getattr(request, name) for name in FIELDS), *request.window))
        for value, slot in zip(inputs, request.inputs, strict=True):
            file.write(struct.pack(f"={slot.rank + 1}q", slot.rank, *slot.extents[: slot.rank]))
            if value is not None:
                file.write(struct.pack("=q", value.nbytes) + value.tobytes())
        file.write(struct.pack("=q", _unwritten(case).nbytes))


def read_output(case: Case, path: Path) -> NDArray[Any]:
    """Reads the output that run_requests wrote for the request `path`."""
    data = np.fromfile(path.with_name(path.name + ".output"), _output_dtype(case))
    return data.reshape(case.output_shape)
