"""CUDA kernels of the operators, for tensors on an NVIDIA GPU.

float32 and float16 run on the kernels, which sum in float32. Other types run as the composition of PyTorch functions
that defines the operator; so does, with a warning, what the kernels refuse (channel counts beyond the device's shared
memory, a device that the library was not built for), and everything where libhyperseg_cuda.so is missing.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from hyperseg.cuda_library import (
    Attributes,
    CudaLibrary,
    CudaLibraryError,
    DataType,
    MapLayout,
    Operator,
    RefusedError,
    Request,
    TensorArgument,
    open_library,
)
from hyperseg.operators import composite
from hyperseg.operators.contract import check_scale, dpw_conv_outputs, dpw_inverted_residual_outputs

_DATA_TYPES = {torch.float32: DataType.FLOAT32, torch.float16: DataType.FLOAT16}
_ALIGNMENT = 16
"""Bytes: the kernels load and store up to so many at once."""


@cache
def library() -> CudaLibrary | None:
    """Load the kernels; None, after one warning, if that fails. `library.cache_clear()` tries again."""
    try:
        return open_library()
    except CudaLibraryError as error:
        warnings.warn(
            f"{error}. Until then dynamic convolutions on CUDA run as PyTorch functions, which is slower.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def dpw_conv(
    x: Tensor,
    theta: Tensor,
    bias: Tensor | None = None,
    previous: Tensor | None = None,
    kernel_shape: Sequence[int] = (1, 1),
    group: int = 1,
    activation: str = "none",
    offset: int = 0,
    coordinates: int = 0,
) -> Tensor:
    """`torch.ops.hyperseg.dpw_conv`; shapes, types and errors as there."""
    outputs = dpw_conv_outputs(x, theta, bias, previous, kernel_shape, group, activation, offset, coordinates, 0)
    request = _LaunchRequest(x, theta, [bias], previous)
    if request.runs_on_kernels():
        y = request.new_output((x.shape[0], outputs, x.shape[2], x.shape[3]))
        attributes = Attributes(kernel_shape[0], group, activation, offset, bool(coordinates))
        if request.launch(Operator.DPW_CONV, y, attributes):
            return y
    return composite.dpw_conv(x, theta, bias, previous, kernel_shape, group, activation, offset, coordinates)


def dpw_inverted_residual(
    x: Tensor,
    theta: Tensor,
    bias1: Tensor,
    bias2: Tensor,
    bias3: Tensor,
    previous: Tensor | None = None,
    kernel_shape: Sequence[int] = (3, 3),
    offset: int = 0,
    coordinates: int = 0,
) -> Tensor:
    """`torch.ops.hyperseg.dpw_inverted_residual`; shapes, types and errors as there."""
    biases = (bias1, bias2, bias3)
    outputs = dpw_inverted_residual_outputs(x, theta, biases, previous, kernel_shape, offset, coordinates)
    request = _LaunchRequest(x, theta, biases, previous)
    if request.runs_on_kernels():
        y = request.new_output((x.shape[0], outputs, x.shape[2], x.shape[3]))
        attributes = Attributes(kernel_shape[0], offset=offset, coordinates=bool(coordinates))
        if request.launch(Operator.DPW_INVERTED_RESIDUAL, y, attributes):
            return y
    return composite.dpw_inverted_residual(x, theta, bias1, bias2, bias3, previous, kernel_shape, offset, coordinates)


def upsample_argmax(x: Tensor, scale: int) -> Tensor:
    """`torch.ops.hyperseg.upsample_argmax`; shapes, types and errors as there."""
    check_scale(x, scale)
    request = _LaunchRequest(x, None, [], None)
    if request.runs_on_kernels():
        labels = request.new_output((x.shape[0], x.shape[2] * scale, x.shape[3] * scale), torch.int32)
        if request.launch(Operator.UPSAMPLE_ARGMAX, labels, Attributes(scale=scale)):
            return labels
    return composite.upsample_argmax(x, scale)


class _LaunchRequest:
    """Tensors of one call in the form that the kernels take: one device, one type, contiguous, aligned."""

    def __init__(
        self, x: Tensor, theta: Tensor | None, biases: Sequence[Tensor | None], previous: Tensor | None
    ) -> None:
        self._x = x
        self._given = [x, theta, *biases, previous] if theta is not None else [x]

    def runs_on_kernels(self) -> bool:
        filled = all(tensor is None or tensor.numel() > 0 for tensor in self._given)
        return self._x.dtype in _DATA_TYPES and filled and library() is not None

    def new_output(self, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> Tensor:
        return torch.empty(shape, dtype=dtype or self._x.dtype, device=self._x.device)

    def launch(self, operation: Operator, output: Tensor, attributes: Attributes) -> bool:
        """Launch a kernel; False, with a warning, if the kernels do not support these shapes or this device."""
        kernels = library()
        assert kernels is not None
        x, layout = _map(self._x, operation)
        tensors = [x, *(None if value is None else _vector(value, x.dtype) for value in self._given[1:])]
        request = Request.of(
            operation,
            _DATA_TYPES[x.dtype],
            [None if value is None else TensorArgument(value.data_ptr(), tuple(value.shape)) for value in tensors],
            output.data_ptr(),
            attributes,
            layout,
        )
        try:
            if x.device.type == "cuda":
                with torch.cuda.device(x.device):
                    kernels.launch(request, torch.cuda.current_stream().cuda_stream)
            else:  # the kernels compiled for the CPU, in the tests
                kernels.launch(request)
        except RefusedError as error:
            _warn_of_refusal(operation.name.lower(), str(error))
            return False
        except CudaLibraryError as error:
            raise RuntimeError(f"hyperseg::{operation.name.lower()}: {error}") from None
        return True


def _map(x: Tensor, operation: Operator) -> tuple[Tensor, MapLayout]:
    """X in a layout that the kernel supports: unchanged if possible, else a copy."""
    channels_last = not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    if channels_last and operation is not Operator.UPSAMPLE_ARGMAX:
        aligned = x if x.data_ptr() % _ALIGNMENT == 0 else x.clone(memory_format=torch.channels_last)
        return aligned, MapLayout.NHWC
    return _vector(x, x.dtype), MapLayout.NCHW


def _vector(value: Tensor, dtype: torch.dtype) -> Tensor:
    value = value.to(dtype).contiguous()
    return value if value.data_ptr() % _ALIGNMENT == 0 else value.clone()


@cache
def _warn_of_refusal(operator: str, reason: str) -> None:
    warnings.warn(
        f"hyperseg::{operator}: {reason}; it runs as PyTorch functions, which is slower", RuntimeWarning, stacklevel=3
    )
