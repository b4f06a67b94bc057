"""Layouts of the plugin inputs for TensorRT for RTX: no copies before the plugins."""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hyperseg_export.passes.plugin_layouts import lay_out_plugin_inputs
from onnx import TensorProto, helper

from .graphs import OPSET, Graph, edited

_PIECES = 4
_INPUTS = 7


def _model(lengths: dict[str, tuple[int, ...]], dynamic: bool) -> onnx.ModelProto:
    """Signals, by name, and the L of each of their thetas; X from a convolution, then from the operator before."""
    graph = Graph()
    x = graph.node("Conv", ["image", graph.weights("w", 5, 3, 1, 1)], "skip")
    operator = 0
    for signal, pieces in lengths.items():
        for length in pieces:
            name = f"theta{operator}"
            graph.node(
                "MatMul", [signal, graph.weights(f"w{operator}", _PIECES, _INPUTS, length)], f"product{operator}"
            )
            if dynamic:
                graph.node("Shape", ["image"], f"size{operator}", start=2)
                sides = [graph.constant(f"front{operator}", np.array([1, _PIECES])), f"size{operator}"]
                sides.append(graph.constant(f"last{operator}", np.array([length])))
                shape = graph.node("Concat", sides, f"shape{operator}", axis=0)
            else:
                shape = graph.constant(f"shape{operator}", np.array([1, _PIECES, 2, 3, length]))
            graph.node("Reshape", [f"product{operator}", shape], name)
            x = graph.ours("DPWConv", [x, name], f"y{operator}", kernel_shape=[1, 1])
            operator += 1
    signals = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, _PIECES, 6, _INPUTS]) for name in lengths]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 2, 3])
    result = helper.make_tensor_value_info(x, TensorProto.FLOAT, None)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("hyperseg", 1)]
    graph_proto = helper.make_graph(graph.nodes, "products", [image, *signals], [result], graph.constants)
    return helper.make_model(graph_proto, opset_imports=opsets, ir_version=8)


def _operators(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.domain == "hyperseg"]


def _attributes(node: onnx.NodeProto) -> dict[str, object]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _pieces(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The pieces that each operator reads, computed by ONNX Runtime."""
    standard = onnx.ModelProto.FromString(model.SerializeToString())
    del standard.graph.output[:]
    for name in {node.input[1] for node in _operators(model)}:
        standard.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    for node in _operators(standard):
        standard.graph.node.remove(node)
    session = ort.InferenceSession(standard.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    thetas = dict(zip(names, session.run(names, feeds), strict=True))
    result = []
    for node in _operators(model):
        rows, attributes = thetas[node.input[1]], _attributes(node)
        begin = int(attributes.get("piece_begin", 0))  # type: ignore[call-overload]
        length = int(attributes.get("piece_length", rows.shape[-1]))  # type: ignore[call-overload]
        result.append(rows[..., begin : begin + length])
    return result


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize(
    ("lengths", "rows"),
    [
        ({"a": (10, 5), "b": (8,), "c": (3,)}, [20, 20, 8, 4]),
        ({"a": (4, 4, 1)}, [12, 12, 12]),
    ],
)
def test_operators_read_the_same_pieces(lengths: dict[str, tuple[int, ...]], rows: list[int], dynamic: bool) -> None:
    model = _model(lengths, dynamic)
    random = np.random.default_rng(0)
    feeds = {name: random.standard_normal((1, _PIECES, 6, _INPUTS)).astype(np.float32) for name in lengths}
    feeds["image"] = random.standard_normal((1, 3, 2, 3)).astype(np.float32)
    expected = _pieces(model, feeds)
    model = edited(model, partial(lay_out_plugin_inputs, columns=4))
    assert sum(node.op_type == "MatMul" for node in model.graph.node) == len(lengths)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    widths = {node.output[0]: constants[node.input[1]].dims[2] for node in model.graph.node if node.op_type == "MatMul"}
    made = {node.output[0]: widths[node.input[0]] for node in model.graph.node if node.op_type == "Reshape"}
    assert [made[node.input[1]] for node in _operators(model)] == rows
    for new, old in zip(_pieces(model, feeds), expected, strict=True):
        # Both are sums of the same _INPUTS products, normal numbers of which none is larger than 6.
        np.testing.assert_allclose(new, old, rtol=0, atol=2 * _INPUTS * 2.0**-24 * _INPUTS * 6 * 6)


def test_only_maps_of_standard_operators_are_asked_for_channels_last() -> None:
    model = _model({"a": (4, 4, 4)}, dynamic=False)
    model = edited(model, partial(lay_out_plugin_inputs, columns=4))
    assert [_attributes(node).get("channels_last", 0) for node in _operators(model)] == [1, 0, 0]


def test_products_that_something_else_reads_stay() -> None:
    model = _model({"a": (5,)}, dynamic=False)
    model.graph.node.append(helper.make_node("Relu", ["theta0"], ["other"], name="other"))
    model = edited(model, partial(lay_out_plugin_inputs, columns=4))
    assert "piece_length" not in _attributes(_operators(model)[0])
