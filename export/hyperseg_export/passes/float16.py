"""Converts a graph to float16, since builder flags for it are gone (TensorRT 11) or silently ignored.

Every tensor gets its type here, and the network built from it is strongly typed: TensorRT runs these types.

    X float32 ─► Conv ─► Softmax ─► Y      X ─► Cast half ─► Conv (half) ─► Cast float ─► Softmax ─► Y

The policy, `kept_in_float32`, selects the nodes that stay in float32. Inputs and outputs keep their types.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from hyperseg_export.errors import EngineError
from hyperseg_export.passes.surgery import fresh_name, insert_after, insert_before, remove

FLOAT, HALF = np.dtype(np.float32), np.dtype(np.float16)
_FLOATS = (FLOAT, HALF)
_LARGEST_HALF = float(np.finfo(HALF).max)
_ALWAYS_FLOAT_INPUTS = {"Resize": (1, 2)}
"""Regions and scales are float32 by ONNX's definition."""
_QUANTISED = ("QuantizeLinear", "DequantizeLinear")
_SHAPE_OPERATORS = frozenset(("Shape", "Size"))
_IMAGE_OPERATORS = frozenset(("Add", "Cast", "Div", "Mul", "Sub", "Transpose"))


class Reason(str, Enum):
    """The reason for which a node computes in float32 in a half-precision engine."""

    ACCUMULATION = "sums over many values, of which float16 keeps only three digits"
    RANGE = "its results can leave float16's range"
    IMAGE = "image preprocessing, where float16 would add rounding error"
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


@dataclass(frozen=True)
class KeptNode:
    """A node that stays in float32."""

    name: str
    operator: str
    reason: Reason


@dataclass(frozen=True)
class Conversion:
    """The outcome for the nodes that compute on floating-point numbers."""

    half_nodes: int
    kept: tuple[KeptNode, ...]


def to_float16(graph: gs.Graph, requested: Collection[str] = ()) -> Conversion:
    """Converts a float32 graph in place; inputs and outputs keep their types.

    Args:
        graph: without subgraphs, nodes with unique names, every tensor with its type (`surgery.to_graphsurgeon`).
        requested: names of nodes or operators to keep in float32, in addition to those of the policy.

    Raises:
        EngineError: the model is half or quantised already, lacks a requested node, or cannot be converted.
    """
    _fold_constants(graph)
    _refuse(graph, requested)
    floating = {node.name for node in graph.nodes if node.op not in _SHAPE_OPERATORS and FLOAT in _types(node)}
    kept = [node for node in kept_in_float32(graph, requested) if node.name in floating]
    names = frozenset(node.name for node in kept)
    converter = _Converter(graph)
    half_nodes = sum([converter.convert(node, FLOAT if node.name in names else HALF) for node in list(graph.nodes)])
    return Conversion(half_nodes, tuple(kept))


def kept_in_float32(graph: gs.Graph, requested: Collection[str] = ()) -> tuple[KeptNode, ...]:
    """The policy: nodes to keep, in the graph's order. `requested` holds names of nodes or operators."""
    from_image = {id(tensor) for tensor in graph.inputs}
    from_shapes: set[int] = set()
    kept = []
    for node in graph.nodes:
        variable = {id(tensor) for tensor in node.inputs if isinstance(tensor, gs.Variable) and not tensor.is_empty()}
        image = bool(variable) and variable <= from_image and node.op in _IMAGE_OPERATORS
        shapes = node.op in _SHAPE_OPERATORS or (bool(variable) and variable <= from_shapes)
        for applies, tensors in ((image, from_image), (shapes, from_shapes)):
            if applies:
                tensors.update(map(id, node.outputs))
        reason = _reason(node, requested, image, shapes)
        if reason is not None:
            kept.append(KeptNode(node.name, node.op, reason))
    return tuple(kept)


def _reason(node: gs.Node, requested: Collection[str], image: bool, shapes: bool) -> Reason | None:
    if node.name in requested or node.op in requested:
        return Reason.REQUESTED
    if node.op in SENSITIVE_OPERATORS:
        return SENSITIVE_OPERATORS[node.op]
    if image:
        return Reason.IMAGE
    if shapes:
        return Reason.SHAPES
    return Reason.CONSTANT if any(_is_large(tensor) for tensor in node.inputs) else None


def _is_large(tensor: gs.Tensor) -> bool:
    if not isinstance(tensor, gs.Constant) or tensor.dtype != FLOAT or not tensor.values.size:
        return False
    return float(np.abs(tensor.values).max()) > _LARGEST_HALF


def _fold_constants(graph: gs.Graph) -> None:
    """Replaces Constant nodes by initializers, so that constants have one form."""
    for node in [node for node in graph.nodes if node.op == "Constant"]:
        kind, value = next(iter(node.attrs.items()))
        if isinstance(value, gs.Constant):
            value = value.values
        tensor = node.outputs[0]
        remove(graph, node)
        tensor.to_constant(np.asarray(value, None if kind == "value" else FLOAT if "float" in kind else np.int64))


