"""DPWMetaBlock taken apart into the three DPWConvs that it was fused from."""

from __future__ import annotations

import onnx_ir as ir

from hyperseg_export.operators import DOMAIN, PLUGIN_ATTRIBUTES
from hyperseg_export.replacement import replace_nodes


def unfuse_meta_block(graph: ir.Graph, block: ir.Node) -> None:
    """Replaces the node in place. Channels must be fixed in the graph."""
    x, theta, bias1, bias2, bias3 = block.inputs[:5]
    previous = block.inputs[5] if len(block.inputs) > 5 else None
    assert x is not None
    assert x.shape is not None
    assert bias1 is not None
    offset, coordinates = (
        block.attributes[name].as_int() if name in block.attributes else 0 for name in ("offset", "coordinates")
    )
    channels = 2 * coordinates + sum(_size(value, 1) for value in (x, previous) if value is not None)
    hidden = _size(bias1, 0)

    def convolve(source: ir.Value, bias: ir.Value | None, begin: int, **attributes: int | str | list[int]) -> ir.Node:
        inputs = [source, theta, bias, previous if source is x else None]
        described = {"activation": "relu6", "kernel_shape": [1, 1], **attributes, **PLUGIN_ATTRIBUTES}
        name = f"{(block.name or '').removesuffix(block.op_type)}DPWConv_{begin}"
        return ir.node("DPWConv", inputs, {"offset": begin, **described}, domain=DOMAIN, name=name)

    expand = convolve(x, bias1, offset, coordinates=coordinates)
    begin = offset + hidden * channels
    depthwise = convolve(expand.outputs[0], bias2, begin, kernel_shape=[3, 3], group=hidden)
    project = convolve(depthwise.outputs[0], bias3, begin + 9 * hidden, activation="none")
    for node in (expand, depthwise):
        node.outputs[0].shape = ir.Shape([x.shape[0], hidden, x.shape[2], x.shape[3]])
        node.outputs[0].type = x.type
    replace_nodes(graph, block, [block], [expand, depthwise, project], block.outputs[0], project.outputs[0])


def _size(value: ir.Value, axis: int) -> int:
    size = None if value.shape is None else value.shape[axis]
    if not isinstance(size, int):
        raise ValueError(f"{value.name!r} has shape {value.shape}; its axis {axis} must be fixed in the graph")
    return size
