"""The inputs and outputs of a model's graph, as hosts declare them. An engine has the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx
from onnx import TensorProto

OPEN = -1


@dataclass(frozen=True)
class HostTensor:
    """An input or output."""

    name: str
    element: str
    """Its type's name in onnx.TensorProto, for example UINT8."""
    shape: tuple[int, ...]
    """OPEN (-1) for dynamic extents. The first is the batch."""


def inputs(model: onnx.ModelProto) -> tuple[HostTensor, ...]:
    """The inputs, without constants that are listed among them."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return _tensors(value for value in model.graph.input if value.name not in constants)


def outputs(model: onnx.ModelProto) -> tuple[HostTensor, ...]:
    """The outputs."""
    return _tensors(model.graph.output)


def _tensors(values: Iterable[onnx.ValueInfoProto]) -> tuple[HostTensor, ...]:
    return tuple(
        HostTensor(
            value.name,
            str(TensorProto.DataType.Name(value.type.tensor_type.elem_type)),
            tuple(extent.dim_value or OPEN for extent in value.type.tensor_type.shape.dim),
        )
        for value in values
    )
