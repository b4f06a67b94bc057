"""FusedMapperDPWConv taken apart into the weight mapper's product and the DPWConv that it was fused from."""

from __future__ import annotations

import onnx_ir as ir

from hyperseg_export.lowering.builder import Builder
from hyperseg_export.operators import DOMAIN
from hyperseg_export.replacement import replace_nodes


def unfuse_mapped_dpw_conv(graph: ir.Graph, node: ir.Node) -> None:
    """Replaces the node in place. The mapper's shape must be fixed in the graph."""
    x, signal, mapper, *rest = node.inputs
    assert signal is not None
    assert mapper is not None
    if mapper.shape is None or not mapper.shape.is_static():
        raise ValueError(f"{mapper.name!r} has shape {mapper.shape}; it must be fixed in the graph")
    pieces, length, weights = mapper.shape.numpy()
    builder = Builder(node)
    batch, rows, columns = (builder.extent(signal, axis) for axis in (0, 2, 3))
    patches = builder.product(rows, columns)
    by_piece = builder.reshape(signal, batch, pieces, length, patches)
    by_patch = builder.op("Transpose", by_piece, perm=[0, 1, 3, 2])
    made = builder.op("MatMul", by_patch, mapper)
    theta = builder.op("Reshape", made, builder.shape([batch, pieces, rows, columns, weights]))
    theta.shape = ir.Shape([*(signal.shape or ())[:1], pieces, *(signal.shape or ())[2:], weights])
    theta.type = signal.type
    given = node.name or ""
    name = given.replace(node.op_type, "DPWConv") if node.op_type in given else f"{given}/DPWConv"
    convolution = ir.node("DPWConv", [x, theta, *rest], dict(node.attributes), domain=DOMAIN, name=name)
    for value in builder.initializers:
        graph.register_initializer(value)
    replace_nodes(graph, node, [node], [*builder.nodes, convolution], node.outputs[0], convolution.outputs[0])
