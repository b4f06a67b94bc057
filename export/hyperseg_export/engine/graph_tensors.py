"""The inputs and outputs of a model's graph. An engine has the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import onnx
from onnx import TensorProto

GraphShape: TypeAlias = tuple[int | None, ...]
"""None for dynamic extents. The first is the batch."""


@dataclass(frozen=True)
class GraphTensor:
    """An input or output."""

    name: str
    element: str
    """Its type's name in onnx.TensorProto, for example UINT8; the number of a type that this onnx does not know."""
    shape: GraphShape


def inputs(model: onnx.ModelProto) -> tuple[GraphTensor, ...]:
    """The inputs, without constants that are listed among them."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return _tensors(value for value in model.graph.input if value.name not in constants)


def outputs(model: onnx.ModelProto) -> tuple[GraphTensor, ...]:
    """The outputs."""
    return _tensors(model.graph.output)


def _tensors(values: Iterable[onnx.ValueInfoProto]) -> tuple[GraphTensor, ...]:
    return tuple(
        GraphTensor(
            value.name,
            _element(value.type.tensor_type.elem_type),
            tuple(extent.dim_value or None for extent in value.type.tensor_type.shape.dim),
        )
        for value in values
    )


def _element(number: int) -> str:
    known = number in TensorProto.DataType.values()
    return str(TensorProto.DataType.Name(number)) if known else str(number)