def _refuse(graph: gs.Graph, requested: Collection[str]) -> None:
    if any(isinstance(tensor, gs.Constant) and tensor.dtype == HALF for tensor in graph.tensors().values()):
        raise EngineError("the model computes in float16 already; build it without --fp16")
    if any(node.op in _QUANTISED for node in graph.nodes):
        raise EngineError("the model is quantised to int8; build it without --fp16, or export it without --int8")
    present = {node.name for node in graph.nodes} | {node.op for node in graph.nodes}
    for name in requested:
        if name not in present:
            raise EngineError(f"--keep-fp32 {name}: the model has no node or operator of that name")
    for node in graph.nodes:
        if any(isinstance(value, gs.Graph) for value in node.attrs.values()):
            raise EngineError(f"node {node.name} ({node.op}) has a subgraph, which --fp16 does not convert")
        if any(tensor.dtype is None for tensor in (*node.inputs, *node.outputs) if not tensor.is_empty()):
            raise EngineError(
                f"the types of node {node.name} ({node.op}) cannot be determined, so --fp16 does not convert this graph"
            )
        # graphsurgeon gives types that NumPy does not have by their ONNX number.
        if any(isinstance(tensor.dtype, int) for tensor in (*node.inputs, *node.outputs)):
            raise EngineError(f"node {node.name} ({node.op}) has a type that --fp16 does not convert; build without it")


def _types(node: gs.Node) -> set[np.dtype[np.generic]]:
    return {np.dtype(tensor.dtype) for tensor in (*node.inputs, *node.outputs) if not tensor.is_empty()}


class _Converter:
    """Converts the float tensors of one node after the other, with casts between the types."""

    def __init__(self, graph: gs.Graph) -> None:
        self._graph = graph
        self._taken = set(graph.tensors())
        self._converted: dict[tuple[int, np.dtype[np.generic]], tuple[gs.Tensor, gs.Tensor]] = {}
        """The tensor, kept so that its id stays its own, and its conversion."""

    def convert(self, node: gs.Node, kind: np.dtype[np.generic]) -> bool:
        """Converts the node to compute in `kind`; returns whether it computes on floats in half precision."""
        if node.op in _SHAPE_OPERATORS:  # asks for no values, so for no type either
            return False
        half = kind == HALF and not _types(node).isdisjoint(_FLOATS)
        always_float = _ALWAYS_FLOAT_INPUTS.get(node.op, ())
        for index, tensor in enumerate(node.inputs):
            if not tensor.is_empty() and tensor.dtype in _FLOATS:
                node.inputs[index] = self._as(node, tensor, FLOAT if index in always_float else kind)
        if kind == HALF:
            self._halve_attributes(node)
            for index, tensor in enumerate(node.outputs):
                if tensor.dtype == FLOAT:
                    self._halve_output(node, index)
        return half

    def _halve_output(self, node: gs.Node, index: int) -> None:
        tensor = node.outputs[index]
        if all(tensor is not output for output in self._graph.outputs):
            tensor.dtype = HALF
            return
        half = gs.Variable(self._fresh(f"{tensor.name}_half"), HALF, tensor.shape)
        node.outputs[index] = half
        cast = _cast(half, tensor)
        insert_after(self._graph, node, cast)
        self._converted[id(tensor), HALF] = tensor, half

    def _as(self, node: gs.Node, tensor: gs.Tensor, kind: np.dtype[np.generic]) -> gs.Tensor:
        """The tensor in the given type, with a cast (or a converted constant) if it has another."""
        if tensor.dtype == kind:
            return tensor
        known = self._converted.get((id(tensor), kind))
        if known is not None:
            return known[1]
        name = self._fresh(f"{tensor.name}_{'half' if kind == HALF else 'float'}")
        if isinstance(tensor, gs.Constant):
            result: gs.Tensor = gs.Constant(name, tensor.values.astype(kind))
        else:
            result = gs.Variable(name, kind, tensor.shape)
            insert_before(self._graph, node, _cast(tensor, result))
        self._converted[id(tensor), kind] = tensor, result
        return result

    def _fresh(self, stem: str) -> str:
        name = fresh_name(self._taken, stem)
        self._taken.add(name)
        return name

    def _halve_attributes(self, node: gs.Node) -> None:
        if node.op == "Cast" and node.attrs["to"] == onnx.TensorProto.FLOAT:
            node.attrs["to"] = int(onnx.TensorProto.FLOAT16)
        elif node.op == "ConstantOfShape":
            value = node.attrs.get("value", gs.Constant("value", np.zeros(1, FLOAT)))
            if value.dtype == FLOAT:
                node.attrs["value"] = gs.Constant("value", value.values.astype(HALF))


def _cast(source: gs.Tensor, target: gs.Tensor) -> gs.Node:
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(target.dtype))
    return gs.Node("Cast", f"{target.name}_cast", {"to": int(kind)}, [source], [target])
