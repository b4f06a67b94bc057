"""The meta blocks of v0_1, three DPWConvs each, as one operator for the CPU that never writes the hidden maps."""

from __future__ import annotations

import onnx_ir as ir

from hyperseg_export.operators import DOMAIN, PLUGIN_ATTRIBUTES
from hyperseg_export.replacement import replace_nodes

META_BLOCK = "DPWMetaBlock"

_HIGH = 16
"""Rows of a patch from which on the operator pays: it makes the two rows above and below each patch twice."""


def fuse_meta_blocks(model: ir.Model) -> int:
    """Replaces float32 blocks of expand, depth-wise and project in place; returns how many."""
    count = 0
    for node in list(model.graph):
        if node.domain != DOMAIN or node.op_type != "DPWConv" or _integers(node, "kernel_shape", []) != [3, 3]:
            continue
        expand, project = _before(node), _after(node)
        if expand is not None and project is not None and _is_block(expand, node, project):
            _replace(model.graph, expand, node, project)
            count += 1
    return count


def _before(node: ir.Node) -> ir.Node | None:
    hidden = node.inputs[0]
    producer = None if hidden is None else hidden.producer()
    if hidden is None or producer is None or len(hidden.uses()) != 1 or hidden.is_graph_output():
        return None
    return producer if producer.domain == DOMAIN and producer.op_type == "DPWConv" else None


def _after(node: ir.Node) -> ir.Node | None:
    uses = node.outputs[0].uses()
    if len(uses) != 1 or node.outputs[0].is_graph_output():
        return None
    reader, index = next(iter(uses))
    return reader if index == 0 and reader.domain == DOMAIN and reader.op_type == "DPWConv" else None


def _is_block(expand: ir.Node, depthwise: ir.Node, project: ir.Node) -> bool:
    (x, theta, bias1, previous), (_, _, bias2, beside) = _inputs(expand), _inputs(depthwise)
    if any(node.inputs[1] is not theta for node in (depthwise, project)) or beside is not None:
        return False
    sizes = [_size(value, axis) for value, axis in ((x, 1), (x, 2), (theta, 2), (bias1, 0), (bias2, 0))]
    before = 0 if previous is None else _size(previous, 1)
    if None in sizes or before is None or _inputs(project)[2] is None or _inputs(project)[3] is not None:
        return False
    channels, height, rows, hidden, filtered = (size or 0 for size in sizes)
    channels += before + 2 * _integer(expand, "coordinates", 0)
    begin = _integer(expand, "offset", 0)
    offsets = [begin, begin + hidden * channels, begin + hidden * (channels + 9)]
    blocks = (expand, depthwise, project)
    return (
        height // max(rows, 1) >= _HIGH
        and hidden == filtered == _integer(depthwise, "group", 1)
        and [_integer(node, "offset", 0) for node in blocks] == offsets
        and [_activation(node) for node in blocks] == ["relu6", "relu6", "none"]
        and all(_integers(node, "kernel_shape", []) == [1, 1] for node in (expand, project))
        and all(_integer(node, "group", 1) == 1 for node in (expand, project))
        and not any(_integer(node, "coordinates", 0) for node in (depthwise, project))
    )


def _replace(graph: ir.Graph, expand: ir.Node, depthwise: ir.Node, project: ir.Node) -> None:
    x, theta, bias1, previous = _inputs(expand)
    inputs = [x, theta, bias1, depthwise.inputs[2], project.inputs[2], previous]
    attributes = {name: _integer(expand, name, 0) for name in ("offset", "coordinates")}
    block = ir.node(
        META_BLOCK,
        inputs if previous is not None else inputs[:-1],
        {"kernel_shape": [3, 3], **attributes, **PLUGIN_ATTRIBUTES},
        domain=DOMAIN,
        name=(expand.name or "").replace("DPWConv", META_BLOCK),
    )
    replace_nodes(graph, project, [expand, depthwise, project], [block], project.outputs[0], block.outputs[0])


def _inputs(node: ir.Node) -> list[ir.Value | None]:
    return [*node.inputs, *[None] * (4 - len(node.inputs))]


def _size(value: ir.Value | None, axis: int) -> int | None:
    size = None if value is None or value.shape is None else value.shape[axis]
    return size if isinstance(size, int) else None


def _integer(node: ir.Node, name: str, default: int) -> int:
    return node.attributes[name].as_int() if name in node.attributes else default


def _integers(node: ir.Node, name: str, default: list[int]) -> list[int]:
    return list(node.attributes[name].as_ints()) if name in node.attributes else default


def _activation(node: ir.Node) -> str:
    return node.attributes["activation"].as_string() if "activation" in node.attributes else "none"
