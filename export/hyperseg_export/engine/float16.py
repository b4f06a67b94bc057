"""Half precision by rewriting the graph, since builder flags for it are gone (TensorRT 11) or ignored without a word.

Every tensor gets its type here, and the network built from it is strongly typed: what this file says is what runs.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from hyperseg_export.engine.errors import EngineError
from hyperseg_export.engine.sensitive import SHAPE_OPERATORS, KeptNode, find_sensitive
from hyperseg_export.engine.tensor_types import tensor_types

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
_FLOATS = (FLOAT, HALF)
_ALWAYS_FLOAT_INPUTS = {"Resize": (1, 2)}
"""Regions and scales are float32 by ONNX's definition."""
_QUANTISED = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True)
class Conversion:
    """What became of the nodes that compute on floating-point numbers."""

    half_nodes: int
    kept: tuple[KeptNode, ...]


def to_float16(model: ModelProto, requested: Collection[str] = ()) -> Conversion:
    """Converts `model` in place; inputs and outputs keep their types.

    Args:
        model: a graph without subgraphs, in float32.
        requested: names of nodes or operators to keep in float32, beside those of `sensitive`.

    Raises:
        EngineError: the model is half or quantised already, names what is not there, or cannot be converted.
    """
    graph = model.graph
    _name_nodes(graph)
    _fold_constants(graph)
    _unpack_weights(graph)
    _refuse_converted(graph)
    _check_requested(graph, requested)
    types = tensor_types(model)
    floating = {
        node.name for node in graph.node if node.op_type not in SHAPE_OPERATORS and FLOAT in _kinds(node, types)
    }
    kept = [node for node in find_sensitive(graph, requested) if node.name in floating]
    rewriter = _Rewriter(graph, types, frozenset(node.name for node in kept))
    rewriter.run()
    return Conversion(rewriter.half_nodes, tuple(kept))


def _refuse_converted(graph: GraphProto) -> None:
    if any(tensor.data_type == HALF for tensor in graph.initializer):
        raise EngineError("the model computes in float16 already; build it without --fp16")
    if any(node.op_type in _QUANTISED for node in graph.node):
        raise EngineError("the model is quantised to int8; build it without --fp16, or export it without --int8")


def _name_nodes(graph: GraphProto) -> None:
    taken = {node.name for node in graph.node}
    for index, node in enumerate(graph.node):
        if not node.name:
            node.name = f"{node.op_type}_{index}"
            while node.name in taken:
                node.name += "_"
        taken.add(node.name)


def _fold_constants(graph: GraphProto) -> None:
    """Makes initializers of Constant nodes, so that constants have one form."""
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        value = helper.get_node_attr_value(node, node.attribute[0].name)
        if not isinstance(value, TensorProto):
            kind = np.float32 if node.attribute[0].name.startswith("value_float") else np.int64
            value = numpy_helper.from_array(np.asarray(value, kind))
        tensor = graph.initializer.add()
        tensor.CopyFrom(value)
        tensor.name = node.output[0]
        graph.node.remove(node)


def _unpack_weights(graph: GraphProto) -> None:
    """Makes float32 constants of those that a small file stores in float16 and casts when it is loaded."""
    halves = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == HALF}
    casts = [node for node in graph.node if node.op_type == "Cast" and node.input[0] in halves]
    for node in casts:
        if node.attribute[0].i == FLOAT:
            values = numpy_helper.to_array(halves[node.input[0]]).astype(np.float32)
            graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
            graph.node.remove(node)
    read = {name for node in graph.node for name in node.input}
    for tensor in halves.values():
        if tensor.name not in read:
            graph.initializer.remove(tensor)


def _check_requested(graph: GraphProto, requested: Collection[str]) -> None:
    present = {node.name for node in graph.node} | {node.op_type for node in graph.node}
    for name in requested:
        if name not in present:
            raise EngineError(f"--keep-fp32 {name}: the model has no node or operator of that name")


def _kinds(node: NodeProto, types: dict[str, int]) -> set[int | None]:
    return {types.get(name) for name in (*node.input, *node.output)}


class _Rewriter:
    """Walks the graph once and gives every float tensor its new type, with casts between the two."""

    def __init__(self, graph: GraphProto, types: dict[str, int], kept: frozenset[str]) -> None:
        self.half_nodes = 0
        self._graph = graph
        self._types = types
        self._kept = kept
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._outputs = {value.name for value in graph.output}
        self._converted: dict[tuple[str, int], str] = {}
        self._nodes: list[NodeProto] = []

    def run(self) -> None:
        for node in self._graph.node:
            self._rewrite(node)
        nodes = [NodeProto.FromString(node.SerializeToString()) for node in self._nodes]
        del self._graph.node[:]
        self._graph.node.extend(nodes)
        del self._graph.value_info[:]
        self._drop_unused_constants()

    def _rewrite(self, node: NodeProto) -> None:
        if node.op_type in SHAPE_OPERATORS:  # asks for no values, so for no type either
            self._nodes.append(node)
            return
        kind = FLOAT if node.name in self._kept else HALF
        self.half_nodes += kind == HALF and not _kinds(node, self._types).isdisjoint(_FLOATS)
        always_float = _ALWAYS_FLOAT_INPUTS.get(node.op_type, ())
        for index, name in enumerate(node.input):
            if self._types.get(name) in _FLOATS:
                node.input[index] = self._as(name, FLOAT if index in always_float else kind)
        if node.op_type == "Cast" and kind == HALF:
            for attribute in node.attribute:
                if attribute.name == "to" and attribute.i == FLOAT:
                    attribute.i = HALF
        elif node.op_type == "ConstantOfShape" and kind == HALF:
            _halve_attribute(node)
        casts = []
        for index, name in enumerate(node.output):
            if self._types.get(name) != FLOAT or kind == FLOAT:
                continue
            if name in self._outputs:
                node.output[index] = f"{name}_half"
                self._types[node.output[index]] = HALF
                casts.append(_cast(node.output[index], name, FLOAT))
                self._converted[name, HALF] = node.output[index]
            else:
                self._types[name] = HALF
        self._nodes.extend([node, *casts])

    def _as(self, name: str, kind: int) -> str:
        """The tensor's name in the wanted type, with a cast (or a converted constant) where it has another."""
        if self._types[name] == kind:
            return name
        known = self._converted.get((name, kind))
        if known is not None:
            return known
        converted = f"{name}_{'half' if kind == HALF else 'float'}"
        if name in self._constants:
            values = numpy_helper.to_array(self._constants[name])
            self._graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), converted))
        else:
            self._nodes.append(_cast(name, converted, kind))
        self._types[converted] = kind
        self._converted[name, kind] = converted
        return converted

    def _drop_unused_constants(self) -> None:
        used = {name for node in self._graph.node for name in node.input} | self._outputs
        tensors = [tensor for tensor in self._graph.initializer if tensor.name in used]
        kept = [TensorProto.FromString(tensor.SerializeToString()) for tensor in tensors]
        del self._graph.initializer[:]
        self._graph.initializer.extend(kept)


def _cast(source: str, target: str, kind: int) -> NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"{target}_cast", to=kind)


def _halve_attribute(node: NodeProto) -> None:
    value = next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)
    if value is None:
        node.attribute.append(helper.make_attribute("value", numpy_helper.from_array(np.zeros(1, np.float16))))
    elif value.data_type == FLOAT:
        value.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(value).astype(np.float16)))
