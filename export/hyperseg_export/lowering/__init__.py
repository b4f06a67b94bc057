"""The graph without our operators: every node of the domain `hyperseg` written in standard ONNX operators.

For runtimes without our libraries; also the proof that the operators need nothing that ONNX does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import onnx_ir as ir

from hyperseg_export.lowering.builder import Builder
from hyperseg_export.lowering.mapped import unfuse_mapped_dpw_conv
from hyperseg_export.lowering.meta_block import unfuse_meta_block
from hyperseg_export.lowering.operators import dpw_conv, dpw_inverted_residual, inverted_residual, upsample_argmax
from hyperseg_export.operators import DOMAIN
from hyperseg_export.replacement import replace_nodes

_LOWERINGS: dict[str, Callable[[Builder, ir.Node], ir.Value]] = {
    "DPWConv": dpw_conv,
    "DPWInvertedResidual": dpw_inverted_residual,
    "MBConv": inverted_residual,
    "UpsampleArgmax": upsample_argmax,
}


def lower(model: ir.Model, keep: Collection[str] = ()) -> int:
    """Replaces our operators, but for those named in `keep`, in place; returns how many there were.

    Channels, T and L of the generated weights must be fixed in the graph; batch, height, width and grid may be
    dynamic. Raises ValueError for a node of our domain that has no lowering.
    """
    graph = model.graph
    count = len(_own(graph, keep))
    for node in _own(graph, keep):
        if node.op_type == "DPWMetaBlock":
            unfuse_meta_block(graph, node)
        elif node.op_type == "FusedMapperDPWConv":
            unfuse_mapped_dpw_conv(graph, node)
    for node in _own(graph, keep):
        lowering = _LOWERINGS.get(node.op_type)
        if lowering is None:
            raise ValueError(f"{node.name}: {DOMAIN}.{node.op_type} has no lowering to standard operators")
        _replace(graph, node, lowering)
    if all(node.domain != DOMAIN for node in graph):
        model.opset_imports.pop(DOMAIN, None)
    return count


def _own(graph: ir.Graph, keep: Collection[str]) -> list[ir.Node]:
    return [node for node in graph if node.domain == DOMAIN and node.op_type not in keep]


def _replace(graph: ir.Graph, node: ir.Node, lowering: Callable[[Builder, ir.Node], ir.Value]) -> None:
    builder = Builder(node)
    new = lowering(builder, node)
    for value in builder.initializers:
        graph.register_initializer(value)
    replace_nodes(graph, node, [node], builder.nodes, node.outputs[0], new)
