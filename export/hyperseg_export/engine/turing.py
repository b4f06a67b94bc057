"""Float32 matrix products as convolutions: TensorRT for RTX compiles the former for no GPU of the Turing generation.

The weight mapper's product A [N, T, G, c] x W [T, c, L] (T groups, G patches) is a grouped 1x1 convolution:
A^T [N, T, c, G] seen as [N, T*c, G, 1], with weights [T*L, c, 1, 1], gives [N, T*L, G, 1].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

TURING = "7.5"


def avoid_products(model: ModelProto) -> None:
    """Rewrites in place every MatMul of a map with constant weights [T, c, L]; leaves other products alone."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        weights = constants.get(node.input[1]) if node.op_type == "MatMul" else None
        if weights is None or len(weights.dims) != 3:
            nodes.append(node)
        else:
            nodes.extend(_convolution(model, node, weights))
    copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def _convolution(model: ModelProto, product: NodeProto, weights: TensorProto) -> Iterator[NodeProto]:
    groups, inputs, outputs = weights.dims
    name = product.output[0]
    values = numpy_helper.to_array(weights).transpose(0, 2, 1).reshape(groups * outputs, inputs, 1, 1)
    kernel = _constant(model, f"{name}_kernel", np.ascontiguousarray(values))
    yield _transpose(product.input[0], f"{name}_channels_first")
    yield _reshape(model, f"{name}_channels_first", f"{name}_map", (0, groups * inputs, -1, 1))
    yield helper.make_node(
        "Conv", [f"{name}_map", kernel], [f"{name}_made"], name=product.name, group=groups, kernel_shape=[1, 1]
    )
    yield _reshape(model, f"{name}_made", f"{name}_pieces", (0, groups, outputs, -1))
    yield _transpose(f"{name}_pieces", name)


def _transpose(source: str, target: str) -> NodeProto:
    return helper.make_node("Transpose", [source], [target], name=f"{target}_transpose", perm=[0, 1, 3, 2])


def _reshape(model: ModelProto, source: str, target: str, shape: Sequence[int]) -> NodeProto:
    wanted = _constant(model, f"{target}_shape", np.asarray(shape, np.int64))
    return helper.make_node("Reshape", [source, wanted], [target], name=f"{target}_reshape")


def _constant(model: ModelProto, name: str, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    model.graph.initializer.append(numpy_helper.from_array(values, name))
    return name
