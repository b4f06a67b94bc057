"""Edits the graph for TensorRT's parser with onnx-graphsurgeon. These edits have no inverse.

`to_graphsurgeon` converts between the libraries: earlier passes use onnx_ir, whose rewrite rules suit fusions and their
inverses; surgery edits tensors by reference, each with its type. `to_onnx` ends the surgery.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnx_ir as ir
from onnx_graphsurgeon.logger import G_LOGGER

from hyperseg_export.operators import DOMAIN
from hyperseg_export.operators.schemas import register

Surgery: TypeAlias = Callable[[gs.Graph], None]
"""Edits a graph in place."""


def to_graphsurgeon(model: ir.Model) -> gs.Graph:
    """The model as a graphsurgeon graph, every tensor with the type that shape inference finds for it.

    Types and shapes that the model already states may be out of date after a pass, so they are inferred anew.
    """
    register()
    G_LOGGER.severity = G_LOGGER.ERROR  # its warnings go to stdout
    proto = ir.to_proto(model)
    del proto.graph.value_info[:]
    # Where a node's types cannot be inferred, the nodes behind it have none: --fp16 and the parser say what they miss.
    with contextlib.suppress(onnx.shape_inference.InferenceError):
        proto = onnx.shape_inference.infer_shapes(proto)
    return gs.import_onnx(proto)


def to_onnx(graph: gs.Graph, ir_version: int, properties: Mapping[str, str]) -> onnx.ModelProto:
    """The edited graph as an ONNX model with these metadata properties."""
    for tensor in graph.tensors().values():
        if isinstance(tensor, gs.Variable) and tensor not in graph.inputs + graph.outputs:
            tensor.dtype = tensor.shape = None  # plugins may change layouts against the schemas
    model: onnx.ModelProto = gs.export_onnx(graph, ir_version=ir_version)
    onnx.helper.set_model_props(model, dict(properties))
    return model


def close_input_gaps(graph: gs.Graph) -> None:
    """Removes the empty inputs of our operators.

    TensorRT's parser passes an optional input that is left out (an empty name) on as a null tensor and fails. The
    plugins tell their optional inputs apart by rank.
    """
    for node in graph.nodes:
        if node.domain == DOMAIN:
            node.inputs = [tensor for tensor in node.inputs if not tensor.is_empty()]


def matmul_to_conv(graph: gs.Graph) -> None:
    """Replaces the weight mappers' products by convolutions: TensorRT for RTX has no float32 products for Turing.

    A [N, T, G, c] x W [T, c, L] (T groups, G patches) is a grouped 1x1 convolution: A^T [N, T, c, G] seen as
    [N, T*c, G, 1], with weights [T*L, c, 1, 1], gives [N, T*L, G, 1]. Other products stay.
    """
    for node in list(graph.nodes):
        if node.op == "MatMul" and _is_mapper(node):
            _as_convolution(graph, node)


def _is_mapper(product: gs.Node) -> bool:
    """Whether a MatMul is a weight mapper's: of a map [N, T, G, c] with constant weights [T, c, L]."""
    source, weights = product.inputs
    if not isinstance(weights, gs.Constant) or len(weights.shape) != 3:
        return False
    if source.shape is None:
        return True
    rank, pieces = len(source.shape), source.shape[1]
    return rank == 4 and (not isinstance(pieces, int) or pieces == weights.shape[0])


def _as_convolution(graph: gs.Graph, product: gs.Node) -> None:
    source, weights = product.inputs
    result = product.outputs[0]
    groups, inner, outputs = weights.shape
    kernel = weights.values.transpose(0, 2, 1).reshape(groups * outputs, inner, 1, 1)
    nodes: list[gs.Node] = []
    taken = graph.tensors()

    def named(suffix: str) -> str:
        return fresh_name(taken, f"{result.name}_{suffix}")

    def add(op: str, inputs: list[gs.Tensor], suffix: str, attrs: dict[str, Any]) -> gs.Variable:
        made = gs.Variable(named(suffix), result.dtype)
        nodes.append(gs.Node(op, f"{made.name}_{op.lower()}", attrs, inputs, [made]))
        return made

    def reshape(tensor: gs.Tensor, suffix: str, shape: tuple[int, ...]) -> gs.Variable:
        extents = gs.Constant(named(f"{suffix}_shape"), np.asarray(shape, np.int64))
        return add("Reshape", [tensor, extents], suffix, {})

    rows = add("Transpose", [source], "channels_first", {"perm": [0, 1, 3, 2]})
    image = reshape(rows, "map", (0, groups * inner, -1, 1))
    factors = [image, gs.Constant(named("kernel"), np.ascontiguousarray(kernel))]
    made = add("Conv", factors, "made", {"group": groups, "kernel_shape": [1, 1]})
    nodes[-1].name = product.name
    pieces = reshape(made, "pieces", (0, groups, outputs, -1))
    # Last, since it takes the result over.
    nodes.append(gs.Node("Transpose", f"{result.name}_transpose", {"perm": [0, 1, 3, 2]}, [pieces]))
    insert_before(graph, product, *nodes)
    remove(graph, product)
    nodes[-1].outputs = [result]


def fresh_name(taken: Collection[str], stem: str) -> str:
    """`stem`, or with underscores behind it where that name is taken (`graph.tensors()`)."""
    while stem in taken:
        stem += "_"
    return stem


def insert_before(graph: gs.Graph, node: gs.Node, *nodes: gs.Node) -> None:
    """Inserts nodes before another."""
    index = _index(graph, node)
    graph.nodes[index:index] = nodes


def insert_after(graph: gs.Graph, node: gs.Node, *nodes: gs.Node) -> None:
    """Inserts nodes after another."""
    index = _index(graph, node) + 1
    graph.nodes[index:index] = nodes


def remove(graph: gs.Graph, node: gs.Node) -> None:
    """Removes a node from the graph and from its tensors."""
    del graph.nodes[_index(graph, node)]
    node.inputs, node.outputs = [], []


def _index(graph: gs.Graph, node: gs.Node) -> int:
    """Index by identity, since graphsurgeon compares nodes by content."""
    return next(index for index, each in enumerate(graph.nodes) if each is node)
