"""Matrix products that the exporter made for ONNX Runtime become convolutions again, which every TensorRT takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperseg_export.engine.readers import readers_of

if TYPE_CHECKING:
    from onnx import GraphProto


def restore_convolutions(graph: GraphProto) -> None:
    """Rewrites Reshape, Gemm, Reshape with constant weights as the 1x1 convolution it is, in place.

    TensorRT for RTX refuses float32 matrix products for Turing.
    """
    from onnx import helper

    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    readers = readers_of(graph)
    for product in [node for node in graph.node if node.op_type == "Gemm" and not node.attribute]:
        before, after = makers.get(product.input[1]), readers[product.output[0]]
        if product.input[0] not in constants or before is None or before.op_type != "Reshape":
            continue
        if len(after) != 1 or after[0].op_type != "Reshape":
            continue
        weights = constants[product.input[0]]
        weights.dims.extend([1, 1])
        for name in product.input[2:]:
            del constants[name].dims[1:]
        inputs = [before.input[0], *[name for index, name in enumerate(product.input) if index != 1]]
        conv = helper.make_node("Conv", inputs, list(after[0].output), product.name, kernel_shape=[1, 1])
        product.CopyFrom(conv)
        graph.node.remove(after[0])
        if len(readers[before.output[0]]) == 1:
            graph.node.remove(before)
