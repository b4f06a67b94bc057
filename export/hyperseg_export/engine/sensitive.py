"""What `--fp16` keeps in float32, and why."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

import numpy as np
from onnx import GraphProto, NodeProto, numpy_helper

LARGEST_HALF = 65504.0


class Reason(str, Enum):
    """Why a node computes in float32 in a half-precision engine."""

    ACCUMULATION = "sums over many values, of which float16 keeps three digits"
    RANGE = "its results can leave float16's range"
    IMAGE = "prepares the image, where rounding would come on top of the input's own"
    SHAPES = "computes shapes, which float16 counts exactly only up to 2048"
    CONSTANT = "has a constant beyond float16's largest number"
    REQUESTED = "asked for"


SENSITIVE_OPERATORS: dict[str, Reason] = {
    **dict.fromkeys(
        ("CumSum", "GlobalAveragePool", "GroupNormalization", "InstanceNormalization", "LayerNormalization",
         "LogSoftmax", "LpNormalization", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMean",
         "ReduceProd", "ReduceSum", "ReduceSumSquare", "Softmax"),
        Reason.ACCUMULATION,
    ),
    **dict.fromkeys(("Exp", "Log", "Pow", "Reciprocal"), Reason.RANGE),
}  # fmt: skip
"""By operator, in every graph."""

_IMAGE_OPERATORS = frozenset(("Add", "Cast", "Div", "Mul", "Sub", "Transpose"))
SHAPE_OPERATORS = frozenset(("Shape", "Size"))


@dataclass(frozen=True)
class KeptNode:
    """A node that stays in float32."""

    name: str
    operator: str
    reason: Reason


def find_sensitive(graph: GraphProto, requested: Collection[str] = ()) -> tuple[KeptNode, ...]:
    """The nodes to keep, in the graph's order. `requested` holds names of nodes or operators."""
    large = _large_constants(graph)
    constants = {tensor.name for tensor in graph.initializer}
    from_image = {value.name for value in graph.input} - constants
    from_shapes: set[str] = set()
    kept = []
    for node in graph.node:
        variable = {name for name in node.input if name and name not in constants}
        image = bool(variable) and variable <= from_image and node.op_type in _IMAGE_OPERATORS
        shapes = node.op_type in SHAPE_OPERATORS or (bool(variable) and variable <= from_shapes)
        if image:
            from_image.update(node.output)
        if shapes:
            from_shapes.update(node.output)
        reason = _reason(node, requested, image, shapes, large)
        if reason is not None:
            kept.append(KeptNode(node.name, node.op_type, reason))
    return tuple(kept)


def _reason(node: NodeProto, requested: Collection[str], image: bool, shapes: bool, large: set[str]) -> Reason | None:
    if node.name in requested or node.op_type in requested:
        return Reason.REQUESTED
    if node.op_type in SENSITIVE_OPERATORS:
        return SENSITIVE_OPERATORS[node.op_type]
    if image:
        return Reason.IMAGE
    if shapes:
        return Reason.SHAPES
    return Reason.CONSTANT if large.intersection(node.input) else None


def _large_constants(graph: GraphProto) -> set[str]:
    result = set()
    for tensor in graph.initializer:
        if tensor.data_type == tensor.FLOAT:
            values = numpy_helper.to_array(tensor)
            if values.size and float(np.abs(values).max()) > LARGEST_HALF:
                result.add(tensor.name)
    return result
