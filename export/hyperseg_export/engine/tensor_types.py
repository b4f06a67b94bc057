"""The element type of every tensor in a graph, found node by node, without shapes."""

from __future__ import annotations

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, defs, shape_inference

from hyperseg_export.engine.errors import EngineError
from hyperseg_export.operators import DOMAIN

_UNTYPED = TensorProto.UNDEFINED
_SUBGRAPHS = ("If", "Loop", "Scan")


def tensor_types(model: ModelProto) -> dict[str, int]:
    """TensorProto.DataType of every named tensor. Raises EngineError where a node's cannot be told."""
    graph = model.graph
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    types = _given(graph)
    for node in graph.node:
        if node.op_type in _SUBGRAPHS:
            raise EngineError(f"node {node.name} ({node.op_type}) has a subgraph, which --fp16 does not convert")
        for name, kind in zip(node.output, _outputs(node, types, opsets), strict=False):
            types[name] = kind
    return types


def _given(graph: GraphProto) -> dict[str, int]:
    types = {value.name: value.type.tensor_type.elem_type for value in graph.input}
    types.update({tensor.name: tensor.data_type for tensor in graph.initializer})
    return types


def _outputs(node: NodeProto, types: dict[str, int], opsets: dict[str, int]) -> list[int]:
    if node.domain == DOMAIN:
        kind = TensorProto.INT32 if node.op_type == "UpsampleArgmax" else types.get(node.input[0], _UNTYPED)
        return [kind] * len(node.output)
    try:
        schema = defs.get_schema(node.op_type, opsets.get(node.domain, 1), node.domain)
        inputs = {name: _tensor_type(types[name]) for name in node.input if name}
        inferred = shape_inference.infer_node_outputs(schema, node, inputs)
        kinds = [inferred[name].tensor_type.elem_type if name in inferred else _UNTYPED for name in node.output]
    except (defs.SchemaError, shape_inference.InferenceError, KeyError) as error:
        raise EngineError(
            f"the types of node {node.name} ({node.op_type}) cannot be told, so --fp16 does not convert this graph"
        ) from error
    if _UNTYPED in kinds:
        raise EngineError(f"the output of node {node.name} ({node.op_type}) has no type that --fp16 could convert")
    return kinds


def _tensor_type(kind: int) -> TypeProto:
    result = TypeProto()
    result.tensor_type.elem_type = kind
    return result
