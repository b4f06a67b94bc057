"""Encoder blocks as one operator for the CPU: `hyperseg.MBConv`, which never writes the expanded map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from hyperseg_export.operators import DOMAIN, PLUGIN_ATTRIBUTES, VERSION
from hyperseg_export.replacement import replace_nodes

MBCONV = "MBConv"


def fuse_encoder(model: ir.Model) -> int:
    """Replaces float32 blocks of expand, depth-wise, squeeze-excite and project in place; returns how many."""
    count = 0
    for node in list(model.graph):
        block = _match(node)
        if block is not None:
            _replace(model.graph, block)
            count += 1
    if count:
        model.opset_imports[DOMAIN] = VERSION
    return count


@dataclass(frozen=True)
class _Block:
    """The block's input, its convolutions, and its result (behind the residual's addition, where there is one)."""

    x: ir.Value
    expand: ir.Node | None
    depthwise: ir.Node
    reduce: ir.Node
    gate: ir.Node
    project: ir.Node
    result: ir.Value
    nodes: tuple[ir.Node, ...]

    @property
    def residual(self) -> bool:
        return self.result is not self.project.outputs[0]


def _match(depthwise: ir.Node) -> _Block | None:
    """The block around a depth-wise convolution, if it is one."""
    if not _is_depthwise(depthwise):
        return None
    filtered = _silu_of(depthwise.outputs[0])
    if filtered is None:
        return None
    mean = _only(filtered, "ReduceMean")
    scaled = _only(filtered, "Mul")
    reduce = None if mean is None else _only(mean.outputs[0], "Conv")
    squeezed = None if reduce is None else _silu_of(reduce.outputs[0])
    gate = None if squeezed is None else _only(squeezed, "Conv")
    factor = None if gate is None else _only(gate.outputs[0], "Sigmoid")
    project = None if scaled is None else _only(scaled.outputs[0], "Conv")
    if mean is None or scaled is None or reduce is None or gate is None or factor is None or project is None:
        return None
    if factor.outputs[0] not in scaled.inputs or not all(_is_pointwise(conv) for conv in (reduce, gate, project)):
        return None
    if not averages_pixels(mean) or len(filtered.uses()) != 2:
        return None
    x, expand = _expansion(depthwise)
    result = _residual(project, x)
    activated = [filtered, squeezed] if expand is None else [depthwise.inputs[0], filtered, squeezed]
    between = {depthwise, mean, scaled, reduce, gate, factor, project, result.producer(), expand}
    between |= {node for value in activated for node in _silu_nodes(value)}
    nodes = tuple(node for node in between if node is not None)
    return _Block(x, expand, depthwise, reduce, gate, project, result, nodes) if _is_closed(nodes, result) else None


def _is_closed(nodes: tuple[ir.Node, ...], result: ir.Value) -> bool:
    """Whether nobody else reads what the nodes compute on the way to the result."""
    inner = [value for node in nodes for value in node.outputs if value is not result]
    return all(not value.is_graph_output() and all(use.node in nodes for use in value.uses()) for value in inner)


def _replace(graph: ir.Graph, block: _Block) -> None:
    depthwise = block.depthwise
    expand = [None, None] if block.expand is None else list(block.expand.inputs[1:])
    convolutions = (depthwise, block.reduce, block.gate, block.project)
    inputs = [block.x, *expand, *(value for conv in convolutions for value in conv.inputs[1:])]
    attributes = {name: depthwise.attributes[name].as_ints() for name in ("kernel_shape", "strides", "pads")}
    node = ir.node(
        MBCONV,
        inputs,
        {**attributes, "residual": int(block.residual), **PLUGIN_ATTRIBUTES},
        domain=DOMAIN,
        name=f"{(depthwise.name or '').split('.depthwise')[0]}/{MBCONV}",
    )
    last = block.result.producer()
    assert last is not None
    replace_nodes(graph, last, block.nodes, [node], block.result, node.outputs[0])


def _only(value: ir.Value, op_type: str) -> ir.Node | None:
    """The one reader of this type."""
    readers = [use.node for use in value.uses() if use.node.op_type == op_type]
    return readers[0] if len(readers) == 1 else None


def _silu_nodes(result: ir.Value | None) -> list[ir.Node]:
    """Multiplication and sigmoid of a SiLU."""
    multiply = None if result is None else result.producer()
    assert multiply is not None
    producers = [value.producer() for value in multiply.inputs if value is not None]
    return [multiply, *(node for node in producers if node is not None and node.op_type == "Sigmoid")]


def _silu_of(value: ir.Value) -> ir.Value | None:
    """value * sigmoid(value), if that and nothing else is made of it."""
    sigmoid, multiply = _only(value, "Sigmoid"), _only(value, "Mul")
    if sigmoid is None or multiply is None or len(value.uses()) != 2 or len(sigmoid.outputs[0].uses()) != 1:
        return None
    return multiply.outputs[0] if sigmoid.outputs[0] in multiply.inputs else None


def _expansion(depthwise: ir.Node) -> tuple[ir.Value, ir.Node | None]:
    """The block's input and its expanding convolution; a block may begin with the depth-wise one."""
    x = depthwise.inputs[0]
    assert x is not None
    multiply = x.producer()
    if multiply is None or multiply.op_type != "Mul" or len(x.uses()) != 1:
        return x, None
    for value in multiply.inputs:
        conv = None if value is None else value.producer()
        if conv is not None and _is_pointwise(conv) and _silu_of(conv.outputs[0]) is x:
            assert conv.inputs[0] is not None
            return conv.inputs[0], conv
    return x, None


def _residual(project: ir.Node, x: ir.Value) -> ir.Value:
    result = project.outputs[0]
    uses = result.uses()
    if len(uses) == 1:
        add = next(iter(uses)).node
        if add.op_type == "Add" and any(value is x for value in add.inputs):
            return add.outputs[0]
    return result


def averages_pixels(mean: ir.Node) -> bool:
    """Whether a ReduceMean is over height and width."""
    axes = mean.inputs[1].const_value if len(mean.inputs) > 1 and mean.inputs[1] is not None else None
    given = mean.attributes["axes"].as_ints() if "axes" in mean.attributes else None
    over = given if axes is None else axes.numpy().tolist()
    return over is not None and sorted(axis % 4 for axis in over) == [2, 3]


def _is_convolution(node: ir.Node) -> bool:
    """With float32 weights and a bias, undilated."""
    if node.op_type != "Conv" or node.domain or len(node.inputs) != 3:
        return False
    weight = node.inputs[1]
    if weight is None or weight.const_value is None or weight.const_value.dtype != ir.DataType.FLOAT:
        return False
    dilations = node.attributes["dilations"].as_ints() if "dilations" in node.attributes else [1, 1]
    padding = node.attributes["auto_pad"].as_string() if "auto_pad" in node.attributes else "NOTSET"
    return list(dilations) == [1, 1] and padding == "NOTSET"


def _is_pointwise(node: ir.Node) -> bool:
    if not _is_convolution(node):
        return False
    group = node.attributes["group"].as_int() if "group" in node.attributes else 1
    strides = node.attributes["strides"].as_ints() if "strides" in node.attributes else [1, 1]
    pads = node.attributes["pads"].as_ints() if "pads" in node.attributes else [0, 0, 0, 0]
    return _shape(node.inputs[1])[2:] == [1, 1] and group == 1 and list(strides) == [1, 1] and not any(pads)


def _is_depthwise(node: ir.Node) -> bool:
    """3x3 or 5x5 with stride 1 or 2, as the operator has it."""
    if not _is_convolution(node) or not {"group", "pads", "strides", "kernel_shape"} <= set(node.attributes):
        return False
    channels, per_group, *kernel = _shape(node.inputs[1])
    square = kernel in ([3, 3], [5, 5]) and list(node.attributes["strides"].as_ints()) in ([1, 1], [2, 2])
    pads = node.attributes["pads"].as_ints()
    return square and per_group == 1 and node.attributes["group"].as_int() == channels and max(pads) < kernel[0]


def _shape(value: ir.Value | None) -> list[int]:
    assert value is not None
    assert value.const_value is not None
    return list(np.shape(value.const_value.numpy()))
